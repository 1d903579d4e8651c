"""The records of subjects, as the use cases need them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from homeward.matching.subjects.model import Subject
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import may_see, visible_cases
from homeward.servicekit.keyvalue import Stored


@dataclass(frozen=True, slots=True)
class SubjectRoll:
    """All records of subjects at one moment, by their ids."""

    opened: Mapping[str, Stored[Subject]]
    """Records with personal data, also of subjects whose erasure broke off."""
    closed: Mapping[str, Stored[Subject]]
    """Records without personal data."""

    @property
    def wanted(self) -> list[Stored[Subject]]:
        """The open subjects."""
        return [held for name, held in self.opened.items() if name not in self.closed]

    def newest_first(self, *, show_closed: bool) -> list[Stored[Subject]]:
        """Return the open subjects, and the closed ones too if asked for."""
        listed = [*self.wanted, *(self.closed.values() if show_closed else ())]
        return sorted(listed, key=lambda held: newest_first(held.value))


class SubjectRecords(Protocol):
    """The records of subjects: one while a subject is open, and a shell of it once it is closed.

    All calls raise `UnavailableError` when the store does not answer.
    """

    async def get(self, subject_id: str) -> Stored[Subject] | None:
        """Return the record of a subject, or None: of a closed one the shell."""

    async def is_closed(self, subject_id: str) -> bool:
        """Return whether a subject has a shell."""

    async def has_data(self, subject_id: str) -> bool:
        """Return whether a subject has a record with personal data, closed or not."""

    async def roll(self) -> SubjectRoll:
        """Return all records as they are now. Only changes since the last call are read."""

    async def create(self, subject: Subject) -> Stored[Subject]:
        """Write the record of an open subject.

        Raises:
            ConflictError: There is one.
        """

    async def replace(self, subject: Subject, *, etag: str) -> Stored[Subject]:
        """Replace the record of an open subject that must still have an etag.

        Raises:
            ConflictError: It was changed or erased.
        """

    async def close(self, shell: Subject) -> bool:
        """Write the shell of a closed subject; return whether there was none.

        One that was there stays as it is, unless it is to be erased from now on: see `shell_after`.
        """

    async def erase_data(self, subject_id: str) -> bool:
        """Erase the record with the data; return whether there was one."""

    async def erase_shell(self, subject_id: str) -> bool:
        """Erase the shell; return whether there was one."""


def shell_after(held: Subject | None, shell: Subject) -> Subject | None:
    """Return what to write when a subject is closed; None to leave what is there.

    A shell that is to be erased stays so: whoever closes the subject beside that must not have its
    record kept.
    """
    if held is None or (shell.to_be_erased and not held.to_be_erased):
        return shell
    return None


def newest_first(subject: Subject) -> tuple[float, str]:
    """Return the sort key that orders subjects by age, the newest first."""
    return (-subject.create_time.timestamp(), subject.subject_id)


def is_visible(subject: Subject) -> bool:
    """Tell whether the current caller may see a subject: one of a case of theirs.

    A closed subject is of no case any more: nobody sees it who is restricted to some.
    """
    return may_see(subject.details.case_reference if subject.details else None)


async def visible_subjects(subjects: SubjectRecords) -> frozenset[str] | None:
    """Return the ids of those who are looked for and whom the current caller may see.

    Returns:
        None where the caller may see all.
    """
    if visible_cases() is None:
        return None
    wanted = (await subjects.roll()).wanted
    return frozenset(held.value.subject_id for held in wanted if is_visible(held.value))


async def subjects_of_cases(
    subjects: SubjectRecords, case_references: Collection[str]
) -> frozenset[str] | None:
    """Return the ids of those who are looked for in some cases, and whom the caller may see.

    Args:
        subjects: The records.
        case_references: Of the cases; none for every case.

    Returns:
        None for everybody.
    """
    if not case_references:
        return await visible_subjects(subjects)
    return frozenset(
        held.value.subject_id
        for held in (await subjects.roll()).wanted
        if is_visible(held.value)
        and held.value.details is not None
        and held.value.details.case_reference in case_references
    )


async def require(subjects: SubjectRecords, subject_id: str) -> Stored[Subject]:
    """Return the record of a subject, whoever may see it.

    Raises:
        NotFoundError: `SUBJECT_NOT_FOUND`.
    """
    held = await subjects.get(subject_id)
    if held is None:
        raise _not_found(subject_id)
    return held


async def require_visible(subjects: SubjectRecords, subject_id: str) -> Stored[Subject]:
    """Return the record of a subject that the current caller may see.

    Raises:
        NotFoundError: `SUBJECT_NOT_FOUND`.
    """
    held = await require(subjects, subject_id)
    if not is_visible(held.value):
        raise _not_found(subject_id)
    return held


async def case_of(subjects: SubjectRecords, subject_id: str) -> str:
    """Return the case of a subject; empty of one that is closed, or not known."""
    held = await subjects.get(subject_id)
    details = held.value.details if held is not None else None
    return details.case_reference if details is not None else ""


async def is_open(subjects: SubjectRecords, subject_id: str) -> bool:
    """Return whether a subject is open."""
    return not await subjects.is_closed(subject_id) and await subjects.has_data(subject_id)


async def count_enrolled(subjects: SubjectRecords) -> int:
    """Return how many people a search can find: open, with a reference photograph."""
    return sum(bool(held.value.photos) for held in (await subjects.roll()).wanted)


def _not_found(subject_id: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        f"there is no subject {subject_id}",
        reason=errors.Reason.SUBJECT_NOT_FOUND,
        metadata={"subject_id": subject_id},
    )
