"""Whether the gallery has a template of every photograph that people are looked for with.

Qdrant may come back empty, or with an older state. A subject without a template is then missed by
every search, without an error. So searches are refused until the gallery is complete (`rebuild`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeward.matching.gallery.model import PhotoKey
from homeward.matching.gallery.ports import Edition, EnrolledPhotos, SubjectIndex
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

LOOKED_FOR = timedelta(minutes=1)
"""Time for which a complete gallery is not checked again. Its own signs of a loss, that it was made
anew or became smaller, are checked with every search."""

INCOMPLETE_FOR = timedelta(seconds=5)
"""Time for which an unchanged, incomplete gallery is not checked again."""


@dataclass(frozen=True, slots=True)
class _Look:
    edition: Edition
    time: datetime
    lacking: frozenset[PhotoKey]

    def holds(self, edition: Edition, now: datetime) -> bool:
        """Return whether the result of the last check may still be used."""
        if self.edition.name != edition.name or now < self.time:
            return False
        if self.lacking:
            return edition.size == self.edition.size and now < self.time + INCOMPLETE_FOR
        return edition.size >= self.edition.size and now < self.time + LOOKED_FOR


class Completeness:
    """Finds missing templates of the gallery, and refuses searches that would miss a subject.

    Args:
        enrolled: The photographs of open subjects.
        gallery: Their templates.
        clock: Tells the time.
    """

    def __init__(self, *, enrolled: EnrolledPhotos, gallery: SubjectIndex, clock: Clock) -> None:
        self._enrolled = enrolled
        self._gallery = gallery
        self._clock = clock
        self._look: _Look | None = None
        self._looking = asyncio.Lock()

    async def require(self, subject_ids: Collection[str]) -> Edition:
        """Refuse a search while the gallery lacks templates of its subjects.

        Args:
            subject_ids: Whom to compare with; empty for everybody.

        Returns:
            The edition of the gallery that has all of them.

        Raises:
            FailedPreconditionError: `GALLERY_INCOMPLETE`.
        """
        async with self._looking:  # one check serves all searches that wait for it
            edition = await self._gallery.edition()
            look = self._look
            if look is None or not look.holds(edition, self._clock.now()):
                look = self._look = _Look(edition, self._clock.now(), await self.lacking())
        lacking = [one for one in look.lacking if not subject_ids or one.subject_id in subject_ids]
        if lacking:
            raise _incomplete(lacking)
        return edition

    async def unchanged(self, edition: Edition) -> bool:
        """Return whether the gallery is still of this edition."""
        return (await self._gallery.edition()).name == edition.name

    async def lacking(self, *, again: bool = False) -> frozenset[PhotoKey]:
        """Return the photographs of open subjects that no search compares with, but should.

        Args:
            again: Include photographs that the gallery's model pack could not use before.
        """
        while True:
            digest = (await self._gallery.model()).digest
            without = None if again else digest
            expected = await self._enrolled.expected(digest=without)
            contents = await self._gallery.contents()
            # A subject of whom a photograph's own template is missing may be left out of an answer.
            missing = expected - (contents.compared & contents.photos)
            if missing:  # unless they were closed meanwhile
                missing &= await self._enrolled.expected(digest=without)
            if (await self._gallery.model()).digest == digest:
                return missing


def _incomplete(lacking: Collection[PhotoKey]) -> errors.FailedPreconditionError:
    people = len({one.subject_id for one in lacking})
    return errors.FailedPreconditionError(
        f"the gallery lacks the templates of {len(lacking)} photographs of {people} people who are"
        " looked for, and a search would pass these people by: they are being moved to another"
        " model pack, or Qdrant has lost their templates. Searches that they are part of are"
        " refused until the templates are made from the kept photographs; each sweep makes what is"
        " missing",
        reason=errors.Reason.GALLERY_INCOMPLETE,
        metadata={"subject_count": str(people), "photo_count": str(len(lacking))},
    )
