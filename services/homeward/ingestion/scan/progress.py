"""How far a segment has come, and what keeps it: what its record tells while it is searched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from homeward.ingestion.scan.model import Scan, Segment
from homeward.ingestion.scan.waiting import Waiting
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

CHECKPOINT_INTERVAL = timedelta(seconds=0.5)

CHECK_SECONDS = 5.0
"""How often services are asked whether they still live, which are waited for without a word."""

Check = Callable[[], Awaitable[object]]
"""Raises `UnavailableError` while an engine or a service does not answer."""


class CancelledScan(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The scan was cancelled while its segment was searched.

    Args:
        progress: The segment as far as it had come: what was found stands.
    """

    def __init__(self, progress: Segment) -> None:
        super().__init__()
        self.progress = progress


class SegmentProgress:
    """Writes the record of a segment that is being searched.

    Args:
        segment: As the search begins.
        load: Returns the scan and the segment as they are kept.
        save: Keeps the segment.
        clock: Tells the time.
    """

    def __init__(
        self,
        segment: Segment,
        *,
        load: Callable[[], Awaitable[tuple[Scan | None, Segment | None]]],
        save: Callable[[Segment], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._latest = segment
        self._load = load
        self._save = save
        self._clock = clock
        self._saved: datetime | None = None
        self._failed: Waiting | None = None
        """What a call has failed on; until the search goes on."""
        self._silent: Waiting | None = None
        """What does not answer its check; until it does."""
        self._writing = asyncio.Lock()

    async def report(self, progress: Segment) -> None:
        """Keep how far the search has come, if that was not done just now.

        Raises:
            CancelledScan: The scan was cancelled meanwhile.
        """
        self._latest, self._failed = progress, None
        now = self._clock.now()
        if self._saved is None or now - self._saved >= CHECKPOINT_INTERVAL:
            await self._write()

    async def start_over(self, segment: Segment, error: errors.DomainError) -> None:
        """Keep that a call failed, and that the segment is searched from its start again.

        Raises:
            CancelledScan: As for `report`.
        """
        self._latest = segment
        self._failed = _still(self._failed, error, self._clock.now())
        await self._write()

    async def watch(self, checks: Sequence[Check]) -> None:
        """Keep what does not answer while a call waits for it, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = self._clock.now()
            silent = await _first_failure(checks)
            before = self._silent
            self._silent = _still(before, silent, now) if silent else None
            if self._silent != before:
                try:
                    await self._write()
                except CancelledScan:
                    continue  # the search finds that out itself, and ends this
                except errors.UnavailableError:
                    self._silent = before  # not kept: once more the next time

    async def _write(self) -> None:
        async with self._writing:
            self._saved = self._clock.now()
            current, stored = await self._load()
            if current is None or current.cancelled:
                raise CancelledScan(self._latest)
            if stored is None or not stored.state.ended:  # ended: by whoever it was given to
                await self._save(replace(self._latest, waiting=self._failed or self._silent))


async def _first_failure(checks: Sequence[Check]) -> errors.UnavailableError | None:
    for check in checks:
        try:
            await check()
        except errors.UnavailableError as error:
            return error
        except errors.DomainError:  # it answers; if that keeps the search, the search says so
            continue
    return None


def _still(before: Waiting | None, error: errors.DomainError, now: datetime) -> Waiting:
    """Return what an error waits for; since before, if that was waited for already."""
    component = error.metadata.get("component", "")
    address = error.metadata.get("address", "")
    if before is not None and (before.component, before.address) == (component, address):
        return before
    return Waiting(component, address, now, _problem(component, error))


def _problem(component: str, error: errors.DomainError) -> str:
    """Return why a search waits, for whoever watches it and need not try anything again."""
    if isinstance(error, errors.ResourceExhaustedError):
        return (
            f"part of the search waits for a free thread for {component or 'its work'}: all are"
            " busy with other work. Nothing is wrong, and nothing needs to be done"
        )
    return error.message
