"""Two replicas of matching change the same subject at the same moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.core import policies
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.subjects.model import SubjectDetails, SubjectState
from homeward.servicekit.errors import FailedPreconditionError, NotFoundError, Reason, unavailable

GRACE = timedelta(days=7)


@pytest.fixture
def other(matching: Any) -> UseCases:
    """Another replica, on the same stores."""
    stores = replace(matching.stores, records=KeyValueSubjectRecords(matching.records))
    return compose(stores, Choices(shipped=policies.shipped()), matching.clock)


def first(call: Callable[..., Awaitable[Any]], happens: Callable[..., Awaitable[Any]]) -> Any:
    """Return a call before which something else happens, the first time, with its arguments."""
    left = [happens]

    async def called(*args: Any, **kwargs: Any) -> Any:
        if left:
            await left.pop()(*args, **kwargs)
        return await call(*args, **kwargs)

    return called


@pytest.fixture
async def both(
    matching: Any, subject_id: str, details: SubjectDetails, pass_time: Callable[[timedelta], None]
) -> frozenset[str]:
    """Two subjects that a sweep would close."""
    second = await matching.subjects.create(details, request_id="second")
    pass_time(details.review_time - matching.clock.now() + GRACE)
    return frozenset({subject_id, second.value.subject_id})


async def test_a_review_date_that_is_put_off_while_a_sweep_closes_others_is_kept(
    matching: Any, both: frozenset[str], other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = matching.clock.now() + timedelta(days=90)

    async def put_off_the_other(closing: str) -> None:
        (name,) = both - {closing}
        await other.subjects.update(
            name, lambda stated: replace(stated, review_time=later), etag=""
        )

    remove = first(matching.gallery.remove_subject, put_off_the_other)
    monkeypatch.setattr(matching.gallery, "remove_subject", remove)

    closed = await matching.subject_sweep.sweep(grace=GRACE)

    states = [(await other.subjects.get(name)).value.state for name in both]
    assert sorted(states) == [SubjectState.CLOSED, SubjectState.OPEN]
    assert closed == 1


async def test_an_update_that_meets_a_close_is_refused(
    matching: Any, subject_id: str, other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: Any, **__: Any) -> None:
        shell = replace(
            (await other.subjects.get(subject_id)).value, state=SubjectState.CLOSED, details=None
        )
        await matching.stores.records.close(shell)  # and has come no further

    monkeypatch.setattr(matching.records, "update", first(matching.records.update, closed))

    with pytest.raises(FailedPreconditionError) as refusal:
        await matching.subjects.update(subject_id, lambda stated: stated, etag="")

    assert refusal.value.reason is Reason.SUBJECT_CLOSED


async def test_a_close_beside_an_erasure_does_not_keep_the_record(
    matching: Any, subject_id: str, other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: str) -> Any:
        raise unavailable("Qdrant", "nowhere", "start it")

    async def erase_breaks_off(_: Any) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(matching.gallery, "remove_subject", away)
            await other.closing.erase(subject_id)

    put = matching.stores.records.close
    monkeypatch.setattr(matching.stores.records, "close", first(put, erase_breaks_off))

    await matching.closing.close(subject_id)
    await matching.subject_sweep.sweep(grace=GRACE)

    assert await matching.records.keys() == frozenset()


async def test_a_close_after_an_erasure_brings_nothing_back(
    matching: Any, subject_id: str, other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erased(_: Any) -> None:
        await other.closing.erase(subject_id)

    put = matching.stores.records.close
    monkeypatch.setattr(matching.stores.records, "close", first(put, erased))

    with pytest.raises(NotFoundError):
        await matching.closing.close(subject_id)

    assert await matching.records.keys() == frozenset()


async def test_a_sweep_goes_on_when_a_subject_is_erased_beside_it(
    matching: Any, both: frozenset[str], other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erase_the_other(closing: str) -> None:
        (name,) = both - {closing}
        await other.closing.erase(name)

    remove = first(matching.gallery.remove_subject, erase_the_other)
    monkeypatch.setattr(matching.gallery, "remove_subject", remove)

    closed = await matching.subject_sweep.sweep(grace=GRACE)

    assert [key.partition(".")[0] for key in await matching.records.keys()] == ["closed"]
    assert closed == 1
