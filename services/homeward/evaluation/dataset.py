"""Labelled photographs, and labelled footage, in folders."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PICTURES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
)
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".avi", ".ts", ".webm"})
LEAST_IDENTITIES = 20
"""Fewer people than this tell nothing about error rates."""


OLDEST = 130
"""Years; a number above it is no age."""


class DatasetError(Exception):
    """A data set cannot be used; says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A labelled photograph."""

    identity: str
    path: Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photographs of people, each person in a folder of their own."""

    folder: Path
    photos: tuple[Photo, ...]
    """In the order of identities and names."""
    cohorts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By attribute, the value of each identity."""

    @property
    def identities(self) -> tuple[str, ...]:
        """The people, in order."""
        return tuple(dict.fromkeys(photo.identity for photo in self.photos))

    def digest(self) -> str:
        """Return SHA-256, hexadecimal, over identities, names and bytes of the photographs."""
        whole = hashlib.sha256()
        for photo in self.photos:
            content = hashlib.sha256(photo.path.read_bytes()).hexdigest()
            whole.update(f"{photo.identity}/{photo.path.name} {content}\n".encode())
        return whole.hexdigest()


def read_dataset(folder: Path) -> Dataset:
    """Read `identity/*.jpg`, and `cohorts.csv` if there is one.

    Raises:
        DatasetError: It is no such folder, or has too few people.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    photos = tuple(
        Photo(person.name, path)
        for person in sorted(folder.iterdir())
        if person.is_dir()
        for path in sorted(person.iterdir())
        if path.suffix.lower() in PICTURES
    )
    dataset = Dataset(folder, photos)
    people = len(dataset.identities)
    if people < LEAST_IDENTITIES:
        raise DatasetError(
            f"{folder}: photographs of {people} people, in a folder each; an evaluation needs"
            f" {LEAST_IDENTITIES}, and hundreds to tell anything"
        )
    table = folder / "cohorts.csv"
    if not table.exists():
        return dataset
    return Dataset(folder, photos, _cohorts(table, dataset.identities))


def _cohorts(table: Path, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        attributes = [name for name in rows.fieldnames or [] if name != "identity"]
        if "identity" not in (rows.fieldnames or []) or not attributes:
            raise DatasetError(
                f"{table}: its first line must name the column `identity` and at least one more"
            )
        found: dict[str, dict[str, str]] = {name: {} for name in attributes}
        known = set(identities)
        for row in rows:
            if row["identity"] not in known:
                raise DatasetError(
                    f"{table}, line {rows.line_num}: no photographs of {row['identity']!r}"
                )
            for name in attributes:
                if name.lower() == "age":
                    _check_age(row[name] or "", f"{table}, line {rows.line_num}")
                if row[name]:
                    found[name][row["identity"]] = row[name]
    return found


def _check_age(cell: str, place: str) -> None:
    """Refuse a number that is nobody's age: a year of birth would make everybody an adult."""
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]
    falling = numbers != sorted(numbers)
    if cell.strip().startswith("-") or falling or max(numbers, default=0) > OLDEST:
        raise DatasetError(
            f"{place}: {cell!r} is nobody's age in years, 0 to {OLDEST}; write 7, 6-12, 18+,"
            " child or adult"
        )


@dataclass(frozen=True, slots=True)
class Appearance:
    """Somebody who is in view for a while."""

    identity: str
    first: float
    """Seconds from the beginning of the recording."""
    last: float
    head_px: tuple[int, int]
    """Least and greatest height of the head, pixels."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, and who is in view when."""

    path: Path
    appearances: tuple[Appearance, ...]
    references: Mapping[str, tuple[Path, ...]]
    """By identity, photographs other than those that the recording was made from."""


def read_footage(folder: Path) -> tuple[Clip, ...]:
    """Read every recording of a folder that has a truth file of the same name (`.json`).

    A truth file has `subjects`, each with paths of reference photographs, and `appearances`, each
    with `identity`, `first` and `last` in seconds, and `head_px`. Paths begin in the working
    directory or beside the truth file.

    Raises:
        DatasetError: There is none, a truth file is not one, or a photograph is not there.
    """
    clips = [
        read_clip(path)
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.suffix.lower() in VIDEOS and path.with_suffix(".json").exists()
    ]
    if not clips:
        raise DatasetError(f"{folder}: no recording with a truth file (.json) beside it")
    return tuple(clips)


def read_clip(path: Path) -> Clip:
    """Read a recording's truth file, see `read_footage`."""
    truth = path.with_suffix(".json")
    try:
        content: dict[str, Any] = json.loads(truth.read_text(encoding="utf-8"))
        return Clip(
            path,
            tuple(
                Appearance(
                    str(one["identity"]),
                    float(one["first"]),
                    float(one["last"]),
                    (int(one["head_px"][0]), int(one["head_px"][1])),
                )
                for one in content["appearances"]
            ),
            {
                name: tuple(_reference(truth, path) for path in paths)
                for name, paths in content["subjects"].items()
            },
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DatasetError(f"{truth}: no truth file: {error!r}") from error


def _reference(truth: Path, path: str) -> Path:
    # Looked for at once: an evaluation must not end after minutes for a file that never was there.
    for found in (Path(path), truth.parent / path):
        if found.is_file():
            return found
    raise DatasetError(
        f"{truth}: its reference photograph {path} is neither in the working directory nor beside"
        " it: run the evaluation where the recording was made, or correct the path"
    )
