from __future__ import annotations

import pytest

from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, WIDEST_TOLD_PX, FaceSizes
from homeward.servicekit import records


def test_a_face_counts_by_its_whole_pixels() -> None:
    assert FaceSizes.of([2.0, 2.99, 0.4]).counts == (1, 0, 2)


def test_faces_wider_than_is_told_count_as_the_widest() -> None:
    widths = [WIDEST_TOLD_PX - 0.1, WIDEST_TOLD_PX, 900.0]

    assert FaceSizes.of(widths).counts[-2:] == (1, 2)
    assert len(FaceSizes.of(widths).counts) == WIDEST_TOLD_PX + 1


@pytest.mark.parametrize(
    ("width", "too_small"), [(MIN_FACE_WIDTH_PX, 0), (MIN_FACE_WIDTH_PX - 0.001, 1)]
)
def test_who_is_too_small_is_so_by_the_limit_itself(width: float, too_small: int) -> None:
    assert FaceSizes.of([width]).too_small == too_small


@pytest.mark.parametrize(
    ("widths", "median"),
    [([], 0), ([0.5], 0), ([17], 17), ([17, 30], 17), ([9, 17, 30], 17), ([80, 90, 100], 64)],
)
def test_the_median_is_the_width_that_half_of_the_faces_had_at_most(
    widths: list[float], median: int
) -> None:
    assert FaceSizes.of(widths).median == median


def test_sizes_of_parts_are_those_of_the_whole() -> None:
    parts = FaceSizes.of([3, 50]) + FaceSizes() + FaceSizes.of([12]) + FaceSizes(unclear=1)

    assert parts == FaceSizes(FaceSizes.of([3, 12, 50]).counts, unclear=1)
    assert (parts.total, parts.too_small) == (3, 2)


def test_sizes_outlast_a_record() -> None:
    sizes = FaceSizes.of([3, 50]) + FaceSizes(unclear=1)

    assert records.decode(records.encode(sizes), FaceSizes) == sizes
