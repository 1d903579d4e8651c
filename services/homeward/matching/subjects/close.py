"""Closing subjects, and erasing their data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from homeward.core.inventory import (
    FEED,
    PHOTOGRAPHS,
    REFERENCES,
    SCANS,
    SIGHTINGS,
    STILLS,
    SUBJECTS,
)
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.sightings.upkeep import SightingUpkeep
from homeward.matching.subjects.certificate_entries import (
    attempted,
    certificate_entry,
    in_files,
    in_ids,
)
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import (
    ErasureCertificate,
    ErasureEntry,
    ErasureOutcome,
    Subject,
    SubjectState,
)
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.matching.subjects.photos import photo_folder
from homeward.matching.subjects.records import SubjectRecords, require, require_visible
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import Stored
from homeward.servicekit.objects import ObjectStore

RECORD_KEPT = "the record goes last, with the next sweep that finds everything else gone"


class SubjectClosing:
    """Closes subjects, and erases their data.

    Closing writes the shell of the record first, then erases photographs, templates and sightings,
    and last the record with the personal data. If a close breaks off, the next close or the sweep
    finishes it; the sweep finds it by the data that is still held.

    Args:
        records: Of the subjects.
        photos: The reference photographs.
        gallery: Their templates.
        sightings: The sightings of subjects.
        certificates: The certificates of erased subjects.
        objects: Returns the entries about objects.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        records: SubjectRecords,
        photos: ObjectStore,
        gallery: SubjectIndex,
        sightings: SightingUpkeep,
        certificates: Certificates,
        objects: ObjectErasures,
        clock: Clock,
    ) -> None:
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._sightings = sightings
        self._certificates = certificates
        self._objects = objects
        self._clock = clock

    async def close(
        self, subject_id: str, *, to_be_erased: bool = False
    ) -> tuple[Stored[Subject], ErasureCertificate]:
        """Close a subject and erase its data; a repeated call finishes an erasure that broke off.

        Args:
            subject_id: The subject.
            to_be_erased: Note that the record of the closed subject is to be erased too, so that a
                sweep finishes an erasure that breaks off here.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        subject = (await require_visible(self._records, subject_id)).value
        if subject.state is SubjectState.OPEN or (to_be_erased and not subject.to_be_erased):
            shell = replace(
                subject,
                state=SubjectState.CLOSED,
                update_time=self._clock.now(),
                details=None,
                created_as=None,
                photos=(),
                to_be_erased=to_be_erased,
            )
            is_new = await self._records.close(shell)
            if is_new and not await self._records.has_data(subject_id):
                # Erased by another replica since it was read, the shell last of all.
                await self._records.erase_shell(subject_id)
                await require(self._records, subject_id)
        repeated = subject.state is not SubjectState.OPEN
        certificate = await self.erase_data(subject_id, repeated=repeated)
        return await require(self._records, subject_id), certificate

    async def erase(self, subject_id: str) -> ErasureCertificate:
        """Close a subject, and erase its record too.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        _, certificate = await self.close(subject_id, to_be_erased=True)
        if all(entry.outcome is not ErasureOutcome.FAILED for entry in certificate.entries):
            await self._records.erase_shell(subject_id)
        return certificate

    async def erase_data(self, subject_id: str, *, repeated: bool) -> ErasureCertificate:
        """Erase the data of a subject that is not open, its record last.

        Args:
            subject_id: The subject, which need not have a record.
            repeated: Whether an erasure of it had begun before.

        Returns:
            The certificate.
        """
        entries = [
            entry
            for data, erase in (
                ((REFERENCES,), self._remove_templates),
                (
                    (SIGHTINGS, STILLS, SCANS, FEED),
                    partial(self._remove_sightings, repeated=repeated),
                ),
                ((PHOTOGRAPHS,), self._remove_photos),
            )
            for entry in await attempted(data, erase(subject_id))
        ]
        if any(entry.outcome is ErasureOutcome.FAILED for entry in entries):
            entries.append(certificate_entry(SUBJECTS, 0, ErasureOutcome.FAILED, RECORD_KEPT))
        else:
            entries += await attempted((SUBJECTS,), self._erase_record(subject_id))
        certificate = ErasureCertificate(subject_id, self._clock.now(), tuple(entries))
        return await self._certificates.keep(certificate, repeated=repeated)

    async def _remove_templates(self, subject_id: str) -> list[ErasureEntry]:
        removed = await self._gallery.remove_subject(subject_id)
        return [in_files(REFERENCES, removed)]

    async def _remove_sightings(self, subject_id: str, *, repeated: bool) -> list[ErasureEntry]:
        gone = await self._sightings.remove_subject(subject_id)
        now = self._clock.now()
        told = gone.sightings.count if repeated else gone.told  # what was told before is counted
        stills = await self._objects.entry(STILLS, count=gone.stills, left=gone.stills_left)
        return [
            in_files(SIGHTINGS, gone.sightings),
            self._objects.with_unknown(stills, gone.unknown_stills),
            in_ids(SCANS, gone.sightings.count, now=now, repeated=repeated),
            in_ids(FEED, told, now=now, repeated=bool(gone.told)),
        ]

    async def _remove_photos(self, subject_id: str) -> list[ErasureEntry]:
        folder = photo_folder(subject_id)
        purge = await self._photos.purge(folder)
        entry = await self._objects.entry(
            PHOTOGRAPHS, count=purge.keys, left=purge.left, versions=purge.versions
        )
        return [replace(entry, places=(folder,)) if purge.keys else entry]

    async def _erase_record(self, subject_id: str) -> list[ErasureEntry]:
        erased = await self._records.erase_data(subject_id)
        gone = not await self._records.has_data(subject_id)
        return [
            certificate_entry(
                SUBJECTS,
                int(erased),
                ErasureOutcome.ERASED if gone else ErasureOutcome.FAILED,
                "its record was overwritten, and reading it finds nothing"
                if gone
                else "the record is still there; the next sweep tries again",
            )
        ]
