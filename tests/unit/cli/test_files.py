from __future__ import annotations

from pathlib import Path

import pytest

from homeward.cli import files
from homeward.cli.errors import CliError


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no such file"):
        files.existing_file(str(tmp_path / "a.mp4"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="not a file"):
        files.existing_file(str(tmp_path))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(CliError, match="the file is empty"):
        files.existing_file(str(tmp_path / "a.mp4"))


def test_a_photograph_larger_than_the_service_takes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(32 * 1024 * 1024 + 1)
    with pytest.raises(CliError, match="larger than 32 MiB"):
        files.read_photos([str(tmp_path / "a.jpg")])


def test_a_file_that_is_there_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(CliError, match="is there already"):
        files.write_new(path, b"new", force=False)
    assert path.read_bytes() == b"old"
    files.write_new(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_folder_stands_for_its_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.MP4", "a.dav", "player.exe", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "further").mkdir()
    found = files.recordings_among(["x.mp4", str(tmp_path)])
    assert [Path(one).name for one in found] == ["x.mp4", "a.dav", "b.MP4"]
    assert "2 of 4 files are not named like recordings" in capsys.readouterr().err


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no file that is named like a recording"):
        files.recordings_among([str(tmp_path)])
