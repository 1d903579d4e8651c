"""What matching's use cases are made of, whatever the engines are."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from homeward.core import inventory
from homeward.matching.exports.sealing import Exports
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.ports import FaceAnalyzer, SubjectIndex
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.gallery.reenrol import Reenrolment
from homeward.matching.policies.catalogue import Policies
from homeward.matching.retention import AuditedBuckets, Buckets, LeasedFiles, Retention
from homeward.matching.scan_erasure import ScanErasure
from homeward.matching.sightings.counted import CandidateCounts
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.feed import SightingFeed
from homeward.matching.sightings.following import SightingFollowing
from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.leases import ReviewLeases
from homeward.matching.sightings.leasing import SightingLeasing
from homeward.matching.sightings.ledger import SightingLedger
from homeward.matching.sightings.lost import LostSightings
from homeward.matching.sightings.ports import SightingIndex
from homeward.matching.sightings.record import SightingRecording
from homeward.matching.sightings.refused import RefusedScans
from homeward.matching.sightings.review import SightingReview
from homeward.matching.sightings.stills import Stills
from homeward.matching.sightings.upkeep import SightingUpkeep
from homeward.matching.sightings.withdrawing import ReviewWithdrawal
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.close import SubjectClosing
from homeward.matching.subjects.enrol import Subjects, subject_rules
from homeward.matching.subjects.leftovers import LeftoverSearch
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.matching.subjects.photos import SubjectPhotos
from homeward.matching.subjects.records import (
    SubjectRecords,
    case_of,
    count_enrolled,
    is_open,
    subjects_of_cases,
    visible_subjects,
)
from homeward.matching.subjects.second_look import Enrolment
from homeward.matching.subjects.sweep import SubjectSweep
from homeward.matching.use_records import Events, Findings, UseRecords
from homeward.servicekit.audit.acts import Acts
from homeward.servicekit.audit.reading import Signer
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.lease import Lease
from homeward.servicekit.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Stores:
    """What matching keeps things in, and asks, by role."""

    records: SubjectRecords
    ledger: SightingLedger
    erasures: KeyValueStore
    """Certificates of erased subjects."""
    leases: KeyValueStore
    review_leases: KeyValueStore
    """Which reviewer has been handed which sighting."""
    approvals: KeyValueStore
    """Policies and their approvals."""
    photos: ObjectStore
    evidence: ObjectStore
    """Stills."""
    buckets: Buckets
    """The rules of both."""
    faces: FaceAnalyzer
    gallery: SubjectIndex
    index: SightingIndex
    feed: SightingFeed
    acts: Acts
    """The audit trail, of what is done without a call."""
    events: Events | None = None
    """The same, to be read."""
    signer: Signer | None = None
    """Signs checkpoints of it, and use records."""
    candidates: CandidateCounts | None = None
    """Counts candidates; None counts none."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What an installation chooses."""

    shipped: Sequence[bytes]
    """Policy files that come with Homeward."""
    evaluation: bool = False
    """Whether a policy need not be approved."""
    frees_after: timedelta | None = None
    """Within what time the object store frees the bytes of what was deleted; None if unknown."""
    review_grace: timedelta = timedelta(days=7)
    """How long after its review date a subject is closed."""
    review_rules: ReviewRules = field(default_factory=ReviewRules)
    """What is asked of those who review sightings."""


@dataclass(frozen=True, slots=True)
class UseCases:
    """What matching does."""

    subjects: Subjects
    enrolment: Enrolment
    closing: SubjectClosing
    certificates: Certificates
    completeness: Completeness
    gallery_rebuild: GalleryRebuild
    reenrolment: Reenrolment
    recording: SightingRecording
    review: SightingReview
    leasing: SightingLeasing
    withdrawal: ReviewWithdrawal
    following: SightingFollowing
    upkeep: SightingUpkeep
    scan_erasure: ScanErasure
    use_records: UseRecords
    exports: Exports
    policies: Policies
    subject_sweep: SubjectSweep
    retention: Retention


def compose(stores: Stores, choices: Choices, clock: Clock) -> UseCases:
    """Return the use cases on some stores."""
    kept = _kept(stores, clock)
    subject_is_open = partial(is_open, stores.records)
    lost = LostSightings(kept, subject_is_open)
    upkeep = SightingUpkeep(kept, lost, stores.acts)
    refused = RefusedScans(kept, stores.erasures)
    completeness, gallery_rebuild = _gallery(stores, clock)
    closing, scan_erasure, certificates = _erasing(stores, choices, upkeep, refused, clock)
    subjects = Subjects(
        records=stores.records,
        photos=stores.photos,
        gallery=stores.gallery,
        faces=stores.faces,
        rules=subject_rules(stores.buckets.deviations, clock),
        was_erased=certificates.exists,
        clock=clock,
    )
    policies = _policies(stores, choices, clock)
    replacing = partial(Lease, stores.leases, "matching-collections", socket.gethostname())
    reenrolment = _reenrolment(stores, gallery_rebuild, replacing)
    sweep = _sweep(stores, closing, upkeep, certificates, clock)
    review, leasing, withdrawal = _reviewing(stores, choices, kept, lost)
    return UseCases(
        subjects=subjects,
        enrolment=Enrolment(subjects, stores.gallery, policies, completeness),
        closing=closing,
        certificates=certificates,
        completeness=completeness,
        gallery_rebuild=gallery_rebuild,
        reenrolment=reenrolment,
        recording=SightingRecording(kept, subject_is_open, refused),
        review=review,
        leasing=leasing,
        withdrawal=withdrawal,
        following=SightingFollowing(kept, stores.records),
        upkeep=upkeep,
        scan_erasure=scan_erasure,
        use_records=_use_records(stores, policies, clock),
        exports=_exports(stores, policies, clock),
        policies=policies,
        subject_sweep=sweep,
        retention=Retention(
            subjects=sweep,
            sightings=upkeep,
            files=[
                LeasedFiles(one, replacing(), stores.acts) for one in (stores.gallery, stores.index)
            ],
            reenrolment=reenrolment,
            buckets=AuditedBuckets(stores.buckets, stores.acts),
            clock=clock,
            grace=choices.review_grace,
        ),
    )


def _kept(stores: Stores, clock: Clock) -> KeptSightings:
    return KeptSightings(
        index=stores.index,
        ledger=stores.ledger,
        stills=Stills(stores.evidence),
        feed=stores.feed,
        case_of=partial(case_of, stores.records),
        clock=clock,
        counts=stores.candidates,
    )


def _exports(stores: Stores, policies: Policies, clock: Clock) -> Exports:
    return Exports(
        subjects=stores.records,
        photos=stores.photos,
        policies=policies,
        events=stores.events,
        signer=stores.signer,
        clock=clock,
    )


def _reviewing(
    stores: Stores, choices: Choices, kept: KeptSightings, lost: LostSightings
) -> tuple[SightingReview, SightingLeasing, ReviewWithdrawal]:
    leases = ReviewLeases(stores.review_leases, kept.clock)
    rules, visible = choices.review_rules, partial(visible_subjects, stores.records)
    review = SightingReview(kept, lost, visible, rules, leases)
    of_cases = partial(subjects_of_cases, stores.records)
    leasing = SightingLeasing(kept, leases, of_cases, rules)
    return review, leasing, ReviewWithdrawal(kept, leases, review.get)


def _policies(stores: Stores, choices: Choices, clock: Clock) -> Policies:
    return Policies(
        store=stores.approvals,
        shipped=choices.shipped,
        faces=stores.faces,
        count_enrolled=partial(count_enrolled, stores.records),
        clock=clock,
        evaluation=choices.evaluation,
    )


def _use_records(stores: Stores, policies: Policies, clock: Clock) -> UseRecords:
    return UseRecords(
        subjects=stores.records,
        photos=stores.photos,
        findings=Findings(stores.index, stores.ledger),
        policies=policies,
        events=stores.events,
        signer=stores.signer,
        clock=clock,
    )


def _gallery(stores: Stores, clock: Clock) -> tuple[Completeness, GalleryRebuild]:
    enrolled = SubjectPhotos(stores.records, stores.photos)
    completeness = Completeness(enrolled=enrolled, gallery=stores.gallery, clock=clock)
    rebuild = GalleryRebuild(
        enrolled=enrolled,
        gallery=stores.gallery,
        completeness=completeness,
        faces=stores.faces,
        lease=partial(Lease, stores.leases, "matching-templates", socket.gethostname()),
    )
    return completeness, rebuild


def _reenrolment(
    stores: Stores, gallery_rebuild: GalleryRebuild, replacing: Callable[[], Lease]
) -> Reenrolment:
    return Reenrolment(
        gallery=stores.gallery,
        sightings=stores.index,
        rebuild=gallery_rebuild,
        faces=stores.faces,
        lease=replacing,
        acts=stores.acts,
    )


def _erasing(
    stores: Stores, choices: Choices, upkeep: SightingUpkeep, refused: RefusedScans, clock: Clock
) -> tuple[SubjectClosing, ScanErasure, Certificates]:
    objects = ObjectErasures(
        {inventory.PHOTOGRAPHS.name: stores.photos, inventory.STILLS.name: stores.evidence},
        clock,
        choices.frees_after,
    )
    files = {inventory.REFERENCES.name: stores.gallery, inventory.SIGHTINGS.name: stores.index}
    certificates = Certificates(stores.erasures, files, objects, clock)
    closing = SubjectClosing(
        records=stores.records,
        photos=stores.photos,
        gallery=stores.gallery,
        sightings=upkeep,
        certificates=certificates,
        objects=objects,
        clock=clock,
    )
    return closing, ScanErasure(refused, certificates, objects, clock), certificates


def _sweep(
    stores: Stores,
    closing: SubjectClosing,
    upkeep: SightingUpkeep,
    certificates: Certificates,
    clock: Clock,
) -> SubjectSweep:
    return SubjectSweep(
        closing=closing,
        records=stores.records,
        photos=stores.photos,
        gallery=stores.gallery,
        leftovers=LeftoverSearch(
            records=stores.records,
            photos=stores.photos,
            gallery=stores.gallery,
            sightings=upkeep,
            certificates=certificates,
            clock=clock,
        ),
        clock=clock,
        acts=stores.acts,
    )
