"""Erasure certificates: issued at once, and brought up to date when the last bytes are gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from homeward.matching.gallery.ports import NOT_REBUILT, Purgeable
from homeward.matching.subjects.model import ErasureCertificate, ErasureEntry, ErasureOutcome
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore, edit

BROKEN_OFF = (
    "no query returns any, after an erasure that was cut short; the bytes that it removed stay in"
    " the store's files until the next sweep writes those anew"
)
MOVED = "what is kept was copied to new files under a new key"


class Certificates:
    """The certificates of erased subjects and refused scans: ids and counts, no more of a person.

    Args:
        store: Holds the certificates, under `subject.<id>` and `scan.<id>`.
        files: Stores that keep bytes until they are rebuilt, by the name of the data.
        objects: Returns the entries about objects.
        clock: Tells the time.
    """

    def __init__(
        self,
        store: KeyValueStore,
        files: Mapping[str, Purgeable],
        objects: ObjectErasures,
        clock: Clock,
    ) -> None:
        self._store = store
        self._files = files
        self._objects = objects
        self._clock = clock

    async def keep(self, new: ErasureCertificate, *, repeated: bool = False) -> ErasureCertificate:
        """Store a certificate, merged with an earlier one of the same subject or scan.

        Args:
            new: Certificate of an erasure.
            repeated: Whether the erasure had begun before. If no certificate of that is stored, it
                broke off before, and the data that it had removed is not counted.
        """
        kept: list[ErasureCertificate] = []
        unclean = {
            entry.data: await self._files[entry.data].unclean()
            for entry in new.entries
            if entry.data in self._files and entry.outcome is ErasureOutcome.ERASED
        }

        async def add(value: bytes | None) -> bytes:
            before = records.decode(value, ErasureCertificate) if value else None
            if before is None and repeated:
                before = _broken_off(new)
            kept.append(await _merged(before, new, self._objects, unclean))
            return records.encode(kept[-1])

        await edit(self._store, _place(new), add)
        return await self._as_of_now(kept[-1])

    async def exists(self, subject_id: str) -> bool:
        """Return whether a subject has a certificate."""
        return await self._store.get(_key(subject_id)) is not None

    async def subject_ids(self) -> frozenset[str]:
        """Return the subjects that have a certificate."""
        keys = await self._store.keys(_key("*"))
        return frozenset(key.removeprefix(_key("")) for key in keys)

    async def get(self, subject_id: str) -> ErasureCertificate:
        """Return the certificate of a subject, as things are now.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`: it was not closed or erased.
        """
        entry = await self._store.get(_key(subject_id))
        if entry is None:
            raise errors.NotFoundError(
                f"there is no erasure certificate of subject {subject_id}: it is open, or was never"
                " enrolled",
                reason=errors.Reason.SUBJECT_NOT_FOUND,
                metadata={"subject_id": subject_id},
            )
        return await self._as_of_now(records.decode(entry.value, ErasureCertificate))

    async def of_scan(
        self, scan_id: str, *, visible: Collection[str] | None = None
    ) -> ErasureCertificate:
        """Return the certificate of a refused scan, as things are now.

        Args:
            scan_id: The scan.
            visible: Subjects whom the caller may see, who is told of scans for these alone; None
                for all.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`: it was not refused, or nothing was erased yet.
        """
        entry = await self._store.get(_scan_key(scan_id))
        held = records.decode(entry.value, ErasureCertificate) if entry else None
        if held is None or not _is_of(held, visible):
            raise errors.NotFoundError(
                f"there is no erasure certificate of scan {scan_id}: it was not refused, or what it"
                " found is not erased yet",
                reason=errors.Reason.SCAN_NOT_FOUND,
                metadata={"scan_id": scan_id},
            )
        return await self._as_of_now(held)

    async def _as_of_now(self, certificate: ErasureCertificate) -> ErasureCertificate:
        entries = [await self._entry_now(entry) for entry in certificate.entries]
        return replace(certificate, entries=tuple(entries))

    async def _entry_now(self, entry: ErasureEntry) -> ErasureEntry:
        if entry.outcome is not ErasureOutcome.PENDING:
            return entry
        if (current := await self._objects.entry_now(entry)) is not None:
            return current
        if entry.until is not None and self._clock.now() >= entry.until:
            return replace(
                entry,
                outcome=ErasureOutcome.ERASED,
                verification="the time after which the store itself removes it has passed",
            )
        return await self._in_files(entry) if entry.places else entry

    async def _in_files(self, entry: ErasureEntry) -> ErasureEntry:
        """Return whether the files that held bytes of the data are gone."""
        files = self._files[entry.data]
        try:
            doubts = [await files.remains(place) for place in entry.places]
        except errors.UnavailableError as error:
            unknown = f"whether the files are gone is not known: {error.message}"
            return replace(entry, verification=unknown)
        if NOT_REBUILT in doubts:
            return entry
        if why := next(filter(None, doubts), ""):
            return replace(entry, verification=f"{MOVED}; of the old ones, {why}")
        return replace(
            entry,
            outcome=ErasureOutcome.ERASED,
            verification=f"{MOVED}, and every node of the store says that the old ones are gone",
        )


def _is_of(scan: ErasureCertificate, visible: Collection[str] | None) -> bool:
    """Return whether a scan was for subjects of some alone; None stands for all."""
    if visible is None:
        return True
    return bool(scan.searched_ids) and set(scan.searched_ids) <= set(visible)


def _broken_off(new: ErasureCertificate) -> ErasureCertificate:
    """Return what a certificate would have said of an erasure that broke off before it had one."""
    entries = (
        ErasureEntry(entry.data, entry.store, 0, ErasureOutcome.FAILED, BROKEN_OFF)
        for entry in new.entries
    )
    return replace(new, entries=tuple(entries))


async def _merged(
    before: ErasureCertificate | None,
    new: ErasureCertificate,
    objects: ObjectErasures,
    unclean: Mapping[str, tuple[str, ...]],
) -> ErasureCertificate:
    """Return the certificate of an erasure merged with that of an earlier one.

    A repeated erasure finds no data; the earlier certificate says what was erased.

    Args:
        before: Certificate so far, if there is one.
        new: Certificate of this erasure.
        objects: Returns the entries about objects.
        unclean: Places that may hold bytes which an erasure without an answer has removed, by the
            name of the data of which this erasure found nothing.
    """
    if before is None:
        return new
    earlier = {entry.data: entry for entry in before.entries}

    async def merge(entry: ErasureEntry) -> ErasureEntry:
        former = earlier.get(entry.data)
        if former is None:
            return entry
        again = former.outcome is ErasureOutcome.FAILED
        # What failed was counted, and may be counted again.
        count = max if again else sum
        both = replace(
            entry,
            item_count=count((former.item_count, entry.item_count)),
            places=tuple(dict.fromkeys((*former.places, *entry.places))),
        )
        if entry.outcome is ErasureOutcome.FAILED:
            # What goes at a time goes then, whatever becomes of the rest.
            return former if former.until and not objects.concerns(entry) else both
        if again and entry.data in unclean and (both.places or unclean[entry.data]):
            return replace(
                both,
                outcome=ErasureOutcome.PENDING,
                places=tuple(dict.fromkeys((*both.places, *unclean[entry.data]))),
                verification=BROKEN_OFF,
            )
        if not (again or entry.item_count):
            return former
        merged = await objects.merge(former, entry)
        return replace(merged, item_count=both.item_count, places=both.places)

    return replace(new, entries=tuple([await merge(entry) for entry in new.entries]))


def _place(certificate: ErasureCertificate) -> str:
    if certificate.scan_id:
        return _scan_key(certificate.scan_id)
    return _key(certificate.subject_id)


def _scan_key(scan_id: str) -> str:
    return f"scan.{scan_id}"


def _key(subject_id: str) -> str:
    return f"subject.{subject_id}"
