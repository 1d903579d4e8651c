"""The use record of a scan: what ingestion knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.scan.authorisation import Authorisation
from homeward.ingestion.scan.model import Gap, Scan, ScanSummary
from homeward.ingestion.scan.plan import READ_AT_ONCE
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.scans import Scans


@dataclass(frozen=True, slots=True)
class ScanPart:
    """What ingestion knows of a scan, for its use record."""

    scan: Scan
    sighting_ids: tuple[str, ...]
    content: Mapping[str, Any]
    """Of objects, lists, strings, whole numbers, booleans and null."""


@dataclass(frozen=True, slots=True)
class UseRecord:
    """A use record and its signature."""

    record: bytes
    note: str
    verifier_key: str


class Sealer(Protocol):
    """Adds what matching knows, and signs: the matching service."""

    async def seal(self, part: ScanPart) -> UseRecord:
        """Return the whole record, signed.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
        """


class UseRecords:
    """Makes use records.

    Args:
        scans: The scans, as callers may see them.
        records: Their records.
        footage: The recordings.
        sealer: Adds what matching knows, and signs.
    """

    def __init__(
        self, *, scans: Scans, records: ScanRecords, footage: FootageLibrary, sealer: Sealer
    ) -> None:
        self._scans = scans
        self._records = records
        self._footage = footage
        self._sealer = sealer

    async def of(self, scan_id: str) -> UseRecord:
        """Return the use record of a scan, as things are now.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
        """
        scan, summary = await self._scans.get(scan_id)
        recordings = await self._scans.recordings(scan_id)
        live = await self._records.live(scan_id)
        content = {
            **_scan(scan, summary),
            "coverage": _coverage(summary),
            "footage": await self._searched(recordings),
        }
        return await self._sealer.seal(ScanPart(scan, tuple(live.sighting_ids), content))

    async def _searched(self, recordings: Sequence[ScannedRecording]) -> list[dict[str, Any]]:
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def one(recording: ScannedRecording) -> dict[str, Any]:
            async with at_once:
                held = await self._footage.finder.manifest_or_none(recording.footage_id)
            return {
                "footage_id": recording.footage_id,
                "camera_id": recording.camera_id,
                "sha256": held.header.sha256 if held else "",
                "first_picture_time": _time(recording.true_start),
                "requested_ms": _ms(recording.duration),
                "looked_at_ms": _ms(recording.looked_at),
                "passed_over_ms": _ms(recording.passed_over),
            }

        return list(await asyncio.gather(*map(one, recordings)))


def _scan(scan: Scan, summary: ScanSummary) -> dict[str, Any]:
    scope, why = scan.scope, scan.justification
    return {
        "scan_id": scan.scan_id,
        "state": summary.state.value,
        "create_time": _time(scan.create_time),
        "end_time": _time(summary.end_time),
        "requester": scan.requester,
        "scope": {
            "subject_ids": list(scope.subject_ids),
            "camera_ids": list(scope.camera_ids),
            "footage_ids": list(scope.footage_ids),
            "start_time": _time(scope.start_time),
            "end_time": _time(scope.end_time),
            "include_rejected": scope.include_rejected,
        },
        "justification": {
            "everything": why.everything,
            "everything_reason": why.everything_reason,
            "necessity": why.necessity,
            "less_intrusive_means": why.less_intrusive_means,
        },
        "authorisation": _authorisation(scan.authorisation),
    }


def _authorisation(held: Authorisation) -> dict[str, Any]:
    return {
        "state": held.state.value,
        "deadline_time": _time(held.deadline),
        "decider": held.decider,
        "decide_time": _time(held.decide_time),
        "reference": held.reference,
        "reason": held.reason,
        "erase_time": _time(held.erase_time),
    }


def _coverage(summary: ScanSummary) -> dict[str, Any]:
    counts = summary.counts
    return {
        "planning": summary.planning,
        "requested_ms": _ms(summary.total),
        "searched_ms": _ms(summary.searched),
        "looked_at_ms": _ms(summary.looked_at),
        "passed_over_ms": _ms(summary.passed_over),
        "pictures": counts.frames,
        "faces": counts.faces,
        "appearances": counts.appearances,
        "like_nobody": counts.discarded,
        "incomparable": counts.incomparable,
        "matches_not_recorded": counts.dropped,
        "candidates": summary.candidate_count,
        "gaps": [_gap(one) for one in summary.gaps],
    }


def _gap(gap: Gap) -> dict[str, str]:
    return {
        "footage_id": gap.footage_id,
        "start_time": _time(gap.start_time),
        "end_time": _time(gap.end_time),
        "reason": gap.reason.value,
        "detail": gap.detail,
    }


def _time(instant: datetime | None) -> str:
    """Return an instant as RFC 3339 has it, in UTC with six decimals; empty without one."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if instant else ""


def _ms(span: timedelta) -> int:
    return round(span / timedelta(milliseconds=1))
