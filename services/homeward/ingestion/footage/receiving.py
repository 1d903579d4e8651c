"""Memory and time of uploads under way: bounded for each, and for all of them together."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from homeward.servicekit import errors
from homeward.servicekit.heap import trim_heap

T = TypeVar("T")

PART_BYTES = 8 * 1024 * 1024
"""Bytes of an upload that are in memory. S3 takes no part under 5 MiB but the last."""

RETRY_SECONDS = 5
"""Time after which an upload that found no slot should try again."""


class UploadSlots:
    """The uploads that may be under way at a time.

    Args:
        most: How many, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot while the block runs; after the last one, free memory returns to the system.

        Raises:
            ResourceExhaustedError: `QUEUE_FULL`: all are taken.
        """
        if self._taken >= self._most:
            raise errors.ResourceExhaustedError(
                f"{self._most} recordings are being uploaded here, as many as are taken at once;"
                f" try again in {RETRY_SECONDS} s",
                reason=errors.Reason.QUEUE_FULL,
                metadata={"component": "uploads"},
                retry_seconds=RETRY_SECONDS,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            if not self._taken:
                trim_heap()


class PartBuffer:
    """The bytes of one part, in memory that the system gets back when the block ends.

    The memory of a `bytearray` stays with the process: 60 uploads once left 700 MB behind. If the
    caller was cancelled, a thread that still sends `data` keeps the memory until it has sent it.

    Args:
        data: The first bytes.
        size: How many it takes.
    """

    def __init__(self, data: bytes = b"", *, size: int = PART_BYTES) -> None:
        self._memory = memoryview(mmap.mmap(-1, size))
        self._length = 0
        self.add(data)

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self._length == len(self._memory)

    @property
    def data(self) -> memoryview:
        """Its bytes, which change with it."""
        return self._memory[: self._length]

    def add(self, data: bytes) -> bytes:
        """Add bytes, and return those that do not fit."""
        count = min(len(data), len(self._memory) - self._length)
        self._memory[self._length : self._length + count] = data[:count]
        self._length += count
        return data[count:]

    def clear(self) -> None:
        """Make it empty."""
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Not left to whoever drops the buffer: an error that passes holds on to it for a while.
        self._memory, self._length = memoryview(b""), 0


@dataclass(frozen=True, slots=True)
class LeastProgress:
    """How much of an upload must come, so that it does not hold its place for nothing."""

    within: timedelta = timedelta(minutes=1)
    """Time that the service waits for the uploader, its own work not counted."""
    size: int = 1
    """Bytes that must come in it, at least 1."""


async def progressing(chunks: AsyncIterator[bytes], least: LeastProgress) -> AsyncIterator[bytes]:
    """Yield the chunks of an upload, as long as enough of it comes.

    Raises:
        DeadlineExceededError: `DEADLINE_EXCEEDED`: too little has come.
    """
    left, came = least.within.total_seconds(), 0
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            async with asyncio.timeout(left):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise errors.DeadlineExceededError(
                f"{came} bytes of the upload have come for {least.within.total_seconds():g} s, and"
                f" at least {least.size} must; what had come is kept: go on from there",
                reason=errors.Reason.DEADLINE_EXCEEDED,
            ) from error
        if chunk is None:
            return
        left, came = left - (loop.time() - began), came + len(chunk)
        if came >= least.size:
            left, came = least.within.total_seconds(), 0
        yield chunk


async def first_of(messages: AsyncIterator[T], within: timedelta) -> T | None:
    """Return the first message of a call; None if the call ends without one.

    Raises:
        DeadlineExceededError: `DEADLINE_EXCEEDED`: none has come in time.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await anext(messages, None)
    except TimeoutError as error:
        raise errors.DeadlineExceededError(
            f"nothing has come for {within.total_seconds():g} s since the call began",
            reason=errors.Reason.DEADLINE_EXCEEDED,
        ) from error
