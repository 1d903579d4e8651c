"""`homeward footage watch`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import cli_documents
import grpc
import pytest

from cli_services import Homeward
from cli_values import FOOTAGE, Refusal
from homeward.cli import upload
from homeward.cli.__main__ import run
from homeward.cli.intake import folder as folders
from homeward.cli.intake.bucket import Bucket, Object
from homeward.cli.intake.changes import ChangedError

NAME = "20261120T100000.mp4"
GIB = 1024**3
Watch = Callable[..., int]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    def once(*words: str) -> int:
        pattern = ("--start-from-name", "%Y%m%dT%H%M%S")
        return run(["footage", "watch", str(tmp_path), *pattern, "--rest", "0s", "--once", *words])

    return once


def export(tmp_path: Path, place: str, content: bytes = b"a recording") -> Path:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left(tmp_path: Path) -> list[str]:
    """Return all files; for today's folder `today` stands."""
    paths = (str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file())
    return sorted(one.replace(folders.today().isoformat(), "today") for one in paths)


def test_what_a_recorder_exports_is_taken_in_and_moves_aside(
    homeward: Homeward, tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, f"gate/{NAME}")
    export(tmp_path, "hall/a.mp4")
    export(tmp_path, "hall/a.mp4.json", b'{"startTime": "2026-11-20T11:00:00Z"}')

    assert watch() == 0

    assert [
        (one.camera_id, one.file_name, one.start_time.ToJsonString())
        for one in homeward.footage.headers
    ] == [
        ("gate", NAME, "2026-11-20T10:00:00Z"),
        ("hall", "a.mp4", "2026-11-20T11:00:00Z"),
    ]
    assert left(tmp_path) == [
        f"done/today/gate/{NAME}",
        "done/today/hall/a.mp4",
        "done/today/hall/a.mp4.json",
    ]
    assert f"gate/{NAME}: footage {FOOTAGE}, camera gate" in capsys.readouterr().out


def test_what_is_refused_moves_aside_with_the_reason(
    homeward: Homeward, tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.refusals[NAME] = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "FOOTAGE_UNREADABLE", "it is no video"
    )
    export(tmp_path, f"gate/{NAME}")
    export(tmp_path, f"hall/x{NAME}", b"another one")
    export(tmp_path, "hall/no-time.mp4")

    assert watch("--output", "json") == 10

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for one in told:
        cli_documents.require(one, "footage watch")
    assert [(one["file"], one.get("reason")) for one in told] == [
        (f"gate/{NAME}", "FOOTAGE_UNREADABLE"),
        ("hall/no-time.mp4", ""),
        (f"hall/x{NAME}", None),
    ]
    assert left(tmp_path) == [
        f"done/today/hall/x{NAME}",
        f"failed/gate/{NAME}",
        f"failed/gate/{NAME}.txt",
        "failed/hall/no-time.mp4",
        "failed/hall/no-time.mp4.txt",
    ]
    why = (tmp_path / f"failed/gate/{NAME}.txt").read_text()
    assert why.startswith("error: it is no video\nreason: FOOTAGE_UNREADABLE\nadvice: export")


def grow(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Have a file grow while it is read, or while it is sent."""
    done = getattr(upload, step)

    def growing(*args: Any, **kwargs: Any) -> Any:
        answer = done(*args, **kwargs)
        path.write_bytes(path.read_bytes() + b"more")
        return answer

    monkeypatch.setattr(upload, step, growing)


@pytest.mark.parametrize(("step", "removed"), [("describe", 0), ("stream", 1)])
def test_a_file_that_grows_while_it_is_taken_is_not_taken(
    homeward: Homeward,
    tmp_path: Path,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    *,
    step: str,
    removed: int,
) -> None:
    path = export(tmp_path, f"gate/{NAME}")
    grow(path, monkeypatch, step)

    assert watch() == 0

    assert left(tmp_path) == [f"gate/{NAME}"]
    assert len(homeward.footage.headers) == removed
    assert homeward.footage.deleted == [FOOTAGE] * removed


def test_a_recording_that_ended_just_now_is_tried_again_later(
    homeward: Homeward, tmp_path: Path, watch: Watch
) -> None:
    homeward.footage.refusals[NAME] = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "FOOTAGE_TOO_RECENT", "it ended a minute ago"
    )
    export(tmp_path, f"gate/{NAME}")

    assert watch() == 0

    assert left(tmp_path) == [f"gate/{NAME}"]


@pytest.mark.parametrize("step", ["move_to_done", "_moved"])
def test_what_was_killed_before_the_file_was_moved_goes_on(
    homeward: Homeward,
    tmp_path: Path,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    step: str,
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    export(tmp_path, f"gate/{NAME}")
    export(tmp_path, f"gate/{NAME}.json", b"{}")
    with monkeypatch.context() as patched:
        patched.setattr(folders.Folder, step, killed)
        assert watch() == 130
    told = capsys.readouterr().err
    assert "error" not in told
    assert "Ended. Start it again at any time: it goes on where it was." in told

    assert watch() == 0

    assert left(tmp_path) == [f"done/today/gate/{NAME}", f"done/today/gate/{NAME}.json"]
    first, second = homeward.footage.headers
    assert first.request_id == second.request_id
    assert len(homeward.footage.held) == 1


def test_a_share_that_is_away_is_waited_for(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path, f"gate/{NAME}")
    files, rounds = folders.Folder.files, iter([OSError(116, "Stale file handle"), None])

    def listed(folder: folders.Folder) -> Any:
        if (problem := next(rounds)) is not None:
            raise problem
        return files(folder)

    def slept(_: float) -> None:
        raise KeyboardInterrupt

    told: list[str] = []
    monkeypatch.setattr(folders.Folder, "files", listed)
    monkeypatch.setattr("homeward.cli.patience.pause", lambda _, problem: told.append(problem))
    monkeypatch.setattr("homeward.cli.commands.footage_watch.time.sleep", slept)
    words = ["--start-from-name", "%Y%m%dT%H%M%S", "--rest", "0s"]

    assert run(["footage", "watch", str(tmp_path), *words]) == 130

    assert (told, len(homeward.footage.headers)) == (["Stale file handle"], 1)
    assert left(tmp_path) == [f"done/today/gate/{NAME}"]


def test_copies_that_are_older_than_homewards_are_told(
    homeward: Homeward, tmp_path: Path, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, "done/2026-01-02/gate/a.mp4")

    assert watch() == 0
    assert "2026-01-02 holds recordings taken in more than 31 days" in capsys.readouterr().err
    assert watch("--keep-done", "31") == 0

    assert left(tmp_path) == []
    assert homeward.footage.headers == []


@pytest.mark.parametrize("reason", ["TOKEN_EXPIRED", "ROLE_MISSING", "RETENTION_UNSAFE"])
def test_what_says_nothing_about_a_file_moves_none_and_ends_the_command(
    homeward: Homeward, tmp_path: Path, watch: Watch, reason: str
) -> None:
    homeward.footage.refusals[NAME] = Refusal(grpc.StatusCode.PERMISSION_DENIED, reason, "no")
    export(tmp_path, f"gate/{NAME}")

    assert watch() == 7

    assert left(tmp_path) == [f"gate/{NAME}"]


def test_a_service_that_is_away_is_waited_for(
    homeward: Homeward, tmp_path: Path, pauses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SCAN_LIMIT", "the store is full")
    homeward.footage.refusals[NAME] = away
    export(tmp_path, f"gate/{NAME}")

    def slept(_: float) -> None:
        raise KeyboardInterrupt

    def back(failures: int, _: str) -> None:
        pauses.append(failures)
        homeward.footage.refusals.clear()

    monkeypatch.setattr("homeward.cli.patience.pause", back)
    monkeypatch.setattr("homeward.cli.commands.footage_watch.time.sleep", slept)
    words = ["--start-from-name", "%Y%m%dT%H%M%S", "--rest", "0s"]

    assert run(["footage", "watch", str(tmp_path), *words]) == 130

    assert pauses == [1]
    assert left(tmp_path) == [f"done/today/gate/{NAME}"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["--side-car", "--every", "0s"], 2),
        (["--side-car", "--s3", "s3://b/p", "--keep-done", "7"], 2),
        (["--side-car", "--s3", "http://b/p"], 4),
        (["--side-car", "--s3", "s3://b/p", "--s3-endpoint", "s3.example.org"], 4),
        (["--side-car", "--s3", "s3://b/p"], 4),
    ],
)
def test_options_that_do_not_fit_are_refused(
    homeward: Homeward,  # noqa: ARG001 - it is not asked
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)

    assert run(["footage", "watch", str(tmp_path), *words, "--once"]) == code


class Objects:
    """A `Bucket` with two recordings, one of which has no time in its name."""

    fetched: list[str]

    def __init__(self, size: int = 11) -> None:
        self.fetched = []
        self.size = size

    def objects(self) -> list[Object]:
        names = (f"gate/{NAME}", "gate/no-time.mp4")
        return [Object(f"p/{one}", PurePosixPath(one), "etag", self.size) for one in names]

    def side_car(self, _: Object) -> None:
        return None

    def fetch(self, one: Object, path: Path) -> None:
        self.fetched.append(one.key)
        path.write_bytes(b"a recording")


def test_objects_of_a_bucket_are_taken_in_once_and_no_copy_is_left(
    homeward: Homeward, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Objects()
    monkeypatch.setattr(Bucket, "opened", lambda *_: bucket)

    codes = [watch("--s3", "s3://exports/p") for _ in range(2)]

    assert codes == [10, 0]
    assert bucket.fetched == [f"p/gate/{NAME}", "p/gate/no-time.mp4"]
    assert [one.camera_id for one in homeward.footage.headers] == ["gate"]
    assert left(tmp_path) == [".taken-in.json", "failed/gate/no-time.mp4.txt"]


@pytest.mark.parametrize(
    ("size", "words", "told"),
    [
        (50 * GIB + 1, [], "has 50.0 GiB; at most 50.0 GiB are taken in\nadvice: export it"),
        (60 * GIB, ["--via-url"], "has 60.0 GiB; at most 5.0 GiB are taken in\nadvice: export it"),
        (6 * GIB, ["--via-url"], "has 6.0 GiB; at most 5.0 GiB are taken in\nadvice: leave --via"),
    ],
)
def test_an_object_that_is_too_large_is_refused_once_and_not_read(
    homeward: Homeward,
    tmp_path: Path,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    *,
    size: int,
    words: list[str],
    told: str,
) -> None:
    bucket = Objects(size)
    monkeypatch.setattr(Bucket, "opened", lambda *_: bucket)

    codes = [watch("--s3", "s3://exports/p", *words) for _ in range(2)]

    assert codes == [4, 0]
    assert (bucket.fetched, homeward.footage.headers) == ([], [])
    assert left(tmp_path) == [
        ".taken-in.json",
        f"failed/gate/{NAME}.txt",
        "failed/gate/no-time.mp4.txt",
    ]
    why = (tmp_path / f"failed/gate/{NAME}.txt").read_text()
    assert why.startswith(f"error: {NAME}: {told}")


def test_an_object_that_changes_while_it_is_read_is_tried_again_later(
    homeward: Homeward, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Objects()

    def changed(*_: object) -> None:
        raise ChangedError

    monkeypatch.setattr(Bucket, "opened", lambda *_: bucket)
    monkeypatch.setattr(bucket, "fetch", changed)

    assert watch("--s3", "s3://exports/p") == 0

    assert (homeward.footage.headers, left(tmp_path)) == ([], [])


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    homeward: Homeward, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path, f"gate/{NAME}")
    os.truncate(path, 50 * GIB + 1)  # of holes: it takes no room
    monkeypatch.setattr("homeward.cli.upload.hashlib.sha256", None)

    assert watch() == 4

    assert homeward.footage.headers == []
    assert left(tmp_path) == [f"failed/gate/{NAME}", f"failed/gate/{NAME}.txt"]


def test_a_side_car_that_is_none_keeps_no_other_object(
    homeward: Homeward, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Objects()
    monkeypatch.setattr(Bucket, "opened", lambda *_: bucket)
    monkeypatch.setattr(
        bucket, "side_car", lambda one: b"no JSON" if "no-time" not in one.key else None
    )

    assert watch("--s3", "s3://exports/p") != 0
    assert not homeward.footage.headers
    assert left(tmp_path) == [
        ".taken-in.json",
        f"failed/gate/{NAME}.txt",
        "failed/gate/no-time.mp4.txt",
    ]
    assert "is no JSON object" in (tmp_path / f"failed/gate/{NAME}.txt").read_text()


def test_no_copy_of_a_recording_is_left_by_who_ends_meanwhile(
    homeward: Homeward, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Objects()
    monkeypatch.setattr(Bucket, "opened", lambda *_: bucket)
    export(tmp_path, ".fetching/killed.mp4")
    homeward.footage.refusals[NAME] = Refusal(
        grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING", "no"
    )

    assert watch("--s3", "s3://exports/p") == 7
    assert (bucket.fetched, left(tmp_path)) == ([f"p/gate/{NAME}"], [])


def test_what_is_no_folder_is_refused(homeward: Homeward, tmp_path: Path) -> None:  # noqa: ARG001 - it is not asked
    assert run(["footage", "watch", str(tmp_path / "none"), "--side-car"]) == 4
