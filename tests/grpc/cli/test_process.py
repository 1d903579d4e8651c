"""The command line as a process: names that are not UTF-8, readers that leave."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli_services import Homeward
from cli_values import ADD_FOOTAGE, ADD_SUBJECT, ANNA, jpeg, written


def command(homeward: Homeward, *arguments: str | bytes) -> list[str | bytes]:
    return [sys.executable, "-m", "homeward.cli", *arguments]


def test_a_name_that_is_not_utf_8_is_written_escaped(homeward: Homeward, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/g\xe4te.mp4"
    Path(os.fsdecode(path)).write_bytes(b"video")

    done = subprocess.run(command(homeward, *ADD_FOOTAGE, path), capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert homeward.footage.headers[0].file_name == r"g\xe4te.mp4"
    assert rb"g\xe4te.mp4: footage" in done.stdout


def test_a_photograph_whose_name_is_not_utf_8_is_enrolled(
    homeward: Homeward, tmp_path: Path
) -> None:
    path = os.fsencode(tmp_path) + b"/J\xfcrgen.jpg"
    Path(os.fsdecode(path)).write_bytes(jpeg(9, 9))
    asked = command(homeward, *ADD_SUBJECT, path, "--output", "json")

    done = subprocess.run(asked, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["photos"][0]["file"].endswith(".jpg")


def test_what_is_not_utf_8_is_an_error_that_names_it(homeward: Homeward) -> None:
    asked = command(homeward, "camera", "add", "gate", "--place", b"Stra\xdfe")

    done = subprocess.run(asked, capture_output=True, check=False)

    assert done.returncode == 4
    assert rb"error: 'Stra\udcdfe' is not text in UTF-8" in done.stderr


def test_a_command_whose_reader_leaves_does_all_that_it_was_asked_to_and_ends_well(
    homeward: Homeward, tmp_path: Path
) -> None:
    names = [written(tmp_path, f"{number}.mp4", bytes([number])) for number in range(3)]
    starts = [part for _ in names[1:] for part in ("--start", "2026-11-20T11:00:00Z")]
    reading, writing = os.pipe()
    os.close(reading)  # as `head` has, once it has its lines
    asked = command(homeward, *ADD_FOOTAGE, *starts, *names)

    done = subprocess.run(asked, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(homeward.footage.headers) == 3


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_list_whose_reader_leaves_ends_well(homeward: Homeward, output: str) -> None:
    # Far more than a pipe holds, so that the writer meets that nobody reads.
    homeward.sightings.more = [f"{number:08d}{ANNA[8:]}" for number in range(1500)]
    asked = shlex.join(command(homeward, "sighting", "list", "--output", output))  # type: ignore[type-var]

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{asked} | head -n 1"], capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1
