"""Changes of sightings over NATS, so that every replica's watchers see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from homeward.matching.sightings.model import ErasedSighting, Sighting
from homeward.servicekit import records
from homeward.servicekit.nats import Nats

SUBJECT = "homeward.sightings"
ERASED = {"Homeward-Change": "erased"}
"""Headers of a message that names an erased sighting. It comes on the same NATS subject as the
others, whose order would be lost between two."""


class NatsSightingFeed:
    """A `SightingFeed` over a NATS subject. Carries no picture and no template."""

    def __init__(self, nats: Nats) -> None:
        self._nats = nats

    async def publish(self, change: Sighting | ErasedSighting) -> None:
        """Tell that a sighting was recorded, reviewed or erased."""
        headers = dict(ERASED) if isinstance(change, ErasedSighting) else None
        with self._nats.translated():
            await self._nats.client.publish(SUBJECT, records.encode(change), headers=headers)

    async def follow(self) -> AsyncGenerator[Sighting | ErasedSighting, None]:
        """Yield sightings as they change, from now on."""
        with self._nats.translated():
            subscription = await self._nats.client.subscribe(SUBJECT)
        try:
            async for message in subscription.messages:
                if (message.headers or {}).items() >= ERASED.items():
                    yield records.decode(message.data, ErasedSighting)
                else:
                    yield records.decode(message.data, Sighting)
        finally:
            await subscription.unsubscribe()
