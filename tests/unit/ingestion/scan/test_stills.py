from __future__ import annotations

import pytest

from homeward.ingestion.scan.faces import Box
from homeward.ingestion.scan.ports import Still
from homeward.ingestion.scan.stills import MOST_COVERED, clearest


def still(covered: float) -> Still:
    return Still(b"jpeg", Box(10, 10, 40, 50), covered)


@pytest.mark.parametrize(
    ("covered", "scores", "best", "stands"),
    [
        ([0, 0, 0], [0.5, 0.7, 0.6], 1, 1),
        ([0, 0.3, 0], [0.5, 0.7, 0.6], 1, 2),
        ([0, 0.3, 0.2], [None, 0.7, 0.6], 1, 1),
        ([0.3, 0, 0], [None, None, None], 0, 0),
        ([MOST_COVERED, 0.3], [0.5, 0.7], 1, 0),
        ([0, 0], [0.5, 0.5], 0, 0),
    ],
    ids=[
        "the most alike",
        "somebody before the most alike",
        "no clear one is alike",
        "the fused template alone is alike",
        "hardly covered",
        "the first of two",
    ],
)
def test_the_picture_that_stands_for_a_finding_has_nobody_else_in_it(
    covered: list[float], scores: list[float | None], best: int, stands: int
) -> None:
    assert clearest([still(one) for one in covered], scores, best=best) == stands
