"""Making templates from the kept photographs for whoever lacks one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import structlog

from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import ModelInfo, PhotoKey
from homeward.matching.gallery.ports import FaceAnalyzer, Reference, SubjectIndex
from homeward.matching.subjects.judging import AT_ONCE, judged
from homeward.matching.subjects.model import RefusedPhoto
from homeward.matching.subjects.subjects import Subjects
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
class Rebuilt:
    """How far a rebuild of the gallery has come."""

    stage: RebuildStage
    model: ModelInfo
    done: int = 0
    """Photographs that lacked a template and have one now, or cannot have one."""
    total: int = 0
    """Photographs that lacked a template."""
    refused: tuple[RefusedPhoto, ...] = ()
    """Those that no template can be made of, of those judged since this was told last."""
    lost: tuple[str, ...] = ()
    """Subjects of whose photographs none can be used, so that searches stay refused. Known at the
    end."""


class GalleryRebuild:
    """Makes the templates that the gallery lacks, with the model pack that it is of.

    The photographs are embedded again and written into the gallery in use, so that whoever has a
    template keeps it. A rebuild that broke off is gone on with by the next one. Photographs that
    cannot be used are noted; the gallery is whole without them if their subject has another one.

    Args:
        subjects: Who is looked for, with the photographs.
        gallery: What lacks templates.
        completeness: Tells which.
        services: Embedding services that may run the gallery's pack.
        lease: Makes the lease on doing this.
    """

    def __init__(
        self,
        *,
        subjects: Subjects,
        gallery: SubjectIndex,
        completeness: Completeness,
        services: Sequence[FaceAnalyzer],
        lease: Callable[[], Lease],
    ) -> None:
        self._subjects = subjects
        self._gallery = gallery
        self._completeness = completeness
        self._services = services
        self._lease = lease

    async def run(self, *, accept_lost: bool) -> AsyncGenerator[Rebuilt, None]:
        """Make what is missing, and tell how far it is; photographs that were refused, again.

        While another run is under way, this one waits, and then finds its work done.

        Args:
            accept_lost: Search without the subjects of whose photographs none can be used.

        Raises:
            FailedPreconditionError: `MODEL_NOT_SERVED`; `EMBEDDING_MODEL_MISMATCH`, when the
                gallery or the service changes its pack meanwhile.
            UnavailableError: Something does not answer, or another replica has taken over; run it
                again to go on.
        """
        lease = self._lease()
        while not await lease.held():
            yield Rebuilt(RebuildStage.WAITING, await self._gallery.model())
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            fill = self._fill(lease.held, accept_lost=accept_lost, again=True)
            last = None
            async with aclosing(fill) as told:
                async for last in told:
                    yield last
            if last is None or last.stage is not RebuildStage.DONE:
                raise _taken_over()
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
            async with aclosing(self._fill(both, accept_lost=False, again=False)) as told:
                async for one in told:
                    made = one.done
        except errors.FailedPreconditionError as error:
            # Another sweep would meet the same; the searches that are refused say so as well.
            log.warning("gallery not rebuilt", problem=error.message)
        finally:
            await lease.release()
        return made

    async def _fill(
        self, proceed: Proceed, *, accept_lost: bool, again: bool
    ) -> AsyncGenerator[Rebuilt, None]:
        """Make what is missing; end without `RebuildStage.DONE` when it may not proceed."""
        model = await self._gallery.model()
        await self._gallery.mend()
        missing = sorted(await self._completeness.lacking(again=again))
        faces = await self._serving(model) if missing else None
        yield Rebuilt(RebuildStage.EMBEDDING, model, total=len(missing))
        refused: dict[PhotoKey, RefusedPhoto] = {}
        ready: list[Reference] = []
        for first in range(0, len(missing), AT_ONCE):
            if not await proceed():
                return
            assert faces is not None, "something is missing"
            batch = missing[first : first + AT_ONCE]
            told = await asyncio.gather(
                *(judged(self._subjects, faces, model, one) for one in batch)
            )
            gone = [key for key, one in zip(batch, told, strict=True) if one is None]
            listed = await self._listed(gone)  # or else the subject is being closed
            new = [
                *(one for one in told if isinstance(one, RefusedPhoto)),
                *(RefusedPhoto(key, ("PHOTO_GONE",)) for key in gone if key in listed),
            ]
            refused |= {one.photo: one for one in new}
            ready += [one for one in told if isinstance(one, Reference)]
            if len(ready) >= WRITTEN_AT_ONCE or first + AT_ONCE >= len(missing):
                await self._write(ready, model)
                ready = []
            yield Rebuilt(
                RebuildStage.EMBEDDING,
                model,
                done=first + len(batch),
                total=len(missing),
                refused=tuple(new),
            )
        lost = await self._settle(refused, model, accept_lost=accept_lost)
        if missing:
            log.info("gallery rebuilt", photographs=len(missing), refused=len(refused))
        yield Rebuilt(RebuildStage.DONE, model, done=len(missing), total=len(missing), lost=lost)

    async def _serving(self, model: ModelInfo) -> FaceAnalyzer:
        """Return the embedding service that runs the gallery's pack."""
        served, silent = [], None
        for faces in self._services:
            try:
                running = await faces.model()
            except errors.UnavailableError as error:
                silent = error
                continue
            if running.digest == model.digest:
                return faces
            served.append(running.name)
        if silent is not None:
            raise silent
        raise errors.FailedPreconditionError(
            f"the gallery lacks templates of model pack {model.name} ({model.digest[:12]}), and"
            f" no embedding service that matching knows runs it, only {' and '.join(served)}:"
            f" start the embedding service with HOMEWARD_MODEL_PACK={model.name}, or move everybody"
            f" to the pack that runs: `homeward subject reenrol --model {served[0]}`",
            reason=errors.Reason.MODEL_NOT_SERVED,
            metadata={"model": model.name, "served": ",".join(served)},
        )

    async def _write(self, references: Sequence[Reference], model: ModelInfo) -> None:
        """Put templates into the gallery; nothing stays of who is closed meanwhile."""
        listed = await self._listed([_key(one) for one in references])
        written = [one for one in references if _key(one) in listed]
        if not written:
            return
        await self._gallery.put_all(written)
        still = await self._listed(listed)
        for one in written:
            if _key(one) not in still:
                await self._gallery.remove_photo(one.subject_id, one.photo_id)
        await self._subjects.note_usable(model.digest, dict.fromkeys(still, True))

    async def _listed(self, photos: Collection[PhotoKey]) -> frozenset[PhotoKey]:
        """Return those of the photographs that an open subject has."""
        listed: set[PhotoKey] = set()
        for subject_id in {one.subject_id for one in photos}:
            with contextlib.suppress(errors.NotFoundError):
                subject, _ = await self._subjects.get(subject_id)  # a closed one has none
                listed |= {PhotoKey(subject_id, photo.photo_id) for photo in subject.photos}
        return frozenset(listed.intersection(photos))

    async def _settle(
        self, refused: dict[PhotoKey, RefusedPhoto], model: ModelInfo, *, accept_lost: bool
    ) -> tuple[str, ...]:
        """Note what cannot be used; return the subjects of whom nothing can."""
        if not refused:
            return ()
        found = {one.subject_id for one in (await self._gallery.contents()).compared}
        lost = {one.subject_id for one in await self._listed(refused)} - found
        noted = [one for one in refused if accept_lost or one.subject_id not in lost]
        await self._subjects.note_usable(model.digest, dict.fromkeys(noted, False))
        return tuple(sorted(lost))


def _key(reference: Reference) -> PhotoKey:
    return PhotoKey(reference.subject_id, reference.photo_id)


def _taken_over() -> errors.UnavailableError:
    return errors.UnavailableError(
        "another replica of matching has taken over; run this again: it goes on where it stopped",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "matching", "address": ""},
    )
