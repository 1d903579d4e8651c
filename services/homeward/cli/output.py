"""Standard output and standard error, whose reader may leave before the command ends."""

from __future__ import annotations

import io
import sys
from typing import Any, TextIO


class _Unread(io.FileIO):
    """A pipe whose reader may leave, as `head` does when it has what it wants.

    The command goes on to its end and exits with its own code: it may be in the middle of a change.
    """

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - a buffer, which 3.11 has no type for
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(memoryview(data))


def outlast_readers() -> None:
    """Let this process print any argument, and go on when nobody reads its output any more.

    Bytes of a file's name that are no text are printed escaped.
    """
    sys.stdout = _outlasting(sys.stdout)
    sys.stderr = _outlasting(sys.stderr)


def _outlasting(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # something else's, or there is none
        return stream
    if stream.isatty():
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Unread(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
    )
