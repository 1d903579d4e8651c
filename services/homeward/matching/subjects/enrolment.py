"""Enrolling with a second look: what a clerk should know before a photograph counts.

Nothing here decides. A subject with photographs of two people finds neither of them well, and a
person who is enrolled twice is reviewed twice, so both are told; whether they are so, only somebody
who looks at the photographs can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from homeward.matching.gallery.compare import match
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import Candidate, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.policies.catalogue import Policies
from homeward.matching.policies.model import ThresholdPolicy
from homeward.matching.subjects.model import Subject, SubjectDetails, SubjectState
from homeward.matching.subjects.subjects import Subjects, photo_id_of
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

MOST_TOLD = 5
"""Other subjects that a photograph is told to be alike to, the most alike ones."""

CASES_KEPT = timedelta(minutes=1)
"""How long the known case references are not read again: those of 5,000 subjects take a second,
which a caller who enrols so many would wait for each time. What this process enrols is known at
once; what another replica has enrolled since may be missed."""

_LEAST = -1.0
"""No cosine similarity is lower."""


class WarningKind(Enum):
    """What is to be looked at."""

    UNLIKE_OWN = "less alike to the subject's other photographs than the policy's threshold"
    LIKE_ANOTHER = "as alike to another subject as a candidate is, or more"
    SAME_FILE = "another subject has the same file"
    SAME_CASE = "another open subject has the same case reference"


@dataclass(frozen=True, slots=True)
class EnrolmentWarning:
    """Something that a human should look at before a subject is looked for."""

    kind: WarningKind
    subject_id: str
    """The other subject; for `UNLIKE_OWN` the subject itself."""
    score: float | None = None
    """Cosine similarity, in [-1, 1]; None where nothing was compared."""
    policy: ThresholdPolicy | None = None
    """By whose threshold the score was judged."""


@dataclass(frozen=True, slots=True)
class AddedPhoto:
    """What became of a photograph that was offered."""

    subject: Subject
    etag: str
    photo_id: str
    """Empty when it was not added, because there was something to warn of."""
    already_held: bool
    warnings: tuple[EnrolmentWarning, ...]
    not_compared: str
    """Why it was compared with nobody; empty when it was."""


class Enrolment:
    """Enrols subjects and photographs, and tells what speaks for a mistake.

    Args:
        subjects: Keep them.
        gallery: Compares photographs with everybody who is enrolled.
        policies: Tell from which similarity on people count as alike.
        completeness: Tells whether the gallery has a template of everybody.
        clock: Tells the time.
    """

    def __init__(
        self,
        subjects: Subjects,
        gallery: SubjectIndex,
        policies: Policies,
        completeness: Completeness,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._gallery = gallery
        self._policies = policies
        self._completeness = completeness
        self._clock = clock
        self._cases: dict[str, set[str]] = {}
        self._read: datetime | None = None

    async def create(
        self, details: SubjectDetails, *, request_id: str
    ) -> tuple[Subject, str, tuple[EnrolmentWarning, ...]]:
        """Enrol a subject without photographs; return it, its etag and what to look at.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`.
        """
        subject, etag = await self._subjects.create(details, request_id=request_id)
        case = _normalised(details.case_reference)
        known = await self._known(case)
        known.add(subject.subject_id)
        same = [
            name for name in sorted(known - {subject.subject_id}) if await self._is_of(name, case)
        ]
        warnings = tuple(EnrolmentWarning(WarningKind.SAME_CASE, name) for name in same)
        return subject, etag, warnings

    def reread_cases(self) -> None:
        """Take note that a subject's case reference may be another now."""
        self._read = None

    async def _known(self, case: str) -> set[str]:
        """Return the subjects that are known to be of a case, those closed since included."""
        now = self._clock.now()
        if self._read is None or not timedelta() <= now - self._read < CASES_KEPT:
            self._cases = {}
            for subject, _ in await self._subjects.find(show_closed=False):
                if subject.details is not None:
                    name = _normalised(subject.details.case_reference)
                    self._cases.setdefault(name, set()).add(subject.subject_id)
            self._read = now
        return self._cases.setdefault(case, set())

    async def _is_of(self, subject_id: str, case: str) -> bool:
        """Tell whether a subject is open, and of a case, as things are now."""
        try:
            subject, _ = await self._subjects.get(subject_id)
        except errors.NotFoundError:
            return False
        return subject.details is not None and _normalised(subject.details.case_reference) == case

    async def add_photo(
        self, subject_id: str, photo: bytes, *, only_without_warnings: bool
    ) -> AddedPhoto:
        """Add a reference photograph, and tell what to look at.

        Args:
            subject_id: Whose.
            photo: A picture file.
            only_without_warnings: Add nothing if there is something to warn of.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`, `EMBEDDING_MODEL_MISMATCH`.
            ResourceExhaustedError: `PHOTO_LIMIT`.
            InvalidArgumentError: `PHOTO_REFUSED`, `IMAGE_UNREADABLE`.
        """
        warnings: list[EnrolmentWarning] = []
        not_compared = ""

        async def look(subject: Subject, template: Template) -> bool:
            nonlocal not_compared
            try:
                policy = await self._policies.in_force()
                warnings.extend(await self._warnings(subject, template, photo, policy))
            except errors.FailedPreconditionError as error:
                # Such as that no policy is in force: nobody may be compared then. The photograph is
                # enrolled all the same, and the answer says that it was not compared.
                not_compared = error.message
            return not (only_without_warnings and warnings)

        subject, etag, photo_id, held = await self._subjects.add_photo(subject_id, photo, look=look)
        return AddedPhoto(subject, etag, photo_id, held, tuple(warnings), not_compared)

    async def _warnings(
        self, subject: Subject, template: Template, photo: bytes, policy: ThresholdPolicy
    ) -> list[EnrolmentWarning]:
        found = []
        (own,) = await self._gallery.search(
            template.values[None],
            model_digest=template.model_digest,
            subject_ids=[subject.subject_id],
            threshold=_LEAST,
            limit=1,
        )
        if own and own[0].score < policy.threshold:
            found.append(
                EnrolmentWarning(WarningKind.UNLIKE_OWN, subject.subject_id, own[0].score, policy)
            )
        (alike,) = await match(
            [template],
            self._gallery,
            self._completeness,
            policy=policy,
            subject_ids=(),
            limit=MOST_TOLD + 1,
        )
        others = [one for one in alike if one.subject_id != subject.subject_id][:MOST_TOLD]
        told = [await self._like(one, photo, policy) for one in others]
        return [*found, *(one for one in told if one is not None)]

    async def _like(
        self, other: Candidate, photo: bytes, policy: ThresholdPolicy
    ) -> EnrolmentWarning | None:
        """Return what to tell of a subject who is alike; None of one that was closed meanwhile."""
        try:
            subject, _ = await self._subjects.get(other.subject_id)
        except errors.NotFoundError:
            return None
        if subject.state is not SubjectState.OPEN:
            return None
        same = photo_id_of(other.subject_id, photo)
        held = any(one.photo_id == same for one in subject.photos)
        kind = WarningKind.SAME_FILE if held else WarningKind.LIKE_ANOTHER
        return EnrolmentWarning(kind, other.subject_id, other.score, policy)


def _normalised(case_reference: str) -> str:
    """Return a case reference as clerks mean it: capitals and spaces tell nothing."""
    return "".join(case_reference.split()).casefold()
