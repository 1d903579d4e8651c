"""Sizes of the pictures of a whole recording, by key picture and second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.media import PacketGroup

SECOND = 1_000_000
"""Microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Packets(Sequence[PacketGroup]):
    """The groups of pictures of a recording, in order.

    In arrays, since each picture of Motion JPEG is a group: an hour of it has 90,000.
    """

    starts: NDArray[np.int64]
    """When each key picture is shown, microseconds. Shape (g,)."""
    key_bytes: NDArray[np.int64]
    """Shape (g,)."""
    borders: NDArray[np.int64]
    """Where the seconds of each group begin in `sizes` and `pictures`, and end. Shape (g + 1,)."""
    sizes: NDArray[np.int64]
    """Bytes of the pictures after the key picture, by second. Shape (s,)."""
    pictures: NDArray[np.int64]
    """How many pictures that are. Shape (s,)."""

    @classmethod
    def of(cls, groups: Iterable[PacketGroup]) -> Packets:
        """Take groups that are at hand one by one."""
        held = list(groups)
        return cls(
            np.array([round(group.start * SECOND) for group in held], np.int64),
            np.array([group.key_bytes for group in held], np.int64),
            np.cumsum([0, *(len(group.sizes) for group in held)], dtype=np.int64),
            np.array([size for group in held for size in group.sizes], np.int64),
            np.array([count for group in held for count in group.pictures], np.int64),
        )

    @classmethod
    def summed(
        cls,
        times: NDArray[np.int64],
        sizes: NDArray[np.int64],
        keys: NDArray[np.bool_],
        *,
        most_seconds: int,
    ) -> Packets:
        """Add up pictures.

        Args:
            times: When each is shown, microseconds, in order. At least one.
            sizes: Bytes.
            keys: Whether others can be decoded from it on. The first one begins a group anyway.
            most_seconds: Longest time after a key picture of which sizes are told.
        """
        begins = keys.copy()
        begins[0] = True
        first = np.flatnonzero(begins)
        others = np.flatnonzero(~begins)
        group = np.searchsorted(first, others) - 1
        seconds = (times[others] - times[first[group]]) // SECOND
        near = seconds < most_seconds  # beyond a hole nothing is told of them
        others, group, seconds = others[near], group[near], seconds[near]
        lengths = np.zeros(len(first), np.int64)
        np.maximum.at(lengths, group, seconds + 1)
        borders = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        cells = borders[group] + seconds
        counted = int(borders[-1])
        return cls(
            times[first],
            sizes[first],
            borders,
            np.bincount(cells, sizes[others], counted).astype(np.int64),
            np.bincount(cells, minlength=counted),
        )

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, place: int) -> PacketGroup: ...
    @overload
    def __getitem__(self, place: slice) -> list[PacketGroup]: ...
    def __getitem__(self, place: int | slice) -> PacketGroup | list[PacketGroup]:
        if isinstance(place, slice):
            return [self[number] for number in range(len(self))[place]]
        number = range(len(self))[place]
        cells = slice(self.borders[number], self.borders[number + 1])
        return PacketGroup(
            int(self.starts[number]) / SECOND,
            int(self.key_bytes[number]),
            tuple(self.sizes[cells].tolist()),
            tuple(self.pictures[cells].tolist()),
        )

    @property
    def groups(self) -> NDArray[np.int64]:
        """To which group each second belongs. Shape (s,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.borders))

    @property
    def seconds(self) -> NDArray[np.int64]:
        """How many seconds after its key picture each second begins. Shape (s,)."""
        return np.arange(len(self.sizes)) - self.borders[:-1][self.groups]

    def totals(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add up `sizes` or `pictures` by group. Shape (g,)."""
        added = np.concatenate([np.zeros(1, np.int64), np.cumsum(cells)])
        result: NDArray[np.int64] = added[self.borders[1:]] - added[self.borders[:-1]]
        return result
