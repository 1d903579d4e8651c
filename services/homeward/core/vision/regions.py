"""Parts of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT_PX = 32
"""The detector pads to multiples of it, and sees the same in a region as in the whole picture."""


@dataclass(frozen=True, slots=True)
class Region:
    """An upright rectangle, whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Pixels in it."""
        return (self.right - self.left) * (self.bottom - self.top)

    def even(self) -> Region:
        """Return it widened to even borders, as far as a picture of even size reaches."""
        return Region(
            self.left // 2 * 2,
            self.top // 2 * 2,
            -(-self.right // 2) * 2,
            -(-self.bottom // 2) * 2,
        )

    def overlaps(self, other: Region) -> bool:
        """Whether the two have pixels in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def aligned(self, width: int, height: int) -> Region:
        """Return it widened to the detector's grid, within a picture of this size."""
        return Region(
            max(0, self.left // ALIGNMENT_PX * ALIGNMENT_PX),
            max(0, self.top // ALIGNMENT_PX * ALIGNMENT_PX),
            min(width, -(-self.right // ALIGNMENT_PX) * ALIGNMENT_PX),
            min(height, -(-self.bottom // ALIGNMENT_PX) * ALIGNMENT_PX),
        )

    def joined(self, other: Region) -> Region:
        """Return the smallest rectangle around both."""
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def disjoint(regions: Sequence[Region]) -> list[Region]:
    """Return regions that do not overlap, and cover the same."""
    apart: list[Region] = []
    for region in regions:
        joined = region
        while touching := [other for other in apart if other.overlaps(joined)]:
            apart = [other for other in apart if other not in touching]
            for other in touching:
                joined = joined.joined(other)
        apart.append(joined)
    return apart
