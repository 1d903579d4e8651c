"""Erasing what a refused scan found, with a certificate."""

from __future__ import annotations

from collections.abc import Collection

from homeward.core.inventory import FEED, SCANS, SIGHTINGS, SPANS, STILLS
from homeward.matching.sightings.refused import RefusedScans, RemovedFindings
from homeward.matching.subjects.certificate_entries import (
    attempted,
    certificate_entry,
    in_files,
    in_ids,
)
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import ErasureCertificate, ErasureEntry, ErasureOutcome
from homeward.matching.subjects.object_erasures import NOTHING_THERE, ObjectErasures
from homeward.servicekit.clock import Clock

NO_LONGER_NAMED = "no record of the ledger names the scan any more"


class ScanErasure:
    """Erases what scans found whose authorisation was refused.

    Args:
        refused: The scans that were refused, and what they found.
        certificates: Of what was erased.
        objects: Returns the entries about objects.
        clock: Tells the time.
    """

    def __init__(
        self,
        refused: RefusedScans,
        certificates: Certificates,
        objects: ObjectErasures,
        clock: Clock,
    ) -> None:
        self._refused = refused
        self._certificates = certificates
        self._objects = objects
        self._clock = clock

    async def erase(self, scan_id: str, *, subject_ids: Collection[str] = ()) -> ErasureCertificate:
        """Erase what a scan found, and have nothing recorded that it finds after this.

        A repeated call finishes an erasure that broke off.

        Args:
            scan_id: The scan.
            subject_ids: Whom it was for; empty for everybody.

        Returns:
            The certificate; an entry of what could not be erased is `FAILED`.
        """
        repeated = await self._refused.add(scan_id)

        async def erased() -> list[ErasureEntry]:
            return await self._entries(await self._refused.erase_found(scan_id), repeated=repeated)

        entries = await attempted((SIGHTINGS, STILLS, SPANS, SCANS, FEED), erased())
        certificate = ErasureCertificate(
            "", self._clock.now(), tuple(entries), scan_id, tuple(sorted(subject_ids))
        )
        return await self._certificates.keep(certificate, repeated=repeated)

    async def _entries(self, gone: RemovedFindings, *, repeated: bool) -> list[ErasureEntry]:
        sightings = in_files(SIGHTINGS, gone.sightings)
        if gone.sightings_left:
            sightings = certificate_entry(
                SIGHTINGS,
                gone.sightings.count,
                ErasureOutcome.FAILED,
                f"{gone.sightings_left} are there; the next sweep tries again",
                *gone.sightings.places,
            )
        return [
            sightings,
            await self._objects.entry(STILLS, count=gone.stills, left=gone.stills_left),
            _in_ledger(gone),
            in_ids(SCANS, gone.sightings.count, now=self._clock.now(), repeated=repeated),
            in_ids(
                FEED,
                max(gone.sightings.count, gone.spans),
                now=self._clock.now(),
                repeated=repeated,
            ),
        ]


def _in_ledger(gone: RemovedFindings) -> ErasureEntry:
    """Return the entry about what the ledger remembers, of rejected sightings too."""
    if gone.spans_left:
        return certificate_entry(
            SPANS,
            gone.spans,
            ErasureOutcome.FAILED,
            f"{gone.spans_left} name the scan; the next sweep tries again",
        )
    return certificate_entry(
        SPANS,
        gone.spans,
        ErasureOutcome.ERASED,
        NO_LONGER_NAMED if gone.spans else NOTHING_THERE,
    )
