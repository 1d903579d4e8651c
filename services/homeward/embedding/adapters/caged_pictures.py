"""Files of pictures, decoded in a process of their own under limits."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from typing import Self

import numpy as np
import structlog

from homeward.core.photos import FULL_SIZE_PIXELS, DecodingError
from homeward.embedding.adapters.photo_cage import DecodeFrame, DecodePhoto, Picture, Refusal
from homeward.embedding.adapters.pictures import (
    frame_refusal,
    raw_picture,
    refusal,
    unreadable,
)
from homeward.embedding.model import Frame, Image, Photo, PixelFormat
from homeward.servicekit.cage import (
    Breakage,
    Cage,
    CageBrokenError,
    CageLimits,
    CageNotStartedError,
    cage_server,
)
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.fork_server import ForkServer
from homeward.servicekit.protections import log_protections

_MODULE = "homeward.embedding.adapters.photo_cage"

SHARED_BYTES = 3 * (FULL_SIZE_PIXELS + 2 * 20_000)
"""Of the largest picture: one pixel more in a row or a column when an odd side is halved."""

LIMITS = CageLimits(memory_bytes=2 * 2**30, cpu_seconds=25, silence_seconds=50.0)
"""Of a cage for one photograph. The client's deadline is 60 seconds.

Of 109 megapixels, a JPEG needs 0.6 GiB of address space, a progressive one 1.2, a PNG or TIFF 1.4;
2 to 18 seconds on two cores with other work (2026-11-28, `VmPeak` in `/proc` of each cage)."""

FRAME_LIMITS = CageLimits(memory_bytes=2 * 2**30, cpu_seconds=10, silence_seconds=30.0)
"""Of a cage for the JPEG frames of a batch; the time is for one frame. One of 4096 x 4096 pixels of
noise in a progressive file, which is the slowest, takes 2 seconds (2026-11-28)."""

PHOTOS_WAITING = 16
"""Most photographs that wait while one is analysed: two batches of a re-enrolment. As a rule each
takes less than a second. Behind one that takes all of its time, those that wait may miss their
deadline, however few."""

_ADVICE = {
    Breakage.MEMORY: "send a smaller copy",
    Breakage.PROCESSOR_TIME: "send a smaller copy, or export it anew, as JPEG",
    Breakage.SILENCE: "try again; if it happens again, send a smaller copy",
    Breakage.KILLED: "try again; if it happens again, send a smaller copy",
    Breakage.CRASH: "export it anew, as JPEG",
    Breakage.ANSWER: "export it anew, as JPEG",
}

log = structlog.get_logger()


class CagedPictureDecoder:
    """Decodes each photograph in a cage of its own, one at a time, and so each batch of frames.

    A photograph that takes over its decoder has nothing of the photographs before it, and cannot
    change those after it. The next cage starts while the service looks for the face. JPEG frames of
    one batch share a cage: they come from one caller. Several threads may call.

    Args:
        limits: Of each cage for photographs.
        frame_limits: Of each cage for frames.
        photos_each: Photographs that share a cage. More than one is for a data set that one person
            answers for: starting a cage takes longer than decoding a small photograph.
    """

    def __init__(
        self,
        limits: CageLimits = LIMITS,
        frame_limits: CageLimits = FRAME_LIMITS,
        *,
        photos_each: int = 1,
    ) -> None:
        self._server = cage_server(_MODULE)
        self._photos = _Spare(self._server, limits, "photograph")
        self._frames = _Spare(self._server, frame_limits, "JPEG frame")
        self._photos_each = photos_each
        self._decoded_photos = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Try a cage, and log which protections are in force.

        Raises:
            CageNotStartedError: It does not start.
        """
        with closing(self._photos.new()) as cage:
            log_protections(cage, "photographs are decoded")
        self._photos.prepare()
        return self

    def __exit__(self, *_: object) -> None:
        """End the cages that wait."""
        with self._lock:
            self._photos.close()
        self._frames.close()
        self._server.close()

    def decode_photo(self, data: bytes) -> Photo:
        """Return a photograph, upright.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for too many pixels, `IMAGE_UNREADABLE`.
            UnavailableError: `COMPONENT_UNAVAILABLE`: no cage starts.
        """
        with self._lock:
            cage = self._photos.take()
            try:
                return self._photo(cage, data)
            except CageBrokenError as error:
                log.warning("a photograph broke its cage", cause=error.cause)
                raise unreadable(
                    f"decoding it was ended: {error.cause}; {_ADVICE[error.breakage]}"
                ) from error
            finally:
                self._decoded_photos += 1
                if self._decoded_photos % self._photos_each:
                    self._photos.give_back(cage)
                else:
                    cage.close()
                    self._photos.prepare()

    def _photo(self, cage: Cage, data: bytes) -> Photo:
        cage.send_task(DecodePhoto(), data)
        answer: Picture | Refusal = cage.receive(Picture | Refusal)
        if isinstance(answer, Refusal):
            error = DecodingError(answer.problem, answer.width, answer.height)
            raise refusal(data, error)
        return Photo(_taken(cage, answer), answer.whole_width, answer.whole_height)

    def decode_frames(self, frames: Sequence[Frame]) -> Generator[Image]:
        """Yield the picture of each frame; only what is encoded needs a cage.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
            UnavailableError: `COMPONENT_UNAVAILABLE`: no cage starts.
        """
        cage: Cage | None = None
        try:
            for number, frame in enumerate(frames):
                if frame.pixel_format is not PixelFormat.JPEG:
                    yield raw_picture(frame)
                    continue
                if cage is None:
                    cage = self._frames.take()
                    self._frames.prepare()
                yield _frame(cage, number, frame)
        finally:
            if cage is not None:
                cage.close()


def _frame(cage: Cage, number: int, frame: Frame) -> Image:
    try:
        cage.send_task(DecodeFrame(frame.width, frame.height), frame.data)
        answer: Picture | Refusal = cage.receive(Picture | Refusal)
        if isinstance(answer, Refusal):
            error = DecodingError(answer.problem, answer.width, answer.height)
            raise frame_refusal(number, frame, error)
        if (answer.width, answer.height) != (frame.width, frame.height):
            raise cage.refused()
        return _taken(cage, answer)
    except CageBrokenError as error:
        log.warning("a frame broke its cage", cause=error.cause)
        raise unreadable(f"frames[{number}]: decoding it was ended: {error.cause}") from error


def _taken(cage: Cage, picture: Picture) -> Image:
    """Copy a picture out of the shared memory, which is used again for the next one."""
    size = picture.width * picture.height * 3
    if not (picture.width > 0 and picture.height > 0 and size <= SHARED_BYTES):
        raise cage.refused()
    assert cage.shared is not None
    shared = np.frombuffer(cage.shared, np.uint8, size)
    return shared.reshape(picture.height, picture.width, 3).copy()


class _Spare:
    """A cage that waits for the next file. Several threads may call.

    Args:
        server: Starts them.
        limits: Of each cage.
        what: Is decoded in it, for messages: "photograph".
    """

    def __init__(self, server: ForkServer, limits: CageLimits, what: str) -> None:
        self._server = server
        self._limits = limits
        self._what = what
        self._lock = threading.Lock()
        self.waiting: Cage | None = None

    def new(self) -> Cage:
        """Start a cage.

        Raises:
            CageNotStartedError: None starts.
        """
        return Cage(self._server, self._limits, shared_bytes=SHARED_BYTES)

    def take(self) -> Cage:
        """Return a cage that is ready.

        Raises:
            UnavailableError: None starts, which is no fault of a file's.
        """
        with self._lock:
            cage, self.waiting = self.waiting, None
        if cage is not None:
            with suppress(CageNotStartedError):  # as in a system short of memory
                cage.ready()
                if cage.alive:
                    return cage
            cage.close()
        try:
            cage = self.new()
            cage.ready()
        except CageNotStartedError as error:
            log.warning("no cage starts", work=f"{self._what} decoder", cause=str(error))
            raise UnavailableError(
                f"no {self._what} can be decoded at the moment: the process for it does not start",
                reason=Reason.COMPONENT_UNAVAILABLE,
                metadata={"component": f"{self._what} decoder"},
            ) from error
        return cage

    def prepare(self) -> None:
        """Have a cage wait, if none does; where none starts, `take` tries again."""
        with self._lock, suppress(CageNotStartedError):
            if self.waiting is None:
                self.waiting = self.new()

    def give_back(self, cage: Cage) -> None:
        """Have a cage wait for one file more."""
        with self._lock:
            other, self.waiting = self.waiting, cage
        if other is not None:
            other.close()

    def close(self) -> None:
        """End the cage that waits."""
        with self._lock:
            cage, self.waiting = self.waiting, None
        if cage is not None:
            cage.close()
