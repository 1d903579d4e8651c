"""The matching service: `python -m homeward.matching`."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from homeward.common.retaining import in_time
from homeward.core import inventory, policies
from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.assembly import assemble
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.gallery.reenrol import Reenrolment
from homeward.matching.metrics import measure_policy
from homeward.matching.policies.catalogue import Policies
from homeward.matching.retention import Leased, Retention
from homeward.matching.servicer import services
from homeward.matching.settings import MatchingSettings
from homeward.matching.sightings.sightings import Sightings
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.leftovers import LeftoverSearch
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.matching.subjects.subjects import Subjects, count_enrolled, is_open, subject_rules
from homeward.matching.subjects.sweep import SubjectSweep
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.lease import Lease
from homeward.servicekit.metrics import measured
from homeward.servicekit.observing import observed
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import run


async def main() -> None:
    """Serve until asked to stop."""
    settings = MatchingSettings()  # the environment has the rest
    forbid_dumps()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(observed("matching", settings))
        parts = await assemble(settings, stack, role="matching")
        sightings = Sightings(
            index=parts.seen,
            ledger=parts.ledger,
            evidence=parts.evidence,
            feed=NatsSightingFeed(parts.bus),
            subject_is_open=partial(is_open, parts.records),
            clock=clock,
        )
        objects = ObjectErasures(
            {inventory.PHOTOGRAPHS.name: parts.photos, inventory.STILLS.name: parts.evidence},
            clock,
            settings.frees_after(),
        )
        certificates = Certificates(
            parts.erasures,
            {inventory.REFERENCES.name: parts.gallery, inventory.SIGHTINGS.name: parts.seen},
            objects,
            clock,
        )
        subjects = Subjects(
            subjects=parts.records,
            photos=parts.photos,
            gallery=parts.gallery,
            sightings=sightings,
            certificates=certificates,
            faces=parts.faces,
            objects=objects,
            rules=subject_rules(parts.deviations, clock),
            clock=clock,
        )
        replacing = partial(Lease, parts.leases, "matching-collections", socket.gethostname())
        completeness = Completeness(subjects=parts.records, gallery=parts.gallery, clock=clock)
        gallery_rebuild = GalleryRebuild(
            subjects=subjects,
            gallery=parts.gallery,
            completeness=completeness,
            services=[parts.faces, *parts.coming],
            lease=partial(Lease, parts.leases, "matching-templates", socket.gethostname()),
        )
        retention = Retention(
            gallery_rebuild=gallery_rebuild,
            subjects=SubjectSweep(
                subjects=subjects,
                records=parts.records,
                photos=parts.photos,
                gallery=parts.gallery,
                leftovers=LeftoverSearch(
                    subjects=parts.records,
                    photos=parts.photos,
                    gallery=parts.gallery,
                    sightings=sightings,
                    certificates=certificates,
                ),
                clock=clock,
            ),
            sightings=sightings,
            indexes=[Leased(index, replacing()) for index in (parts.gallery, parts.seen)],
            deviations=parts.deviations,
            old_versions=parts.remove_old_versions,
            rules=parts.evidence,
            encryption=parts.encryption,
            clock=clock,
            grace=timedelta(days=settings.review_grace_days),
        )
        await stack.enter_async_context(
            in_time(
                retention.sweep,
                retention.report,
                Lease(parts.leases, "matching-sweeper", socket.gethostname()),
                every=timedelta(seconds=settings.sweep_interval_seconds),
                measured=settings.metrics_listen is not None,
            )
        )
        policy = Policies(
            store=parts.approvals,
            shipped=policies.shipped(),
            faces=parts.faces,
            count_enrolled=partial(count_enrolled, parts.records),
            clock=clock,
            evaluation=settings.evaluation,
        )
        await stack.enter_async_context(
            measured(partial(measure_policy, policy), read=settings.metrics_listen is not None)
        )
        await GrpcServer.configured(
            settings,
            services(
                subjects=subjects,
                reenrolment=Reenrolment(
                    subjects=subjects,
                    gallery=parts.gallery,
                    sightings=parts.seen,
                    rebuild=gallery_rebuild,
                    services=[*parts.coming, parts.faces],
                    lease=replacing,
                ),
                gallery_rebuild=gallery_rebuild,
                sightings=sightings,
                gallery=parts.gallery,
                completeness=completeness,
                policies=policy,
                retention=retention,
                certificates=certificates,
                clock=clock,
            ),
            checks={
                "nats": parts.bus.ping,
                "s3": parts.evidence.ping,
                "qdrant": parts.gallery.count,
                "embedding": parts.faces.ping,
            },
        ).run()


if __name__ == "__main__":
    run(main())
