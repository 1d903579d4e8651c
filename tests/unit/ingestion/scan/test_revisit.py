from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from segment_stage import ALICE, BOB, NOBODY, Stage, best_still, seconds, subjects

from homeward.ingestion.footage.media import Presentation
from homeward.ingestion.footage.timeline import VERSION
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.scan.model import ScanState, Thoroughness
from homeward.ingestion.scan.ports import Undecodable
from homeward.ingestion.scan.presence_index import StoredPresenceIndex
from homeward.servicekit import errors


@pytest.fixture
def presence(stage: Stage, bucket: Any) -> StoredPresenceIndex:
    """The index of a recording that is there."""
    index = StoredPresenceIndex(bucket)
    stage.scanner = stage.scanner_with(presence=index)
    return index


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_decodes_only_where_faces_were(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(NOBODY, 4, 6)
    stage.walks(ALICE, 20.6, 21.6)
    stage.quiet(active=[4, 20])
    segment = stage.make.segment(0, 60)
    first = await stage.search(segment)

    again = await stage.search(segment)

    assert again.thoroughness is Thoroughness.PRESENCE
    assert 0 < again.counts.frames < first.counts.frames
    assert again.sighting_ids == first.sighting_ids
    assert again.counts == replace(first.counts, frames=again.counts.frames)
    asked = {at for piece in stage.source.asked[-1] for at in piece.at or ()}
    assert asked == set(stage.source.played)
    assert asked < set(stage.faces.faces)


def presence_failures() -> float:
    return REGISTRY.get_sample_value("homeward_scan_presence_failures_total") or 0.0


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize("call", ["put", "stat"])
async def test_a_store_that_is_full_makes_no_search_fail_for_the_index(
    stage: Stage, bucket: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    async def is_full(*_: object, **__: object) -> None:
        raise errors.unavailable("S3", "http://s3:1", "it is full")

    before = presence_failures()
    monkeypatch.setattr(bucket, call, is_full)
    done = await stage.search()
    monkeypatch.undo()

    assert done.state is ScanState.SUCCEEDED
    assert len(done.sighting_ids) == 1
    assert presence_failures() == before + 1


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_covers_what_the_first_one_did(stage: Stage) -> None:
    stage.empty(0, 40)
    stage.empty(43, 60)
    stage.walks(ALICE, 20.6, 21.6)
    stage.quiet(active=[20, 38, 40, 42])
    segment = stage.make.segment(0, 60)
    first = await stage.search(segment)

    again = await stage.search(segment)

    assert first.gaps
    assert (again.looked_at, again.passed_over, again.gaps) == (
        first.looked_at,
        first.passed_over,
        first.gaps,
    )


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_detects_nobody_anew(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)
    await stage.search()
    stage.faces.asked.clear()

    done = await stage.search()

    assert stage.faces.asked == []
    assert subjects(done) == ["subject-1"]


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_finds_somebody_who_was_not_looked_for(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(BOB, 2, 6)
    known = stage.matcher.match
    stage.matcher.match = stage.matcher.nobody
    await stage.search()
    stage.matcher.match = known

    done = await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(2), seconds(5.8 + 1 / 25))
    assert subjects(done) == ["subject-2"]


@pytest.mark.usefixtures("presence", "kept")
async def test_the_others_are_blurred_in_a_second_search_too(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    stage.walks(NOBODY, 2, 3, x=900, sure=0.35)
    await stage.search()

    await stage.search()

    assert [best_still(one) for one in stage.matcher.drafts] == [b"2 1 [900]"] * 2


@pytest.mark.usefixtures("presence")
async def test_the_index_holds_times_and_boxes_and_nothing_else(
    stage: Stage, bucket: Any, kept: str
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    (item,) = await bucket.objects(f"{kept}presence/")
    written = json.loads(await bucket.get(item.key))
    (person,) = written["people"]
    assert set(written) == {"version", "stretch", "people", "coverage"}
    assert set(written["coverage"]) == {"looked_at", "passed_over", "gaps"}
    assert set(person) == {"start", "end", "sights", "widest", "shots"}
    assert {frozenset(shot) for shot in person["shots"]} == {
        frozenset({"offset", "box", "others", "quality"})
    }


@pytest.mark.usefixtures("presence", "kept")
async def test_gaps_and_small_faces_are_told_again(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.empty(7, 10)
    stage.walks(NOBODY, 1, 2, width=MIN_FACE_WIDTH_PX - 1)
    first = await stage.search()

    again = await stage.search()

    assert again.thoroughness is Thoroughness.PRESENCE
    assert (again.gaps, again.counts.incomparable) == (first.gaps, 1)
    assert again.counts.sizes == first.counts.sizes == FaceSizes.of([23])


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize(
    "change",
    [
        lambda stage: setattr(stage.faces, "version", "detector-2"),
        lambda stage: setattr(
            stage, "scanner", stage.scanner_with(presence=stage.index, sample_rate=4.0)
        ),
        lambda stage: stage.media.update(version=VERSION + 1),
        lambda stage: stage.media.update(
            video=replace(stage.make.media().video, presentation=Presentation(pixel_aspect=2.0))
        ),
    ],
    ids=["another detector", "another rate", "another timeline", "another shape of pixels"],
)
async def test_an_index_of_other_makings_is_ignored(stage: Stage, change: Any) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    await stage.search()

    change(stage)
    done = await stage.search()

    assert done.thoroughness is not Thoroughness.PRESENCE


@pytest.mark.usefixtures("presence", "kept")
async def test_an_index_of_another_piece_is_ignored(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 12, 13)
    await stage.search(stage.make.segment(0, 20))

    more = await stage.search(stage.make.segment(0, 30))
    less = await stage.search(stage.make.segment(10, 20))

    assert more.thoroughness is not Thoroughness.PRESENCE
    assert less.thoroughness is not Thoroughness.PRESENCE


@pytest.mark.usefixtures("presence", "kept")
async def test_an_index_serves_every_window_of_its_piece(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 12, 13)
    await stage.search(stage.make.segment(0, 30, window=(0, 5)))

    other = await stage.search(stage.make.segment(0, 30, window=(10, 20)))

    assert other.thoroughness is Thoroughness.PRESENCE
    assert subjects(other) == ["subject-2"]
    assert (other.looked_at, other.counts.faces) == (seconds(10), 5)


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize("instead", [[], [Undecodable(seconds(2), seconds(2.2), "it crashed")]])
async def test_a_search_that_misses_somebody_it_knows_of_is_done_in_full(
    stage: Stage, instead: list[Any]
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    await stage.search()
    stage.source.film[10:11] = instead

    done = await stage.search()

    assert done.thoroughness is not Thoroughness.PRESENCE
    assert subjects(done) == ["subject-1"]


@pytest.mark.usefixtures("presence")
async def test_nothing_is_written_beside_a_recording_that_is_gone(
    stage: Stage, bucket: Any
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert await bucket.objects("") == []


@pytest.mark.usefixtures("presence")
async def test_a_search_that_broke_off_writes_nothing(stage: Stage, bucket: Any, kept: str) -> None:
    stage.empty(0, 10)
    stage.problem = RuntimeError("enough")
    with pytest.raises(RuntimeError):
        await stage.search()

    assert await bucket.objects(f"{kept}presence/") == []


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_knows_the_widest_face_that_no_kept_picture_shows(
    stage: Stage,
) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 3, width=30, sure=0.95)
    stage.walks(NOBODY, 3, 3.2, width=36, sure=0.7)
    stage.walks(NOBODY, 3.2, 4, width=30, sure=0.95)

    first = await stage.search()
    again = await stage.search()

    assert again.thoroughness is Thoroughness.PRESENCE
    assert first.counts.sizes == again.counts.sizes == FaceSizes.of([36])


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize("left", [0, 40])
async def test_a_damaged_index_is_made_anew(stage: Stage, bucket: Any, left: int) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    segment = stage.make.segment(0, 10)
    first = await stage.search(segment)
    (item,) = [one for one in await bucket.objects("") if "/presence/" in one.key]
    whole = await bucket.get(item.key)
    await bucket.put(item.key, whole[:left], content_type="application/json")

    again = await stage.search(segment)

    assert again.sighting_ids == first.sighting_ids
    assert again.thoroughness is not Thoroughness.PRESENCE
    assert await bucket.get(item.key) == whole
