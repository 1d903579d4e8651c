"""What matching is built of."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from homeward.core import inventory
from homeward.matching.adapters.embedding import IDEMPOTENT, GrpcFaceAnalyzer
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import (
    SIGHTING_FIELDS,
    SIGHTING_KINDS,
    SUBJECT_FIELDS,
    SUBJECT_KINDS,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.adapters.urls import shown
from homeward.matching.settings import MatchingSettings
from homeward.servicekit import nats, s3
from homeward.servicekit.clients import open_channel
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.startup import eventually


@dataclass(frozen=True, slots=True)
class Parts:
    """The engines and what stands on them, opened."""

    bus: nats.Nats
    records: KeyValueStore
    ledger: KeyValueStore
    erasures: KeyValueStore
    leases: KeyValueStore
    approvals: KeyValueStore
    photos: s3.S3ObjectStore
    evidence: s3.S3ObjectStore
    faces: GrpcFaceAnalyzer
    coming: list[GrpcFaceAnalyzer]
    """Embedding services with the model pack to change to; one at most."""
    gallery: QdrantSubjectIndex
    seen: QdrantSightingIndex

    async def encryption(self) -> dict[str, str]:
        """Return the algorithm of each bucket's encryption at rest; "" for none that is told."""
        return {store.bucket: await store.encryption() for store in (self.photos, self.evidence)}

    async def deviations(self) -> list[str]:
        """Return what keeps the buckets from forgetting."""
        return [*await self.photos.deviations(), *await self.evidence.deviations()]

    async def remove_old_versions(self) -> int:
        """Remove what deleting and overwriting left in the buckets; return how many versions."""
        return await self.photos.remove_old_versions() + await self.evidence.remove_old_versions()


async def assemble(settings: MatchingSettings, stack: AsyncExitStack, *, role: str) -> Parts:
    """Open the engines, waiting for those that are not there yet.

    Args:
        settings: Where they are.
        stack: Closes what is opened.
        role: How the connection to NATS shows.
    """
    threads = await stack.enter_async_context(BoundedExecutor("s3", workers=8, queue=256))
    vectors = await stack.enter_async_context(
        # Qdrant's local mode is not thread-safe: one worker serialises it.
        BoundedExecutor("qdrant", workers=4 if settings.qdrant_url else 1, queue=1024)
    )
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
    bus = await stack.enter_async_context(
        nats.connection(settings.nats_url.get_secret_value(), role)
    )
    bucket = partial(bus.bucket_of, replicas=settings.nats_replicas)
    records = await eventually(partial(bucket, inventory.SUBJECTS))
    register = await eventually(partial(bucket, inventory.GALLERIES))
    ledger = await eventually(partial(bucket, inventory.SPANS))
    erasures = await eventually(partial(bucket, inventory.CERTIFICATES))
    leases = await eventually(partial(bucket, inventory.LEASES))
    approvals = await eventually(partial(bucket, inventory.POLICIES))
    await eventually(photos.ensure)
    await eventually(
        partial(
            evidence.ensure,
            expire_prefix="pending/",
            expire_days=inventory.BACKSTOP_DAYS,
            dated=True,
        )
    )
    opened = partial(open_channel, idempotent=IDEMPOTENT, tls=settings.tls)
    channel = await stack.enter_async_context(opened(settings.embedding_target))
    faces = GrpcFaceAnalyzer(channel, settings.embedding_target)
    coming = [
        GrpcFaceAnalyzer(await stack.enter_async_context(opened(target)), target)
        for target in filter(None, [settings.next_embedding_target])
    ]
    engine = QdrantEngine(
        connect(
            url=settings.qdrant_url,
            path=settings.qdrant_path,
            api_key=settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None,
        ),
        vectors,
        shown(settings.qdrant_url) if settings.qdrant_url else "its local folder",
        server=bool(settings.qdrant_url),
    )
    stack.callback(engine.client.close)
    collection = partial(
        KeyedCollection,
        engine,
        register=register,
        secret=settings.gallery_key(),
        model=faces.model,
        others=[each.model for each in coming],
    )
    gallery = QdrantSubjectIndex(
        collection(name=inventory.REFERENCES.place, kinds=SUBJECT_KINDS, indexed=SUBJECT_FIELDS)
    )
    seen = QdrantSightingIndex(
        collection(
            name=inventory.SIGHTINGS.place,
            kinds=SIGHTING_KINDS,
            indexed=SIGHTING_FIELDS,
            title="the store of sightings",
        )
    )
    return Parts(
        bus=bus,
        records=records,
        ledger=ledger,
        erasures=erasures,
        leases=leases,
        approvals=approvals,
        photos=photos,
        evidence=evidence,
        faces=faces,
        coming=coming,
        gallery=gallery,
        seen=seen,
    )
