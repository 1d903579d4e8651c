"""The records of subjects in a key-value store."""

from __future__ import annotations

from collections.abc import Mapping

from homeward.matching.subjects.model import Subject
from homeward.matching.subjects.records import SubjectRoll, shell_after
from homeward.servicekit import records
from homeward.servicekit.keyvalue import Entry, KeyValueStore, Stored, edit
from homeward.servicekit.roll import Roll

_OPEN, _CLOSED = "open.", "closed."


class KeyValueSubjectRecords:
    """`SubjectRecords` under `open.<id>`, and under `closed.<id>` once a subject is closed.

    What `roll` has read is kept in memory (`Roll`); each sweep calls it, and what nobody asks for
    goes from there after a while.

    Args:
        store: Holds them and nothing else.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._roll = Roll(store, _stored)

    async def get(self, subject_id: str) -> Stored[Subject] | None:
        """Return the record of a subject, or None: of a closed one the shell."""
        for key in (_CLOSED + subject_id, _OPEN + subject_id):
            entry = await self._store.get(key)
            if entry is not None:
                return _stored(entry)
        return None

    async def is_closed(self, subject_id: str) -> bool:
        """Tell whether there is a shell of a subject."""
        return await self._store.get(_CLOSED + subject_id) is not None

    async def has_data(self, subject_id: str) -> bool:
        """Tell whether there is a record of a subject with its data, closed or not."""
        return await self._store.get(_OPEN + subject_id) is not None

    async def roll(self) -> SubjectRoll:
        """Return all records as they are now. Only what has changed since the last time is read."""
        held = await self._roll.held()
        return SubjectRoll(_under(_OPEN, held), _under(_CLOSED, held))

    async def create(self, subject: Subject) -> Stored[Subject]:
        """Write the record of an open subject."""
        key = _OPEN + subject.subject_id
        revision = await self._store.create(key, records.encode(subject))
        return Stored(subject, revision)

    async def replace(self, subject: Subject, *, etag: str) -> Stored[Subject]:
        """Replace the record of an open subject that must still have an etag."""
        key = _OPEN + subject.subject_id
        revision = await self._store.update(key, records.encode(subject), revision=int(etag))
        return Stored(subject, revision)

    async def close(self, shell: Subject) -> bool:
        """Write the shell of a closed subject; return whether there was none."""
        is_new = False

        async def change(value: bytes | None) -> bytes | None:
            nonlocal is_new
            is_new = value is None
            written = shell_after(records.decode(value, Subject) if value else None, shell)
            return records.encode(written) if written else None

        await edit(self._store, _CLOSED + shell.subject_id, change)
        return is_new

    async def erase_data(self, subject_id: str) -> bool:
        """Erase the record with the data; return whether there was one."""
        return await self._store.erase(_OPEN + subject_id)

    async def erase_shell(self, subject_id: str) -> bool:
        """Erase the shell; return whether there was one."""
        return await self._store.erase(_CLOSED + subject_id)


def _stored(entry: Entry) -> Stored[Subject]:
    return Stored(records.decode(entry.value, Subject), entry.revision)


def _under(prefix: str, held: Mapping[str, Stored[Subject]]) -> dict[str, Stored[Subject]]:
    return {key.removeprefix(prefix): one for key, one in held.items() if key.startswith(prefix)}
