"""Enrolment with warnings: signs of a mistake that a clerk should check before a photograph counts.

Nothing here decides. A subject with photographs of two people finds neither of them well, a
person who is enrolled twice is reviewed twice, and of a photograph with several faces the largest
may be a bystander's, so the service warns of each. Only a person who looks at the photographs can
say whether a warning is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from homeward.matching.compare import match
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import Candidate, PhotoAnalysis, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.policies.catalogue import Policies
from homeward.matching.policies.model import ThresholdPolicy
from homeward.matching.subjects.enrol import Subjects
from homeward.matching.subjects.model import Subject, SubjectDetails, SubjectState
from homeward.matching.subjects.photos import photo_id_of
from homeward.servicekit import errors
from homeward.servicekit.keyvalue import Stored

MOST_ALIKE = 5
"""Most other subjects named in warnings of a photograph, the most alike ones."""

_LEAST = -1.0
"""Least possible cosine similarity."""


class WarningKind(Enum):
    """Kind of a warning."""

    UNLIKE_OWN = "less alike to the subject's other photographs than the policy's threshold"
    LIKE_ANOTHER = "as alike to another subject as a candidate is, or more"
    SAME_FILE = "another subject has the same file"
    SAME_CASE = "another open subject has the same case reference"
    OTHER_FACES = "the photograph shows others too; the largest face is looked for"


@dataclass(frozen=True, slots=True)
class EnrolmentWarning:
    """A sign of a mistake that a person should check before a subject is searched for."""

    kind: WarningKind
    subject_id: str
    """The other subject; for `UNLIKE_OWN` and `OTHER_FACES` the subject itself."""
    score: float | None = None
    """Cosine similarity, in [-1, 1]; None where nothing was compared."""
    policy: ThresholdPolicy | None = None
    """Policy whose threshold the score was compared with."""
    other_faces: int = 0
    """For `OTHER_FACES`, how many beside the one that is looked for."""


@dataclass(frozen=True, slots=True)
class AddedPhoto:
    """Result of offering a photograph."""

    subject: Stored[Subject]
    photo_id: str
    """Empty when the photograph was not added, because of a warning."""
    already_held: bool
    warnings: tuple[EnrolmentWarning, ...]
    not_compared: str
    """Why the photograph was compared with nobody; empty when it was compared."""


class Enrolment:
    """Enrols subjects and photographs, and warns of signs of a mistake.

    Args:
        subjects: The subjects.
        gallery: Compares photographs with all enrolled subjects.
        policies: Give the threshold from which people count as alike.
        completeness: Says whether the gallery has a template of everybody.
    """

    def __init__(
        self,
        subjects: Subjects,
        gallery: SubjectIndex,
        policies: Policies,
        completeness: Completeness,
    ) -> None:
        self._subjects = subjects
        self._gallery = gallery
        self._policies = policies
        self._completeness = completeness

    async def create(
        self, details: SubjectDetails, *, request_id: str
    ) -> tuple[Stored[Subject], tuple[EnrolmentWarning, ...]]:
        """Enrol a subject without photographs; return the subject and warnings.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`.
        """
        created = await self._subjects.create(details, request_id=request_id)
        case = _normalised(details.case_reference)
        same = [
            held.value.subject_id
            for held in await self._subjects.find(show_closed=False)
            if held.value.details is not None
            and _normalised(held.value.details.case_reference) == case
            and held.value.subject_id != created.value.subject_id
        ]
        return created, tuple(
            EnrolmentWarning(WarningKind.SAME_CASE, name) for name in sorted(same)
        )

    async def add_photo(
        self, subject_id: str, photo: bytes, *, only_without_warnings: bool
    ) -> AddedPhoto:
        """Add a reference photograph, and return warnings.

        Args:
            subject_id: Whose.
            photo: A picture file.
            only_without_warnings: Add nothing if there is a warning.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`, `EMBEDDING_MODEL_MISMATCH`.
            ResourceExhaustedError: `PHOTO_LIMIT`.
            InvalidArgumentError: `PHOTO_REFUSED`, `IMAGE_UNREADABLE`.
        """
        warnings: list[EnrolmentWarning] = []
        not_compared = ""

        async def look(subject: Subject, analysis: PhotoAnalysis, template: Template) -> bool:
            nonlocal not_compared
            if others := analysis.other_faces:
                kind = WarningKind.OTHER_FACES
                warnings.append(EnrolmentWarning(kind, subject.subject_id, other_faces=others))
            try:
                policy = await self._policies.in_force()
                warnings.extend(await self._warnings(subject, template, photo, policy))
            except errors.FailedPreconditionError as error:
                # Such as that no policy is in force: nobody may be compared then. The photograph is
                # enrolled all the same, and the answer says that it was not compared.
                not_compared = error.message
            return not (only_without_warnings and warnings)

        offer = await self._subjects.add_photo(subject_id, photo, look=look)
        return AddedPhoto(
            offer.subject, offer.photo_id, offer.already_held, tuple(warnings), not_compared
        )

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
            limit=MOST_ALIKE + 1,
        )
        others = [one for one in alike if one.subject_id != subject.subject_id][:MOST_ALIKE]
        warnings = [await self._likeness(one, photo, policy) for one in others]
        return [*found, *(one for one in warnings if one is not None)]

    async def _likeness(
        self, other: Candidate, photo: bytes, policy: ThresholdPolicy
    ) -> EnrolmentWarning | None:
        """Return the warning about an alike subject; None if that was closed meanwhile."""
        try:
            subject = (await self._subjects.get(other.subject_id)).value
        except errors.NotFoundError:
            return None
        if subject.state is not SubjectState.OPEN:
            return None
        same = photo_id_of(other.subject_id, photo)
        held = any(one.photo_id == same for one in subject.photos)
        kind = WarningKind.SAME_FILE if held else WarningKind.LIKE_ANOTHER
        return EnrolmentWarning(kind, other.subject_id, other.score, policy)


def _normalised(case_reference: str) -> str:
    """Return a case reference without differences of capitals and spaces."""
    return "".join(case_reference.split()).casefold()
