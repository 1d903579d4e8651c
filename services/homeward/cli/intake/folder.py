"""A folder that a recorder exports into: which files are finished, and where they go."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from homeward.cli.errors import CliError
from homeward.cli.files import written_name
from homeward.cli.intake.facts import MOST_SIDE_CAR_BYTES, SIDE_CAR_SUFFIX, SideCar
from homeward.cli.terminal import clean

DONE, FAILED = "done", "failed"
REASON_SUFFIX = ".txt"
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download")
"""Endings of names that programs give to what they have not written whole."""

MOST_NAME_BYTES = 255
"""Of a file, in the file systems that there are."""

Look = tuple[int, int]
"""Size of a file and time of its last change. Not its number, which changes by itself on some
network shares."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be taken in."""

    path: Path
    place: PurePosixPath
    """Within the folder."""
    look: Look


@dataclass(slots=True)
class Resting:
    """Tells which files have not changed for a while, by this computer's own clock.

    The clock of a file server may be another one: a file's time is compared with itself alone.

    Args:
        rest: How long a file must stay as it is.
        clock: Seconds that only grow.
    """

    rest: timedelta
    clock: Callable[[], float] = time.monotonic
    _since: dict[Path, tuple[Look, float]] = field(default_factory=dict)

    def at_rest(self, found: Sequence[Found]) -> list[Found]:
        """Return the files that have been as they are for long enough; forget those that went."""
        now = self.clock()
        seen = {}
        for one in found:
            look, since = self._since.get(one.path, (one.look, now))
            seen[one.path] = (one.look, since if look == one.look else now)
        self._since = seen
        seconds = self.rest.total_seconds()
        return [one for one in found if now - seen[one.path][1] >= seconds]

    def begin_again(self, one: Found) -> None:
        """Have a file rest anew before it is tried again."""
        self._since.pop(one.path, None)


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder.

    Args:
        path: Of it.
        only: Patterns of names; none for all.
        side_car_first: Whether a file is taken only once its side-car is there.
    """

    path: Path
    only: Sequence[str] = ()
    side_car_first: bool = False

    def files(self) -> list[Found]:
        """Return the files that may be taken in, in the order of their places."""
        found = []
        for path in _walk(self.path, skip=(DONE, FAILED)):
            if not self.takes(path.name):
                continue
            if self.side_car_first and not ((beside := side_car_of(path)) and beside.exists()):
                continue
            with suppress(FileNotFoundError):  # moved away meanwhile
                status = path.stat()
                if status.st_size:
                    look = (status.st_size, status.st_mtime_ns)
                    place = PurePosixPath(path.relative_to(self.path).as_posix())
                    found.append(Found(path, place, look))
        return sorted(found, key=lambda one: one.place)

    def takes(self, name: str) -> bool:
        """Return whether files of this name are to be taken in."""
        small = name.lower()
        if small.startswith((".", "~")) or small.endswith((*UNFINISHED, SIDE_CAR_SUFFIX)):
            return False
        return not self.only or any(fnmatch(small, one.lower()) for one in self.only)

    def is_as_seen(self, one: Found) -> bool:
        """Return whether a file is as it was when it was found."""
        try:
            status = one.path.stat()
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns) == one.look

    def side_car(self, one: Found) -> SideCar | None:
        """Return what lies beside a file; None for nothing.

        Raises:
            CliError: It cannot be read.
            OSError: Likewise; a link is not followed.
        """
        path = side_car_of(one.path)
        if path is None:
            return None
        # A pipe would never end, and a link may lead to what is for nobody to read.
        how = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(path, how)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CliError(f"{written_name(path.name)}: is no file")
            data = file.read(MOST_SIDE_CAR_BYTES)
        return SideCar.parsed(data, written_name(path.name))

    def move_to_done(self, one: Found, today: date) -> Path:
        """Move a file that was taken in, with its side-car; return where it is now."""
        return self._move(one, self.path / DONE / today.isoformat())

    def move_to_failed(self, one: Found, why: Sequence[str]) -> Path:
        """Move a file that was refused, and write beside it why; return where it is now."""
        # Before the file: if this breaks off, it is refused again, and told again.
        return self._moved(one, self.write_reason(one.place, why))

    def write_reason(self, place: PurePosixPath, why: Sequence[str]) -> Path:
        """Write why a file was refused; return where the file belongs beside that."""
        target = self._made_room(self.path / FAILED / place)
        reason = target.with_name(_reason_name(target.name))
        draft = reason.with_name(f".{reason.name}")
        # A file's name, which stands in it, may have line ends, and bytes that are not UTF-8.
        draft.write_text("\n".join((*map(clean, why), "")), encoding="utf-8")
        draft.replace(reason)
        return target

    def done_before(self, today: date, keep_days: int) -> list[Path]:
        """Return the folders of what was taken in more than some days ago."""
        found: list[Path] = []
        if (self.path / DONE).is_symlink():
            return found
        for folder in sorted((self.path / DONE).glob("????-??-??")):
            if folder.is_symlink():  # to what is not ours
                continue
            with suppress(ValueError):  # somebody else's folder
                if today - date.fromisoformat(folder.name) > timedelta(days=keep_days):
                    found.append(folder)
        return found

    def remove_done(self, today: date, keep_days: int) -> list[Path]:
        """Remove what was taken in more than some days ago; return the folders of those days."""
        gone = self.done_before(today, keep_days)
        for folder in gone:
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            folder.rmdir()
        return gone

    def _move(self, one: Found, below: Path) -> Path:
        return self._moved(one, self._made_room(below / one.place))

    def _made_room(self, path: Path) -> Path:
        """Return a free path, whose folders are there.

        Raises:
            CliError: One of them is a link: nothing is put elsewhere.
        """
        target = _free(path)
        for parent in target.relative_to(self.path).parents:
            if (self.path / parent).is_symlink() and parent.parts:
                raise CliError(
                    f"{written_name(str(self.path / parent))}: is a link, and nothing is moved out"
                    " of the folder",
                    advice="remove the link, and start this again",
                )
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _moved(self, one: Found, target: Path) -> Path:
        """Move a file, then its side-car: a recording is never left without what says its start."""
        side_car, its_target = side_car_of(one.path), side_car_of(target)
        one.path.rename(target)
        if side_car and its_target:
            with suppress(FileNotFoundError):  # it has none
                side_car.rename(its_target)
        return target


def side_car_of(path: Path) -> Path | None:
    """Return where a file's side-car is; None if its own name is too long for it to have one."""
    name = f"{path.name}{SIDE_CAR_SUFFIX}"
    return path.with_name(name) if len(os.fsencode(name)) <= MOST_NAME_BYTES else None


def today() -> date:
    """Return the day by UTC."""
    return datetime.now(UTC).date()


def require_folder(path: Path) -> None:
    """Refuse what is no folder that files can be moved in.

    Raises:
        CliError: It is not.
    """
    if not path.is_dir():
        raise CliError(f"{path}: is no folder", advice="make it, or mount it, and start this again")
    if not os.access(path, os.W_OK | os.X_OK):
        raise CliError(f"{path}: files cannot be moved in it", advice="give this user the right to")


def _walk(folder: Path, *, skip: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the files in a folder and below; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in skip and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):  # moved away meanwhile
                        yield from _walk(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _reason_name(name: str) -> str:
    """Return the name of the file that says why another one was refused, short enough to be one."""
    written = os.fsencode(name)
    room = MOST_NAME_BYTES - len(REASON_SUFFIX) - 1  # the draft has a dot before it
    if len(written) > room:
        digest = hashlib.sha256(written).hexdigest()[:8]
        name = f"{os.fsdecode(written[: room - 9])}-{digest}"
    return f"{name}{REASON_SUFFIX}"


def _free(path: Path) -> Path:
    """Return a path where nothing is: this one, or with a number."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
