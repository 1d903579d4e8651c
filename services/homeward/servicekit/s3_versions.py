"""Versions of objects in a bucket of an S3 server: what deleting and overwriting leaves there.

A bucket that has versioning keeps what is deleted under a delete marker, and what is written over.
One whose versioning was suspended still holds the versions of before; each has an id of its own,
while those that are written afterwards have the id `null`, and replace each other. Only a deletion
that names the id of a version removes its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from minio import Minio
from minio.datatypes import Object
from minio.error import S3Error

from homeward.servicekit.objects import (
    NULL_VERSION,
    VERSIONS_KEPT,
    VERSIONS_LEFT,
    Versioning,
)

PAGE = 1000
"""Most versions that the server lists in one answer: the limit of S3."""

REFUSED = frozenset({"AccessDenied", "InvalidRequest", "ObjectLocked"})
"""What servers answer when a lock forbids to remove a version; or the account may not."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Result of removing versions."""

    removed: int = 0
    refused: int = 0


class BucketVersions:
    """The versions in a bucket. Its calls block, and raise what the SDK does.

    It asks each time whether the bucket keeps versions: somebody may have turned that on just now.

    Args:
        client: Of the server.
        bucket: Name of the bucket.
    """

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._all_checked = False
        """Whether all versions were checked once since versioning was on, and none had an id."""
        self._checked_to = ""
        """Key after which the next check begins."""
        self._tidied = False
        """Whether old versions and markers were removed since versioning was on."""

    def status(self) -> Versioning:
        """Return whether the bucket keeps versions."""
        status = self._client.get_bucket_versioning(self._bucket).status
        return Versioning(status) if status in tuple(Versioning) else Versioning.NEVER

    def problem(self) -> str | None:
        """Return how versions keep the server from forgetting, and what to do about it.

        In a bucket whose versioning is suspended, all versions are checked once, or up to the
        first that has an id. After that none can come, and a check is one page, and each begins
        where the last one ended, in case versioning was on for a moment in between.
        """
        status = self.status()
        if status is not Versioning.SUSPENDED:
            self._all_checked, self._checked_to, self._tidied = False, "", False
            return VERSIONS_KEPT if status is Versioning.ENABLED else None
        while True:
            page = list(islice(self._listed("", after=self._checked_to), PAGE))
            if any(item.version_id != NULL_VERSION and not item.is_delete_marker for item in page):
                return VERSIONS_LEFT  # the next check begins here
            keys = sorted({item.object_name or "" for item in page})
            # The last key's other versions may be on the next page: it is checked again.
            self._checked_to = keys[-2] if len(page) >= PAGE and len(keys) > 1 else ""
            if self._all_checked or not self._checked_to:
                self._all_checked = True
                return None

    def of(self, prefix: str) -> list[Object]:
        """Return the versions of the objects whose keys begin with `prefix`, markers included."""
        return list(self._listed(prefix))

    def remove(self, versions: Iterable[Object]) -> Removal:
        """Remove versions by their ids, those of a key together, the current one last."""
        removed = refused = 0
        for item in _current_last(versions):
            try:
                self._client.remove_object(
                    self._bucket, item.object_name or "", version_id=item.version_id
                )
            except S3Error as error:
                if error.code not in REFUSED:
                    raise
                refused += not item.is_delete_marker
            else:
                removed += not item.is_delete_marker
        return Removal(removed, refused)

    def remove_old(self) -> Removal:
        """Remove what deleting and overwriting left: old versions, and the markers of deletions.

        All versions are listed for that; where versioning is suspended and all is well, once.
        """
        if self.status() is Versioning.NEVER or (self.problem() is None and self._tidied):
            return Removal()
        going: list[Object] = []
        for _, items in groupby(
            sorted(self._listed(""), key=lambda item: item.object_name or ""),
            key=lambda item: item.object_name,
        ):
            versions = list(items)
            deleted = any(item.is_delete_marker and _is_current(item) for item in versions)
            going += [
                item
                for item in versions
                if deleted or item.is_delete_marker or not _is_current(item)
            ]
        removal = self.remove(going)
        self._tidied = not removal.refused
        return removal

    def _listed(self, prefix: str, *, after: str = "") -> Iterator[Object]:
        # The SDK's own listing takes no size of its pages, by which a test can tell them.
        return self._client._list_objects(  # noqa: SLF001 - pinned, and held by the contract suite
            self._bucket,
            prefix=prefix,
            start_after=after or None,
            max_keys=PAGE,
            include_version=True,
        )


def _is_current(item: Object) -> bool:
    return str(item.is_latest).lower() == "true"


def _current_last(versions: Iterable[Object]) -> list[Object]:
    """Order versions so that no old one is ever read in the place of a newer one.

    A marker is removed after the versions that it hides.
    """
    return sorted(
        versions,
        key=lambda item: (
            item.object_name or "",
            _is_current(item),
            item.last_modified.timestamp() if item.last_modified else 0.0,
        ),
    )
