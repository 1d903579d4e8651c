"""The ports of sightings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Pinned, Purgeable, Removed
from homeward.matching.sightings.model import Sighting, SightingState
from homeward.servicekit.lease import Proceed


@dataclass(frozen=True, slots=True)
class SightingFilter:
    """Which sightings; what is empty or None fits all."""

    subject_ids: Collection[str] = ()
    footage_ids: Collection[str] = ()
    camera_ids: Collection[str] = ()
    scan_ids: Collection[str] = ()
    """Only sightings that these scans found first."""
    states: Collection[SightingState] = ()
    start: datetime | None = None
    """Only those that end after it."""
    end: datetime | None = None
    """Only those that begin before it."""
    unexpired_at: datetime | None = None
    """Only sightings that may be shown at this time: confirmed, or before their deadline."""
    expired_at: datetime | None = None
    """Only sightings that may not be shown at this time."""
    sighting_ids: Collection[str] = ()
    """Only these."""
    but_sighting_ids: Collection[str] = ()
    """None of these."""
    requesters: Collection[str] = ()
    """Only those that one of these asked for, by their names as they are written."""
    but_requesters: Collection[str] = ()
    """None that one of these asked for."""
    reviewers: Collection[str] = ()
    """Only those with a decision of one of these."""
    but_reviewers: Collection[str] = ()
    """None with a decision of one of these."""


EVERY = SightingFilter()
"""Fits all."""


@dataclass(frozen=True, slots=True)
class SightingCursor:
    """Place in a list of sightings, most alike first, after which the next page begins."""

    score: float
    """Score of the last listed sighting."""
    sighting_ids: tuple[str, ...]
    """Listed sightings with this score."""

    @classmethod
    def behind(cls, page: Sequence[Sighting], before: Self | None) -> Self:
        """Return the place behind a page, which is not empty and has the most alike first.

        Args:
            page: The sightings.
            before: The place behind the page before; None for the first page.
        """
        last = page[-1].score
        told = before.sighting_ids if before and before.score == last else ()
        return cls(last, (*told, *(one.sighting_id for one in page if one.score == last)))


class SightingIndex(Purgeable, Pinned, Protocol):
    """Recorded sightings with the template of their appearance."""

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template; nothing if it is not there."""

    async def mark_still_gone(self, sighting_id: str) -> None:
        """Note that the still of a sighting is gone, and leave all else as it is."""

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""

    async def holding(self, sighting_ids: Collection[str]) -> frozenset[str]:
        """Return those of the sightings that are there."""

    async def template(self, sighting_id: str) -> Template | None:
        """Return the template of a sighting that is there; None if it was of a former model."""

    async def change_model(self, model: ModelInfo, proceed: Proceed) -> bool:
        """Take templates of another model from now on.

        Sightings stay, without their templates, which cannot be compared any more.

        Args:
            model: The other model.
            proceed: Asked now and then; False ends this, to be begun anew later.

        Returns:
            Whether it is done.
        """

    async def find(self, which: SightingFilter) -> list[Sighting]:
        """Return all sightings that fit."""

    async def page(
        self, which: SightingFilter, *, size: int, after: SightingCursor | None
    ) -> list[Sighting]:
        """Return some of the sightings that fit, most alike first; equals in any order.

        Args:
            which: Sightings to list.
            size: How many at most.
            after: How far the list was told; None for its beginning.
        """

    async def with_prefix(
        self, prefix: str, which: SightingFilter, *, size: int, after: str = ""
    ) -> list[Sighting]:
        """Return sightings whose ids begin so, `size` at most, in the order of their ids.

        Args:
            prefix: 1 to 36 characters of a UUID, in small letters.
            which: Sightings to look among.
            size: How many at most.
            after: Only ids that come after this one; empty for all.
        """

    async def remove(self, sighting_ids: Sequence[str]) -> Removed:
        """Remove sightings."""

    async def count(self, which: SightingFilter = EVERY) -> int:
        """Return how many sightings fit."""

    async def requesters(self) -> frozenset[str]:
        """Return the names of those who asked for a search that found a sighting.

        Of more than a thousand names, an index may leave out those that the fewest sightings have.
        """

    async def reviewers(self) -> frozenset[str]:
        """Return the names of those whose decision on a sighting counts, as of `requesters`."""
