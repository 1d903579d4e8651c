"""The matching service: `python -m homeward.matching`."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from homeward import inventory, policies
from homeward.matching.adapters.embedding import SERVICE, GrpcFaceAnalyzer
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.servicer import services
from homeward.matching.settings import MatchingSettings
from homeward.matching.usecases.certificates import Certificates
from homeward.matching.usecases.policy import Policies
from homeward.matching.usecases.reenrol import Reenrolment
from homeward.matching.usecases.retention import Leased, Retention
from homeward.matching.usecases.sightings import Sightings
from homeward.matching.usecases.subjects import Subjects, count_enrolled, is_open
from homeward.servicekit import nats, s3
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.lease import Lease
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.retaining import in_time
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import eventually, run


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
        photos = s3.S3ObjectStore(
            client, inventory.PHOTOGRAPHS.place, threads, settings.s3_endpoint
        )
        evidence = s3.S3ObjectStore(client, inventory.STILLS.place, threads, settings.s3_endpoint)
        bus = await stack.enter_async_context(
            nats.connection(settings.nats_url.get_secret_value(), "matching")
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
            partial(evidence.ensure, expire_prefix="pending/", expire_days=inventory.BACKSTOP_DAYS)
        )
        opened = partial(open_channel, idempotent=(SERVICE,), tls=settings.tls)
        channel = await stack.enter_async_context(opened(settings.embedding_target))
        faces = GrpcFaceAnalyzer(channel, settings.embedding_target)
        coming = [
            GrpcFaceAnalyzer(await stack.enter_async_context(opened(target)), target)
            for target in filter(None, [settings.next_embedding_target])
        ]
        engine = QdrantEngine(
            connect(url=settings.qdrant_url, path=settings.qdrant_path),
            vectors,
            settings.qdrant_url or "its local folder",
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
        gallery = QdrantSubjectIndex(collection(name=inventory.REFERENCES.place))
        seen = QdrantSightingIndex(
            collection(name=inventory.SIGHTINGS.place, title="the store of sightings")
        )
        sightings = Sightings(
            index=seen,
            ledger=ledger,
            evidence=evidence,
            feed=NatsSightingFeed(bus),
            subject_is_open=partial(is_open, records),
            clock=clock,
        )
        certificates = Certificates(
            erasures,
            {inventory.REFERENCES.name: gallery, inventory.SIGHTINGS.name: seen},
            clock,
        )
        subjects = Subjects(
            subjects=records,
            photos=photos,
            gallery=gallery,
            sightings=sightings,
            certificates=certificates,
            faces=faces,
            clock=clock,
            frees_after=settings.frees_after(),
        )

        async def deviations() -> list[str]:
            return [*await photos.deviations(), *await evidence.deviations()]

        replacing = partial(Lease, leases, "matching-collections", socket.gethostname())
        retention = Retention(
            subjects=subjects,
            sightings=sightings,
            indexes=[Leased(index, replacing()) for index in (gallery, seen)],
            deviations=deviations,
            clock=clock,
            grace=timedelta(days=settings.review_grace_days),
        )
        await stack.enter_async_context(
            in_time(
                retention.sweep,
                retention.report,
                Lease(leases, "matching-sweeper", socket.gethostname()),
                every=timedelta(seconds=settings.sweep_interval_seconds),
                metrics_listen=settings.metrics_listen,
            )
        )
        policy = Policies(
            store=approvals,
            shipped=policies.shipped(),
            faces=faces,
            count_enrolled=partial(count_enrolled, records),
            clock=clock,
            evaluation=settings.evaluation,
        )
        await GrpcServer.configured(
            settings,
            services(
                subjects=subjects,
                reenrolment=Reenrolment(
                    subjects=subjects,
                    gallery=gallery,
                    sightings=seen,
                    services=[*coming, faces],
                    lease=replacing,
                ),
                sightings=sightings,
                gallery=gallery,
                policies=policy,
                retention=retention,
                certificates=certificates,
                clock=clock,
            ),
            checks={
                "nats": bus.ping,
                "s3": evidence.ping,
                "qdrant": gallery.count,
                "embedding": faces.ping,
            },
        ).run()


if __name__ == "__main__":
    run(main())
