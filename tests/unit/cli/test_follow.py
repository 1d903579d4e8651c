from __future__ import annotations

import pytest

from homeward.api.ingestion.v1 import scan_pb2
from homeward.cli.follow import not_listed, not_shown

REJECTED = "Matches not shown because a reviewer has rejected them before: {}."
CLOSED = (
    "Matches not shown because their subject was closed during the search, or its record is lost:"
    " {}."
)


@pytest.mark.parametrize(
    ("dropped", "closed", "lines"),
    [
        (0, 0, []),
        (3, 0, [REJECTED.format(3)]),
        (3, 3, [CLOSED.format(3)]),
        (3, 1, [REJECTED.format(2), CLOSED.format(1)]),
    ],
)
def test_matches_of_a_closed_subject_are_not_told_as_rejected(
    dropped: int, closed: int, lines: list[str]
) -> None:
    progress = scan_pb2.ScanProgress(dropped_match_count=dropped, closed_subject_match_count=closed)

    assert not_shown(progress) == lines


@pytest.mark.parametrize(("found", "listed", "gone"), [(0, 0, 0), (3, 3, 0), (3, 1, 2), (0, 1, 0)])
def test_candidates_that_nobody_holds_any_more_are_counted(
    found: int, listed: int, gone: int
) -> None:
    told = not_listed(scan_pb2.ScanProgress(candidate_count=found), listed)

    assert [line.partition(" ")[0] for line in told] == ([f"{gone}"] if gone else [])
