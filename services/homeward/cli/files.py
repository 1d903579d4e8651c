"""Local files, checked before anything is sent or overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from homeward.cli.errors import CliError

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
