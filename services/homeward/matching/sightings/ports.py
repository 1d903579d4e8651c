"""What sightings need from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Protocol

from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Pinned, Purgeable, Removed
from homeward.matching.sightings.model import ErasedSighting, Sighting
from homeward.servicekit.lease import Proceed


class SightingIndex(Purgeable, Pinned, Protocol):
    """Recorded sightings with the template of their appearance."""

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""

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

    async def find(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[Sighting]:
        """Return the sightings of any of the subjects in any of the recordings; empty means all."""

    async def remove(self, sighting_ids: Sequence[str]) -> Removed:
        """Remove sightings."""

    async def count(self) -> int:
        """Return how many sightings there are."""


class SightingFeed(Protocol):
    """Tells other replicas and services that a sighting changed."""

    async def publish(self, change: Sighting | ErasedSighting) -> None:
        """Tell that a sighting was recorded, reviewed or erased."""

    def follow(self) -> AsyncGenerator[Sighting | ErasedSighting, None]:
        """Yield sightings as they change, from now on, in the order of their changes."""
