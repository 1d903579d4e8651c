"""The ports of the gallery."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.matching.gallery.model import Candidate, ModelInfo, PhotoAnalysis, PhotoKey, Template
from homeward.servicekit.lease import Proceed


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference template, its subject and its photograph."""

    subject_id: str
    photo_id: str
    template: Template


@dataclass(frozen=True, slots=True)
class Removed:
    """Result of a removal from an index."""

    count: int
    places: tuple[str, ...] = ()
    """Files that may hold its bytes until a rebuild."""


@dataclass(frozen=True, slots=True)
class Edition:
    """Identity of the searched templates: another one after an exchange or the loss of all."""

    name: str
    size: int
    """How many templates there are, those of subjects included: fewer when some were removed, or
    were lost."""


@dataclass(frozen=True, slots=True)
class GalleryContents:
    """The photographs of which a gallery has templates."""

    photos: frozenset[PhotoKey]
    """Those with a template of their own."""
    compared: frozenset[PhotoKey]
    """Those that the template of their subject is fused of, which alone is searched."""

    @property
    def subject_ids(self) -> frozenset[str]:
        """Of whom it holds anything."""
        return frozenset(one.subject_id for one in self.photos | self.compared)


NOT_REBUILT = (
    "no query returns them any more; their bytes stay in the store's files until the next sweep"
    " writes those anew"
)
"""Why files may be there still: the next sweep rebuilds them."""


class Purgeable(Protocol):
    """A store that keeps the bytes of removed data until it is rebuilt."""

    async def holds_erased(self) -> bool:
        """Return whether files may hold bytes of removed data, so that a rebuild is due."""

    async def unclean(self) -> tuple[str, ...]:
        """Return the files that may hold bytes of removed data; none if no rebuild is due."""

    async def remains(self, place: str) -> str:
        """Return why files that `Removed` named may be there still; empty when they are gone."""

    async def unknown(self) -> tuple[str, ...]:
        """Return files of this kind of data that no record names, so that nothing removes them.

        They come back with an older state of the store, and may hold what was erased since.
        """

    async def rebuild(self, proceed: Proceed) -> bool:
        """Move the remaining data to other files, under another key, and drop the old files.

        Searches go on meanwhile and see all of it, always.

        Args:
            proceed: Asked now and then; False ends this, to be begun anew later.

        Returns:
            Whether it is done.
        """


class EnrolledPhotos(Protocol):
    """The photographs that people are looked for with."""

    async def expected(self, *, digest: str | None) -> frozenset[PhotoKey]:
        """Return the photographs of open subjects.

        Args:
            digest: Without those that are noted as of no use with this model pack; None for all.
        """

    async def listed(self, photos: Collection[PhotoKey]) -> frozenset[PhotoKey]:
        """Return those of the photographs that an open subject has, as things are now."""

    async def photo(self, key: PhotoKey) -> bytes | None:
        """Return a photograph as it was enrolled, or None when it is gone."""

    async def note_usable(self, digest: str, photos: Mapping[PhotoKey, bool]) -> None:
        """Record which photographs a model pack can use.

        A gallery of that pack is complete without the others.

        Args:
            digest: Of the pack.
            photos: Whether it makes a template of each.
        """


class Repinnable(Protocol):
    """An index that can change to templates of another model: that of sightings."""

    async def model(self) -> ModelInfo:
        """Return the model whose templates it takes."""

    async def change_model(self, model: ModelInfo, proceed: Proceed) -> bool:
        """Change to templates of another model; return whether that is done."""


class FaceAnalyzer(Protocol):
    """Judges photographs: the embedding service."""

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        """Judge a photograph.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
            UnavailableError: The service does not answer.
        """

    async def model(self) -> ModelInfo:
        """Return the model pack in use."""


class Pinned(Protocol):
    """An index of templates of one model; refuses others with `EMBEDDING_MODEL_MISMATCH`."""

    async def model(self) -> ModelInfo:
        """Return the model."""

    async def require_model(self, digest: str, size: int | None = None) -> None:
        """Refuse templates of another model.

        Args:
            digest: Of their model.
            size: Their length d, if it is known.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """


class SubjectIndex(Purgeable, Pinned, Protocol):
    """The gallery: reference templates, searched by similarity.

    A subject is compared as one template, which is fused of all their photographs' (`fusing.fuse`)
    whenever one is added or removed.
    """

    async def put(self, reference: Reference) -> None:
        """Add a reference template; the same photograph again replaces its own."""

    async def put_all(self, references: Sequence[Reference]) -> None:
        """Add reference templates, at least one and all of one model, as `put` does each."""

    async def edition(self) -> Edition:
        """Return which templates are searched now."""

    async def mend(self) -> int:
        """Finish what broke off between a change of the photographs and the fusing of the subject.

        Returns:
            How many subjects were fused anew.
        """

    async def holding(self, photo_ids: Collection[str]) -> frozenset[str]:
        """Return those of the photographs that have a template."""

    async def contents(self) -> GalleryContents:
        """Return all photographs that have a template."""

    async def start_over(self, model: ModelInfo) -> None:
        """Use an empty gallery of another model from now on; of the same one, leave it as it is.

        The files of the former one go with the next rebuild.
        """

    async def search(
        self,
        probes: NDArray[np.float32],
        *,
        model_digest: str,
        subject_ids: Collection[str],
        threshold: float,
        limit: int,
    ) -> list[list[Candidate]]:
        """Rank the subjects most alike to each probe. Stores nothing.

        Args:
            probes: Unit-length vectors, shape (n, d).
            model_digest: Of the pack that made them.
            subject_ids: Whom to compare with; empty for everybody.
            threshold: Least cosine similarity, in [-1, 1].
            limit: Most candidates a probe, at least 1.

        Returns:
            One list a probe, most alike first, each subject once with its photograph that is most
            alike; ties keep subject order. No score is outside of [-1, 1], whatever the rounding.
        """

    async def remove_photo(self, subject_id: str, photo_id: str) -> None:
        """Remove the template of one photograph, if it is there."""

    async def remove_subject(self, subject_id: str) -> Removed:
        """Remove a subject's templates, and tell how many photographs they were of."""

    async def count(self) -> int:
        """Return how many photographs have a template."""
