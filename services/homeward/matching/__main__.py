"""The matching service: `python -m homeward.matching`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from homeward.matching.adapters import qdrant
from homeward.matching.adapters.embedding import SERVICE, GrpcFaceAnalyzer
from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.servicer import services
from homeward.matching.settings import MatchingSettings
from homeward.matching.usecases.policy import PolicySource
from homeward.matching.usecases.sightings import Sightings
from homeward.matching.usecases.subjects import Subjects, is_open
from homeward.servicekit import nats, s3
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import eventually

LEDGER_TTL_SECONDS = 31 * 86400.0  # no rescan can come when the footage is gone


async def main() -> None:
    """Serve until asked to stop."""
    settings = MatchingSettings()  # the environment has the rest
    forbid_dumps()
    configure_logging("matching", settings.log_level)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
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
        photos = s3.S3ObjectStore(client, "homeward-subjects", threads, settings.s3_endpoint)
        evidence = s3.S3ObjectStore(client, "homeward-evidence", threads, settings.s3_endpoint)
        bus = await stack.enter_async_context(
            nats.connection(settings.nats_url.get_secret_value(), "matching")
        )
        bucket = partial(bus.open_bucket, replicas=settings.nats_replicas)
        records = await eventually(partial(bucket, "SUBJECTS", ttl_seconds=None))
        register = await eventually(partial(bucket, "GALLERIES", ttl_seconds=None))
        ledger = await eventually(partial(bucket, "SIGHTINGS", ttl_seconds=LEDGER_TTL_SECONDS))
        await eventually(photos.ensure)
        await eventually(
            partial(evidence.ensure, expire_prefix="pending/", expire_days=s3.BACKSTOP_DAYS)
        )
        channel = await stack.enter_async_context(
            open_channel(settings.embedding_target, idempotent=(SERVICE,))
        )
        faces = GrpcFaceAnalyzer(channel, settings.embedding_target)
        engine = qdrant.QdrantEngine(
            qdrant.connect(url=settings.qdrant_url, path=settings.qdrant_path),
            vectors,
            settings.qdrant_url or "its local folder",
        )
        stack.callback(engine.client.close)
        collection = partial(
            qdrant.KeyedCollection,
            engine,
            register=register,
            secret=settings.gallery_key(),
            model=faces.model,
        )
        gallery = qdrant.QdrantSubjectIndex(collection(name="subjects"))
        sightings = Sightings(
            index=qdrant.QdrantSightingIndex(collection(name="sightings")),
            ledger=ledger,
            evidence=evidence,
            feed=NatsSightingFeed(bus),
            subject_is_open=partial(is_open, records),
            clock=clock,
        )
        subjects = Subjects(
            subjects=records,
            photos=photos,
            gallery=gallery,
            sightings=sightings,
            faces=faces,
            clock=clock,
        )
        policy = PolicySource(faces, settings.match_threshold)
        await GrpcServer(
            services(
                subjects=subjects,
                sightings=sightings,
                gallery=gallery,
                policy=policy,
                clock=clock,
            ),
            listen=settings.listen,
            checks={
                "nats": bus.ping,
                "s3": evidence.ping,
                "qdrant": gallery.count,
                "embedding": faces.ping,
            },
            grace_seconds=settings.grace_seconds,
        ).run()


if __name__ == "__main__":
    asyncio.run(main())
