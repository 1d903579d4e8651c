"""Photographs, decoded in a process of their own under limits."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from typing import Self

import numpy as np
import structlog

from homeward.embedding.adapters.photo_cage import Picture, Refusal
from homeward.embedding.adapters.pictures import FrameDecoder, refusal, unreadable
from homeward.embedding.model import Photo
from homeward.photos import FULL_SIZE_PIXELS, DecodingError
from homeward.servicekit.cage import (
    Breakage,
    Cage,
    CageBrokenError,
    CageLimits,
    CageNotStartedError,
)
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.protections import log_protections

_MODULE = "homeward.embedding.adapters.photo_cage"

SHARED_BYTES = 3 * (FULL_SIZE_PIXELS + 2 * 20_000)
"""Of the largest picture: one pixel more in a row or a column when an odd side is halved."""

LIMITS = CageLimits(memory_bytes=2 * 2**30, cpu_seconds=25, silence_seconds=50.0)
"""Of a cage for one photograph. The client's deadline is 60 seconds.

Of 109 megapixels, a JPEG needs 0.6 GiB of address space, a progressive one 1.2, a PNG or TIFF 1.4;
2 to 18 seconds on two cores with other work (2026-11-28, `VmPeak` in `/proc` of each cage)."""

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


class CagedPictureDecoder(FrameDecoder):
    """Decodes each photograph in a cage of its own, one at a time.

    A photograph that takes over its decoder has nothing of the photographs before it, and cannot
    change those after it. The next cage starts while the service looks for the face. Several
    threads may call.

    Args:
        limits: Of each cage.
    """

    def __init__(self, limits: CageLimits = LIMITS) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._next: Cage | None = None

    def __enter__(self) -> Self:
        """Try a cage, and log which protections are in force.

        Raises:
            CageNotStartedError: It does not start.
        """
        with closing(self._start()) as cage:
            log_protections(cage, "photographs are decoded")
        self._next = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the cage that waits."""
        with self._lock:
            if self._next is not None:
                self._next.close()
            self._next = None

    def decode_photo(self, data: bytes) -> Photo:
        """Return a photograph, upright.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for too many pixels, `IMAGE_UNREADABLE`.
            UnavailableError: `COMPONENT_UNAVAILABLE`: no cage starts.
        """
        with self._lock, closing(self._ready()) as cage:
            try:
                return self._decoded(cage, data)
            except CageBrokenError as error:
                log.warning("a photograph broke its cage", cause=error.cause)
                raise unreadable(
                    f"decoding it was ended: {error.cause}; {_ADVICE[error.breakage]}"
                ) from error
            finally:
                with suppress(CageNotStartedError):  # the next photograph tries again
                    self._next = self._start()

    def _decoded(self, cage: Cage, data: bytes) -> Photo:
        cage.send_task(None, data)
        answer: Picture | Refusal = cage.receive(Picture | Refusal)
        if isinstance(answer, Refusal):
            error = DecodingError(answer.problem, answer.width, answer.height)
            raise refusal(data, error)
        size = answer.width * answer.height * 3
        if not (answer.width > 0 and answer.height > 0 and size <= SHARED_BYTES):
            raise cage.refused()
        assert cage.shared is not None
        shared = np.frombuffer(cage.shared, np.uint8, size)
        image = shared.reshape(answer.height, answer.width, 3).copy()
        return Photo(image, answer.whole_width, answer.whole_height)

    def _ready(self) -> Cage:
        """Return a cage that waits for a photograph.

        Raises:
            UnavailableError: None starts, which is no fault of a photograph's.
        """
        cage, self._next = self._next, None
        if cage is not None:
            with suppress(CageNotStartedError):  # as in a system short of memory
                cage.ready()
                if cage.alive:
                    return cage
            cage.close()
        try:
            cage = self._start()
            cage.ready()
        except CageNotStartedError as error:
            log.warning("no photograph can be decoded", cause=str(error))
            raise UnavailableError(
                "no photograph can be decoded at the moment: the process for it does not start",
                reason=Reason.COMPONENT_UNAVAILABLE,
                metadata={"component": "photo decoder"},
            ) from error
        return cage

    def _start(self) -> Cage:
        return Cage(_MODULE, self._limits, shared_bytes=SHARED_BYTES)
