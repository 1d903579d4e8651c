"""Truth of street footage: for every frame, who is in view, where, how turned and how hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEAD_M = 0.23
"""Height of a head, metres: head heights in pixels over this are IEC 62676-4's pixels per metre."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one frame, at the middle of the exposure.

    Places are in pixels of the recording; the first pixel's centre is 0, as in OpenCV's warps.
    YuNet says 0.5 there (see `street_heads.DETECTOR_ZERO`).
    """

    person: int
    """Number of the person in the recording; a person walks through once."""
    identity: str
    is_subject: bool
    """Whether the truth file has reference photographs of this identity."""
    group: int
    """People who walk together have one number."""
    head: Floats
    """x, y, width, height of the head, hair to chin; parts may be outside of the picture."""
    face: Floats
    """x, y, width, height, as the detector bounds faces."""
    landmarks: Floats
    """Eye, eye, nose tip, mouth corner, mouth corner, pairs from left to right, shape (5, 2)."""
    inside: float
    """Share of the face that is inside the picture, in [0, 1]."""
    hidden: float
    """Share of the face in the picture that other people hide, in [0, 1]."""
    covered: float
    """Share of it that the person's own umbrella hides, in [0, 1]."""
    yaw: float
    """Degrees that the photograph's face was turned by; positive to the right of the picture."""
    pitch: float
    """Degrees, positive downwards."""
    velocity: Floats
    """Pixels per second to the right and downwards, shape (2,)."""
    blur_px: float
    """Length of the motion blur: speed times shutter."""

    @property
    def speed(self) -> float:
        """Pixels per second."""
        return float(np.hypot(*self.velocity))

    @property
    def head_px(self) -> float:
        """Height of the head."""
        return float(self.head[3])

    @property
    def px_per_m(self) -> float:
        """Pixel density at the head, as IEC 62676-4 states it (identify 250, recognise 125)."""
        return self.head_px / HEAD_M

    def is_open(self, *, most_hidden: float = 0.1) -> bool:
        """Tell whether all of the face is in the picture, and no more than this share hidden."""
        return self.inside >= 0.999 and self.hidden + self.covered <= most_hidden  # noqa: PLR2004


COLUMNS = ("head", "face", "landmarks", "inside", "hidden", "covered", "yaw", "pitch", "velocity")
"""Fields of `Person` that the file has one row of for each person and frame."""


@dataclass(frozen=True)
class Truth:
    """Everybody in every frame of a recording."""

    fps: float
    size: tuple[int, int]
    """Width and height of the picture."""
    shutter: float
    """Seconds that each frame was exposed; 0 for no motion blur."""
    identities: tuple[str, ...]
    """By person."""
    is_subject: tuple[bool, ...]
    groups: tuple[int, ...]
    frame: NDArray[np.int32]
    """Frame number of each row, ascending, from 0; shape (n,)."""
    person: NDArray[np.int32]
    """Person of each row, shape (n,)."""
    columns: dict[str, Floats]
    """`COLUMNS`, n rows each."""

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote."""
        with np.load(path) as file:
            return cls(
                fps=float(file["fps"]),
                size=(int(file["size"][0]), int(file["size"][1])),
                shutter=float(file["shutter"]),
                identities=tuple(str(one) for one in file["identities"]),
                is_subject=tuple(bool(one) for one in file["is_subject"]),
                groups=tuple(int(one) for one in file["groups"]),
                frame=file["frame"],
                person=file["person"],
                columns={name: file[name] for name in COLUMNS},
            )

    @classmethod
    def of(
        cls,
        people: Sequence[tuple[int, Person]],
        cast: Sequence[tuple[str, bool, int]],
        *,
        fps: float,
        size: tuple[int, int],
        shutter: float,
    ) -> Truth:
        """Return the truth of people by frame number; `cast` is who, whether subject, and group."""
        rows = sorted(people, key=lambda one: (one[0], one[1].person))
        shapes = {"head": (4,), "face": (4,), "landmarks": (5, 2), "velocity": (2,)}
        return cls(
            fps=fps,
            size=size,
            shutter=shutter,
            identities=tuple(one[0] for one in cast),
            is_subject=tuple(one[1] for one in cast),
            groups=tuple(one[2] for one in cast),
            frame=np.array([number for number, _ in rows], np.int32),
            person=np.array([one.person for _, one in rows], np.int32),
            columns={
                name: np.array([getattr(one, name) for _, one in rows], np.float32).reshape(
                    len(rows), *shapes.get(name, ())
                )
                for name in COLUMNS
            },
        )

    def save(self, path: Path) -> None:
        """Write a .npz file."""
        np.savez_compressed(
            path,
            fps=self.fps,
            size=np.array(self.size),
            shutter=self.shutter,
            identities=np.array(self.identities, dtype=str),
            is_subject=np.array(self.is_subject, bool),
            groups=np.array(self.groups, np.int32),
            frame=self.frame,
            person=self.person,
            **self.columns,
        )

    def at(self, frame: int) -> list[Person]:
        """Return everybody some of whose head is inside the picture in a frame, from 0."""
        first, end = np.searchsorted(self.frame, [frame, frame + 1])
        return [self._row(row) for row in range(first, end)]

    def near(self, seconds: float) -> list[Person]:
        """Return everybody in the frame that is nearest to a time of the recording."""
        return self.at(round(seconds * self.fps))

    def of_person(self, person: int) -> list[tuple[int, Person]]:
        """Return a person in every frame that has him, with the frame's number."""
        return [
            (int(self.frame[row]), self._row(row)) for row in np.flatnonzero(self.person == person)
        ]

    def _row(self, row: int) -> Person:
        of, value = int(self.person[row]), self.columns
        velocity = value["velocity"][row]
        return Person(
            person=of,
            identity=self.identities[of],
            is_subject=self.is_subject[of],
            group=self.groups[of],
            head=value["head"][row],
            face=value["face"][row],
            landmarks=value["landmarks"][row],
            inside=float(value["inside"][row]),
            hidden=float(value["hidden"][row]),
            covered=float(value["covered"][row]),
            yaw=float(value["yaw"][row]),
            pitch=float(value["pitch"][row]),
            velocity=velocity,
            blur_px=float(np.hypot(*velocity)) * self.shutter,
        )
