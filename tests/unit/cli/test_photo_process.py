from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from heic import RED_LEFT_HEIC
from homeward.cli import photo_process
from homeward.cli.photo_process import DecodingEndedError
from homeward.core import photos
from homeward.core.photos import DecodingError, DecodingProblem

_HEAD = photo_process._HEAD


def encoded(kind: str, size: tuple[int, int] = (40, 20)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 0, 0)).save(file, kind)
    return file.getvalue()


def run(code: str) -> str:
    """Run Python in a process that is locked in, and return what it prints."""
    prepared = f"import os, signal, socket\nfrom homeward.cli import photo_process\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", prepared], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


TRY = """
photo_process.lock_in()
try:
    {act}
    print("done")
except OSError as error:
    print(error.strerror)
"""
WITHOUT_FILTER = "photo_process.forbid_calls = lambda: False\n"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_photograph_comes_out_as_it_would_in_this_process(kind: str) -> None:
    photos.load_plugins()
    data = encoded(kind)
    expected, decoded = photos.decode(data), photo_process.decode(data)
    assert decoded.picture.tobytes() == expected.picture.tobytes()
    assert (decoded.width, decoded.height) == (40, 20)


def test_a_heic_photograph_comes_out() -> None:
    assert photo_process.decode(RED_LEFT_HEIC).width == 160


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"no picture", DecodingProblem.FORMAT),
        (b"", DecodingProblem.FORMAT),
        (encoded("PNG")[:-30], DecodingProblem.DAMAGED),
    ],
)
def test_a_refusal_is_the_same_as_in_this_process(data: bytes, problem: DecodingProblem) -> None:
    with pytest.raises(DecodingError) as refused:
        photo_process.decode(data)
    assert refused.value.problem is problem


@pytest.mark.parametrize(
    "answer",
    [
        _HEAD.pack(b"unheard of", 0, 0, 0, 0),
        _HEAD.pack(b"", 0, 0, 0, 0),
        _HEAD.pack(b"", 2, 2, 2, 2) + bytes(11),
        _HEAD.pack(b"", 2, 2, 2, 2) + bytes(13),
        _HEAD.pack(b"", 2**31, 2**31, 1, 1),
        _HEAD.pack(b"", 1, 1, 0, 1) + bytes(3),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_damaged_photograph(answer: bytes) -> None:
    with pytest.raises(DecodingError) as refused:
        photo_process._understood(answer)
    assert refused.value.problem is DecodingProblem.DAMAGED


@pytest.mark.parametrize("act", ["open('/etc/passwd')", "socket.socket()"])
def test_the_process_opens_nothing(act: str) -> None:
    assert run(TRY.format(act=act)) == "Operation not permitted"
    assert run(WITHOUT_FILTER + TRY.format(act=act)) == "Too many open files"


def test_the_process_signals_nobody_where_calls_can_be_forbidden() -> None:
    assert run(TRY.format(act="os.kill(os.getppid(), 0)")) == "Operation not permitted"


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_process, "WALL_SECONDS", 0.0)
    with pytest.raises(DecodingEndedError):
        photo_process.decode(encoded("PNG"))


@pytest.mark.parametrize("answer", [b"", _HEAD.pack(b"", 2, 2, 2, 2)[:-1]])
def test_a_process_that_said_nothing_is_no_damaged_photograph(answer: bytes) -> None:
    with pytest.raises(DecodingEndedError):
        photo_process._understood(answer)


def test_the_process_needs_nothing_that_the_client_is_not_installed_with() -> None:
    told = run(
        "import sys; print([one for one in ('numpy', 'cv2', 'msgspec') if one in sys.modules])"
    )
    assert told == "[]"
