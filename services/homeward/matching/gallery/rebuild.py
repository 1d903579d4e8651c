"""Making missing templates of the gallery from the kept photographs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import structlog

from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.judging import AT_ONCE, judge
from homeward.matching.gallery.model import ModelInfo, PhotoKey, RefusedPhoto
from homeward.matching.gallery.ports import EnrolledPhotos, FaceAnalyzer, Reference, SubjectIndex
from homeward.servicekit import errors
from homeward.servicekit.lease import Lease, Proceed

WRITTEN_AT_ONCE = 64
"""Templates that are written together: the local mode reads all payloads to fuse their subjects."""

LOOK_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class RebuildStage(StrEnum):
    """What a rebuild of the gallery does."""

    WAITING = "waiting"
    EMBEDDING = "embedding"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """How far a rebuild of the gallery has come."""

    stage: RebuildStage
    model: ModelInfo
    done: int = 0
    """Photographs that lacked a template and have one now, or cannot have one."""
    total: int = 0
    """Photographs that lacked a template."""
    refused: tuple[RefusedPhoto, ...] = ()
    """Photographs judged since the last progress of which no template can be made."""
    lost: tuple[str, ...] = ()
    """Subjects without a usable photograph, so that searches stay refused. Known at the end."""


class GalleryRebuild:
    """Makes the templates that the gallery lacks, with the model pack that it is of.

    The photographs are embedded again and written into the gallery in use; existing templates stay.
    If a rebuild breaks off, the next one goes on. Photographs that cannot be used are noted; the
    gallery is complete without them if their subject has another one.

    Args:
        enrolled: The photographs of open subjects.
        gallery: The gallery that lacks templates.
        completeness: Finds the missing templates.
        faces: The embedding service.
        lease: Makes the lease of a rebuild.
    """

    def __init__(
        self,
        *,
        enrolled: EnrolledPhotos,
        gallery: SubjectIndex,
        completeness: Completeness,
        faces: FaceAnalyzer,
        lease: Callable[[], Lease],
    ) -> None:
        self._enrolled = enrolled
        self._gallery = gallery
        self._completeness = completeness
        self._faces = faces
        self._lease = lease

    async def run(self, *, accept_lost: bool) -> AsyncGenerator[RebuildProgress, None]:
        """Make what is missing, and tell how far it is; photographs that were refused, again.

        While another run is under way, this one waits, and then finds its work done.

        Args:
            accept_lost: Let searches go on without subjects that have no usable photograph.

        Raises:
            FailedPreconditionError: `MODEL_NOT_SERVED`; `EMBEDDING_MODEL_MISMATCH`, when the
                gallery or the service changes its pack meanwhile.
            UnavailableError: Something does not answer, or another replica has taken over; run it
                again to go on.
        """
        lease = self._lease()
        while not await lease.held():
            yield RebuildProgress(RebuildStage.WAITING, await self._gallery.model())
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            fill = self._fill(lease.held, accept_lost=accept_lost, again=True)
            last = None
            async with aclosing(fill) as progress:
                async for last in progress:
                    yield last
            if last is None or last.stage is not RebuildStage.DONE:
                raise taken_over()
        finally:
            await lease.release()

    async def sweep(self, proceed: Proceed) -> int:
        """Make what is missing, but for photographs that were refused before.

        Args:
            proceed: Asked now and then; False ends this, to be gone on with later.

        Returns:
            For how many photographs.

        Raises:
            UnavailableError: Something does not answer.
        """
        lease = self._lease()

        async def both() -> bool:
            return await proceed() and await lease.held()

        if not await self._completeness.lacking() or not await lease.held():
            return 0
        made = 0
        try:
            fill = self._fill(both, accept_lost=False, again=False)
            async with aclosing(fill) as progress:
                async for one in progress:
                    made = one.done
        except errors.FailedPreconditionError as error:
            # Another sweep would meet the same; the searches that are refused say so as well.
            log.warning("gallery not rebuilt", problem=str(error))
        finally:
            await lease.release()
        return made

    async def _fill(
        self, proceed: Proceed, *, accept_lost: bool, again: bool
    ) -> AsyncGenerator[RebuildProgress, None]:
        """Make what is missing; end without `RebuildStage.DONE` when it may not proceed."""
        model = await self._gallery.model()
        await self._gallery.mend()
        missing = sorted(await self._completeness.lacking(again=again))
        if missing:
            await self._require_served(model)
        yield RebuildProgress(RebuildStage.EMBEDDING, model, total=len(missing))
        refused: dict[PhotoKey, RefusedPhoto] = {}
        done = 0
        while missing:
            total = done + len(missing)
            ready: list[Reference] = []
            for first in range(0, len(missing), AT_ONCE):
                if not await proceed():
                    return
                batch = missing[first : first + AT_ONCE]
                made, new = await self._judge(batch, model)
                ready += made
                refused |= {one.photo: one for one in new}
                done += len(batch)
                if len(ready) >= WRITTEN_AT_ONCE or done == total:
                    await self._write(ready, model)
                    ready = []
                yield RebuildProgress(
                    RebuildStage.EMBEDDING, model, done=done, total=total, refused=tuple(new)
                )
            # Who was enrolled while the gallery was exchanged for this one may lack a template too.
            lacking = await self._completeness.lacking(again=again)
            missing = sorted(lacking.difference(refused, missing))
        lost = await self._settle(refused, model, accept_lost=accept_lost)
        if done:
            log.info("gallery rebuilt", photographs=done, refused=len(refused))
        yield RebuildProgress(RebuildStage.DONE, model, done=done, total=done, lost=lost)

    async def _require_served(self, model: ModelInfo) -> None:
        """Refuse to go on unless the embedding service runs the gallery's pack."""
        running = await self._faces.model()
        if running.digest != model.digest:
            raise errors.FailedPreconditionError(
                f"the gallery lacks templates of model pack {model.name} ({model.digest[:12]}), and"
                f" the embedding service runs {running.name}",
                advice=f"start it with HOMEWARD_MODEL_PACK={model.name}, or move everybody to the"
                " pack that it runs",
                reason=errors.Reason.MODEL_NOT_SERVED,
                metadata={"model": model.name, "served": running.name},
            )

    async def _judge(
        self, photos: Sequence[PhotoKey], model: ModelInfo
    ) -> tuple[list[Reference], list[RefusedPhoto]]:
        """Return the templates of photographs, and those of which none can be made."""
        verdicts = await asyncio.gather(
            *(judge(self._enrolled, self._faces, model, one) for one in photos)
        )
        gone = [key for key, one in zip(photos, verdicts, strict=True) if one is None]
        listed = await self._enrolled.listed(gone)  # or else the subject is being closed
        refused = [
            *(one for one in verdicts if isinstance(one, RefusedPhoto)),
            *(RefusedPhoto(key, ("PHOTO_GONE",)) for key in gone if key in listed),
        ]
        return [one for one in verdicts if isinstance(one, Reference)], refused

    async def _write(self, references: Sequence[Reference], model: ModelInfo) -> None:
        """Put templates into the gallery; remove those of subjects closed meanwhile."""
        listed = await self._enrolled.listed([_key(one) for one in references])
        written = [one for one in references if _key(one) in listed]
        if not written:
            return
        await self._gallery.put_all(written)
        still = await self._enrolled.listed(listed)
        for one in written:
            if _key(one) not in still:
                await self._gallery.remove_photo(one.subject_id, one.photo_id)
        await self._enrolled.note_usable(model.digest, dict.fromkeys(still, True))

    async def _settle(
        self, refused: dict[PhotoKey, RefusedPhoto], model: ModelInfo, *, accept_lost: bool
    ) -> tuple[str, ...]:
        """Note unusable photographs; return the subjects without a usable one."""
        if not refused:
            return ()
        found = {one.subject_id for one in (await self._gallery.contents()).compared}
        lost = {one.subject_id for one in await self._enrolled.listed(refused)} - found
        noted = [one for one in refused if accept_lost or one.subject_id not in lost]
        await self._enrolled.note_usable(model.digest, dict.fromkeys(noted, False))
        return tuple(sorted(lost))


def _key(reference: Reference) -> PhotoKey:
    return PhotoKey(reference.subject_id, reference.photo_id)


def taken_over() -> errors.UnavailableError:
    """Return the error for a run that another replica goes on with."""
    return errors.UnavailableError(
        "another replica of matching has taken over; run this again: it goes on where it stopped",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "matching", "address": ""},
    )
