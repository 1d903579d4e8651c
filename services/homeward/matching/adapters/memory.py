"""The ports of matching in one process, for tests; the contract suite holds them to Qdrant's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeward.core import fusing
from homeward.matching.gallery import pinning
from homeward.matching.gallery.model import Candidate, ModelInfo, PhotoKey, Template
from homeward.matching.gallery.ports import (
    NOT_REBUILT,
    Edition,
    GalleryContents,
    Reference,
    Removed,
)
from homeward.matching.sightings.model import Sighting, SightingState
from homeward.matching.sightings.ports import EVERY, SightingCursor, SightingFilter
from homeward.servicekit import errors
from homeward.servicekit.lease import Proceed


class InMemoryFiles:
    """A `Purgeable` that only pretends to have files."""

    def __init__(self) -> None:
        self._file = 1
        self._erased = False
        self.doubt = ""
        """Why files that were dropped may be there still, as when a node is away."""
        self.strays: tuple[str, ...] = ()
        """Files that came back with an older state."""

    async def holds_erased(self) -> bool:
        """Tell whether something was removed since the last rebuild."""
        return self._erased

    async def unclean(self) -> tuple[str, ...]:
        """Return the file, if something was removed since the last rebuild."""
        return (f"file-{self._file}",) if self._erased else ()

    async def remains(self, place: str) -> str:
        """Return why files may be there still: no rebuild yet, or what a test says."""
        return NOT_REBUILT if place == f"file-{self._file}" else self.doubt

    async def unknown(self) -> tuple[str, ...]:
        """Return what a test says."""
        return self.strays

    async def rebuild(self, proceed: Proceed) -> bool:
        """Use another file, if it may proceed."""
        if not await proceed():
            return False
        self._file += 1
        self._erased = False
        return True

    def _removed(self, count: int) -> Removed:
        self._erased = self._erased or count > 0
        return Removed(count, (f"file-{self._file}",) if count else ())


class InMemoryPin:
    """A `Pinned`; sizes are not looked at."""

    def __init__(self, model_digest: str) -> None:
        super().__init__()
        self._model = ModelInfo("the gallery's", model_digest, 0)

    async def model(self) -> ModelInfo:
        """Return the model."""
        return self._model

    async def require_model(self, digest: str, size: int | None = None) -> None:  # noqa: ARG002 - the port's
        """Refuse templates of another model."""
        if digest != self._model.digest:
            raise pinning.mismatch("the gallery", self._model, digest)


class InMemorySubjectIndex(InMemoryPin, InMemoryFiles):
    """A `SubjectIndex` in one process."""

    def __init__(self, model_digest: str) -> None:
        super().__init__(model_digest)
        self._references: dict[str, Reference] = {}
        self._edition = 0

    async def put(self, reference: Reference) -> None:
        """Add a reference template; the same photograph again replaces its own."""
        await self.require_model(reference.template.model_digest)
        for held in self._references.values():
            if held.template.values.size != reference.template.values.size:
                raise errors.invalid_field("template.values", "has another size than the model's")
        self._references[reference.photo_id] = reference

    async def put_all(self, references: Sequence[Reference]) -> None:
        """Add reference templates."""
        for reference in references:
            await self.put(reference)

    async def edition(self) -> Edition:
        """Return which templates are searched now."""
        return Edition(str(self._edition), len(self._references))

    def lose(self, photo_ids: Collection[str] | None = None) -> None:
        """Lose templates, as an engine does that comes back with an older state: all if None.

        Args:
            photo_ids: Of the photographs; None when the engine comes back empty.
        """
        if photo_ids is None:
            self._references, self._edition = {}, self._edition + 1
        else:
            self._references = {
                name: one for name, one in self._references.items() if name not in photo_ids
            }

    async def mend(self) -> int:
        """Do nothing: subjects are fused when they are searched."""
        return 0

    async def holding(self, photo_ids: Collection[str]) -> frozenset[str]:
        """Return those of the photographs that have a template."""
        return frozenset(self._references.keys() & frozenset(photo_ids))

    async def contents(self) -> GalleryContents:
        """Return all photographs that have a template."""
        return GalleryContents(_keys(self._references), _keys(self._references))

    async def start_over(self, model: ModelInfo) -> None:
        """Use an empty gallery of another model from now on."""
        if model.digest != self._model.digest:
            self._model, self._references = model, {}
            self._edition += 1

    async def search(
        self,
        probes: NDArray[np.float32],
        *,
        model_digest: str,
        subject_ids: Collection[str],
        threshold: float,
        limit: int,
    ) -> list[list[Candidate]]:
        """Rank the subjects most alike to each probe. Stores nothing."""
        await self.require_model(model_digest)
        photos: dict[str, list[Reference]] = {}
        for reference in self._references.values():
            if not subject_ids or reference.subject_id in subject_ids:
                photos.setdefault(reference.subject_id, []).append(reference)
        found = []
        for probe in probes:
            candidates = []
            for subject_id, references in photos.items():
                templates = np.stack([one.template.values for one in references])
                score = float(np.clip(probe @ fusing.fuse(templates), -1, 1))
                if score >= threshold:
                    nearest = references[int(np.argmax(templates @ probe))]
                    candidates.append(Candidate(subject_id, nearest.photo_id, score))
            candidates.sort(key=lambda one: (-one.score, one.subject_id))
            found.append(candidates[:limit])
        return found

    async def remove_photo(self, subject_id: str, photo_id: str) -> None:  # noqa: ARG002 - the port's
        """Remove the template of one photograph, if it is there."""
        self._references.pop(photo_id, None)

    async def remove_subject(self, subject_id: str) -> Removed:
        """Remove a subject's templates."""
        going = [key for key, held in self._references.items() if held.subject_id == subject_id]
        for key in going:
            del self._references[key]
        return self._removed(len(going))

    async def count(self) -> int:
        """Return how many photographs have a template."""
        return len(self._references)


class InMemorySightingIndex(InMemoryPin, InMemoryFiles):
    """A `SightingIndex` in one process."""

    def __init__(self, model_digest: str) -> None:
        super().__init__(model_digest)
        self._held: dict[str, tuple[Sighting, Template | None]] = {}

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""
        if template is not None:
            await self.require_model(template.model_digest)
        self._held[sighting.sighting_id] = (sighting, template)

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""
        held = self._held.get(sighting.sighting_id)
        if held is not None:
            self._held[sighting.sighting_id] = (sighting, held[1])

    async def mark_still_gone(self, sighting_id: str) -> None:
        """Note that the still of a sighting is gone, and leave all else as it is."""
        held = await self.get(sighting_id)
        if held is not None:
            await self.update(replace(held, still_gone=True))

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""
        held = self._held.get(sighting_id)
        return held[0] if held else None

    async def holding(self, sighting_ids: Collection[str]) -> frozenset[str]:
        """Return those of the sightings that are there."""
        return frozenset(self._held).intersection(sighting_ids)

    async def template(self, sighting_id: str) -> Template | None:
        """Return the template of a sighting that is there; None if it was of a former model."""
        return self._held[sighting_id][1]

    async def change_model(self, model: ModelInfo, proceed: Proceed) -> bool:
        """Take templates of another model from now on; sightings stay, without theirs."""
        if not await proceed():
            return False
        if model.digest != self._model.digest:
            self._model = model
            self._held = {name: (sighting, None) for name, (sighting, _) in self._held.items()}
        return True

    async def find(self, which: SightingFilter) -> list[Sighting]:
        """Return all sightings that fit."""
        return self._fitting(which)

    async def page(
        self, which: SightingFilter, *, size: int, after: SightingCursor | None
    ) -> list[Sighting]:
        """Return some of the sightings that fit, most alike first."""
        found = sorted(self._fitting(which), key=lambda one: (-one.score, one.sighting_id))
        return [one for one in found if after is None or _comes_after(one, after)][:size]

    async def with_prefix(
        self, prefix: str, which: SightingFilter, *, size: int, after: str = ""
    ) -> list[Sighting]:
        """Return sightings whose ids begin so, in the order of their ids."""
        found = [
            one
            for one in self._fitting(which)
            if one.sighting_id.startswith(prefix) and one.sighting_id > after
        ]
        return sorted(found, key=lambda one: one.sighting_id)[:size]

    async def remove(self, sighting_ids: Sequence[str]) -> Removed:
        """Remove sightings."""
        for name in sighting_ids:
            self._held.pop(name, None)
        return self._removed(len(sighting_ids))

    async def count(self, which: SightingFilter = EVERY) -> int:
        """Return how many sightings fit."""
        return len(self._fitting(which))

    def _fitting(self, which: SightingFilter) -> list[Sighting]:
        return [one for one, _ in self._held.values() if _fits(one, which)]

    async def requesters(self) -> frozenset[str]:
        """Return the names of all who asked for a search that found a sighting."""
        return frozenset(name for held, _ in self._held.values() for name in held.requesters)

    async def reviewers(self) -> frozenset[str]:
        """Return the names of all whose decision on a sighting counts."""
        return frozenset(name for held, _ in self._held.values() for name in _reviewers(held))


def _keys(references: dict[str, Reference]) -> frozenset[PhotoKey]:
    return frozenset(PhotoKey(one.subject_id, one.photo_id) for one in references.values())


def _fits(sighting: Sighting, which: SightingFilter) -> bool:
    wanted = (
        (which.subject_ids, sighting.subject_id),
        (which.footage_ids, sighting.footage_id),
        (which.camera_ids, sighting.camera_id),
        (which.scan_ids, sighting.scan_id),
        (which.states, sighting.state),
    )
    confirmed = sighting.state is SightingState.CONFIRMED
    unexpired, expired = which.unexpired_at, which.expired_at
    names, asked, judged = {sighting.sighting_id}, {*sighting.requesters}, _reviewers(sighting)
    fitting = (
        (which.sighting_ids, names),
        (which.requesters, asked),
        (which.reviewers, judged),
    )
    unfitting = (
        (which.but_sighting_ids, names),
        (which.but_requesters, asked),
        (which.but_reviewers, judged),
    )
    return (
        all(not values or value in values for values, value in wanted)
        and all(not values or held.intersection(values) for values, held in fitting)
        and not any(held.intersection(values) for values, held in unfitting)
        and (which.start is None or sighting.end_time > which.start)
        and (which.end is None or sighting.start_time < which.end)
        and (unexpired is None or confirmed or sighting.delete_time > unexpired)
        and (expired is None or not (confirmed or sighting.delete_time > expired))
    )


def _reviewers(sighting: Sighting) -> set[str]:
    return {one.reviewer for one in sighting.reviews}


def _comes_after(sighting: Sighting, cursor: SightingCursor) -> bool:
    told = sighting.sighting_id in cursor.sighting_ids
    return sighting.score <= cursor.score and not told
