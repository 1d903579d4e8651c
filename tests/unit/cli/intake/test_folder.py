"""A folder that a recorder exports into."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from homeward.cli.errors import CliError
from homeward.cli.intake.folder import Folder, Resting

TODAY = date(2026, 11, 29)


class Seconds:
    """A clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, place: str, content: bytes = b"a recording") -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def places(folder: Folder) -> list[str]:
    return [str(one.place) for one in folder.files()]


def test_a_file_that_is_written_to_is_not_at_rest(tmp_path: Path) -> None:
    path, clock, folder = write(tmp_path, "a.mp4"), Seconds(), Folder(tmp_path)
    resting = Resting(timedelta(seconds=60), clock)
    at_rest = []

    for seconds in (0, 30, 60, 90):  # appended to before each look but the last
        clock.now = 1000 + seconds
        at_rest.append(len(resting.at_rest(folder.files())))
        if seconds < 90:
            path.write_bytes(path.read_bytes() + b"more")
    clock.now += 59
    just_before = resting.at_rest(folder.files())
    clock.now += 1
    after = resting.at_rest(folder.files())

    assert at_rest == [0, 0, 0, 0]
    assert (just_before, [str(one.place) for one in after]) == ([], ["a.mp4"])


def test_a_file_that_another_one_takes_the_place_of_rests_anew(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4")
    clock, folder = Seconds(), Folder(tmp_path)
    resting = Resting(timedelta(seconds=60), clock)
    resting.at_rest(folder.files())
    clock.now += 60
    write(tmp_path, "b.part", b"another one").replace(tmp_path / "a.mp4")

    assert resting.at_rest(folder.files()) == []


def test_what_is_no_finished_recording_is_left_alone(tmp_path: Path) -> None:
    for place in (
        *("gate/b.mp4", "a.mp4", "done/2026-11-28/c.mp4", "failed/d.mp4", ".hidden/e.mp4"),
        *(".f.mp4", "~g.mp4", "h.mp4.part", "i.TMP", "a.mp4.json", "j.crdownload"),
    ):
        write(tmp_path, place)
    write(tmp_path, "empty.mp4", b"")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "linked").symlink_to(tmp_path / "gate")

    assert places(Folder(tmp_path)) == ["a.mp4", "gate/b.mp4"]


@pytest.mark.parametrize(
    ("folder", "taken"),
    [
        ({"only": ["*.mp4", "*.mkv"]}, ["a.MP4", "b.mkv"]),
        ({"side_car_first": True}, ["c.avi"]),
    ],
)
def test_only_what_is_asked_for_is_taken(
    tmp_path: Path, folder: dict[str, object], taken: list[str]
) -> None:
    for place in ("a.MP4", "b.mkv", "c.avi", "c.avi.json"):
        write(tmp_path, place)

    assert places(Folder(tmp_path, **folder)) == taken  # type: ignore[arg-type]


def test_what_is_dealt_with_moves_with_its_side_car(tmp_path: Path) -> None:
    for place in ("gate/a.mp4", "gate/a.mp4.json", "b.mp4", "done/2026-11-29/gate/a.mp4"):
        write(tmp_path, place)
    folder = Folder(tmp_path)
    b, a = folder.files()

    done = folder.move_to_done(a, TODAY)
    failed = folder.move_to_failed(b, ["error: no recording", "advice: export it again"])

    assert done == tmp_path / "done/2026-11-29/gate/a-2.mp4"
    assert (tmp_path / "done/2026-11-29/gate/a-2.mp4.json").exists()
    assert failed == tmp_path / "failed/b.mp4"
    assert (tmp_path / "failed/b.mp4.txt").read_text() == (
        "error: no recording\nadvice: export it again\n"
    )
    assert places(folder) == []


@pytest.mark.parametrize("linked", ["done", "done/2026-11-29", "failed", "failed/gate"])
def test_nothing_is_moved_out_of_the_folder(tmp_path: Path, linked: str) -> None:
    elsewhere, folder = tmp_path / "elsewhere", Folder(tmp_path / "export")
    write(folder.path, "gate/a.mp4")
    elsewhere.mkdir()
    link = folder.path / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    (found,) = folder.files()

    moves: dict[str, Callable[[], Path]] = {
        "done": lambda: folder.move_to_done(found, TODAY),
        "failed": lambda: folder.move_to_failed(found, ["error: no recording"]),
    }
    move = moves[linked.partition("/")[0]]
    with pytest.raises(CliError, match="is a link"):
        move()

    assert list(elsewhere.iterdir()) == []
    assert found.path.exists()


@pytest.mark.parametrize("linked", ["done", "done/2026-11-01"])
def test_what_a_link_leads_to_is_not_removed(tmp_path: Path, linked: str) -> None:
    write(tmp_path, "elsewhere/2026-11-01/a.mp4")
    target = tmp_path / "elsewhere" / Path(linked).name.removeprefix("done")
    link = tmp_path / "export" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(target)

    assert Folder(tmp_path / "export").remove_done(TODAY, 7) == []
    assert (tmp_path / "elsewhere/2026-11-01/a.mp4").exists()


def test_a_side_car_that_is_a_pipe_or_a_link_is_not_waited_for_or_followed(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path, name)
    secret = write(tmp_path, ".secret", b'{"startTime": "from elsewhere"}')
    os.mkfifo(tmp_path / "a.mp4.json")
    (tmp_path / "b.mp4.json").symlink_to(secret)
    folder = Folder(tmp_path)
    a, b = folder.files()

    with pytest.raises(CliError, match="is no file"):
        folder.side_car(a)
    with pytest.raises(OSError, match="symbolic links"):
        folder.side_car(b)


def test_a_file_with_the_longest_name_is_refused_like_others(tmp_path: Path) -> None:
    write(tmp_path, "n" * 251 + ".mp4")
    write(tmp_path, "n" * 250 + "m.mp4")
    folder = Folder(tmp_path)

    for one in folder.files():
        folder.move_to_failed(one, ["error: no recording"])

    assert places(folder) == []
    assert len(list((tmp_path / "failed").glob("*.txt"))) == 2


def test_a_name_does_not_write_what_a_file_was_refused_for(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\nreason: none\x1b[2J\xff.mp4")
    write(tmp_path, name)
    folder = Folder(tmp_path)
    (one,) = folder.files()

    failed = folder.move_to_failed(one, [f"error: {one.path.name}: no recording"])

    written = failed.with_name(f"{failed.name}.txt").read_text(encoding="utf-8")
    assert written == "error: a reason: none\\x1b[2J\\udcff.mp4: no recording\n"


def test_a_folder_that_goes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "gate/a.mp4")
    write(tmp_path, "hall/b.mp4")
    scandir = os.scandir

    def without_gate(path: Path) -> Any:
        if path.name == "gate":
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", without_gate)

    assert places(Folder(tmp_path)) == ["hall/b.mp4"]


def test_what_was_taken_in_long_ago_is_removed(tmp_path: Path) -> None:
    for place in ("2026-11-21/gate/a.mp4", "2026-11-22/b.mp4", "2026-99-99/c", "other/d.mp4"):
        write(tmp_path, f"done/{place}")

    gone = Folder(tmp_path).remove_done(TODAY, 7)

    assert [one.name for one in gone] == ["2026-11-21"]
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
        "2026-11-22",
        "2026-99-99",
        "other",
    ]
