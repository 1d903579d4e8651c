"""Where pictures are shown that the terminal does not draw: a viewer, or a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import click

from homeward.cli import terminal


class Elsewhere(StrEnum):
    """How a picture is shown outside of the terminal."""

    VIEWER = "viewer"
    FILE = "file"
    NONE = "none"


def usual() -> Elsewhere:
    """Return the system's viewer where there may be one, a file elsewhere, as over ssh."""
    windows = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return Elsewhere.VIEWER if windows or sys.platform == "darwin" else Elsewhere.FILE


_PREFIX = "homeward-review-"


def remove_left_behind() -> None:
    """Remove the pictures of this user's reviews that were killed."""
    if os.name == "nt":  # where asking for a process ends it
        return
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = path.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(FileNotFoundError):  # by another one, meanwhile
            own = not path.is_symlink() and path.stat().st_uid == os.getuid()
            if own and number.isdecimal() and not _is_running(int(number)):
                shutil.rmtree(path)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


class Folder:
    """A folder for pictures that only its user can read; it is removed in the end."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def show(self, name: str, picture: Callable[[], bytes], how: Elsewhere) -> None:
        """Show a picture, and print where it is."""
        if how is Elsewhere.NONE:
            return
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        for before in self._path.iterdir():  # nothing stays of what was judged
            before.unlink()
        path = self._path / f"{name}.png"
        path.write_bytes(picture())
        terminal.tell(f"Picture: {path} (removed when you leave)")
        if how is Elsewhere.VIEWER and click.launch(str(path)) != 0:
            terminal.tell("No viewer could be started: open that file yourself.")

    def remove(self) -> None:
        """Remove the folder with what is in it."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
