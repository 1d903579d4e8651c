"""The rules of the buckets of photographs and stills."""

from __future__ import annotations

from homeward.core import inventory
from homeward.matching.sightings.stills import PENDING
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.s3 import S3ObjectStore


class S3Buckets:
    """The `Buckets` of an S3 server.

    Args:
        photos: Bucket of the reference photographs.
        evidence: Bucket of the stills.
    """

    def __init__(self, photos: S3ObjectStore, evidence: S3ObjectStore) -> None:
        self._photos = photos
        self._evidence = evidence

    async def ensure(self) -> None:
        """Make the buckets that are not there, and set their rules."""
        await self._photos.ensure()
        await self._evidence.ensure(
            expire_prefix=f"{PENDING}/", expire_days=inventory.BACKSTOP_DAYS, dated=True
        )

    async def ping(self) -> None:
        """Answer when the server does."""
        await self._evidence.ping()

    async def deviations(self) -> list[str]:
        """Return what keeps them from forgetting, each with its remedy."""
        return [*await self._photos.deviations(), *await self._evidence.deviations()]

    async def remove_old_versions(self) -> int:
        """Remove what deleting and overwriting left in them; return how many versions."""
        removed = await self._photos.remove_old_versions()
        return removed + await self._evidence.remove_old_versions()

    async def encryption(self) -> dict[str, str]:
        """Return the algorithm of each bucket's encryption at rest; "" for none that is told."""
        stores = (self._photos, self._evidence)
        return {store.bucket: await store.encryption() for store in stores}

    async def lifecycle(self) -> LifecycleSpan:
        """Return after how many days the server itself removes stills that nobody has confirmed."""
        return await self._evidence.lifecycle(f"{PENDING}/")

    async def keep_rules(self) -> None:
        """Set the rules again by which the server removes stills; days pass."""
        await self._evidence.keep_rules()
