"""Widths of the faces of people in view, and the share that was too small to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, zip_longest

MIN_FACE_WIDTH_PX = 24.0
"""Narrower faces are not compared: on LFW, SFace misses 11 % of the faces 23 pixels wide, and half
of those 17 pixels wide."""

WIDEST_TOLD_PX = 64
"""Wider faces are counted as this wide: from there on size costs no recognition."""


@dataclass(frozen=True, slots=True)
class FaceSizes:
    """Counts of people by the width of their face at its widest; several can be added up."""

    counts: tuple[int, ...] = ()
    """People by the width of their face, whole pixels of the recording, rounded down; the last one
    that can be is of `WIDEST_TOLD_PX` and more. No zero at the end, so that equal sizes are equal
    values."""
    unclear: int = 0
    """People whose face was wide enough, but found again in none of their pictures."""

    @classmethod
    def of(cls, widths: Iterable[float]) -> FaceSizes:
        """Count widths, pixels."""
        by_width = Counter(min(int(width), WIDEST_TOLD_PX) for width in widths)
        return cls(tuple(by_width[width] for width in range(max(by_width, default=-1) + 1)))

    @property
    def total(self) -> int:
        """Number of people."""
        return sum(self.counts)

    @property
    def too_small(self) -> int:
        """Number of people whose face was too small to compare."""
        return sum(self.counts[: int(MIN_FACE_WIDTH_PX)])

    @property
    def median(self) -> int:
        """The width that half of the faces had at most, whole pixels; 0 without any."""
        half = (self.total + 1) // 2
        return next((px for px, so_far in enumerate(accumulate(self.counts)) if so_far >= half), 0)

    def __add__(self, other: FaceSizes) -> FaceSizes:
        return FaceSizes(
            tuple(a + b for a, b in zip_longest(self.counts, other.counts, fillvalue=0)),
            self.unclear + other.unclear,
        )


assert MIN_FACE_WIDTH_PX.is_integer(), "whole pixels tell who is too small"
assert MIN_FACE_WIDTH_PX <= WIDEST_TOLD_PX, "and all who are too small are told apart"
