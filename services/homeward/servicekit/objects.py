"""Bytes under keys: one bucket of an object store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from homeward.servicekit import errors
from homeward.servicekit.clock import Clock, SystemClock
from homeward.servicekit.lifecycle import LifecycleSpan, removal_day

VERSIONS_KEPT = (
    "versioning is on, so that the store keeps what is deleted or written over as an old version."
    " Suspend it; then see to the versions that it made: this is told until none is left. A bucket"
    " that never had versioning needs neither"
)
VERSIONS_LEFT = (
    "versioning is suspended, but versions that were made while it was on are still there. They"
    " stay when the store itself removes their object; Homeward removes old ones with its next"
    " sweep, and the others when it deletes their object. To end this sooner, remove every version"
    " whose id is not null, or have the bucket made anew without versioning"
)
LOCKED = (
    "object lock is on, so that objects cannot be deleted; it cannot be turned off: give Homeward a"
    " bucket that was made without it"
)
REPLICATED = "it is replicated, and copies are not deleted with it; remove the replication"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object without its bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Level:
    """The objects and folders directly below a folder, in the order of keys."""

    folders: tuple[str, ...]
    """Each as a prefix that ends with a slash."""
    objects: tuple[ObjectInfo, ...]


@dataclass(frozen=True, slots=True)
class Purge:
    """Result of purging a prefix."""

    keys: int
    """How many there were, of which some may have had old versions alone."""
    versions: int = 0
    """Versions that were removed by their id; 0 in a bucket that never had any."""
    left: int = 0
    """Objects and versions of which the store says that they are still there."""


class ObjectStore(Protocol):
    """One bucket. All calls raise `UnavailableError` when the store does not answer."""

    async def put(
        self, key: str, data: bytes, *, content_type: str, until: datetime | None = None
    ) -> None:
        """Write an object, whatever was there.

        Args:
            key: Names it.
            data: Its bytes.
            content_type: Of them.
            until: The store itself removes it at the first midnight (UTC) from then on; None leaves
                that to the age of the object.
        """

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""

    async def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None."""

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there, and every version of it.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`: the store refuses to remove a version.
        """

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys."""

    async def level(self, prefix: str) -> Level:
        """Return what is right below a folder, without what is in the folders there.

        Args:
            prefix: Ends with a slash, or is "" for the whole bucket.
        """

    async def objects_after(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        """Return some of the objects whose keys begin with `prefix`, in the order of their keys.

        Args:
            prefix: Of keys that hold no further slash.
            after: Only keys that come after this one; "" for the first of them.
            limit: Most objects, at least 1.
        """

    async def purge(self, prefix: str) -> Purge:
        """Remove all objects whose keys begin with `prefix`, every version, and look again.

        What the store refuses to remove does not keep the others.
        """

    async def left(self, prefix: str) -> int:
        """Return how many objects and versions there are whose keys begin with `prefix`."""

    async def keeping(self) -> list[str]:
        """Return why the store keeps what is deleted, as it is set up now, each with its remedy."""

    async def replicated(self) -> bool:
        """Tell whether what is written is copied elsewhere, where it is not deleted with it."""

    async def remove_old_versions(self) -> int:
        """Remove what is left of deleted and overwritten objects; return how many versions."""

    async def deviations(self) -> list[str]:
        """Return what keeps the store from forgetting as it was told to, each with its remedy."""


def kept_version(bucket: str, why: str) -> errors.FailedPreconditionError:
    """Return the error for a version that the store refuses to remove."""
    return errors.FailedPreconditionError(
        f"bucket {bucket} keeps a version of what was to be deleted: {why}",
        reason=errors.Reason.RETENTION_UNSAFE,
        metadata={"bucket": bucket, "problem": why},
    )


class Versioning(StrEnum):
    """Whether a bucket keeps versions."""

    NEVER = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


NULL_VERSION = "null"
"""Id of a version that was written while versioning was not on: the next write replaces it."""


@dataclass(frozen=True, slots=True)
class _Version:
    version_id: str
    data: bytes | None
    """None of a delete marker."""
    modified: datetime


class InMemoryObjectStore:
    """An `ObjectStore` of one process, for tests.

    Args:
        clock: Tells when objects are written.
        lifecycle_days: What it says that it removes objects after; it does so when `expire` is
            called.

    Attributes:
        versioning: Whether versions are kept, which a test may set at any time.
        locked: Whether each version is refused to be removed.
        copied: What `replicated` tells.
        problems: What `deviations` tells besides.
        until: The days on which objects go, by their keys.
    """

    def __init__(self, clock: Clock | None = None, *, lifecycle_days: int = 0) -> None:
        self.versioning = Versioning.NEVER
        self.locked = False
        self.copied = False
        self.problems: list[str] = []
        self.until: dict[str, date] = {}
        self._clock = clock or SystemClock()
        self._lifecycle_days = lifecycle_days
        self._versions: dict[str, list[_Version]] = {}
        """By key, the newest last."""
        self._made = 0

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str,  # noqa: ARG002 - a fake serves no HTTP
        until: datetime | None = None,
    ) -> None:
        """Write an object, whatever was there."""
        self._write(key, data)
        self.until.pop(key, None)
        if until is not None:
            self.until[key] = removal_day(until)

    async def lifecycle(self, prefix: str) -> LifecycleSpan:
        """Return after how many days the store itself removes what is under a prefix."""
        return LifecycleSpan(prefix, self._lifecycle_days, self._lifecycle_days)

    async def encryption(self) -> str:
        """Return the algorithm of the bucket's encryption at rest; memory has none."""
        return ""

    async def keep_rules(self) -> None:
        """Do nothing: its rules are those of `expire`."""

    def expire(self, days: int, prefix: str = "") -> None:
        """Remove what the rules of a store would have removed by now.

        Args:
            days: After which an object goes, rounded up to the next midnight.
            prefix: Of those that go by their age.
        """
        now = self._clock.now()
        for key in list(self._versions):
            day, held = self.until.get(key), self._current(key)
            aged = (
                held is not None
                and key.startswith(prefix)
                and now.date() >= removal_day(held.modified + timedelta(days=days))
            )
            if aged or (day is not None and now.date() >= day):
                self._hide(key)

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""
        held = self._current(key)
        return held.data if held else None

    async def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None."""
        held = self._current(key)
        return ObjectInfo(key, len(held.data or b""), held.modified) if held else None

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there, and every version of it."""
        if self.locked and self._versions.get(key):
            raise kept_version("memory", LOCKED)
        self._versions.pop(key, None)

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys."""
        return [
            ObjectInfo(key, len(held.data or b""), held.modified)
            for key in sorted(self._versions)
            if key.startswith(prefix) and (held := self._current(key))
        ]

    async def level(self, prefix: str) -> Level:
        """Return what is right below a folder, without what is in the folders there."""
        found = await self.objects(prefix)
        below = (item.key.removeprefix(prefix).partition("/") for item in found)
        return Level(
            tuple(sorted({f"{prefix}{name}/" for name, slash, _ in below if slash})),
            tuple(item for item in found if "/" not in item.key.removeprefix(prefix)),
        )

    async def objects_after(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        """Return some of the objects whose keys begin with `prefix`, in the order of their keys."""
        return [item for item in await self.objects(prefix) if item.key > after][:limit]

    async def purge(self, prefix: str) -> Purge:
        """Remove all objects whose keys begin with `prefix`, every version, and look again."""
        keys = {key for key, _ in self._held(prefix)}
        versions = 0 if self.versioning is Versioning.NEVER else len(self._held(prefix))
        for key in [] if self.locked else keys:
            del self._versions[key]
        left = await self.left(prefix)
        return Purge(len(keys), versions - left if versions else 0, left)

    async def left(self, prefix: str) -> int:
        """Return how many objects and versions there are whose keys begin with `prefix`."""
        return len(self._held(prefix))

    async def keeping(self) -> list[str]:
        """Return why the store keeps what is deleted."""
        made = [
            version
            for versions in self._versions.values()
            for version in versions
            if version.version_id != NULL_VERSION and version.data is not None
        ]
        why = {
            VERSIONS_KEPT: self.versioning is Versioning.ENABLED,
            VERSIONS_LEFT: self.versioning is Versioning.SUSPENDED and bool(made),
            LOCKED: self.locked,
            REPLICATED: self.copied,
        }
        return [text for text, holds in why.items() if holds]

    async def replicated(self) -> bool:
        """Tell whether what is written is copied elsewhere."""
        return self.copied

    async def remove_old_versions(self) -> int:
        """Remove what is left of deleted and overwritten objects; return how many versions."""
        count = sum(map(len, self._versions.values()))
        self._versions = {key: self._versions[key][-1:] for key in self._versions}
        for key in [key for key in self._versions if self._current(key) is None]:
            del self._versions[key]
        return count - len(self._versions)

    async def deviations(self) -> list[str]:
        """Return what keeps the store from forgetting, and `problems`."""
        return [*await self.keeping(), *self.problems]

    async def hide(self, key: str) -> None:
        """Delete an object as somebody does who names no version: it may stay as an old one."""
        self._hide(key)

    def _hide(self, key: str) -> None:
        if self.versioning is Versioning.NEVER:
            self._versions.pop(key, None)
        else:
            self._write(key, None)

    def _write(self, key: str, data: bytes | None) -> None:
        self._made += 1
        enabled = self.versioning is Versioning.ENABLED
        made = _Version(
            f"version-{self._made}" if enabled else NULL_VERSION, data, self._clock.now()
        )
        kept = [one for one in self._versions.get(key, []) if one.version_id != made.version_id]
        self._versions[key] = [*kept, made]

    def _current(self, key: str) -> _Version | None:
        versions = self._versions.get(key)
        return versions[-1] if versions and versions[-1].data is not None else None

    def _held(self, prefix: str) -> list[tuple[str, _Version]]:
        return [
            (key, version)
            for key, version in self._all()
            if key.startswith(prefix) and version.data is not None
        ]

    def _all(self) -> Iterator[tuple[str, _Version]]:
        for key, versions in self._versions.items():
            for version in versions:
                yield key, version
