"""Tries a file as the services do, and watches what that costs."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol, Self

import psutil

from file_server import FileServer
from homeward.embedding.adapters.caged_pictures import CagedPictureDecoder
from homeward.embedding.model import Photo
from homeward.ingestion.adapters.media import CagedFrameSource
from homeward.ingestion.adapters.probe import CagedProber
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.ports import MediaProber
from homeward.ingestion.footage.timeline import Examination
from homeward.ingestion.scan.faces import Frame
from homeward.ingestion.scan.ports import FrameSource, Piece, Recording
from homeward.servicekit import errors
from homeward.servicekit.cage import CageBrokenError
from homeward.servicekit.executor import BoundedExecutor

SECONDS = 90.0
"""A file must be dealt with by then; on two cores that others use as well."""

CALLER_BYTES = 512 * 1024**2
"""By how much the calling process may grow. A photograph of 49 megapixels takes 280 MiB, in memory
that is shared with its cage and as a copy: `python -m fuzz png-7000`, 2026-11-28."""

CHILDREN_BYTES = 5 * 1024**3
"""What all processes for one file may have together."""

RATE = 5.0
"""Pictures looked at per second of footage, as by default."""

_SAMPLED_SECONDS = 0.02
_END_SECONDS = 5.0
"""Within which a process that was ended is gone."""


class PhotoDecoder(Protocol):
    """What the embedding service decodes photographs with."""

    def decode_photo(self, data: bytes) -> Photo:
        """Return a photograph."""


@contextmanager
def photo_decoder() -> Iterator[PhotoDecoder]:
    """Open what decodes photographs: the one place that knows the class."""
    with CagedPictureDecoder() as decoder:
        yield decoder


@asynccontextmanager
async def media_reader() -> AsyncGenerator[tuple[MediaProber, FrameSource], None]:
    """Open what reads recordings: the one place that knows the classes."""
    async with BoundedExecutor("decode", workers=2, queue=8) as executor:
        with (
            closing(CagedFrameSource(executor, decoders=2)) as source,
            closing(CagedProber(executor)) as prober,
        ):
            yield prober, source


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a file, and what that cost."""

    accepted: bool
    reason: str
    """Of a refusal, with what is wrong."""
    cage_ended: bool
    """Whether a process was given up for it."""
    pictures: int
    seconds: float
    caller_bytes: int
    """By how much the calling process has grown."""
    children_bytes: int
    """What its children have had together."""
    raised: str
    """What else was raised than what a service answers with."""
    left_behind: tuple[str, ...]
    """Processes and files that are still there."""

    @property
    def faults(self) -> list[str]:
        """What of it must not be."""
        faults = [f"left behind: {one}" for one in self.left_behind]
        if self.raised:
            faults.append(f"raised {self.raised}")
        if self.seconds > SECONDS:
            faults.append(f"took {self.seconds:.0f} s")
        if self.caller_bytes > CALLER_BYTES:
            faults.append(f"the calling process grew by {self.caller_bytes / 2**20:.0f} MiB")
        if self.children_bytes > CHILDREN_BYTES:
            faults.append(f"its children had {self.children_bytes / 2**20:.0f} MiB")
        return faults


def try_recording(content: bytes, server: FileServer, folder: Path) -> Trial:
    """Examine a recording, and decode all of its pictures that are looked at when it is accepted.

    Args:
        content: The file.
        server: Serves it.
        folder: Where temporary files would be.
    """
    return asyncio.run(_watched(lambda: _recording(server.serve(content)), folder))


def try_photograph(content: bytes, folder: Path) -> Trial:
    """Decode a photograph.

    Args:
        content: The file.
        folder: Where temporary files would be.
    """
    return asyncio.run(_watched(lambda: _photograph(content), folder))


def open_recording(
    source: FrameSource, url: str, examined: Examination
) -> AbstractAsyncContextManager[Recording]:
    """Open a recording that was examined: the one place that knows what of it is asked for."""
    return source.open(url, examined.media.video, examined.timeline)


async def _recording(url: str) -> int:
    pictures = 0
    async with media_reader() as (prober, source):
        examined = await prober.probe(url)
        whole = Piece(Stretch(timedelta(), examined.media.duration))
        async with (
            open_recording(source, url, examined) as recording,
            recording.frames([whole], rate=RATE) as frames,
        ):
            async for frame in frames:
                pictures += isinstance(frame, Frame)
    return pictures


async def _photograph(content: bytes) -> int:
    with photo_decoder() as decoder:
        photo = await asyncio.to_thread(decoder.decode_photo, content)
    assert photo.image.ndim == 3, "it is a picture in colour"
    return 1


async def _watched(work: Callable[[], Awaitable[int]], folder: Path) -> Trial:
    began, reason, raised, cage_ended, pictures = time.monotonic(), "", "", False, 0
    with _temporary_files_in(folder), _Watch() as watch:
        try:
            async with asyncio.timeout(SECONDS):
                pictures = await work()
        except errors.DomainError as error:
            reason, cage_ended = f"{error.reason.name}: {error}", _ended_a_cage(error)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            raised = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    return Trial(
        accepted=not (reason or raised),
        reason=reason,
        cage_ended=cage_ended,
        pictures=pictures,
        seconds=seconds,
        caller_bytes=watch.caller_bytes,
        children_bytes=watch.children_bytes,
        raised=raised,
        left_behind=(*_processes(), *_files(folder)),
    )


def _ended_a_cage(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, CageBrokenError):
            return True
        error = error.__cause__
    return False


def _processes() -> list[str]:
    """Return the children that have not ended, once those that are ending have had time for it."""
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), _END_SECONDS)
    return [f"process {one.pid} {' '.join(one.cmdline()[-2:])}" for one in alive]


def _files(folder: Path) -> list[str]:
    return [str(path) for path in folder.iterdir()]


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    variable, os.environ["TMPDIR"] = os.environ.get("TMPDIR"), str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        if variable is not None:
            os.environ["TMPDIR"] = variable


class _Watch:
    """Measures the memory of this process and its children while it is open."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="watch", daemon=True)
        self._before = self._process.memory_info().rss
        self.caller_bytes = self.children_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._ended.wait(_SAMPLED_SECONDS):
            grown = self._process.memory_info().rss - self._before
            self.caller_bytes = max(self.caller_bytes, grown)
            children = sum(map(_resident, self._process.children(recursive=True)))
            self.children_bytes = max(self.children_bytes, children)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return 0
