"""Findings whose stills are not made: they join what has stills, and ask for them where it takes
them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sighting_calls import (
    CONFIRM,
    INCONCLUSIVE,
    REJECT,
    found,
    recorded,
    review,
    seconds,
    with_stills,
)

from homeward.core import policies
from homeward.matching.composition import Choices, compose
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.sightings.model import Decision, Disposition, Finding, SightingState

OFFSETS = {10: 0.9, 11: 0.8, 12: 0.7}
"""When there are stills, and how good they are."""


def before_stills(made: Finding) -> Finding:
    """Return a finding as it is before its stills are made."""
    sighting = made.sighting
    stills = tuple(replace(one, face_box=None) for one in sighting.stills)
    return replace(made, sighting=replace(sighting, stills=stills), stills=None)


async def everything(matching: Any) -> tuple[Any, ...]:
    """Return the sightings and the files of their stills."""
    files = [one.key for one in await matching.evidence.objects("")]
    return await found(matching), {one: await matching.evidence.get(one) for one in files}


async def test_what_was_found_before_needs_no_stills(matching: Any, finding: Any) -> None:
    made = with_stills(finding(), OFFSETS)
    first = await recorded(matching, made)
    before = await everything(matching)

    answer = await matching.recording.record(before_stills(made))

    assert answer == (Disposition.JOINED, first)
    assert await everything(matching) == before


async def test_what_is_new_needs_its_stills(matching: Any, finding: Any) -> None:
    made = with_stills(finding(), OFFSETS)

    answer = await matching.recording.record(before_stills(made))

    assert answer == (Disposition.STILLS_NEEDED, None)
    assert await everything(matching) == ([], {})
    await recorded(matching, made)


async def _nothing(matching: Any, made: Finding) -> None:
    del matching, made


async def _record_both_ends(matching: Any, made: Finding) -> None:
    """Record two sightings that a finding joins to one."""
    begin, end = made.sighting.start_offset, made.sighting.end_offset
    for start, stop in [(begin - seconds(3), begin), (end, end + seconds(3))]:
        sighting = replace(made.sighting, start_offset=start, end_offset=stop)
        part = replace(made, sighting=sighting)
        await recorded(matching, with_stills(part, {start / seconds(1): 0.9}))


async def _reject(matching: Any, made: Finding) -> None:
    await review(matching, await recorded(matching, made), REJECT)


@pytest.mark.parametrize("happened", [_nothing, _record_both_ends, _reject])
async def test_what_needs_its_stills_leaves_the_ledger_as_it_was_until_it_has_them(
    matching: Any, finding: Any, clock: Any, happened: Callable[[Any, Finding], Awaitable[None]]
) -> None:
    """The scan may be cancelled before: then nobody's rejection is taken back, and no sighting is
    part of another one."""
    made = with_stills(finding(), OFFSETS)
    await happened(matching, made)
    clock.pass_time(timedelta(hours=1))
    before = await matching.ledger.entries()
    again = replace(before_stills(made), include_rejected_before=clock.now())

    disposition, _ = await matching.recording.record(again)

    assert disposition is Disposition.STILLS_NEEDED
    assert await matching.ledger.entries() == before


async def test_what_comes_after_a_finding_that_needs_its_stills_needs_its_own(
    matching: Any, finding: Any
) -> None:
    """It would be recorded before it otherwise, and another one be the first."""
    made = with_stills(finding(), OFFSETS)
    await recorded(matching, made)
    new = with_stills(finding(20, 22), {20: 0.9})
    elsewhere = replace(new, sighting=replace(new.sighting, footage_id="footage-2"))
    await recorded(matching, elsewhere)

    answers = await matching.recording.join(map(before_stills, [made, new, made, elsewhere]))

    joined, needed = Disposition.JOINED, Disposition.STILLS_NEEDED
    assert [told for told, _ in answers] == [joined, needed, needed, joined]


@pytest.mark.parametrize(
    ("again", "asked"),
    [
        ({10: 0.9, 11: 0.8}, Disposition.JOINED),
        ({10.4: 0.9, 11.4: 0.8}, Disposition.JOINED),  # the same moments
        ({10: 0.9, 11: 0.8, 12.6: 0.1}, Disposition.STILLS_NEEDED),
        ({13: 0.1}, Disposition.STILLS_NEEDED),
    ],
)
async def test_a_picture_of_another_moment_needs_its_still(
    matching: Any, finding: Any, again: dict[float, float], asked: Disposition
) -> None:
    await recorded(matching, with_stills(finding(), OFFSETS))

    disposition, _ = await matching.recording.record(before_stills(with_stills(finding(), again)))

    assert disposition is asked


@pytest.mark.parametrize(
    ("score", "asked"), [(0.505, Disposition.JOINED), (0.515, Disposition.STILLS_NEEDED)]
)
async def test_only_a_clearly_better_finding_needs_its_stills(
    matching: Any, finding: Any, score: float, asked: Disposition
) -> None:
    await recorded(matching, with_stills(finding(score=0.5), OFFSETS))

    better = before_stills(with_stills(finding(score=score), OFFSETS))
    disposition, joined = await matching.recording.record(better)

    assert disposition is asked
    (held,) = await found(matching)
    assert held.score == (score if asked is Disposition.JOINED else 0.5)
    assert joined == (held if asked is Disposition.JOINED else None)


async def test_stills_that_are_gone_are_made_again(matching: Any, finding: Any) -> None:
    made = with_stills(finding(), OFFSETS)
    first = await recorded(matching, made)
    await matching.index.update(replace(first, still_gone=True))

    disposition, _ = await matching.recording.record(before_stills(made))

    assert disposition is Disposition.STILLS_NEEDED


async def test_what_a_former_model_found_is_made_again(matching: Any, finding: Any) -> None:
    await recorded(matching, with_stills(finding(), OFFSETS))
    other = "b" * 64
    await matching.index.change_model(ModelInfo("next", other, 16), yes)
    again = with_stills(finding(model_digest=other), OFFSETS)
    again = replace(again, template=Template(np.eye(16, dtype=np.float32)[0], other))

    disposition, _ = await matching.recording.record(before_stills(again))

    assert disposition is Disposition.STILLS_NEEDED


async def yes() -> bool:
    return True


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_what_was_decided_needs_no_stills(
    matching: Any, finding: Any, decision: Decision
) -> None:
    await review(matching, await recorded(matching, with_stills(finding(), OFFSETS)), decision)
    (decided,) = await found(matching)

    better = before_stills(with_stills(finding(score=0.9), {13: 0.9}))

    assert await matching.recording.record(better) == (Disposition.JOINED, decided)


async def _close(matching: Any, made: Finding) -> None:
    await matching.closing.close(made.sighting.subject_id)


async def _remove(matching: Any, made: Finding) -> None:
    received = made.sighting.create_time
    await matching.upkeep.erase_footage("footage-1", received=received)


async def _refuse(matching: Any, made: Finding) -> None:
    await matching.scan_erasure.erase(made.sighting.scan_id)


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (_reject, Disposition.REJECTED_BEFORE),
        (_close, Disposition.SUBJECT_CLOSED),
        (_remove, Disposition.FOOTAGE_REMOVED),
        (_refuse, Disposition.SCAN_REFUSED),
    ],
)
async def test_what_is_dropped_needs_no_stills(
    matching: Any,
    finding: Any,
    happens: Callable[[Any, Finding], Awaitable[None]],
    told: Disposition,
) -> None:
    made = with_stills(finding(), OFFSETS)
    await happens(matching, made)

    assert await matching.recording.record(before_stills(made)) == (told, None)
    assert await everything(matching) == ([], {})


@pytest.mark.parametrize(
    ("happens", "told"),
    [(_close, Disposition.SUBJECT_CLOSED), (_remove, Disposition.FOOTAGE_REMOVED)],
)
async def test_what_another_replica_removes_meanwhile_leaves_nothing_in_the_ledger(
    matching: Any,
    finding: Any,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Any, Finding], Awaitable[None]],
    told: Disposition,
) -> None:
    made = with_stills(finding(received=finding().sighting.create_time), OFFSETS)
    await recorded(matching, made)
    _before_it_is_placed(matching, monkeypatch, lambda other: happens(other, made))

    assert await matching.recording.record(before_stills(made)) == (told, None)
    assert await matching.stores.ledger.keys() == frozenset()
    assert await everything(matching) == ([], {})


async def test_a_confirmed_sighting_outlasts_its_recording_and_its_ledger_does_not(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_stills(finding(received=finding().sighting.create_time), OFFSETS)
    await review(matching, await recorded(matching, made), CONFIRM)
    confirmed = await everything(matching)
    _before_it_is_placed(matching, monkeypatch, lambda other: _remove(other, made))

    answer = await matching.recording.record(before_stills(made))

    assert answer == (Disposition.FOOTAGE_REMOVED, None)
    assert await matching.stores.ledger.keys() == frozenset()
    assert await everything(matching) == confirmed


def _before_it_is_placed(
    matching: Any, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Any], Awaitable[None]]
) -> None:
    """Have something happen in another replica right before a finding is put into the ledger."""
    other = compose(matching.stores, Choices(shipped=policies.shipped()), matching.clock)
    place = matching.stores.ledger.place

    async def placed_then(*given: Any) -> Any:
        await happens(other)
        return await place(*given)

    monkeypatch.setattr(matching.stores.ledger, "place", placed_then)


@pytest.mark.parametrize("seed", range(150))
async def test_asking_first_keeps_what_sending_stills_at_once_keeps(
    matching: Any, finding: Any, clock: Any, seed: int
) -> None:
    """Of findings and decisions in any order, whichever scans they are of."""
    at_once, asking = matching, type(matching)(clock, records=matching.records)
    chance = random.Random(seed)
    asked = 0
    for _ in range(chance.randint(2, 6)):
        made = [_any_finding(chance, finding) for _ in range(chance.randint(1, 3))]
        expected = [(await at_once.recording.record(one))[0] for one in made]
        unmade = [_with_one_more(chance, before_stills(one)) for one in made]
        told = [one for one, _ in await asking.recording.join(unmade)]
        for number, one in enumerate(made):
            if told[number] is Disposition.STILLS_NEEDED:
                told[number], _ = await asking.recording.record(one)
                asked += 1
        assert told == expected
        if chance.random() < 0.3:
            await _anything(chance, at_once, asking)

        assert await everything(asking) == await everything(at_once)
    assert asked


def _any_finding(chance: random.Random, finding: Any) -> Finding:
    start = chance.choice([10, 10.2, 13, 17, 22])
    end = start + chance.choice([1, 3, 8])
    places = chance.sample(range(10 * int(end - start) + 1), chance.randint(1, 6))
    qualities = {start + place / 10: chance.choice([0.3, 0.5, 0.52, 0.8]) for place in places}
    return with_stills(
        finding(
            start,
            end,
            score=chance.choice([0.5, 0.505, 0.52, 0.7]),
            scan_id=f"00000000-0000-4000-8000-00000000000{chance.randint(1, 3)}",
        ),
        qualities,
        name=f"{chance.random()}: ",
    )


def _with_one_more(chance: random.Random, unmade: Finding) -> Finding:
    """Return a finding with a picture whose still will be left out, as somebody covers them."""
    first, *_ = unmade.sighting.stills
    one = replace(first, offset=first.offset - timedelta(seconds=0.05), quality=0.9)
    stills = (one, *unmade.sighting.stills) if chance.random() < 0.3 else unmade.sighting.stills
    return replace(unmade, sighting=replace(unmade.sighting, stills=stills))


async def _anything(chance: random.Random, *both: Any) -> None:
    """Decide on a sighting, or let its best still be gone."""
    listed = await found(both[0])
    if not listed:
        return
    one = chance.choice(listed)
    gone, decision = chance.random() < 0.3, chance.choice([CONFIRM, REJECT, INCONCLUSIVE])
    for each in both:
        if gone:
            await each.index.update(replace(await each.index.get(one.sighting_id), still_gone=True))
        elif one.state is SightingState.UNREVIEWED:
            await review(each, one, decision)
