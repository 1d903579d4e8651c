from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sighting_calls import CONFIRM, FIGURES, NOBODY, found, recorded, review, stills

from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.sightings.model import Decision, Disposition, Finding, SightingState
from homeward.servicekit.errors import FailedPreconditionError, Reason


async def test_a_finding_is_recorded_with_its_still(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding(still=b"a still"))

    assert sighting.state is SightingState.UNREVIEWED
    assert sighting.create_time == matching.clock.now()
    assert await matching.review.get(sighting.sighting_id) == sighting
    assert await matching.review.still(sighting) == b"a still"


async def test_recording_the_same_finding_again_changes_nothing(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    first = await recorded(matching, finding())
    pass_time(timedelta(minutes=1))

    again = await matching.recording.record(finding())

    assert again == (Disposition.JOINED, first)
    assert await found(matching) == [first]


async def test_a_finding_that_overlaps_joins_and_lengthens(matching: Any, finding: Any) -> None:
    first = await recorded(matching, finding(10, 14, score=0.5))

    disposition, joined = await matching.recording.record(finding(13, 20, score=0.48))

    assert disposition is Disposition.JOINED
    assert joined == replace(
        first,
        end_offset=timedelta(seconds=20),
        end_time=first.start_time + timedelta(seconds=10),
        stills=joined.stills,
    )
    assert [one.offset for one in joined.stills] == [timedelta(seconds=10), timedelta(seconds=13)]
    assert await matching.review.still(joined) == b"a still"


@pytest.mark.parametrize(("score", "still"), [(0.505, b"a still"), (0.515, b"another still")])
async def test_only_a_clearly_better_finding_replaces_the_picture(
    matching: Any, finding: Any, score: float, still: bytes
) -> None:
    await recorded(matching, finding(10, 14, score=0.5))

    _, joined = await matching.recording.record(
        finding(10, 14, score=score, still=b"another still")
    )

    assert await matching.review.still(joined) == still


@pytest.mark.parametrize("scores", [(0.5, 0.505, 0.503), (0.503, 0.5, 0.505), (0.505, 0.5, 0.503)])
async def test_the_score_is_the_best_ones_in_whatever_order_parts_come(
    matching: Any, finding: Any, scores: tuple[float, ...]
) -> None:
    for score in scores:
        _, joined = await matching.recording.record(finding(10, 14, score=score))

    assert joined.score == 0.505
    assert await matching.review.get(joined.sighting_id) == joined


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [(None, None, None), (0.4, None, 0.4), (None, 0.4, 0.4), (0.4, 0.3, 0.4), (0.3, 0.4, 0.4)],
)
async def test_of_joined_findings_the_nearest_other_counts(
    matching: Any, finding: Any, first: float | None, second: float | None, told: float | None
) -> None:
    await recorded(matching, finding(10, 14, rival_score=first))

    _, joined = await matching.recording.record(finding(10, 14, rival_score=second))

    assert joined.rival_score == told


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (False, False, False),
        (True, False, True),
        (False, True, True),
        (None, True, True),
        (None, False, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("score", [0.4, 0.75], ids=["worse", "better"])
async def test_joined_findings_are_uncertain_in_time_if_one_of_them_is(
    matching: Any,
    finding: Any,
    score: float,
    *,
    first: bool | None,
    second: bool | None,
    told: bool | None,
) -> None:
    await recorded(matching, finding(10, 14, time_uncertain=first))

    again = finding(13, 20, score=score, time_uncertain=second)
    _, joined = await matching.recording.record(again)

    assert joined.time_uncertain is told
    assert await found(matching) == [joined]


async def test_a_finding_that_bridges_two_is_uncertain_in_time_if_one_of_the_two_is(
    matching: Any, finding: Any
) -> None:
    await recorded(matching, finding(10, 14, time_uncertain=False))
    await recorded(matching, finding(20, 24, time_uncertain=True))

    _, joined = await matching.recording.record(finding(13, 21, time_uncertain=False))

    assert joined.time_uncertain is True


async def test_a_better_finding_brings_score_picture_and_template(
    matching: Any, finding: Any
) -> None:
    first = await recorded(matching, finding(10, 14, score=0.5, seed=1))
    better = finding(13, 20, score=0.75, seed=2, still=b"a better still")

    _, joined = await matching.recording.record(better)

    template = await matching.index.template(first.sighting_id)
    assert joined.sighting_id == first.sighting_id
    assert joined.score == 0.75
    assert joined.best_shot_offset == timedelta(seconds=13)
    assert (joined.start_offset, joined.end_offset) == (
        timedelta(seconds=10),
        timedelta(seconds=20),
    )
    assert await matching.review.still(joined) == b"a better still"
    assert (template.values == better.template.values).all()


async def test_a_joined_sighting_names_the_scan_that_found_it_first(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    first = await recorded(matching, finding(10, 14, score=0.5))
    pass_time(timedelta(hours=1))

    _, joined = await matching.recording.record(finding(12, 16, score=0.75, scan_id=NOBODY))

    assert (joined.scan_id, joined.create_time) == (first.scan_id, first.create_time)


@pytest.mark.parametrize("score", [0.4, 0.55, 0.7])
async def test_a_finding_that_bridges_two_leaves_one_with_the_best_of_all(
    matching: Any, finding: Any, score: float
) -> None:
    first = await recorded(matching, finding(10, 14, score=0.5, still=b"first"))
    await recorded(matching, finding(20, 24, score=0.6, seed=2, still=b"second"))

    _, joined = await matching.recording.record(finding(13, 21, score=score, still=b"bridge"))

    assert joined.sighting_id == first.sighting_id
    assert joined.score == max(score, 0.6)
    assert (joined.start_offset, joined.end_offset) == (
        timedelta(seconds=10),
        timedelta(seconds=24),
    )
    assert await matching.review.still(joined) == (b"bridge" if score > 0.6 else b"second")
    assert await found(matching) == [joined]
    assert await matching.review.stills(joined) == [b"first", b"bridge", b"second"]
    assert await stills(matching) == ["pending"] * 3


async def test_a_sighting_that_an_approved_policy_finds_again_rests_on_that(
    matching: Any, finding: Any
) -> None:
    first = await recorded(matching, finding(figures=FIGURES, policy_id="p/1"))
    approved = replace(FIGURES, approved=True)

    again = finding(figures=approved, policy_id="p/2", threshold=0.4)
    _, joined = await matching.recording.record(again)

    assert joined == replace(first, policy_id="p/2", threshold=0.4, figures=approved)


@pytest.mark.parametrize("decision", [None, CONFIRM])
async def test_a_sighting_does_not_rest_on_an_approved_policy_that_would_not_list_it(
    matching: Any, finding: Any, decision: Decision | None
) -> None:
    first = await recorded(matching, finding(score=0.5, figures=FIGURES))
    if decision:  # what was decided does not change any more
        first = await review(matching, first, decision)
    approved = replace(FIGURES, approved=True)
    stricter = finding(score=0.505, threshold=0.502, figures=approved)

    _, joined = await matching.recording.record(stricter)

    raised = replace(first, score=0.505, threshold=0.502, figures=approved)
    assert joined == (first if decision else raised)


async def test_findings_of_other_footage_stand_apart(matching: Any, finding: Any) -> None:
    await recorded(matching, finding())

    disposition, _ = await matching.recording.record(finding(footage_id="footage-2"))

    assert disposition is Disposition.RECORDED


async def test_a_recording_that_broke_off_is_completed_by_the_retry(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(matching.index, "put", fails)
        with pytest.raises(ConnectionError):
            await matching.recording.record(finding())

    sighting = await recorded(matching, finding())

    assert await found(matching) == [sighting]


@pytest.mark.parametrize("act", ["close", "erase"])
async def test_a_finding_of_a_subject_that_is_not_open_is_dropped(
    matching: Any, finding: Any, subject_id: str, act: str
) -> None:
    late = finding()
    await getattr(matching.closing, act)(subject_id)

    dropped = await matching.recording.record(late)

    held = await matching.everything()
    assert dropped == (Disposition.SUBJECT_CLOSED, None)
    assert (held["sightings"], held["evidence"], held["ledger"]) == (0, 0, 0)


async def test_a_finding_recorded_while_its_subject_is_closed_goes_too(
    matching: Any, finding: Any, subject_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, put = finding(), matching.evidence.put

    async def closed_meanwhile(*given: Any, **named: Any) -> None:
        # As another replica does it: the record first, whatever is being recorded here.
        entry = await matching.records.get(f"open.{subject_id}")
        await matching.records.put(f"closed.{subject_id}", entry.value)
        await put(*given, **named)

    monkeypatch.setattr(matching.evidence, "put", closed_meanwhile)

    dropped = await matching.recording.record(late)

    held = await matching.everything()
    assert dropped == (Disposition.SUBJECT_CLOSED, None)
    assert (held["sightings"], held["evidence"], held["ledger"]) == (0, 0, 0)


async def test_a_finding_of_another_model_is_refused_before_anything_is_written(
    matching: Any, finding: Callable[..., Finding]
) -> None:
    await matching.recording.record(finding(10, 14))
    before = await matching.everything(), await matching.ledger.entries()
    other = replace(finding(12, 18), template=Template(np.eye(16, dtype=np.float32)[0], "b" * 64))

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.recording.record(other)

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    assert (await matching.everything(), await matching.ledger.entries()) == before


async def test_a_sighting_that_takes_others_in_after_the_model_changed_has_the_findings_template(
    matching: Any, finding: Callable[..., Finding]
) -> None:
    first, second = finding(10, 14, score=0.9), finding(18, 22, score=0.8)
    await matching.recording.record(first)
    await matching.recording.record(second)
    other = "b" * 64
    await matching.index.change_model(ModelInfo("next", other, 16), yes)
    bridge = finding(13, 19, score=0.5, model_digest=other, still=b"a new still")
    bridge = replace(bridge, template=Template(np.eye(16, dtype=np.float32)[0], other))

    _, joined = await matching.recording.record(bridge)

    assert joined is not None
    assert (joined.score, joined.model_digest) == (0.5, other)
    assert (joined.start_offset, joined.end_offset) == (
        timedelta(seconds=10),
        timedelta(seconds=22),
    )
    assert await matching.review.still(joined) == b"a new still"
    assert await matching.index.count() == 1
    assert (await matching.index.template(joined.sighting_id)).model_digest == other


async def yes() -> bool:
    return True
