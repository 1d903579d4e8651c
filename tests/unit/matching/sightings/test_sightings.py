from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from homeward.core.policy import PolicyFigures, Rate
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    ErasedSighting,
    Finding,
    Review,
    Sighting,
    SightingState,
)
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.spans import Rejection, Span
from homeward.servicekit import records
from homeward.servicekit.errors import (
    FailedPreconditionError,
    NotFoundError,
    Reason,
    UnavailableError,
    unavailable,
)

NOBODY = "00000000-0000-4000-8000-00000000ffff"
RATE = Rate(0.01, 0.005, 0.02, trials=1000)
FIGURES = PolicyFigures(
    approved=False, gallery_size=1, expected_fpir=RATE, fnir=RATE, measured_gallery_size=500
)
CONFIRM, REJECT, INCONCLUSIVE = Decision.CONFIRM, Decision.REJECT, Decision.INCONCLUSIVE


async def recorded(matching: Any, finding: Any) -> Sighting:
    disposition, sighting = await matching.recording.record(finding)
    assert disposition is Disposition.RECORDED
    return sighting


async def review(matching: Any, sighting: Sighting, decision: Decision) -> Sighting:
    return await matching.review.review(
        sighting.sighting_id, decision=decision, reason="the same scar", reviewer="R. Viewer"
    )


async def away(*_: Any) -> None:
    raise unavailable("Qdrant", "nowhere", "start it")


def named(sighting: Sighting) -> ErasedSighting:
    return ErasedSighting(sighting.sighting_id, sighting.subject_id)


async def followed(matching: Any, after: str = "") -> AsyncGenerator[Any, None]:
    """Yield the sightings that changes are told of, as they are when they are told."""
    async with aclosing(matching.following.follow(after)) as changes:
        async for one in changes:
            if not isinstance(one, str):
                yield one.sighting


async def kinds(matching: Any) -> list[str]:
    """Return all changes that were told, with the states that they left."""
    told = []
    async with aclosing(matching.following.follow(from_oldest=True)) as changes:
        async for one in changes:
            if isinstance(one, str):
                break
            change = one.told.change
            told.append(f"{change.kind.value} {change.state.value if change.state else ''}".strip())
    return told


def rejected_span(sighting: Sighting, when: datetime) -> RejectedSpan:
    return RejectedSpan(
        sighting.sighting_id,
        sighting.subject_id,
        sighting.footage_id,
        sighting.start_offset,
        sighting.end_offset,
        Rejection("R. Viewer", when, sighting.start_time, sighting.time_uncertain),
    )


async def found(matching: Any, **changes: Any) -> list[Sighting]:
    listed, cursor = await matching.review.page(SightingFilter(**changes), size=1000)
    assert cursor is None
    return list(listed)


async def stills(matching: Any) -> list[str]:
    return [info.key.partition("/")[0] for info in await matching.evidence.objects("")]


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


async def test_a_rejected_sighting_is_erased_and_answered(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding())

    decided = await review(matching, sighting, REJECT)

    assert decided.state is SightingState.REJECTED
    assert await matching.index.count() == 0
    assert await stills(matching) == []


@pytest.mark.parametrize(("start", "end"), [(10, 14), (12, 30), (15, 18)])
async def test_what_was_rejected_is_never_asked_again(
    matching: Any, finding: Any, start: float, end: float
) -> None:
    await review(matching, await recorded(matching, finding(10, 14)), REJECT)

    again = await matching.recording.record(finding(start, end, score=0.9))

    assert again == (Disposition.REJECTED_BEFORE, None)
    assert await found(matching) == []


async def test_a_rejection_remembers_ids_times_and_the_reviewer_alone(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, REJECT)

    (entry,) = await matching.ledger.entries()
    (span,) = records.decode(entry.value, tuple[Span, ...])
    assert b"scar" not in entry.value
    assert span == Span(
        sighting.sighting_id,
        sighting.start_offset,
        sighting.end_offset,
        rejected=True,
        rejection=Rejection("R. Viewer", matching.clock.now(), sighting.start_time),
        scan_ids=(sighting.scan_id,),
    )


async def test_a_rejection_of_an_earlier_version_is_read(
    matching: Any, finding: Any, subject_id: str
) -> None:
    span = b'{"sighting_id":"one","start":"PT10S","end":"PT14S","rejected":true,"settled":false}'
    await matching.ledger.put(f"footage-1.{subject_id}", b"[" + span + b"]")

    dropped = await matching.recording.record(finding(10, 14))
    (listed,) = await matching.review.rejections(subject_ids=(), footage_ids=())

    assert dropped == (Disposition.REJECTED_BEFORE, None)
    assert listed == RejectedSpan(
        "one", subject_id, "footage-1", timedelta(seconds=10), timedelta(seconds=14), None
    )


async def test_rejections_are_listed_newest_first(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    first = await recorded(matching, finding(10, 14))
    second = await recorded(matching, finding(60, 64, footage_id="footage-2"))
    await recorded(matching, finding(90, 94))
    await review(matching, first, REJECT)
    pass_time(timedelta(minutes=1))
    await review(matching, second, REJECT)

    listed = await matching.review.rejections(subject_ids=(), footage_ids=())

    assert [one.sighting_id for one in listed] == [second.sighting_id, first.sighting_id]
    assert listed[1] == rejected_span(first, matching.clock.now() - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("mine", "recordings", "count"),
    [
        (None, {"footage-1"}, 1),
        (None, {"footage-2"}, 0),
        (True, (), 1),
        (True, {"footage-1"}, 1),
        (False, (), 0),
        (False, {"footage-1"}, 0),
    ],
)
async def test_rejections_are_found_by_subject_and_recording(
    matching: Any, finding: Any, *, mine: bool | None, recordings: Any, count: int
) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, REJECT)
    subjects = {None: (), True: (sighting.subject_id,), False: (NOBODY,)}[mine]

    listed = await matching.review.rejections(subject_ids=subjects, footage_ids=recordings)

    assert len(listed) == count


@pytest.mark.parametrize("erase", ["close", "erase_footage"])
async def test_a_rejection_goes_with_subject_or_footage(
    matching: Any, finding: Any, subject_id: str, erase: str
) -> None:
    await review(matching, await recorded(matching, finding()), REJECT)

    await {
        "close": lambda: matching.closing.close(subject_id),
        "erase_footage": lambda: matching.upkeep.erase_footage("footage-1"),
    }[erase]()

    assert await matching.review.rejections(subject_ids=(), footage_ids=()) == []


async def test_a_search_that_asks_for_it_finds_again_what_was_rejected(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    same = finding(10, 14)
    sighting = await recorded(matching, same)
    await review(matching, sighting, REJECT)
    pass_time(timedelta(minutes=1))

    again = replace(same, include_rejected_before=matching.clock.now())
    disposition, reopened = await matching.recording.record(again)

    assert disposition is Disposition.RECORDED
    assert reopened == replace(sighting, create_time=matching.clock.now())
    assert await matching.review.still(reopened) == b"a still"
    assert await matching.review.rejections(subject_ids=(), footage_ids=()) == []


async def test_what_is_rejected_again_is_not_asked_again_by_the_same_search(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    await review(matching, await recorded(matching, finding(10, 14)), REJECT)
    pass_time(timedelta(minutes=1))
    again = replace(finding(10, 14), include_rejected_before=matching.clock.now())
    _, reopened = await matching.recording.record(again)
    await review(matching, reopened, REJECT)

    # As a segment that is searched again after its scanner died.
    assert await matching.recording.record(again) == (Disposition.REJECTED_BEFORE, None)


async def test_a_confirmed_sighting_keeps_its_still_in_another_place(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding())

    confirmed = await review(matching, sighting, CONFIRM)

    assert confirmed.state is SightingState.CONFIRMED
    assert confirmed.review == Review(CONFIRM, "the same scar", "R. Viewer", matching.clock.now())
    assert await matching.review.get(sighting.sighting_id) == confirmed
    assert await matching.review.still(confirmed) == b"a still"
    assert await stills(matching) == ["confirmed"]


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_a_decided_sighting_takes_findings_in_and_does_not_change(
    matching: Any, finding: Any, decision: Decision
) -> None:
    decided = await review(matching, await recorded(matching, finding(10, 14)), decision)

    again = await matching.recording.record(finding(12, 30, score=0.9))

    assert again == (Disposition.JOINED, decided)
    assert await found(matching) == [decided]


@pytest.mark.parametrize(
    "second",
    [
        {"decision": REJECT},
        {"decision": INCONCLUSIVE},
        {"reviewer": "Somebody Else"},
        {"reason": "another reason"},
    ],
    ids=["reject", "inconclusive", "another reviewer", "another reason"],
)
async def test_a_confirmed_sighting_is_not_decided_again(
    matching: Any, finding: Any, second: dict[str, Any]
) -> None:
    sighting = await recorded(matching, finding())
    confirmed = await review(matching, sighting, CONFIRM)
    first = {"decision": CONFIRM, "reason": "the same scar", "reviewer": "R. Viewer"}

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.review(sighting.sighting_id, **first | second)

    assert refused.value.reason is Reason.SIGHTING_REVIEWED
    assert refused.value.metadata == {"sighting_id": sighting.sighting_id, "state": "CONFIRMED"}
    assert await found(matching) == [confirmed]


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_the_same_decision_again_gives_the_same_answer(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None], decision: Decision
) -> None:
    sighting = await recorded(matching, finding())
    decided = await review(matching, sighting, decision)
    pass_time(timedelta(minutes=1))

    assert await review(matching, sighting, decision) == decided
    assert await found(matching) == [decided]


async def test_a_confirmation_that_broke_off_after_it_was_written_is_finished_by_the_retry(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    delete = matching.evidence.delete
    monkeypatch.setattr(matching.evidence, "delete", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, CONFIRM)
    monkeypatch.setattr(matching.evidence, "delete", delete)
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        confirmed = await review(matching, sighting, CONFIRM)

        assert await asyncio.wait_for(following, 1) == confirmed
    assert await stills(matching) == ["confirmed"]


async def test_the_same_rejection_again_tells_what_is_remembered(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    sighting = await recorded(matching, finding())
    await recorded(matching, finding(60, 64))
    rejected = matching.clock.now()
    await review(matching, sighting, REJECT)
    pass_time(timedelta(minutes=1))

    assert await review(matching, sighting, REJECT) == rejected_span(sighting, rejected)


async def test_somebody_elses_rejection_again_is_not_found(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, REJECT)

    with pytest.raises(NotFoundError) as refused:
        await matching.review.review(
            sighting.sighting_id, decision=REJECT, reason="", reviewer="Somebody Else"
        )

    assert refused.value.reason is Reason.SIGHTING_NOT_FOUND


async def test_a_rejection_that_broke_off_is_finished_by_the_retry(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    remove = matching.index.remove
    monkeypatch.setattr(matching.index, "remove", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, REJECT)
    monkeypatch.setattr(matching.index, "remove", remove)

    decided = await review(matching, sighting, REJECT)

    assert decided.state is SightingState.REJECTED
    assert await matching.index.count() == 0


async def test_a_rejected_sighting_is_not_found_again(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, REJECT)

    with pytest.raises(NotFoundError) as refused:
        await review(matching, sighting, CONFIRM)

    assert refused.value.reason is Reason.SIGHTING_NOT_FOUND


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (CONFIRM, SightingState.CONFIRMED),
        (REJECT, SightingState.REJECTED),
        (INCONCLUSIVE, SightingState.INCONCLUSIVE),
    ],
)
async def test_an_inconclusive_sighting_may_be_decided_later(
    matching: Any, finding: Any, later: Decision, state: SightingState
) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, INCONCLUSIVE)

    assert (await review(matching, sighting, later)).state is state


@pytest.mark.parametrize("decisions", [(), (INCONCLUSIVE,)])
async def test_an_undecided_sighting_past_its_deadline_is_not_found(
    matching: Any,
    finding: Any,
    pass_time: Callable[[timedelta], None],
    decisions: tuple[Decision, ...],
) -> None:
    sighting = await recorded(matching, finding())
    await asyncio.gather(*(review(matching, sighting, decision) for decision in decisions))
    pass_time(timedelta(days=30))

    with pytest.raises(NotFoundError) as refused:
        await matching.review.get(sighting.sighting_id)

    assert refused.value.reason is Reason.SIGHTING_NOT_FOUND
    assert await found(matching) == []


async def test_a_confirmed_sighting_has_no_deadline(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    confirmed = await review(matching, await recorded(matching, finding()), CONFIRM)
    pass_time(timedelta(days=3000))

    assert await found(matching) == [confirmed]


async def test_a_confirmed_sighting_is_given_out_with_its_still(
    matching: Any, finding: Any
) -> None:
    found = finding(figures=replace(FIGURES, approved=True))
    confirmed = await review(matching, await recorded(matching, found), CONFIRM)

    assert await matching.review.export(confirmed.sighting_id) == (confirmed, b"a still")


@pytest.mark.parametrize("figures", [FIGURES, None], ids=["evaluation", "of an earlier version"])
async def test_a_sighting_that_nobody_answers_for_is_given_out_only_if_asked_for(
    matching: Any, finding: Any, figures: PolicyFigures | None
) -> None:
    found = await recorded(matching, finding(figures=figures))
    confirmed = await review(matching, found, CONFIRM)

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.export(confirmed.sighting_id)

    assert refused.value.reason is Reason.POLICY_NOT_APPROVED
    assert refused.value.metadata == {"policy_id": confirmed.policy_id}
    given = await matching.review.export(confirmed.sighting_id, unapproved=True)
    assert given == (confirmed, b"a still")


async def test_a_confirmed_sighting_that_an_approved_policy_finds_again_is_given_out(
    matching: Any, finding: Any
) -> None:
    found = await recorded(matching, finding(figures=FIGURES, policy_id="p/1"))
    confirmed = await review(matching, found, CONFIRM)
    approved = replace(FIGURES, approved=True)

    again = finding(figures=approved, policy_id="p/2", threshold=0.4, score=0.9)
    disposition, held = await matching.recording.record(again)

    assert disposition is Disposition.JOINED
    assert held == replace(confirmed, policy_id="p/2", threshold=0.4, figures=approved)
    assert await matching.review.export(held.sighting_id) == (held, b"a still")


async def test_an_unreviewed_sighting_is_not_given_out(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding())

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.export(sighting.sighting_id)

    assert refused.value.reason is Reason.SIGHTING_NOT_CONFIRMED
    assert refused.value.metadata == {"sighting_id": sighting.sighting_id, "state": "UNREVIEWED"}


async def test_a_still_goes_with_its_footage_however_late_it_was_found(
    matching: Any, finding: Any
) -> None:
    # Of a recording that the store removes tomorrow; the still is of today.
    until = matching.clock.now() + timedelta(hours=20)
    await recorded(matching, replace(finding(), still_until=until))
    matching.clock.pass_time(timedelta(days=1, hours=12))

    matching.evidence.expire(28, "pending/")

    assert await stills(matching) == []


async def test_a_sighting_whose_still_the_store_removed_is_marked_by_the_sweep(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding())
    other = await recorded(matching, finding(100, 110))
    await matching.evidence.delete(f"pending/{sighting.sighting_id}.jpg")

    async with aclosing(followed(matching)) as updates:
        following = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        assert await matching.upkeep.sweep() == 0
        told = await following

    assert told == replace(sighting, still_gone=True)
    assert await matching.review.get(sighting.sighting_id) == told
    assert await matching.review.get(other.sighting_id) == other
    assert await matching.upkeep.sweep() == 0


async def test_a_sighting_whose_still_is_gone_takes_the_next_one(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding(score=0.6))
    await matching.evidence.delete(f"pending/{sighting.sighting_id}.jpg")
    await matching.upkeep.sweep()

    _, again = await matching.recording.record(finding(score=0.5, still=b"another"))

    assert not again.still_gone
    assert await matching.review.still(again) == b"another"


async def test_no_empty_still_is_written_for_one_that_is_gone(matching: Any, finding: Any) -> None:
    await recorded(matching, finding(10, 14, score=0.5))
    best = await recorded(matching, finding(20, 24, score=0.7))
    await matching.evidence.delete(f"pending/{best.sighting_id}.jpg")

    _, joined = await matching.recording.record(finding(13, 21, score=0.5))

    assert joined.sighting_id != best.sighting_id
    assert joined.still_gone
    assert await matching.review.still(joined) != b""


async def test_erasing_footage_keeps_what_was_confirmed(matching: Any, finding: Any) -> None:
    confirmed = await review(matching, await recorded(matching, finding(10, 14)), CONFIRM)
    await recorded(matching, finding(60, 64))
    await review(matching, await recorded(matching, finding(90, 94)), INCONCLUSIVE)
    other = await recorded(matching, finding(footage_id="footage-2"))

    count = await matching.upkeep.erase_footage("footage-1")

    assert count == 2
    assert {one.sighting_id for one in await found(matching)} == {
        confirmed.sighting_id,
        other.sighting_id,
    }
    assert await stills(matching) == ["confirmed", "pending"]
    assert len(await matching.ledger.entries()) == 1


async def test_erasing_footage_again_finds_nothing(matching: Any, finding: Any) -> None:
    await recorded(matching, finding())
    await matching.upkeep.erase_footage("footage-1")

    assert await matching.upkeep.erase_footage("footage-1") == 0


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


async def test_sightings_are_found_most_alike_first(matching: Any, finding: Any) -> None:
    await recorded(matching, finding(10, 14, score=0.5))
    await recorded(matching, finding(30, 34, score=0.75))
    await recorded(matching, finding(50, 54, score=0.6))

    assert [one.score for one in await found(matching)] == [0.75, 0.6, 0.5]


@pytest.mark.parametrize(
    ("after", "before", "count"),
    [(None, None, 1), (14, None, 0), (13, None, 1), (None, 10, 0), (None, 11, 1), (11, 12, 1)],
)
async def test_sightings_are_found_by_the_time_that_they_overlap(
    matching: Any, finding: Any, after: int | None, before: int | None, count: int
) -> None:
    sighting = await recorded(matching, finding(10, 14))
    origin = sighting.start_time - timedelta(seconds=10)
    at = {None: None} | {number: origin + timedelta(seconds=number) for number in range(20)}

    assert len(await found(matching, start=at[after], end=at[before])) == count


async def test_sightings_are_found_by_their_state(matching: Any, finding: Any) -> None:
    confirmed = await review(matching, await recorded(matching, finding(10, 14)), CONFIRM)
    await recorded(matching, finding(60, 64))

    assert await found(matching, states={SightingState.CONFIRMED}) == [confirmed]


async def test_a_follower_is_told_what_is_recorded_and_reviewed_and_what_it_is_now(
    matching: Any, finding: Any
) -> None:
    async with aclosing(followed(matching)) as changes:
        first = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        sighting = await recorded(matching, finding())
        await asyncio.wait([first])
        await review(matching, sighting, REJECT)

        assert [await first, await anext(changes)] == [
            sighting,
            rejected_span(sighting, matching.clock.now()),
        ]
    assert await kinds(matching) == ["recorded unreviewed", "reviewed rejected"]


async def test_of_a_sighting_that_is_gone_a_follower_is_told_ids_alone(
    matching: Any, finding: Any
) -> None:
    first = await recorded(matching, finding())
    await review(matching, first, CONFIRM)
    await matching.closing.close(first.subject_id)

    async with aclosing(matching.following.follow(from_oldest=True)) as changes:
        told = [await anext(changes) for _ in range(3)]

    assert [one.sighting for one in told] == [named(first)] * 3
    assert await kinds(matching) == [
        "recorded unreviewed",
        "reviewed confirmed",
        "erased",
    ]


@pytest.mark.parametrize("decision", [CONFIRM, REJECT])
async def test_what_whoever_did_it_could_not_tell_is_told_by_the_sweep(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch, decision: Decision
) -> None:
    sighting = await recorded(matching, finding())
    publish = matching.feed.publish
    monkeypatch.setattr(matching.feed, "publish", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, decision)
    with pytest.raises(UnavailableError):
        await matching.recording.record(finding(60, 64))
    monkeypatch.setattr(matching.feed, "publish", publish)

    await matching.upkeep.sweep()

    state = "confirmed" if decision is CONFIRM else "rejected"
    assert sorted(await kinds(matching)) == [
        "recorded unreviewed",
        "recorded unreviewed",
        f"reviewed {state}",
    ]
    assert len(await found(matching)) == (2 if decision is CONFIRM else 1)
    await matching.upkeep.sweep()
    assert len(await kinds(matching)) == 3


async def test_a_decision_that_died_before_the_sighting_was_written_is_finished_by_a_restart(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    update = matching.index.update
    monkeypatch.setattr(matching.index, "update", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, CONFIRM)
    monkeypatch.setattr(matching.index, "update", update)
    matching.restart()

    await matching.upkeep.sweep()

    assert (await matching.review.get(sighting.sighting_id)).state is SightingState.CONFIRMED
    assert await kinds(matching) == ["recorded unreviewed", "reviewed confirmed"]


async def test_a_recording_that_died_before_it_was_told_is_told_when_it_is_repeated(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = matching.feed.publish
    monkeypatch.setattr(matching.feed, "publish", away)
    with pytest.raises(UnavailableError):
        await matching.recording.record(finding())
    monkeypatch.setattr(matching.feed, "publish", publish)

    await matching.recording.record(finding())
    await matching.recording.record(finding())

    assert await kinds(matching) == ["recorded unreviewed"]


async def test_a_follower_goes_on_after_a_place(matching: Any, finding: Any) -> None:
    async with aclosing(matching.following.follow()) as changes:
        place = await anext(changes)
    first, second = await recorded(matching, finding()), await recorded(matching, finding(60, 64))

    async with aclosing(matching.following.follow(place)) as changes:
        told = await anext(changes)
    async with aclosing(matching.following.follow(told.told.place)) as changes:
        after = await anext(changes)

    assert [told.sighting, after.sighting] == [first, second]


async def test_a_place_after_which_changes_are_gone_is_refused(matching: Any, finding: Any) -> None:
    async with aclosing(matching.following.follow()) as changes:
        place = await anext(changes)
    await recorded(matching, finding())
    await recorded(matching, finding(60, 64))
    matching.feed.forget(1)

    with pytest.raises(FailedPreconditionError) as refused:
        await anext(matching.following.follow(place))

    assert refused.value.reason is Reason.RESUME_TOKEN_EXPIRED


async def closed(matching: Any, sighting: Sighting, _: Any) -> None:
    await matching.closing.close(sighting.subject_id)


async def without_footage(matching: Any, sighting: Sighting, _: Any) -> None:
    await matching.upkeep.erase_footage(sighting.footage_id)


async def swept(matching: Any, _sighting: Sighting, pass_time: Any) -> None:
    pass_time(timedelta(days=30))
    await matching.upkeep.sweep()


@pytest.mark.parametrize("erase", [closed, without_footage, swept])
async def test_a_follower_is_told_that_a_sighting_was_erased(
    matching: Any, finding: Any, pass_time: Any, erase: Any
) -> None:
    sighting = await recorded(matching, finding())
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        await erase(matching, sighting, pass_time)

        assert await asyncio.wait_for(following, 1) == named(sighting)


async def test_a_follower_is_told_of_the_sightings_that_another_one_took_in(
    matching: Any, finding: Any
) -> None:
    await recorded(matching, finding(10, 14))
    second = await recorded(matching, finding(20, 24))
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        _, joined = await matching.recording.record(finding(13, 21))

        assert [await following, await asyncio.wait_for(anext(changes), 1)] == [
            joined,
            named(second),
        ]


async def test_a_follower_is_told_again_when_an_erasure_that_broke_off_is_repeated(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    remove = matching.index.remove
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        monkeypatch.setattr(matching.index, "remove", away)
        with pytest.raises(UnavailableError):
            await matching.upkeep.erase_footage(sighting.footage_id)
        monkeypatch.setattr(matching.index, "remove", remove)

        await matching.upkeep.erase_footage(sighting.footage_id)

        told = [await following, await asyncio.wait_for(anext(changes), 1)]
        assert told == [named(sighting), named(sighting)]


async def test_a_follower_is_not_told_of_what_changed_nothing(matching: Any, finding: Any) -> None:
    await recorded(matching, finding())
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        await matching.recording.record(finding())
        other = await recorded(matching, finding(60, 64))

        assert await following == other


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
