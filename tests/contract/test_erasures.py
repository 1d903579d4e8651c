"""What an erasure certificate says, beside what each object store holds of the person."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from matching_stores import in_memory
from minio.objectlockconfig import COMPLIANCE, DAYS, ObjectLockConfig
from minio.versioningconfig import VersioningConfig

from homeward.core import policies
from homeward.core.inventory import PHOTOGRAPHS
from homeward.matching.adapters.buckets import S3Buckets
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.gallery.model import Box, PhotoAnalysis, Template
from homeward.matching.subjects.model import (
    AgeGroup,
    ErasureCertificate,
    ErasureEntry,
    ErasureOutcome,
    SubjectDetails,
)
from homeward.servicekit import s3
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import FailedPreconditionError, Reason
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.objects import Versioning
from homeward.servicekit.s3 import S3ObjectStore
from homeward.servicekit.store_rules import RULES_TRUSTED

ACCOUNTS = {"weed": "weed_account", "minio": "minio_account", "ceph": "ceph_account"}
MODEL = "a" * 64
FREES_AFTER = timedelta(minutes=15)


class AnyFace:
    """A `FaceAnalyzer` that takes every photograph."""

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        del photo
        template = Template(np.eye(16, dtype=np.float32)[0], MODEL)
        return PhotoAnalysis(problems=(), box=Box(1, 2, 3, 4), quality=0.75, template=template)


@pytest.fixture
async def photos(request: pytest.FixtureRequest, s3_server: str) -> AsyncIterator[S3ObjectStore]:
    """A bucket of photographs, not made yet."""
    account = request.getfixturevalue(ACCOUNTS[s3_server])
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        yield S3ObjectStore(client, f"test-{uuid.uuid4().hex}", threads, account.endpoint)
    client._http.clear()


@pytest.fixture
def matching(photos: S3ObjectStore, clock: Clock) -> UseCases:
    stores = in_memory(
        photos=photos,
        evidence=photos,
        buckets=S3Buckets(photos, photos),
        faces=AnyFace(),
        gallery=InMemorySubjectIndex(MODEL),
        index=InMemorySightingIndex(MODEL),
    )
    return compose(stores, Choices(shipped=policies.shipped(), frees_after=FREES_AFTER), clock)


async def enrolled(matching: UseCases, clock: Clock) -> str:
    """Enrol somebody with two photographs."""
    details = SubjectDetails(
        case_reference="MP-2026-17",
        label="Anna Example",
        age_group=AgeGroup.CHILD,
        legal_basis="vital interests",
        authorised_by="DI Example",
        review_time=clock.now() + timedelta(days=90),
    )
    created = await matching.subjects.create(details, request_id="first")
    subject_id = created.value.subject_id
    await matching.subjects.add_photo(subject_id, b"one")
    await matching.subjects.add_photo(subject_id, b"two")
    return subject_id


def of_photographs(certificate: ErasureCertificate) -> ErasureEntry:
    (entry,) = [one for one in certificate.entries if one.data == PHOTOGRAPHS.name]
    return entry


def held(photos: S3ObjectStore) -> list[str | None]:
    """Return the keys of all that the bucket holds, old versions and markers included."""
    found = photos.client.list_objects(photos.bucket, recursive=True, include_version=True)
    return [item.object_name for item in found]


def set_versioning(photos: S3ObjectStore, to: Versioning) -> None:
    photos.client.set_bucket_versioning(photos.bucket, VersioningConfig(to.value))


@pytest.mark.parametrize("then", [Versioning.ENABLED, Versioning.SUSPENDED])
async def test_photographs_in_a_bucket_that_was_given_versions_are_gone_before_they_are_erased(
    photos: S3ObjectStore, matching: UseCases, clock: Any, then: Versioning
) -> None:
    await photos.ensure()
    subject_id = await enrolled(matching, clock)
    set_versioning(photos, Versioning.ENABLED)
    await photos.put(f"subjects/{subject_id}/a-third", b"three", content_type="image/jpeg")
    set_versioning(photos, then)

    _, closed = await matching.closing.close(subject_id)

    assert held(photos) == []
    assert of_photographs(closed).outcome is ErasureOutcome.PENDING
    assert of_photographs(closed).until == clock.now() + FREES_AFTER
    clock.pass_time(FREES_AFTER)
    _, later = await matching.closing.close(subject_id)
    assert of_photographs(later).outcome is ErasureOutcome.ERASED


async def test_photographs_that_a_lock_keeps_are_not_said_to_be_erased(
    photos: S3ObjectStore, matching: UseCases, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.client.make_bucket(photos.bucket, object_lock=True)
    photos.client.set_object_lock_config(photos.bucket, ObjectLockConfig(COMPLIANCE, 1, DAYS))
    with monkeypatch.context() as as_before_it_was_locked:
        as_before_it_was_locked.setattr(matching.subjects._rules, "require", photos.ping)
        subject_id = await enrolled(matching, clock)

    _, closed = await matching.closing.close(subject_id)
    clock.pass_time(timedelta(days=365))
    _, later = await matching.closing.close(subject_id)

    told = of_photographs(closed)
    assert len(held(photos)) == 2
    assert told.outcome is of_photographs(later).outcome is ErasureOutcome.FAILED
    assert told.verification.startswith("2 are still there; ")
    assert "object lock is on" in told.verification


@pytest.mark.parametrize("lock", [False, True])
async def test_nobody_is_enrolled_whose_photographs_the_store_would_keep(
    photos: S3ObjectStore, matching: UseCases, clock: Any, *, lock: bool
) -> None:
    photos.client.make_bucket(photos.bucket, object_lock=lock)
    set_versioning(photos, Versioning.ENABLED)
    clock.pass_time(RULES_TRUSTED)

    with pytest.raises(FailedPreconditionError) as refused:
        await enrolled(matching, clock)

    assert refused.value.reason is Reason.RETENTION_UNSAFE
    assert held(photos) == []
