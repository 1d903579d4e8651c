"""Whether the gallery has a template of every photograph that people are looked for with.

Qdrant may come back empty, or with an older state. Whoever has no template then is passed by in
every search, and nothing tells: so searches are refused until the gallery is whole (`rebuild`).
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
"""How long a gallery counts as whole without another look. Its own signs of a loss, that it was
made anew or became smaller, are looked at with every search."""

INCOMPLETE_FOR = timedelta(seconds=5)
"""How long one that did not change counts as incomplete without another look."""


@dataclass(frozen=True, slots=True)
class _Look:
    edition: Edition
    time: datetime
    lacking: frozenset[PhotoKey]

    def holds(self, edition: Edition, now: datetime) -> bool:
        """Tell whether what was found may still be taken for true."""
        if self.edition.name != edition.name or now < self.time:
            return False
        if self.lacking:
            return edition.size == self.edition.size and now < self.time + INCOMPLETE_FOR
        return edition.size >= self.edition.size and now < self.time + LOOKED_FOR


class Completeness:
    """Tells which templates the gallery lacks, and refuses searches that would pass somebody by.

    Args:
        enrolled: The photographs of who is looked for.
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
        """Refuse a search while the gallery lacks templates of those that it is for.

        Args:
            subject_ids: Whom to compare with; empty for everybody.

        Returns:
            The edition that has them all.

        Raises:
            FailedPreconditionError: `GALLERY_INCOMPLETE`.
        """
        async with self._looking:  # one look serves all searches that wait for it
            edition = await self._gallery.edition()
            look = self._look
            if look is None or not look.holds(edition, self._clock.now()):
                look = self._look = _Look(edition, self._clock.now(), await self.lacking())
        lacking = [one for one in look.lacking if not subject_ids or one.subject_id in subject_ids]
        if lacking:
            raise _incomplete(lacking)
        return edition

    async def unchanged(self, edition: Edition) -> bool:
        """Tell whether what was searched meanwhile was this edition."""
        return (await self._gallery.edition()).name == edition.name

    async def lacking(self, *, again: bool = False) -> frozenset[PhotoKey]:
        """Return the photographs of open subjects that no search compares with, but should.

        Args:
            again: Those too that the gallery's model pack was found to have no use for.
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
