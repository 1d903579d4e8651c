from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sighting_calls import (
    CONFIRM,
    NOBODY,
    REJECT,
    away,
    found,
    recorded,
    rejected_span,
    review,
    stills,
)

from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.model import Disposition, SightingState
from homeward.matching.sightings.spans import Rejection, Span
from homeward.servicekit import records
from homeward.servicekit.errors import NotFoundError, Reason, UnavailableError


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
