from __future__ import annotations

import pytest

from homeward.api.ingestion.v1.scan_pb2 import FaceSizes, ScanCoverage
from homeward.cli import face_sizes


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (1, 1000, "under 1 %"),
        (31, 50, "62 %"),
        (999, 1000, "over 99 %"),
        (9, 9, "100 %"),
    ],
)
def test_a_share_is_never_none_of_some_nor_all_of_fewer(part: int, whole: int, told: str) -> None:
    assert face_sizes.percent(part, whole) == told


def test_of_a_scan_that_was_not_measured_the_count_alone_is_told() -> None:
    coverage = ScanCoverage(incomparable_appearance_count=3)

    (line,) = face_sizes.sentences(coverage)

    assert line.endswith("to compare with anybody: 3.")


def test_of_a_scan_that_was_measured_in_part_no_share_of_all_is_told() -> None:
    coverage = ScanCoverage(
        incomparable_appearance_count=9,
        face_sizes=FaceSizes(appearance_count=2, too_small_appearance_count=1),
    )

    assert "9." in face_sizes.sentences(coverage)[0]
