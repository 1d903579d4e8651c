"""A slice of `make fuzz`, and all files that once broke something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from file_server import FileServer, serving
from fuzz.inputs import PHOTOGRAPH_BOMBS, RECORDING_BOMBS, Input, corpus, photographs, recordings
from fuzz.running import try_photograph, try_recording

pytestmark = pytest.mark.timeout(180)

CORPUS_BYTES = 20_000

SLOW = ("h264-16000-often", "h264-8192-often", "png-text", "gif-2000", "jpeg-5000-scans")
"""Bombs that take many seconds each: `make fuzz` has them."""


def sliced(inputs: list[Input], step: int) -> list[Input]:
    """Return every so many of the mutated files, so that each kind and each way is among them."""
    return [one for one in inputs if not one.name.startswith("bomb/")][::step]


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
