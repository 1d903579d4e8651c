"""Moving the gallery to another model pack, from the kept photographs, while searches go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

import structlog

from homeward.matching.gallery.model import ModelInfo, PhotoKey
from homeward.matching.gallery.ports import FaceAnalyzer, Reference, SubjectIndex
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.sightings.ports import SightingIndex
from homeward.matching.subjects.judging import AT_ONCE, judged
from homeward.matching.subjects.model import RefusedPhoto
from homeward.matching.subjects.subjects import Subjects
from homeward.servicekit import errors
from homeward.servicekit.lease import Lease

LOOK_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


class Stage(StrEnum):
    """What a re-enrolment does."""

    WAITING = "waiting"
    EMBEDDING = "embedding"
    MOVING_SIGHTINGS = "moving sightings"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reenrolled:
    """How far a re-enrolment has come."""

    stage: Stage
    model: ModelInfo
    done: int = 0
    """Photographs that have a template of the model, or were refused."""
    total: int = 0
    refused: tuple[RefusedPhoto, ...] = ()
    """Those refused since this was told last."""
    lost: tuple[str, ...] = ()
    """Subjects of whose photographs none can be used. Known at the end."""


class Reenrolment:
    """Embeds every kept photograph of every open subject with another model, then uses those.

    The templates go into a second gallery beside the one in use. Whoever is enrolled meanwhile is
    found by the last look before the exchange, and whoever is closed goes from both, so that the
    exchange loses nobody. A run that broke off is gone on with by the next one.

    Sightings are not embedded again: their templates are compared with nothing, and there is no
    picture to make others from. They stay, and their index takes templates of the other model.

    Args:
        subjects: Who is looked for, with the photographs.
        gallery: To be moved.
        sightings: To take findings of the other model afterwards.
        rebuild: Makes what a gallery of the pack lacks already.
        services: Embedding services that may run it, the preferred one first.
        lease: Makes the lease on replacing collections.
    """

    def __init__(
        self,
        *,
        subjects: Subjects,
        gallery: SubjectIndex,
        sightings: SightingIndex,
        rebuild: GalleryRebuild,
        services: Sequence[FaceAnalyzer],
        lease: Callable[[], Lease],
    ) -> None:
        self._subjects = subjects
        self._gallery = gallery
        self._sightings = sightings
        self._rebuild = rebuild
        self._services = services
        self._lease = lease

    async def run(self, wanted: str, *, accept_lost: bool) -> AsyncGenerator[Reenrolled, None]:
        """Move the gallery to a model pack, and tell how far it is.

        While another run is under way, this one waits, and then finds its work done.

        Args:
            wanted: Name or digest of the pack.
            accept_lost: Go on even if subjects are left without any template.

        Raises:
            FailedPreconditionError: `MODEL_NOT_SERVED`; `SUBJECTS_LOST`, when all but the exchange
                is done; `EMBEDDING_MODEL_MISMATCH`, when the service changes its pack meanwhile.
            UnavailableError: Something does not answer, or another replica has taken over; run it
                again to go on.
        """
        faces, model = await self._serving(wanted)
        lease = self._lease()
        while not await lease.held():
            yield Reenrolled(Stage.WAITING, model)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            if (await self._gallery.model()).digest == model.digest:
                # Of this pack already: then what it has lost, if anything, is all there is to make.
                async with aclosing(self._rebuild.run(accept_lost=accept_lost)) as rebuilt:
                    async for part in rebuilt:
                        yield Reenrolled(
                            Stage.EMBEDDING, model, part.done, part.total, part.refused
                        )
            async with aclosing(self._fill(faces, model, lease, accept_lost=accept_lost)) as told:
                async for one in told:
                    yield one
            yield Reenrolled(Stage.MOVING_SIGHTINGS, model)
            done = await self._sightings.change_model(model, lease.held)
            if not (done and await self._gallery.rebuild(lease.held)):
                raise _taken_over()
            log.info("gallery moved", model=model.name, digest=model.digest)
            yield Reenrolled(Stage.DONE, model, lost=await self._lost())
        finally:
            await lease.release()

    async def _serving(self, wanted: str) -> tuple[FaceAnalyzer, ModelInfo]:
        """Return the embedding service that runs a pack, and the pack."""
        served, silent = [], None
        for faces in self._services:
            try:
                model = await faces.model()
            except errors.UnavailableError as error:
                silent = error
                continue
            if wanted in (model.name, model.digest):
                return faces, model
            served.append(model.name)
        if silent is not None:
            raise silent
        raise errors.FailedPreconditionError(
            f"no embedding service that matching knows runs {wanted}, only {' and '.join(served)};"
            f" start one with HOMEWARD_MODEL_PACK={wanted}, and give matching its address in"
            " HOMEWARD_NEXT_EMBEDDING_TARGET (`homeward up --next-model` does both)",
            reason=errors.Reason.MODEL_NOT_SERVED,
            metadata={"model": wanted, "served": ",".join(served)},
        )

    async def _fill(
        self, faces: FaceAnalyzer, model: ModelInfo, lease: Lease, *, accept_lost: bool
    ) -> AsyncGenerator[Reenrolled, None]:
        """Fill a gallery of the model until nothing is missing, and use it."""
        refused: dict[PhotoKey, RefusedPhoto] = {}
        absent: set[PhotoKey] = set()
        while (await self._gallery.model()).digest != model.digest:
            prepared = await self._gallery.prepare(model)
            # Read after the gallery: who is enrolled in between has a template there, and a write
            # of it since makes the exchange fail.
            wanted = await self._wanted(prepared.held)
            if extra := prepared.ready - wanted:
                await self._gallery.drop_prepared([one.photo_id for one in extra])
            missing = sorted(wanted - prepared.ready - refused.keys())
            yield Reenrolled(
                Stage.EMBEDDING, model, done=len(wanted) - len(missing), total=len(wanted)
            )
            for first in range(0, len(missing), AT_ONCE):
                if not await lease.held():
                    raise _taken_over()
                batch = missing[first : first + AT_ONCE]
                answers = await asyncio.gather(
                    *(judged(self._subjects, faces, model, one) for one in batch)
                )
                await self._gallery.put_prepared(
                    model, [one for one in answers if isinstance(one, Reference)]
                )
                gone = {key for key, one in zip(batch, answers, strict=True) if one is None}
                new = [
                    *(one for one in answers if isinstance(one, RefusedPhoto)),
                    *(RefusedPhoto(key, ("PHOTO_GONE",)) for key in sorted(gone & absent)),
                ]
                absent |= gone  # of a subject that is being closed, unless it is so the next time
                refused |= {one.photo: one for one in new}
                yield Reenrolled(
                    Stage.EMBEDDING,
                    model,
                    done=len(wanted) - len(missing) + first + len(batch),
                    total=len(wanted),
                    refused=tuple(new),
                )
            if not missing and not extra:
                lost = _all_refused(wanted, refused)
                if lost and not accept_lost:
                    yield Reenrolled(
                        Stage.EMBEDDING, model, done=len(wanted), total=len(wanted), lost=lost
                    )
                    raise _would_be_lost(model, lost)
                # Before the exchange: from then on, a gallery without them would be incomplete.
                await self._subjects.note_usable(
                    model.digest, {one: one not in refused for one in wanted}
                )
                await self._gallery.use_prepared(model, prepared.mark)

    async def _wanted(self, held: Collection[PhotoKey]) -> frozenset[PhotoKey]:
        """Return the photographs of open subjects: those with a template, and those listed.

        A photograph has a template before it is listed. One that was refused before has none.
        """
        opened = [subject for subject, _ in await self._subjects.find(show_closed=False)]
        names = {subject.subject_id for subject in opened}
        listed = {
            PhotoKey(subject.subject_id, photo.photo_id)
            for subject in opened
            for photo in subject.photos
        }
        return frozenset(listed.union(one for one in held if one.subject_id in names))

    async def _lost(self) -> tuple[str, ...]:
        """Return the open subjects with photographs of which none has a template."""
        opened = [subject for subject, _ in await self._subjects.find(show_closed=False)]
        listed = [photo.photo_id for subject in opened for photo in subject.photos]
        usable = await self._gallery.holding(listed)
        return tuple(
            sorted(
                subject.subject_id
                for subject in opened
                if subject.photos and usable.isdisjoint(photo.photo_id for photo in subject.photos)
            )
        )


def _all_refused(wanted: Collection[PhotoKey], refused: Collection[PhotoKey]) -> tuple[str, ...]:
    used = {one.subject_id for one in wanted if one not in refused}
    return tuple(sorted({one.subject_id for one in wanted} - used))


def _would_be_lost(model: ModelInfo, lost: Sequence[str]) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"{model.name} can use no photograph of {len(lost)} of the subjects, who would not be found"
        " any more; the gallery is as it was. Add photographs that it can use, or accept that"
        " (`--accept-lost`)",
        reason=errors.Reason.SUBJECTS_LOST,
        metadata={"subject_count": str(len(lost))},
    )


def _taken_over() -> errors.UnavailableError:
    return errors.UnavailableError(
        "another replica of matching has taken over; run this again: it goes on where it stopped",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "matching", "address": ""},
    )
