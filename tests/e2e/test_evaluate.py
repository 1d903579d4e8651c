"""Labelled footage, searched by `homeward evaluate` with the real models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.evaluation.dataset import Photo
from homeward.evaluation.footage import searcher
from homeward.evaluation.photos import Measurer

if TYPE_CHECKING:
    from .conftest import Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_everybody_in_footage_is_scored_for_everybody_enrolled(street: Street) -> None:
    pack = load_pack(runtime="auto", threads=2, cache=None)
    measurer = Measurer(PillowPictureDecoder(), pack.detector, pack.recogniser, threads=2)
    samples = measurer.measure(
        [Photo(path.stem, path) for path in (street.portraits[0], street.portraits[3])]
    )
    gallery = {one.identity: one.template[None] for one in samples if one.template is not None}

    async with searcher(
        detector=pack.detector, recogniser=pack.recogniser, model=pack.model, threads=2
    ) as opened:
        found = await opened.search(street.footage, gallery, 5.0)

    appearances = {(one.start, one.end) for one in found}
    assert len(appearances) == 6
    assert len(found) == 12  # each of six people, for each of two
    for name in gallery:
        best, *others = sorted((one.score for one in found if one.identity == name), reverse=True)
        assert best > 0.4 > max(others)
    # In one order each time, or intervals would differ from run to run.
    assert found == sorted(found, key=lambda one: (one.start, one.end, one.identity))
    assert all(one.score >= max(one.fused, one.best_shot) - 1e-6 for one in found)
