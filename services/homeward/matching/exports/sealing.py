"""Packages of confirmed sightings, for other bodies: what matching knows, and the signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from homeward.core.audit.events import EventError, canonical, format_time
from homeward.core.audit.notes import VerifierKey
from homeward.core.export_package import (
    CLIP,
    CLIP_FORMAT,
    FORMAT,
    SUMMARY,
    clip_problem,
    sealed_text,
    still_name,
)
from homeward.core.export_summary import summary_of
from homeward.matching.policies.catalogue import Policies
from homeward.matching.sightings.model import Sighting, SightingStill
from homeward.matching.subjects.photos import photo_key
from homeward.matching.subjects.records import SubjectRecords
from homeward.matching.use_records import Events, event_entry, finding_entry, policy_entries
from homeward.servicekit import errors
from homeward.servicekit.audit.reading import Signer
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import current_caller, name_of_caller
from homeward.servicekit.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class SealedClip:
    """What is said of a clip, and its signature."""

    record: bytes
    note: str


@dataclass(frozen=True, slots=True)
class PackageOrder:
    """What a package is asked for with."""

    recipient: str
    clip: SealedClip | None = None
    no_clip_reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SealedPackage:
    """What a package is made of, besides the clip."""

    stills: tuple[bytes, ...]
    summary: bytes
    manifest: bytes
    note: str
    verifier_key: str


class Exports:
    """Makes and signs what packages are made of.

    Args:
        subjects: The records of subjects.
        photos: Their photographs.
        policies: The policies.
        events: The audit trail; None where there is none.
        signer: Signs; None signs nothing.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        subjects: SubjectRecords,
        photos: ObjectStore,
        policies: Policies,
        events: Events | None,
        signer: Signer | None,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._photos = photos
        self._policies = policies
        self._events = events
        self._signer = signer
        self._clock = clock

    def seal_clip(self, sighting: Sighting, told: Mapping[str, Any]) -> SealedClip:
        """Sign what is said of a clip of a sighting.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
            InvalidArgumentError: `FIELD_INVALID`: it has what no record holds.
        """
        signer, _ = self._signing()
        try:
            record = canonical(
                {
                    **told,
                    "format": CLIP_FORMAT,
                    "sighting_id": sighting.sighting_id,
                    "footage_sha256": sighting.footage_sha256,
                }
            )
        except EventError as error:
            raise errors.invalid_field("clip", str(error)) from error
        return SealedClip(record, signer.sign(sealed_text(CLIP_FORMAT, record)))

    def require_fit(self, sighting: Sighting, order: PackageOrder) -> None:
        """Refuse what cannot be packed, before it is on record that the sighting is given out.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
            InvalidArgumentError: `FIELD_INVALID`: the clip is not one that was made of it.
        """
        signer, _ = self._signing()
        self._clip(sighting, order.clip, signer)

    async def seal(
        self, sighting: Sighting, stills: Sequence[bytes], order: PackageOrder
    ) -> SealedPackage:
        """Return what the package of a confirmed sighting is made of, signed.

        Args:
            sighting: The sighting.
            stills: Of its `given_stills`, in their order; empty bytes for those that are gone.
            order: What is asked for.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
            InvalidArgumentError: `FIELD_INVALID`: the clip is not one that was made of it.
            UnavailableError: A store does not answer.
        """
        signer, events = self._signing()
        caller = current_caller()
        touching = await events.touching(
            [f"sighting/{sighting.sighting_id}"], since=sighting.create_time
        )
        held = [
            (one, data) for one, data in zip(sighting.given_stills, stills, strict=True) if data
        ]
        content: dict[str, Any] = {
            "format": FORMAT,
            "make_time": format_time(self._clock.now()),
            "recipient": order.recipient,
            "given_out_by": name_of_caller(""),
            "purpose": caller.purpose if caller else "",
            "approved": sighting.approved,
            "sighting": _sighting_entry(sighting),
            "stills": [
                _still_entry(number, one, sighting) for number, (one, _) in enumerate(held, 1)
            ],
            "subject": await self._subject(sighting),
            "policies": await self._policy(sighting),
            "clip": self._clip(sighting, order.clip, signer),
            "no_clip_reason": "" if order.clip else order.no_clip_reason,
            "audit": [event_entry(one) for one in touching],
        }
        summary = summary_of(content).encode()
        files = [
            *(_file(still_name(number), data) for number, (_, data) in enumerate(held, 1)),
            _file(SUMMARY, summary),
        ]
        if content["clip"]:
            record = content["clip"]["record"]
            files.append(
                {"name": CLIP, "sha256": record["sha256"], "size_bytes": record["size_bytes"]}
            )
        manifest = canonical({**content, "files": files})
        return SealedPackage(
            stills=tuple(data for _, data in held),
            summary=summary,
            manifest=manifest,
            note=signer.sign(sealed_text(FORMAT, manifest)),
            verifier_key=signer.verifier_key,
        )

    async def _policy(self, sighting: Sighting) -> list[dict[str, Any]]:
        """Return the policy that it was found by; nothing when it is not there any more."""
        found = await policy_entries(self._policies, {sighting.policy_id})
        return [one for one in found if one["policy_id"] == sighting.policy_id]

    def _signing(self) -> tuple[Signer, Events]:
        if self._signer is None or self._events is None:
            raise errors.FailedPreconditionError(
                "matching has no key to sign packages with",
                advice="set HOMEWARD_AUDIT_KEY_FILE there",
                reason=errors.Reason.AUDIT_KEY_MISSING,
            )
        return self._signer, self._events

    def _clip(
        self, sighting: Sighting, clip: SealedClip | None, signer: Signer
    ) -> dict[str, Any] | None:
        """Return a clip as the manifest has it; only one that was made here."""
        if clip is None:
            return None
        try:
            record = json.loads(clip.record)
        except (ValueError, RecursionError) as error:
            raise errors.invalid_field("clip_record", "is no JSON") from error
        if not isinstance(record, dict):
            raise errors.invalid_field("clip_record", "is no JSON object")
        key = VerifierKey.parse(signer.verifier_key)
        problem = clip_problem(record, clip.note, key, finding_entry(sighting))
        if problem:
            raise errors.invalid_field("clip_record", problem)
        return {"record": record, "note": clip.note}

    async def _subject(self, sighting: Sighting) -> dict[str, Any]:
        held = await self._subjects.get(sighting.subject_id)
        details = held.value.details if held else None
        photo = await self._photos.get(photo_key(sighting.subject_id, sighting.photo_id))
        return {
            "subject_id": sighting.subject_id,
            "case_reference": details.case_reference if details else "",
            "label": details.label if details else "",
            "photo_id": sighting.photo_id,
            "photo_sha256": hashlib.sha256(photo).hexdigest() if photo is not None else "",
        }


def _sighting_entry(sighting: Sighting) -> dict[str, Any]:
    offset = sighting.clock_offset
    return {
        **finding_entry(sighting),
        "best_shot_time": format_time(sighting.best_shot_time),
        "start_ms": _ms(sighting.start_offset),
        "end_ms": _ms(sighting.end_offset),
        "best_shot_ms": _ms(sighting.best_shot_offset),
        "clock_offset_ms": None if offset is None else _ms(offset),
        "face_height_px": round(sighting.face_height_px),
        "scan_id": sighting.scan_id,
        "requesters": list(sighting.requesters),
    }


def _still_entry(number: int, still: SightingStill, sighting: Sighting) -> dict[str, Any]:
    return {
        "name": still_name(number),
        "time": format_time(still.time),
        "recording_ms": _ms(still.offset),
        "face_height_px": round(still.face_height_px),
        "best": still.offset == sighting.best_shot_offset,
    }


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _ms(span: timedelta) -> int:
    return round(span / timedelta(milliseconds=1))
