from __future__ import annotations

from segment_stage import ALICE, NOBODY, Stage, seconds, subjects

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.model import ScanState, Thoroughness
from homeward.ingestion.scan.ports import Piece


def passed_over(stage: Stage) -> list[float]:
    """Seconds of the film whose pictures were not played in the last search."""
    played = {int(at.total_seconds()) for at in stage.source.played}
    return [second for second in range(60) if second not in played]


async def test_only_where_packets_rise_is_decoded(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 21, 23)
    stage.quiet(active=[20, 22])

    done = await stage.search(stage.make.segment(0, 60))

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(21), seconds(22.8 + 1 / 25))
    assert (done.thoroughness, done.looked_at) == (Thoroughness.GATED, seconds(4))
    assert done.passed_over == seconds(56)
    assert stage.source.asked[-1] == [
        Piece(Stretch(seconds(20), seconds(22))),
        Piece(Stretch(seconds(22), seconds(24))),
    ]


async def test_what_was_passed_over_counts_as_searched(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet(active=[20])

    done = await stage.search(stage.make.segment(0, 60))

    assert (done.state, done.position, done.gaps) == (ScanState.SUCCEEDED, seconds(60), ())
    assert len(passed_over(stage)) > 40


async def test_who_stands_still_is_found_by_a_look(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 30, 36)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    assert subjects(done) == ["subject-1"]
    assert done.looked_at < seconds(20)
    assert done.searched == seconds(60)


async def test_a_poster_is_looked_at_once(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(NOBODY, 0, 60)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    assert seconds(0) < done.looked_at <= seconds(8)


async def test_a_look_that_does_not_decode_is_decoded_in_full_and_told(stage: Stage) -> None:
    stage.empty(0, 16)
    stage.empty(24, 60)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    (gap,) = done.gaps
    assert (gap.start_time, gap.end_time) == (
        stage.make.recorded + seconds(16),
        stage.make.recorded + seconds(24),
    )


async def test_without_the_gate_all_of_every_picture_is_searched(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet()
    scanner = stage.scanner_with(gated=False)

    done = await stage.search(stage.make.segment(0, 60), scanner)

    assert (done.thoroughness, done.looked_at) == (Thoroughness.SWITCHED_OFF, seconds(60))
    assert passed_over(stage) == []
    assert stage.faces.asked == [True]


async def test_of_intra_only_footage_only_the_sampled_pictures_are_decoded(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.length = 10
    stage.timeline = stage.make.timeline(10, gop=1 / 25, key_bytes=(90_000,))

    done = await stage.search()

    assert done.thoroughness is Thoroughness.INTRA_ONLY
    pieces = stage.source.asked[-1]
    assert len(pieces) == 50
    assert all(piece.at == (piece.stretch.start,) for piece in pieces)


async def test_a_picture_that_a_look_and_the_search_both_see_counts_once(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet(active=[20])
    stage.walks(ALICE, 29, 31)  # whom the look at 30 s shows

    done = await stage.search(stage.make.segment(0, 60))

    assert len(stage.source.played) > len(set(stage.source.played))
    assert done.counts.frames == len(set(stage.source.played))
