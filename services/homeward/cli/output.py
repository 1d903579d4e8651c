"""Where a command's output goes: to whoever reads it, for as long as they do."""

from __future__ import annotations

import io
import sys
from typing import Any, TextIO


class _Unread(io.FileIO):
    """A pipe whose reader may leave, as `head` does when it has what it wants.

    The command goes on to its end and exits with what came of it: it may be in the middle of
    changing something.
    """

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - a buffer, which 3.11 has no type for
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(memoryview(data))


def outlast_readers() -> None:
    """Let this process print whatever it is called with, and go on when nobody reads it any more.

    A file's name need not be text: what is not is printed escaped.
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
