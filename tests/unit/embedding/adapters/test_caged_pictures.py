from __future__ import annotations

import io
import os
import signal
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from homeward.embedding.adapters import caged_pictures
from homeward.embedding.adapters.caged_pictures import LIMITS, CagedPictureDecoder
from homeward.servicekit.errors import InvalidArgumentError, Reason, UnavailableError
from homeward.servicekit.fork_server import ForkServer, ForkServerError

RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20, 0] = 255  # RGB


def encoded(kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RED_LEFT).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content).to_bytes(4)
    return len(content).to_bytes(4) + kind + content + checksum


def png_of(width: int, height: int, *, rows: int | None = None) -> bytes:
    """Return a black PNG file, small whatever its size; with fewer rows than it states."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compressobj(1)
    row = bytes(1 + 3 * width)
    held = height if rows is None else rows
    data = b"".join(pixels.compress(row) for _ in range(held)) + pixels.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def decoder() -> Iterator[CagedPictureDecoder]:
    with CagedPictureDecoder() as opened:
        yield opened


@pytest.fixture
def narrow() -> Iterator[CagedPictureDecoder]:
    """A decoder whose cages have memory for their imports, the shared memory and little more."""
    with CagedPictureDecoder(replace(LIMITS, memory_bytes=500 * 2**20)) as opened:
        yield opened


def problem(decoder: CagedPictureDecoder, data: bytes) -> str:
    with pytest.raises(InvalidArgumentError) as refused:
        decoder.decode_photo(data)
    assert refused.value.reason is Reason.IMAGE_UNREADABLE
    return refused.value.metadata["problem"]


def test_a_photo_comes_out_of_its_cage_in_bgr(decoder: CagedPictureDecoder) -> None:
    photo = decoder.decode_photo(encoded())

    assert photo.image.shape == (20, 40, 3)
    assert (photo.width, photo.height) == (40, 20)
    np.testing.assert_array_equal(photo.image[10, 5], [0, 0, 255])
    np.testing.assert_array_equal(photo.image[10, 35], [0, 0, 0])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_each_format_is_read_in_the_cage(decoder: CagedPictureDecoder, kind: str) -> None:
    assert decoder.decode_photo(encoded(kind)).image.shape == (20, 40, 3)


def test_what_the_cage_refuses_is_unreadable(decoder: CagedPictureDecoder) -> None:
    assert problem(decoder, b"no picture") == (
        "it is no picture, or of a format that is not read; export it as JPEG"
    )


@pytest.mark.parametrize("side", [16_384, 65_535])
def test_a_photo_of_too_many_pixels_is_refused_by_its_header(
    decoder: CagedPictureDecoder, side: int
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        decoder.decode_photo(png_of(side, side, rows=1))

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.violations[0].description.startswith(f"is {side} x {side} pixels")


def test_a_bomb_meets_the_bound_and_the_next_photo_is_decoded(narrow: CagedPictureDecoder) -> None:
    assert problem(narrow, png_of(9000, 9000)) == (
        "decoding it was ended: its decoder needs more than 0.5 GiB of memory; send a smaller copy"
    )
    assert narrow.decode_photo(encoded()).width == 40


def test_a_cage_that_hangs_is_given_up_and_the_next_photo_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with CagedPictureDecoder(replace(LIMITS, silence_seconds=5)) as decoder:
        stopped = decoder._photos.take()
        os.kill(stopped.pid, signal.SIGSTOP)
        with monkeypatch.context() as patched:
            patched.setattr(decoder._photos, "take", lambda: stopped)
            said = problem(decoder, encoded())

        assert said == (
            "decoding it was ended: nothing was heard of its decoder for 5 seconds;"
            " try again; if it happens again, send a smaller copy"
        )
        assert decoder.decode_photo(encoded()).width == 40


@pytest.mark.parametrize(
    ("number", "cause", "advice"),
    [
        (signal.SIGSEGV, "its decoder crashed", "export it anew, as JPEG"),
        (
            signal.SIGXCPU,
            "its decoder used more than 25 seconds of a processor",
            "send a smaller copy, or export it anew, as JPEG",
        ),
        (
            signal.SIGKILL,
            "the system ended its decoder, as it does when memory is short",
            "try again; if it happens again, send a smaller copy",
        ),
    ],
)
def test_a_cage_that_ends_is_unreadable_and_the_next_photo_is_decoded(
    decoder: CagedPictureDecoder,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    cause: str,
    advice: str,
) -> None:
    crashed = decoder._photos.take()
    os.kill(crashed.pid, number)
    with monkeypatch.context() as patched:
        patched.setattr(decoder._photos, "take", lambda: crashed)
        said = problem(decoder, encoded())

    assert said == f"decoding it was ended: {cause}; {advice}"
    assert decoder.decode_photo(encoded()).width == 40


def test_a_cage_that_ended_while_it_waited_is_replaced(decoder: CagedPictureDecoder) -> None:
    waiting = decoder._photos.waiting
    assert waiting is not None
    os.kill(waiting.pid, signal.SIGKILL)
    waiting._process.wait()

    assert decoder.decode_photo(encoded()).width == 40


def refuse(*_: object) -> None:
    raise ForkServerError("the system has no process left")


def test_a_cage_that_does_not_start_is_no_fault_of_a_photo(
    decoder: CagedPictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder.decode_photo(encoded())
    with monkeypatch.context() as patched:
        patched.setattr(ForkServer, "fork", refuse)
        assert decoder.decode_photo(encoded()).width == 40  # by the cage that waited
        with pytest.raises(UnavailableError) as refused:
            decoder.decode_photo(encoded())

    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE
    assert decoder.decode_photo(encoded()).width == 40


def test_a_cage_that_ends_while_it_starts_is_no_fault_of_a_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caged_pictures, "_MODULE", "homeward.no_such_module")
    decoder = CagedPictureDecoder()

    with pytest.raises(UnavailableError):
        decoder.decode_photo(encoded())


def test_no_two_photos_share_a_cage(decoder: CagedPictureDecoder) -> None:
    decoder.decode_photo(encoded())
    first = decoder._photos.waiting
    decoder.decode_photo(encoded())

    assert decoder._photos.waiting is not first
    assert first is not None
    assert not first.alive


def test_several_threads_may_decode(decoder: CagedPictureDecoder) -> None:
    start = threading.Barrier(4)

    def one(_: int) -> int:
        start.wait()
        return decoder.decode_photo(encoded()).width

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(4))) == [40] * 4


def test_no_cage_is_left_when_the_service_ends() -> None:
    with CagedPictureDecoder() as decoder:
        waiting = decoder._photos.waiting

    assert waiting is not None
    assert not waiting.alive


def test_photos_share_a_cage_where_that_is_asked_for() -> None:
    with CagedPictureDecoder(photos_each=3) as decoder:
        used = []
        for _ in range(5):
            waiting = decoder._photos.waiting
            assert waiting is not None
            used.append(waiting.pid)
            decoder.decode_photo(encoded())

    assert used[0] == used[1] == used[2] != used[3] == used[4]


def test_a_photo_that_breaks_a_shared_cage_costs_the_next_one_nothing() -> None:
    with CagedPictureDecoder(replace(LIMITS, memory_bytes=500 * 2**20), photos_each=100) as decoder:
        decoder.decode_photo(encoded())
        assert "0.5 GiB of memory" in problem(decoder, png_of(9000, 9000))
        assert decoder.decode_photo(encoded()).width == 40
