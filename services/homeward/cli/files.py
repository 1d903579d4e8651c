"""Local files, checked before anything is sent or overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from homeward.cli import terminal
from homeward.cli.errors import CliError

_RECORDINGS = frozenset(
    (
        *("264", "265", "3gp", "asf", "avi", "dav", "dhav", "flv", "h264", "h265", "hevc", "m2ts"),
        *("m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ps", "ts"),
        *("vob", "webm", "wmv"),
    )
)
"""Endings of the names of recordings; recorders export players and notes beside them."""
_LARGEST_PHOTO_BYTES = 32 * 1024 * 1024


def written_name(name: str) -> str:
    """Return a file's name as text, in which bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def existing_file(name: str) -> Path:
    """Return the path of a file with something in it.

    Raises:
        CliError: There is none, it is a folder, or it is empty.
    """
    path, shown = Path(name), written_name(name)
    if not path.exists():
        raise CliError(f"{shown}: no such file", advice="check the name and the folder")
    if not path.is_file():
        raise CliError(f"{shown}: not a file", advice="name the files themselves, not their folder")
    if not path.stat().st_size:
        raise CliError(f"{shown}: the file is empty", advice="copy or export it again")
    return path


def recordings_among(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of files; those of the recordings in a folder instead of the folder's own.

    Files of a folder that are not named like recordings are told and left out.

    Raises:
        CliError: A folder has no recording.
    """
    found: list[str] = []
    for name in names:
        folder = Path(name)
        if not folder.is_dir():
            found.append(name)
            continue
        files = sorted(one for one in folder.iterdir() if one.is_file())
        recordings = [one for one in files if one.suffix[1:].lower() in _RECORDINGS]
        if not recordings:
            raise CliError(
                f"{written_name(name)}: the folder has no file that is named like a recording",
                advice="name the files themselves; folders in it are not looked into",
            )
        if left_out := len(files) - len(recordings):
            terminal.tell(
                f"{written_name(name)}: {left_out} of {len(files)} files are not named like"
                " recordings, and are left out.",
                err=True,
            )
        found += [str(one) for one in recordings if str(one) not in found]
    return tuple(found)


def read_photos(names: Sequence[str]) -> dict[Path, bytes]:
    """Return the photographs in some files.

    Raises:
        CliError: One of them is no file, empty, or larger than a photograph may be.
    """
    paths = [existing_file(name) for name in names]
    for path in paths:
        if path.stat().st_size > _LARGEST_PHOTO_BYTES:
            raise CliError(
                f"{path}: larger than 32 MiB", advice="save it smaller, or as JPEG, and add that"
            )
    return {path: path.read_bytes() for path in paths}


def write_new(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file, whole; over one that is there only if asked to.

    Raises:
        CliError: The file is there already.
    """
    refuse_existing(path, force=force)
    path.write_bytes(content)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        CliError: The file is there already.
    """
    if path.exists() and not force:
        raise CliError(f"{path} is there already", advice="--force overwrites it")
