"""Clips as MP4 files with H.264, encoded in memory.

H.264 is what browsers, phones and the players of courts and police forces all play; the other
formats that PyAV can write are each missing in some of these. The encoder is x264 (see NOTICE).
"""

from __future__ import annotations

import io
from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

MOST_BITS = 6_000_000
"""Most bits a second, over any two seconds: it bounds the memory that a clip takes."""

TICKS = 90_000
"""Of the file's clock, a second."""

_QUALITY = {
    "preset": "veryfast",
    "crf": "20",
    "profile": "high",
    "maxrate": str(MOST_BITS),
    "bufsize": str(2 * MOST_BITS),
}
_THREADS = 2
_TICK = timedelta(microseconds=1)


class X264ClipEncoder:
    """A `ClipEncoder` with PyAV."""

    def open(self, width: int, height: int) -> X264ClipFile:
        """Begin a file whose pictures have this size, pixels, both even."""
        return X264ClipFile(width, height)


class X264ClipFile:
    """A `ClipFile` with PyAV.

    Args:
        width: Of the pictures, pixels, even.
        height: Likewise.
    """

    def __init__(self, width: int, height: int) -> None:
        self._file = io.BytesIO()
        # No date and no version: the same pictures make the same file.
        self._container = av.open(
            self._file, "w", format="mp4", container_options={"fflags": "+bitexact"}
        )
        self._stream: Any = self._container.add_stream("libx264", rate=25, options=_QUALITY)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._stream.time_base = Fraction(1, TICKS)
        context.thread_count = _THREADS
        context.gop_size = 50

    def add(self, image: NDArray[np.uint8], at: timedelta) -> None:
        """Add the next picture, BGR, shape (height, width, 3)."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = round(at / _TICK * TICKS / 1_000_000)
        frame.time_base = Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the file; nothing can be added any more."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()

    def close(self) -> None:
        """Let go of the encoder."""
        self._container.close()
