"""A slice of `make fuzz`, and all files that once broke something."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import av
import av.error
import pytest

from file_server import FileServer, serving
from fuzz.hostile import HOSTILE, references
from fuzz.inputs import (
    PHOTOGRAPH_BOMBS,
    RECORDING_BOMBS,
    RECORDINGS,
    Input,
    corpus,
    photographs,
    recordings,
)
from fuzz.running import try_photograph, try_recording
from homeward.ingestion.adapters.containers import open_tracks

pytestmark = pytest.mark.timeout(180)

CORPUS_BYTES = 20_000

SLOW = ("h264-16000-often", "h264-8192-often", "png-text", "gif-2000", "jpeg-5000-scans")
"""Bombs that take many seconds each: `make fuzz` has them."""


def sliced(inputs: list[Input], step: int) -> list[Input]:
    """Return every so many of the mutated files, so that each kind and each way is among them."""
    return [one for one in inputs if not one.name.startswith(("bomb/", "hostile/"))][::step]


def quick(bombs: list[Input], names: tuple[str, ...]) -> list[Input]:
    return [one for one in bombs if one.name.removeprefix("bomb/") in names]


SOME_RECORDINGS = [
    *sliced(recordings(), 23),
    *quick(recordings(), tuple(sorted(set(RECORDING_BOMBS) - set(SLOW)))[::3]),
]
SOME_PHOTOGRAPHS = [
    *sliced(photographs(), 11),
    *quick(photographs(), tuple(sorted(set(PHOTOGRAPH_BOMBS) - set(SLOW)))[::2]),
]


SLOW_PHOTOGRAPHS = ("png-column", "png-row", "tiff-deflate", "avif-other-size", "bmp-runs")
"""Of those of `HOSTILE`: a hundred megapixels each."""

READ_PHOTOGRAPHS = (
    *("jpeg-exif", "jpeg-mpo", "jpeg-segments", "jpeg-and-zip", "png-chunks"),
    *("tiff-circle", "webp-10000", "avif-animated", "tiff-deflate", "avif-other-size", "bmp-runs"),
)
"""Of those of `HOSTILE`: they have a whole picture, whatever else is in them."""


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("tried", SOME_RECORDINGS, ids=lambda one: one.name)
def test_a_recording_ends_in_a_result_or_a_reason(
    tried: Input, server: FileServer, tmp_path: Path
) -> None:
    trial = try_recording(tried.make(), server, tmp_path)

    assert trial.faults == [], trial


@pytest.mark.parametrize("tried", SOME_PHOTOGRAPHS, ids=lambda one: one.name)
def test_a_photograph_ends_in_a_result_or_a_reason(tried: Input, tmp_path: Path) -> None:
    trial = try_photograph(tried.make(), tmp_path)

    assert trial.faults == [], trial


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_no_recording(name: str, server: FileServer, tmp_path: Path) -> None:
    trial = try_recording(HOSTILE[name](), server, tmp_path)

    assert trial.faults == [], trial
    assert trial.reason.startswith("FOOTAGE_UNREADABLE: the file cannot be searched: "), trial


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - set(SLOW_PHOTOGRAPHS)))
def test_a_hostile_photograph_is_read_whole_or_refused(name: str, tmp_path: Path) -> None:
    trial = try_photograph(HOSTILE[name](), tmp_path)

    assert trial.faults == [], trial
    assert trial.accepted == (name in READ_PHOTOGRAPHS), trial
    assert not trial.cage_ended, trial


def test_a_row_of_a_hundred_million_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    trial = try_photograph(HOSTILE["png-row"](), tmp_path)

    assert trial.reason.startswith("FIELD_INVALID"), trial
    assert trial.faults == [], trial


class Elsewhere:
    """An address that nobody may reach, and a recording that nobody may open."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.path = path
        self.port = self._socket.getsockname()[1]

    def named(self) -> Mapping[str, bytes]:
        return references(f"http://127.0.0.1:{self.port}/film.mp4", str(self.path))

    def was_reached(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    (tmp_path / "film.mp4").write_bytes(RECORDINGS["mp4"]())
    with closing(Elsewhere(tmp_path / "film.mp4")) as elsewhere:
        yield elsewhere


def pictures_of(content: bytes) -> int:
    """Return how many pictures of a file decode, in this process: nothing keeps it in."""
    pictures = 0
    try:
        with open_tracks(io.BytesIO(content)) as tracks:
            for packet in tracks.container.demux(tracks.streams):
                pictures += len(packet.decode())
    except av.error.FFmpegError:
        pass
    return pictures


@pytest.mark.parametrize("name", references("http://127.0.0.1:1/", "/"))
def test_a_file_that_names_another_reaches_none(name: str, elsewhere: Elsewhere) -> None:
    pictures = pictures_of(elsewhere.named()[name])

    assert pictures == 0
    assert not elsewhere.was_reached()


@pytest.mark.parametrize("name", references("http://127.0.0.1:1/", "/"))
def test_a_file_that_names_another_is_refused(
    name: str, elsewhere: Elsewhere, server: FileServer, tmp_path: Path
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    trial = try_recording(elsewhere.named()[name], server, folder)

    assert trial.faults == [], trial
    assert trial.reason.startswith("FOOTAGE_UNREADABLE: the file cannot be searched: "), trial
    assert not elsewhere.was_reached()


def test_a_list_of_files_would_be_followed_if_that_were_allowed(elsewhere: Elsewhere) -> None:
    allowed = {"protocol_whitelist": "file,http,tcp", "safe": "0"}
    content, pictures = elsewhere.named()["concat"], 0
    with (
        av.open(io.BytesIO(content), options=allowed, timeout=2) as container,
        suppress(av.error.FFmpegError),  # nobody answers at the address
    ):
        for packet in container.demux():
            pictures += len(packet.decode())

    assert pictures > 0
    assert elsewhere.was_reached()


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_what_once_broke_something_breaks_nothing(
    path: Path, server: FileServer, tmp_path: Path
) -> None:
    content = path.read_bytes()

    assert try_recording(content, server, tmp_path).faults == []
    assert try_photograph(content, tmp_path).faults == []


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_what_is_kept_is_small(path: Path) -> None:
    assert path.stat().st_size < CORPUS_BYTES
