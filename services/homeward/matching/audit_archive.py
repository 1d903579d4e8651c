"""The archive of the audit trail, as matching's settings name it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

from homeward.matching.settings import MatchingSettings
from homeward.servicekit import s3
from homeward.servicekit.audit.archive import Archive, TrailArchiver
from homeward.servicekit.audit.reading import Signer
from homeward.servicekit.audit.s3_archive import S3Archive, UnlockedBucketError
from homeward.servicekit.audit.store import AuditStore
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.startup import eventually


async def open_archive(settings: MatchingSettings, stack: AsyncExitStack) -> Archive | None:
    """Open the archive, waiting for its server; None if no bucket is named.

    Raises:
        SystemExit: The bucket has no object lock.
    """
    if settings.audit_bucket is None:
        return None
    endpoint = settings.audit_s3_endpoint or settings.s3_endpoint
    secret = settings.audit_s3_secret_key or settings.s3_secret_key
    client = s3.connect(
        endpoint,
        access_key=settings.audit_s3_access_key or settings.s3_access_key,
        secret_key=secret.get_secret_value(),
        connections=1,
    )
    thread = await stack.enter_async_context(BoundedExecutor("s3-audit", workers=1, queue=16))
    archive = S3Archive(
        client, settings.audit_bucket, thread, endpoint, mode=settings.audit_lock_mode
    )
    try:
        await eventually(archive.ensure)
    except UnlockedBucketError as error:
        raise SystemExit(f"matching: {error}") from error
    return archive


def archiver_of(
    trail: AuditStore,
    archive: Archive,
    settings: MatchingSettings,
    signer: Signer | None,
    clock: Clock,
) -> TrailArchiver:
    """Return what copies the trail to the archive."""
    return TrailArchiver(
        trail,
        archive,
        signer=signer,
        clock=clock,
        every=timedelta(minutes=settings.audit_archive_minutes),
        keep=timedelta(days=settings.audit_kept_days),
    )
