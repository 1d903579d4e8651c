"""Moving everybody to another model pack, from the kept photographs, while searches wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import structlog

from homeward.matching.gallery.model import ModelInfo, RefusedPhoto
from homeward.matching.gallery.ports import FaceAnalyzer, Repinnable, SubjectIndex
from homeward.matching.gallery.rebuild import GalleryRebuild, taken_over
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ALTERATION, Acts
from homeward.servicekit.lease import Lease, Proceed

LOOK_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class ReenrolmentStage(StrEnum):
    """What a re-enrolment does."""

    WAITING = "waiting"
    MOVING_SIGHTINGS = "moving sightings"
    EMBEDDING = "embedding"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ReenrolmentProgress:
    """How far a re-enrolment has come."""

    stage: ReenrolmentStage
    model: ModelInfo
    done: int = 0
    """Photographs that have a template of the model, or were refused, in this run."""
    total: int = 0
    refused: tuple[RefusedPhoto, ...] = ()
    """Those refused since the progress before."""
    lost: tuple[str, ...] = ()
    """Subjects of whose photographs none can be used. Known at the end."""


class Reenrolment:
    """Empties the gallery for another model pack, and embeds every kept photograph with it.

    The gallery is of the other pack from the first moment on, so that nothing is compared with half
    a gallery: whoever searches is refused until everybody has a template again
    (`GALLERY_INCOMPLETE`), or while they use the former pack (`EMBEDDING_MODEL_MISMATCH`). A run
    that broke off is gone on with by the next one, and by the sweep.

    Sightings are not embedded again: their templates are compared with nothing, and there is no
    picture to make others from. They stay, and their index takes templates of the other model.

    Args:
        gallery: To be moved.
        sightings: To take findings of the other model.
        rebuild: Makes what a gallery lacks.
        faces: The embedding service, which runs the other pack already.
        lease: Makes the lease on replacing collections.
        acts: Writes down what a sweep has made or moved.
    """

    def __init__(
        self,
        *,
        gallery: SubjectIndex,
        sightings: Repinnable,
        rebuild: GalleryRebuild,
        faces: FaceAnalyzer,
        lease: Callable[[], Lease],
        acts: Acts,
    ) -> None:
        self._gallery = gallery
        self._sightings = sightings
        self._rebuild = rebuild
        self._faces = faces
        self._lease = lease
        self._acts = acts

    async def run(
        self, wanted: str, *, accept_lost: bool
    ) -> AsyncGenerator[ReenrolmentProgress, None]:
        """Move the gallery to the pack that the embedding service runs, and tell how far it is.

        While another run is under way, this one waits, and then finds its work done.

        Args:
            wanted: Name or digest of the pack.
            accept_lost: Search without subjects who are left without any template.

        Raises:
            FailedPreconditionError: `MODEL_NOT_SERVED`, before anything is changed;
                `SUBJECTS_LOST`, when all is done but that; `EMBEDDING_MODEL_MISMATCH`, when the
                service changes its pack meanwhile.
            UnavailableError: Something does not answer, or another replica has taken over; run it
                again to go on.
        """
        model = await self._served(wanted)
        lease = self._lease()
        while not await lease.held():
            yield ReenrolmentProgress(ReenrolmentStage.WAITING, model)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            await self._gallery.start_over(model)
            # The templates of the former pack go before the new ones come.
            if not await self._gallery.rebuild(lease.held):
                raise taken_over()
            yield ReenrolmentProgress(ReenrolmentStage.MOVING_SIGHTINGS, model)
            if not await self._sightings.change_model(model, lease.held):
                raise taken_over()
        finally:
            await lease.release()
        lost: Sequence[str] = ()
        async with aclosing(self._rebuild.run(accept_lost=accept_lost)) as progress:
            async for part in progress:
                lost = part.lost
                yield ReenrolmentProgress(
                    ReenrolmentStage.EMBEDDING,
                    model,
                    part.done,
                    part.total,
                    part.refused,
                    part.lost,
                )
        if lost and not accept_lost:
            raise _lost(model, lost)
        log.info("gallery moved", model=model.name, digest=model.digest)
        yield ReenrolmentProgress(ReenrolmentStage.DONE, model, lost=tuple(lost))

    async def sweep(self, proceed: Proceed) -> int:
        """Go on with a run that broke off, and make templates that the gallery lacks.

        Sightings go the gallery's way first: until then nothing that is found can be recorded.

        Args:
            proceed: Asked now and then; False ends this, to be gone on with later.

        Returns:
            For how many photographs templates were made.

        Raises:
            UnavailableError: Something does not answer.
        """
        lease = self._lease()

        async def both() -> bool:
            return await proceed() and await lease.held()

        model = await self._gallery.model()
        apart = (await self._sightings.model()).digest != model.digest
        # While a run is under way, it has the lease, and moves them itself.
        if apart and await lease.held():
            try:
                if await self._sightings.change_model(model, both):
                    await self._acts.record("MoveSightings", ALTERATION, [])
                    log.info("sightings moved", model=model.name, digest=model.digest)
            finally:
                await lease.release()
        made = await self._rebuild.sweep(proceed)
        if made:
            await self._acts.record("MakeTemplates", ALTERATION, [])
        return made

    async def _served(self, wanted: str) -> ModelInfo:
        """Return the pack that the embedding service runs, which must be the wanted one."""
        model = await self._faces.model()
        if wanted not in (model.name, model.digest):
            raise errors.FailedPreconditionError(
                f"the embedding service runs {model.name}, not {wanted}",
                advice=f"start it with HOMEWARD_MODEL_PACK={wanted} first",
                reason=errors.Reason.MODEL_NOT_SERVED,
                metadata={"model": wanted, "served": model.name},
            )
        return model


def _lost(model: ModelInfo, lost: Sequence[str]) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"{model.name} can use no photograph of {len(lost)} of the subjects, who would not be found"
        " any more. The others are moved; searches that these are part of stay refused until they"
        " have photographs that it can use, or are accepted as lost, or everybody is moved back",
        reason=errors.Reason.SUBJECTS_LOST,
        metadata={"subject_count": str(len(lost))},
    )
