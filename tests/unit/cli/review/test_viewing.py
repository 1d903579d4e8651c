"""Pictures outside of the terminal."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from homeward.cli.review import viewing
from homeward.cli.review.viewing import Elsewhere, Folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_pictures_of_a_review_that_was_killed_are_removed_by_the_next_one(temporary: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    killed = temporary / f"homeward-review-{ended.pid}-x"
    killed.mkdir()
    (killed / "a.png").write_bytes(b"a picture")
    (temporary / f"homeward-review-{ended.pid}-link").symlink_to(temporary / "kept")
    for name in ("kept", "homeward-review-notes"):
        (temporary / name).mkdir()
    folder = Folder()
    folder.show("b", lambda: b"a picture", Elsewhere.FILE)

    viewing.remove_left_behind()

    left = {path.name for path in temporary.iterdir()}
    (shown,) = temporary.glob(f"homeward-review-{os.getpid()}-*")
    assert left == {
        f"homeward-review-{ended.pid}-link",
        "homeward-review-notes",
        "kept",
        shown.name,
    }
    assert not killed.exists()
    folder.remove()
