from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from qdrant_client.qdrant_remote import QdrantRemote

from homeward.matching.adapters.engine import connect
from homeward.matching.settings import MatchingSettings
from homeward.matching.sightings.deciding import ReviewRules

REQUIRED = {
    "nats_url": "nats://n",
    "s3_endpoint": "http://s",
    "s3_access_key": "a",
    "s3_secret_key": "b",
    "embedding_target": "e:1",
    "gallery_key_file": "/key",
}


def test_a_key_to_qdrant_is_refused_without_tls() -> None:
    with pytest.raises(ValidationError, match="https"):
        MatchingSettings(**REQUIRED, qdrant_url="http://q:6333", qdrant_api_key="secret")


def test_a_key_to_qdrant_goes_with_each_request() -> None:
    settings = MatchingSettings(**REQUIRED, qdrant_url="https://q:6333", qdrant_api_key="secret")
    assert settings.qdrant_api_key is not None

    client = connect(
        url=settings.qdrant_url, path=None, api_key=settings.qdrant_api_key.get_secret_value()
    )

    assert isinstance(client._client, QdrantRemote)
    assert client._client._rest_headers["api-key"] == "secret"
    client.close()


@pytest.mark.parametrize(
    ("minutes", "span"), [(1, timedelta(minutes=1)), (44640, timedelta(days=31))]
)
def test_a_store_frees_bytes_within_minutes(minutes: float, span: timedelta) -> None:
    settings = MatchingSettings(**REQUIRED, qdrant_path="/q", s3_frees_minutes=minutes)

    assert settings.frees_after() == span


@pytest.mark.parametrize("minutes", [0, 0.9, 44641])
def test_no_store_frees_bytes_at_once_nor_after_a_month(minutes: float) -> None:
    with pytest.raises(ValidationError, match="s3_frees_minutes"):
        MatchingSettings(**REQUIRED, qdrant_path="/q", s3_frees_minutes=minutes)


@pytest.mark.parametrize("two", [True, False])
@pytest.mark.parametrize("apart", [True, False])
def test_what_is_asked_of_reviewers_is_set(*, two: bool, apart: bool) -> None:
    given = MatchingSettings(
        **REQUIRED, qdrant_path="/q", two_reviewers=two, separate_reviewers=apart
    )
    assert given.review_rules() == ReviewRules(two_reviewers=two, separate_reviewers=apart)
    assert MatchingSettings(**REQUIRED, qdrant_path="/q").review_rules() == ReviewRules()


def test_nobody_knows_when_a_store_frees_bytes_while_it_is_not_stated() -> None:
    assert MatchingSettings(**REQUIRED, qdrant_path="/q").frees_after() is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"audit_bucket": "homeward-evidence"}, "something else is kept in"),
        ({"audit_bucket": "A_Bucket"}, "audit_bucket"),
        ({"audit_s3_access_key": "a"}, "set both"),
        ({"audit_s3_secret_key": "b"}, "set both"),
        ({"audit_s3_endpoint": "http://b"}, "names another server"),
        ({"audit_archive_minutes": 0.9}, "greater than or equal to 1"),
        ({"audit_archive_minutes": 31}, "less than or equal to 30"),
    ],
    ids=str,
)
def test_an_archive_that_cannot_be_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MatchingSettings(**REQUIRED | {"qdrant_path": "/q"} | given)  # type: ignore[arg-type]


def test_an_archive_may_have_an_account_and_a_server_of_its_own() -> None:
    own = {"audit_s3_endpoint": "http://b", "audit_s3_access_key": "a", "audit_s3_secret_key": "b"}

    settings = MatchingSettings(**REQUIRED, qdrant_path="/q", audit_bucket="a-bucket", **own)  # type: ignore[arg-type]

    assert settings.audit_lock_mode == "COMPLIANCE"
