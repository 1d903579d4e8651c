"""Registering cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from homeward.ingestion.cameras.model import Camera, CameraDetails
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore


class CameraFootage(Protocol):
    """Knows the recordings of cameras."""

    async def holds_any_of(self, camera_id: str) -> bool:
        """Tell whether a recording of a camera is held or being uploaded."""


class Cameras:
    """The cameras whose recordings may be searched."""

    def __init__(self, store: KeyValueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, camera_id: str, details: CameraDetails) -> tuple[Camera, str]:
        """Register a camera; return it and its etag.

        Raises:
            AlreadyExistsError: `CAMERA_EXISTS`.
        """
        now = self._clock.now()
        camera = Camera(camera_id, details, now, now)
        try:
            revision = await self._store.create(camera_id, records.encode(camera))
        except ConflictError as error:
            raise errors.AlreadyExistsError(
                f"there is a camera {camera_id} already; update it, or choose another id",
                reason=errors.Reason.CAMERA_EXISTS,
                metadata={"camera_id": camera_id},
            ) from error
        return camera, str(revision)

    async def get(self, camera_id: str) -> tuple[Camera, str]:
        """Return a camera and its etag.

        Raises:
            NotFoundError: `CAMERA_NOT_FOUND`.
        """
        entry = await self._store.get(camera_id)
        if entry is None:
            raise errors.NotFoundError(
                f"there is no camera {camera_id}; register it first",
                reason=errors.Reason.CAMERA_NOT_FOUND,
                metadata={"camera_id": camera_id},
            )
        return records.decode(entry.value, Camera), str(entry.revision)

    async def find(self) -> list[tuple[Camera, str]]:
        """Return all cameras and their etags, in the order of their ids."""
        return [
            (records.decode(entry.value, Camera), str(entry.revision))
            for entry in await self._store.entries()
        ]

    async def update(
        self, camera_id: str, change: Callable[[CameraDetails], CameraDetails], *, etag: str
    ) -> tuple[Camera, str]:
        """Change a camera.

        Raises:
            NotFoundError: `CAMERA_NOT_FOUND`.
            AbortedError: `ETAG_MISMATCH`, when `etag` is given and is not the present one.
        """
        while True:
            camera, present = await self.get(camera_id)
            if etag and etag != present:
                raise errors.AbortedError(
                    f"camera {camera_id} was changed meanwhile; read it again, then retry",
                    reason=errors.Reason.ETAG_MISMATCH,
                    metadata={"resource": camera_id},
                )
            changed = replace(camera, details=change(camera.details), update_time=self._clock.now())
            try:
                revision = await self._store.update(
                    camera_id, records.encode(changed), revision=int(present)
                )
            except ConflictError:
                continue
            return changed, str(revision)

    async def delete(self, camera_id: str, footage: CameraFootage) -> None:
        """Remove a camera that has no recordings.

        An upload that begins meanwhile is refused when it ends: it looks for its camera then.

        Args:
            camera_id: Names it.
            footage: Knows its recordings.

        Raises:
            NotFoundError: `CAMERA_NOT_FOUND`.
            FailedPreconditionError: `CAMERA_HAS_FOOTAGE`.
        """
        await self.get(camera_id)
        if await footage.holds_any_of(camera_id):
            raise errors.FailedPreconditionError(
                f"recordings of camera {camera_id} are held or being uploaded; remove them first",
                reason=errors.Reason.CAMERA_HAS_FOOTAGE,
                metadata={"camera_id": camera_id},
            )
        await self._store.erase(camera_id)
