"""Changes of sightings over NATS, so that every replica's watchers see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from homeward.matching.model import Sighting
from homeward.servicekit import records
from homeward.servicekit.nats import Nats

SUBJECT = "homeward.sightings"


class NatsSightingFeed:
    """A `SightingFeed` over a NATS subject. Carries no picture and no template."""

    def __init__(self, nats: Nats) -> None:
        self._nats = nats

    async def publish(self, sighting: Sighting) -> None:
        """Tell that a sighting was recorded or reviewed."""
        with self._nats.translated():
            await self._nats.client.publish(SUBJECT, records.encode(sighting))

    async def follow(self) -> AsyncGenerator[Sighting, None]:
        """Yield sightings as they change, from now on."""
        with self._nats.translated():
            subscription = await self._nats.client.subscribe(SUBJECT)
        try:
            async for message in subscription.messages:
                yield records.decode(message.data, Sighting)
        finally:
            await subscription.unsubscribe()
