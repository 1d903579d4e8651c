"""Frames: one suite for the decoder of the service, and for that in this process."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from homeward.embedding.adapters.caged_pictures import CagedPictureDecoder
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.model import Frame, PixelFormat
from homeward.embedding.ports import PictureDecoder
from homeward.servicekit.errors import InvalidArgumentError, Reason, UnavailableError

RED_LEFT = np.zeros((32, 48, 3), np.uint8)
RED_LEFT[:, :24, 0] = 255  # RGB


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RED_LEFT).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(data: bytes, width: int = 48, height: int = 32) -> Frame:
    return Frame(1, PixelFormat.JPEG, width, height, data)


RAW = Frame(2, PixelFormat.BGR24, 48, 32, np.ascontiguousarray(RED_LEFT[:, :, ::-1]).tobytes())
BLACK_PLANES = bytes([16]) * (48 * 32) + bytes([128]) * (48 * 16)
PLANES = Frame(3, PixelFormat.I420, 48, 32, BLACK_PLANES)


@pytest.fixture(scope="module")
def caged() -> Iterator[CagedPictureDecoder]:
    with CagedPictureDecoder() as decoder:
        yield decoder


@pytest.fixture(params=["caged", "in this process"])
def decoder(request: pytest.FixtureRequest, caged: CagedPictureDecoder) -> PictureDecoder:
    return caged if request.param == "caged" else PillowPictureDecoder()


def problem(decoder: PictureDecoder, *frames: Frame) -> str:
    with pytest.raises(InvalidArgumentError) as refused:
        list(decoder.decode_frames(frames))
    assert refused.value.reason is Reason.IMAGE_UNREADABLE
    return refused.value.metadata["problem"]


def test_frames_of_all_formats_come_in_their_order(decoder: PictureDecoder) -> None:
    pictures = list(decoder.decode_frames([RAW, jpeg(encoded()), PLANES, jpeg(encoded())]))

    assert [picture.shape for picture in pictures] == [(32, 48, 3)] * 4
    np.testing.assert_array_equal(pictures[0][10, 5], [0, 0, 255])
    np.testing.assert_allclose(pictures[1][10, 5], [0, 0, 255], atol=3)
    np.testing.assert_array_equal(pictures[2][10, 5], [0, 0, 0])
    np.testing.assert_array_equal(pictures[1], pictures[3])


def test_a_frame_is_not_turned(decoder: PictureDecoder) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    (picture,) = decoder.decode_frames([jpeg(encoded(exif=exif))])

    assert picture.shape == (32, 48, 3)


def test_a_frame_of_another_size_than_stated_is_unreadable(decoder: PictureDecoder) -> None:
    assert problem(decoder, RAW, jpeg(encoded(), width=49)) == (
        "frames[1]: it is 48 x 32 pixels, not 49 x 32 as stated"
    )


def test_a_frame_that_is_no_jpeg_is_unreadable(decoder: PictureDecoder) -> None:
    assert problem(decoder, jpeg(encoded("PNG"))) == "frames[0]: it is no JPEG file"


def test_a_frame_that_is_cut_off_is_unreadable(decoder: PictureDecoder) -> None:
    assert problem(decoder, jpeg(encoded()[:-20])) == "frames[0]: it is damaged or not whole"


def test_frames_that_are_not_encoded_need_no_cage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    assert len(list(CagedPictureDecoder().decode_frames([RAW, PLANES]))) == 2


def test_jpeg_frames_without_a_cage_are_no_fault_of_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    with pytest.raises(UnavailableError) as refused:
        list(CagedPictureDecoder().decode_frames([jpeg(encoded())]))
    assert refused.value.metadata == {"component": "JPEG frame decoder"}


def test_the_frames_of_a_batch_share_a_cage_and_batches_do_not(
    caged: CagedPictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    take = caged._frames.take
    monkeypatch.setattr(caged._frames, "take", lambda: taken.append(take()) or taken[-1])

    for _ in range(2):
        list(caged.decode_frames([jpeg(encoded()), jpeg(encoded())]))

    assert len({cage.pid for cage in taken}) == len(taken) == 2
    assert not any(cage.alive for cage in taken)


def test_a_cage_ends_with_a_batch_that_nobody_wants_more_of(
    caged: CagedPictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cage = caged._frames.take()
    monkeypatch.setattr(caged._frames, "take", lambda: cage)
    pictures = caged.decode_frames([jpeg(encoded()), jpeg(encoded())])
    next(pictures)

    pictures.close()

    assert not cage.alive


def test_a_frame_that_breaks_its_cage_is_unreadable(
    caged: CagedPictureDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        cage = caged._frames.take()
        stack.callback(cage.close)
        os.kill(cage.pid, signal.SIGSEGV)
        with monkeypatch.context() as patched:
            patched.setattr(caged._frames, "take", lambda: cage)
            said = problem(caged, RAW, jpeg(encoded()))

    assert said == "frames[1]: decoding it was ended: its decoder crashed"
    assert len(list(caged.decode_frames([jpeg(encoded())]))) == 1
