"""The use record of a scan: what matching knows of it, and the signature.

A record tells what was done with whose data, for the file of a case. It names people by ids, and
nobody who was not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from homeward.core.audit.events import AuditEvent, canonical, format_time
from homeward.core.policy import Rate
from homeward.core.use_record import FORMAT, note_text
from homeward.matching.policies.catalogue import Policies
from homeward.matching.sightings.ledger import RejectedSpan, SightingLedger
from homeward.matching.sightings.model import Review, Sighting
from homeward.matching.sightings.ports import SightingIndex
from homeward.matching.subjects.model import ReferencePhoto, Subject
from homeward.matching.subjects.photos import photo_key
from homeward.matching.subjects.records import SubjectRecords
from homeward.servicekit import errors
from homeward.servicekit.audit.reading import Signer
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import ObjectStore

MOST_DIGESTS = 200
"""Photographs that are read to tell their SHA-256. The ids of others are made from it all the same:
UUIDv5 of the hexadecimal digest under the subject's id."""

EXPORT = "homeward.api.matching.v1.SightingService/ExportSighting"
EXPORTS = frozenset({EXPORT, "homeward.api.matching.v1.ExportService/SealPackage"})
"""Calls by which a sighting is given out."""

GIVEN = "OK"
"""Outcome of an export that was given out. One that was refused is among the events alone."""


class Events(Protocol):
    """The audit trail."""

    async def touching(self, resources: Collection[str], *, since: datetime) -> list[AuditEvent]:
        """Return the events about any of some resources, as `KIND/ID`, from an instant on."""


@dataclass(frozen=True, slots=True)
class ScanPart:
    """What ingestion knows of a scan."""

    scan_id: str
    create_time: datetime
    subject_ids: frozenset[str]
    """Empty: everybody."""
    sighting_ids: tuple[str, ...]
    content: Mapping[str, Any]
    """The part of the record."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record and its signature."""

    record: bytes
    note: str
    verifier_key: str


class Findings:
    """What a scan found, as it stands.

    Args:
        index: The sightings.
        ledger: Remembers rejected ones.
    """

    def __init__(self, index: SightingIndex, ledger: SightingLedger) -> None:
        self._index = index
        self._ledger = ledger

    async def of(self, sighting_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the findings with some ids, in the order of these."""
        rejected = (
            {one.sighting_id: one for one in await self._ledger.rejections()}
            if sighting_ids
            else {}
        )
        found = []
        for name in sorted(sighting_ids):
            sighting = await self._index.get(name)
            if sighting is not None:
                found.append(finding_entry(sighting))
            elif name in rejected:
                found.append(_rejection(rejected[name]))
            else:  # with its recording or subject, or part of another one
                found.append({"sighting_id": name, "state": "not held"})
        return found


class UseRecords:
    """Makes use records.

    Args:
        subjects: The records of subjects.
        photos: Their photographs.
        findings: Returns what scans found.
        policies: The policies.
        events: The audit trail; None where there is none.
        signer: Signs records; None signs none.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        subjects: SubjectRecords,
        photos: ObjectStore,
        findings: Findings,
        policies: Policies,
        events: Events | None,
        signer: Signer | None,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._photos = photos
        self._findings = findings
        self._policies = policies
        self._events = events
        self._signer = signer
        self._clock = clock

    async def seal(self, scan: ScanPart) -> SealedRecord:
        """Return the record of a scan, signed.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
            UnavailableError: A store does not answer.
        """
        if self._signer is None or self._events is None:
            raise errors.FailedPreconditionError(
                "matching has no key to sign records with",
                advice="set HOMEWARD_AUDIT_KEY_FILE there",
                reason=errors.Reason.AUDIT_KEY_MISSING,
            )
        findings = await self._findings.of(scan.sighting_ids)
        events = await self._events.touching(
            [f"scan/{scan.scan_id}", *(f"sighting/{name}" for name in scan.sighting_ids)],
            since=scan.create_time,
        )
        policy_ids = {one["policy_id"] for one in findings if "policy_id" in one}
        record = canonical(
            {
                "format": FORMAT,
                "make_time": format_time(self._clock.now()),
                "scan": scan.content,
                "gallery": await self._gallery(scan),
                "policies": await policy_entries(self._policies, policy_ids),
                "findings": findings,
                "disclosures": [
                    _disclosure(one)
                    for one in events
                    if one.rpc in EXPORTS and one.outcome == GIVEN
                ],
                "audit": [event_entry(one) for one in events],
            }
        )
        return SealedRecord(record, self._signer.sign(note_text(record)), self._signer.verifier_key)

    async def _gallery(self, scan: ScanPart) -> list[dict[str, Any]]:
        """Return those who were looked for and are open now, with their photographs.

        Whoever was enrolled, and whatever photograph was added, after the scan had ended, was not
        compared by it.
        """
        subject_ids, ended = scan.subject_ids, str(scan.content.get("end_time") or "")
        listed = [
            replace(one, photos=tuple(each for each in one.photos if _before(each, ended)))
            for one in [held.value for held in (await self._subjects.roll()).wanted]
            if (one.subject_id in subject_ids if subject_ids else _before(one, ended))
        ]
        digested = sum(len(one.photos) for one in listed) <= MOST_DIGESTS
        gone = set(subject_ids) - {one.subject_id for one in listed}
        return [
            *[await self._subject(one, digested=digested) for one in listed],
            *({"subject_id": name, "state": "closed"} for name in sorted(gone)),
        ]

    async def _subject(self, subject: Subject, *, digested: bool) -> dict[str, Any]:
        photos = []
        for photo in subject.photos:
            entry = {
                "photo_id": photo.photo_id,
                "create_time": format_time(photo.create_time),
            }
            if digested:
                key = photo_key(subject.subject_id, photo.photo_id)
                data = await self._photos.get(key)
                entry["sha256"] = hashlib.sha256(data).hexdigest() if data is not None else ""
            photos.append(entry)
        return {
            "subject_id": subject.subject_id,
            "state": "open",
            "case_reference": subject.details.case_reference if subject.details else "",
            "photos": photos,
        }


async def policy_entries(policies: Policies, policy_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the policies that something was found by, and the one that is in force now."""
    return [
        {
            "policy_id": one.file.policy_id,
            "sha256": one.sha256,
            "in_force": one.active,
            "model": one.file.model_name,
            "model_sha256": one.file.model_digest,
            "threshold": _number(one.file.threshold),
            "gallery_size": one.file.measurement.gallery_size,
            "fpir": _rate(one.file.measurement.fpir),
            "fnir": _rate(one.file.measurement.fnir),
            "measured_on": one.file.measurement.dataset,
            "limits": one.file.measurement.limits,
            "approver": one.approval.approver if one.approval else "",
            "approved_until": format_time(one.approval.end) if one.approval else "",
        }
        for one in await policies.find()
        if one.active or one.file.policy_id in policy_ids
    ]


def _before(made: Subject | ReferencePhoto, end: str) -> bool:
    """Return whether something was there when a scan ended; "" for one that goes on."""
    return not end or format_time(made.create_time) <= end


def finding_entry(sighting: Sighting) -> dict[str, Any]:
    """Return a sighting as records have it."""
    return {
        "sighting_id": sighting.sighting_id,
        "state": sighting.state.value,
        "subject_id": sighting.subject_id,
        "photo_id": sighting.photo_id,
        "footage_id": sighting.footage_id,
        "footage_sha256": sighting.footage_sha256,
        "camera_id": sighting.camera_id,
        "start_time": format_time(sighting.start_time),
        "end_time": format_time(sighting.end_time),
        "time_uncertain": sighting.time_uncertain,
        "score": _number(sighting.score),
        "threshold": _number(sighting.threshold),
        "policy_id": sighting.policy_id,
        "model_sha256": sighting.model_digest,
        "reviews": [_review(one) for one in sighting.given_reviews],
    }


def _review(review: Review) -> dict[str, str]:
    return {
        "decision": review.decision.value,
        "reviewer": review.reviewer,
        "time": format_time(review.review_time),
    }


def _rejection(span: RejectedSpan) -> dict[str, Any]:
    told = span.rejection
    return {
        "sighting_id": span.sighting_id,
        "state": "rejected",
        "subject_id": span.subject_id,
        "footage_id": span.footage_id,
        "reviews": [
            {
                "decision": "reject",
                "reviewer": told.reviewer,
                "time": format_time(told.review_time),
            }
        ]
        if told
        else [],
    }


def _disclosure(event: AuditEvent) -> dict[str, Any]:
    return {
        "time": event.event_time,
        "by": event.actor,
        "purpose": event.purpose,
        "outcome": event.outcome,
        "sighting_ids": [
            name.removeprefix("sighting/")
            for name in event.resources
            if name.startswith("sighting/")
        ],
        "writer": event.writer,
        "sequence": event.sequence,
    }


def event_entry(event: AuditEvent) -> dict[str, Any]:
    """Return an event as records refer to it."""
    return {
        "writer": event.writer,
        "sequence": event.sequence,
        "sha256": event.digest,
        "time": event.event_time,
        "rpc": event.rpc,
        "actor": event.actor,
        "outcome": event.outcome,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "value": _number(rate.value),
        "low": _number(rate.low),
        "high": _number(rate.high),
        "trials": rate.trials,
    }


def _number(value: float) -> str:
    """Return a number as text: how programs write fractions differs, and would break a digest."""
    return f"{value:.6f}"
