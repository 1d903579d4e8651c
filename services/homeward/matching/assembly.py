"""The engines that matching stands on, opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from homeward.common.auditing import open_audit
from homeward.core import inventory
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.buckets import S3Buckets
from homeward.matching.adapters.embedding import IDEMPOTENT, GrpcFaceAnalyzer
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import (
    SIGHTING_LAYOUT,
    SUBJECT_LAYOUT,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.adapters.sighting_ledger import KeyValueSightingLedger
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.adapters.urls import shown
from homeward.matching.audit_archive import archiver_of, open_archive
from homeward.matching.composition import Stores
from homeward.matching.settings import MatchingSettings
from homeward.matching.sightings.counted import CandidateCounts
from homeward.servicekit import nats, s3
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.audit.archive import TrailArchiver
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.signing import CheckpointSigner
from homeward.servicekit.audit.writer import AuditWriter
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.startup import eventually


@dataclass(frozen=True, slots=True)
class Engines:
    """What matching keeps things in, and how each engine is asked whether it is there."""

    stores: Stores
    checks: Mapping[str, Callable[[], Awaitable[object]]]
    writer: AuditWriter
    trail: AuditTrail
    activity: ActivityCounts
    archiver: TrailArchiver | None


async def assemble(
    settings: MatchingSettings, clock: Clock, stack: AsyncExitStack, *, role: str
) -> Engines:
    """Open the engines, waiting for those that are not there yet.

    Args:
        settings: Where they are.
        clock: Tells the time.
        stack: Closes what is opened.
        role: How the connection to NATS shows.
    """
    bus = await stack.enter_async_context(
        nats.connection(settings.nats_url.get_secret_value(), role)
    )
    audit, writer = await open_audit(settings, bus, clock, stack, service="matching")
    bucket = partial(_bucket, bus, settings.nats_replicas)
    records = KeyValueSubjectRecords(await bucket(inventory.SUBJECTS))
    register = await bucket(inventory.GALLERIES)
    photos, evidence, buckets = await _buckets(settings, stack)
    faces = await _faces(settings, stack)
    engine = await _qdrant(settings, stack)
    secret = settings.gallery_key()
    subjects = CollectionAccess(engine, SUBJECT_LAYOUT, register, secret, faces.model)
    sightings = CollectionAccess(engine, SIGHTING_LAYOUT, register, secret, faces.model)
    gallery = QdrantSubjectIndex(KeyedCollection(subjects))
    activity = ActivityCounts(await bucket(inventory.ACTIVITY), clock)
    signer = _signer(settings)
    trail = AuditTrail(audit, signer=signer, clock=clock)
    stores = Stores(
        records=records,
        ledger=KeyValueSightingLedger(await bucket(inventory.SPANS)),
        erasures=await bucket(inventory.CERTIFICATES),
        leases=await bucket(inventory.LEASES),
        review_leases=await bucket(inventory.REVIEW_LEASES),
        approvals=await bucket(inventory.POLICIES),
        photos=photos,
        evidence=evidence,
        buckets=buckets,
        faces=faces,
        gallery=gallery,
        index=QdrantSightingIndex(KeyedCollection(sightings)),
        feed=await _feed(bus, settings.nats_replicas),
        acts=writer,
        events=trail,
        signer=signer,
        candidates=CandidateCounts(activity),
    )
    archive = await open_archive(settings, stack)
    return Engines(
        stores,
        {"nats": bus.ping, "s3": buckets.ping, "qdrant": gallery.count, "embedding": faces.ping},
        writer,
        trail,
        activity,
        archiver_of(audit, archive, settings, signer, clock) if archive else None,
    )


async def _faces(settings: MatchingSettings, stack: AsyncExitStack) -> GrpcFaceAnalyzer:
    channel = await stack.enter_async_context(
        open_channel(
            settings.embedding_target,
            idempotent=IDEMPOTENT,
            tls=settings.tls,
            server_name=settings.embedding_tls_server_name,
        )
    )
    return GrpcFaceAnalyzer(channel, settings.embedding_target)


def _signer(settings: MatchingSettings) -> CheckpointSigner | None:
    key_file = settings.audit_key_file
    return CheckpointSigner.read(key_file) if key_file is not None else None


async def _bucket(bus: nats.Nats, replicas: int, data: inventory.DataClass) -> KeyValueStore:
    return await eventually(
        partial(bus.open_bucket, data.place, limit=data.engine_limit, replicas=replicas)
    )


async def _feed(bus: nats.Nats, replicas: int) -> NatsSightingFeed:
    data, keep = inventory.FEED, inventory.RECORD_LIMIT
    return await eventually(
        partial(NatsSightingFeed.open, bus, data.place, keep=keep, replicas=replicas)
    )


async def _buckets(
    settings: MatchingSettings, stack: AsyncExitStack
) -> tuple[s3.S3ObjectStore, s3.S3ObjectStore, S3Buckets]:
    """Open the buckets of photographs and stills."""
    threads = await stack.enter_async_context(BoundedExecutor("s3", workers=8, queue=256))
    client = s3.connect(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        connections=8,
    )
    photos, evidence = (
        s3.S3ObjectStore(
            client, place, threads, settings.s3_endpoint, encryption=settings.s3_encryption
        )
        for place in (inventory.PHOTOGRAPHS.place, inventory.STILLS.place)
    )
    buckets = S3Buckets(photos, evidence)
    await eventually(buckets.ensure)
    return photos, evidence, buckets


async def _qdrant(settings: MatchingSettings, stack: AsyncExitStack) -> QdrantEngine:
    vectors = await stack.enter_async_context(
        # Qdrant's local mode is not thread-safe: one worker serialises it.
        BoundedExecutor("qdrant", workers=4 if settings.qdrant_url else 1, queue=1024)
    )
    key = settings.qdrant_api_key
    engine = QdrantEngine(
        connect(
            url=settings.qdrant_url,
            path=settings.qdrant_path,
            api_key=key.get_secret_value() if key else None,
        ),
        vectors,
        shown(settings.qdrant_url) if settings.qdrant_url else "its local folder",
        server=bool(settings.qdrant_url),
    )
    stack.callback(engine.client.close)
    return engine
