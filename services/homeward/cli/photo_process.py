"""Photographs decoded in a process of their own: `python -m homeward.cli.photo_process`.

Whoever enrolled a reference photograph may have had it from anybody. The service that took it in
decoded it in a cage; a reviewer's computer must not be where its decoder is taken over. What the
client is installed with has no cage, so this is a smaller one: on Linux and macOS the process can
open no file and no socket and has bounds on processor time, and on memory on Linux. Where
pyseccomp is installed, as with the services, calls are forbidden as in a cage. On Windows it is a
process of its own that is ended when it takes too long.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

from PIL import Image

from homeward.core import photos
from homeward.core.photos import FULL_SIZE_PIXELS, DecodedPhoto, DecodingError, DecodingProblem
from homeward.core.seccomp import forbid_calls

WALL_SECONDS = 60.0
CPU_SECONDS = 25
MEMORY_BYTES = 2 * 2**30
"""As the embedding service's cage has for a photograph."""

_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")
_HEAD = struct.Struct(">16s4I")
"""A problem or nothing; width and height of the picture that follows, and of that in the file."""
_LENGTH = struct.Struct(">I")
_MOST_BYTES = 3 * (FULL_SIZE_PIXELS + 2 * 20_000)


class DecodingEndedError(Exception):
    """Decoding took too much time or memory, or crashed: which, the process cannot say any more."""


def decode(data: bytes) -> DecodedPhoto:
    """Return the picture in a photograph file, as `photos.decode`.

    Raises:
        DecodingError: It cannot be read.
        DecodingEndedError: Its decoding did not come to an end.
    """
    return _understood(_answer(data))


def _answer(data: bytes, *arguments: str) -> bytes:
    """Return what a process of its own makes of some bytes."""
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __name__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(WALL_SECONDS, process.kill)
        late.start()
        try:
            with suppress(BrokenPipeError):  # it has ended, as is found below
                process.stdin.write(data)
                process.stdin.close()
            answer = process.stdout.read(_HEAD.size + _MOST_BYTES)
        finally:
            late.cancel()
            process.kill()
    return answer


def decode_each(files: Sequence[bytes]) -> list[DecodedPhoto | None]:
    """Return the pictures in some small files, which one process decodes; None for what is none.

    For stills, of which there are many. A file that ends the process leaves those after it without
    a picture too.
    """
    told = b"".join(_LENGTH.pack(len(file)) + file for file in files)
    answer = _answer(told, "--each")
    found: list[DecodedPhoto | None] = []
    at = 0
    for _ in files:
        size = _HEAD.size
        if len(answer) >= at + size:
            _, width, height, _, _ = _HEAD.unpack_from(answer, at)
            size += 3 * width * height
        try:
            found.append(_understood(answer[at : at + size]))
        except (DecodingError, DecodingEndedError):
            found.append(None)
        at += size
    return found


def _understood(answer: bytes) -> DecodedPhoto:
    """Return what the process said, which a photograph may have taken over."""
    if len(answer) < _HEAD.size:
        raise DecodingEndedError
    name, width, height, whole_width, whole_height = _HEAD.unpack_from(answer)
    problem = name.rstrip(b"\0").decode("ascii", "replace")
    if problem:
        known = problem in list(DecodingProblem)
        raise DecodingError(
            DecodingProblem(problem) if known else DecodingProblem.DAMAGED,
            whole_width,
            whole_height,
        )
    pixels = memoryview(answer)[_HEAD.size :]
    if not (width and height and whole_width and whole_height) or len(pixels) != width * height * 3:
        raise DecodingError(DecodingProblem.DAMAGED)
    picture = Image.frombytes("RGB", (width, height), pixels)
    return DecodedPhoto(picture, whole_width, whole_height)


def lock_in() -> None:
    """Take from this process what a decoder does without."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        forbid_calls()


def main() -> None:
    """Decode the photograph that comes in, and give what is in it out."""
    photos.load_plugins()
    data = sys.stdin.buffer.read()
    lock_in()
    for file in _each(data) if sys.argv[1:] else [data]:
        _tell(file)
    sys.stdout.buffer.flush()


def _each(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        begin = at + _LENGTH.size
        at = begin + int(_LENGTH.unpack_from(data, at)[0])
        yield data[begin:at]


def _tell(data: bytes) -> None:
    try:
        decoded = photos.decode(data)
    except DecodingError as error:
        name = str(error.problem).encode()
        sys.stdout.buffer.write(_HEAD.pack(name, 0, 0, error.width, error.height))
    else:
        picture = decoded.picture
        head = _HEAD.pack(b"", picture.width, picture.height, decoded.width, decoded.height)
        sys.stdout.buffer.write(head)
        sys.stdout.buffer.write(picture.tobytes())


if __name__ == "__main__":
    main()
