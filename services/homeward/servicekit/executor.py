"""Threads for blocking work: named, bounded, owned by one adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

from homeward.servicekit.errors import Reason, ResourceExhaustedError

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = 1
"""Time after which a caller whose call was refused should try again."""


class BoundedExecutor:
    """Runs blocking calls in its own threads, and refuses work when its queue is full.

    Args:
        name: Names the threads, and the component in the refusal.
        workers: Threads, at least 1.
        queue: Most calls that wait for a thread.

    Attributes:
        workers: Threads.
    """

    def __init__(self, name: str, *, workers: int, queue: int) -> None:
        self._name = name
        self.workers = workers
        self._limit = workers + queue
        self._pending = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` in a thread and return what it returns.

        A cancelled caller stops waiting; the call itself runs to its end and keeps its place in the
        queue until then.

        Raises:
            ResourceExhaustedError: `QUEUE_FULL`, when the queue is full.
        """
        if self._pending >= self._limit:
            raise ResourceExhaustedError(
                f"all threads for {self._name} are busy and its queue is full"
                f" ({self._limit} calls in all); try again in {RETRY_SECONDS} s",
                reason=Reason.QUEUE_FULL,
                metadata={"component": self._name},
                retry_seconds=RETRY_SECONDS,
            )
        self._pending += 1
        future = self._pool.submit(call, *args, **kwargs)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self._pending -= 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # In a thread: waiting for a running call must not stop the loop that the call may need.
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
