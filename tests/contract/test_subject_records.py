"""`SubjectRecords` and `SightingLedger`: the fakes and those in NATS, held to the same rules."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from homeward.matching.adapters.memory_records import InMemorySightingLedger, InMemorySubjectRecords
from homeward.matching.adapters.sighting_ledger import KeyValueSightingLedger
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.sightings.deciding import ReviewRules, Verdict
from homeward.matching.sightings.ledger import LedgerKey, RecordedSpan, SightingLedger, Stretch
from homeward.matching.sightings.model import Decision, Review
from homeward.matching.sightings.spans import Rejection
from homeward.matching.sightings.taking_back import Withdrawal
from homeward.matching.subjects.model import AgeGroup, Subject, SubjectDetails, SubjectState
from homeward.matching.subjects.records import SubjectRecords, is_open
from homeward.servicekit.errors import FailedPreconditionError, PermissionDeniedError
from homeward.servicekit.keyvalue import ConflictError, InMemoryKeyValueStore, KeyValueStore
from homeward.servicekit.nats import connection

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANNA, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
GATE, DOOR = "gate-20260304t120000000000z-1", "door-20260304t120000000000z-1"
CONFIRMED = Review(Decision.CONFIRM, "a scar", "R. Viewer", NOON)


def rejecting(rejection: Rejection) -> Verdict:
    review = Review(Decision.REJECT, "", rejection.reviewer, rejection.review_time)
    return Verdict(review, rejection=rejection)


def subject(name: str = ANNA, *, hour: int = 0) -> Subject:
    time = NOON + timedelta(hours=hour)
    details = SubjectDetails("MP-1", "Anna", AgeGroup.ADULT, "vital interests", "DI", time)
    return Subject(name, SubjectState.OPEN, time, time, details)


def shell(name: str = ANNA) -> Subject:
    return replace(subject(name), state=SubjectState.CLOSED, details=None)


@pytest.fixture
async def bucket(nats_url: str) -> AsyncIterator[KeyValueStore]:
    async with connection(nats_url, "test") as bus:
        yield await bus.open_bucket(f"TEST-{uuid.uuid4().hex}", limit=None, replicas=1)


@pytest.fixture(params=["memory", "nats"])
def subjects(request: pytest.FixtureRequest) -> SubjectRecords:
    if request.param == "memory":
        return InMemorySubjectRecords()
    return KeyValueSubjectRecords(request.getfixturevalue("bucket"))


@pytest.fixture(params=["memory", "nats"])
def ledger(request: pytest.FixtureRequest) -> SightingLedger:
    if request.param == "memory":
        return InMemorySightingLedger()
    return KeyValueSightingLedger(request.getfixturevalue("bucket"))


async def test_a_record_reads_as_it_was_written(subjects: SubjectRecords) -> None:
    created = await subjects.create(subject())

    assert created.value == subject()
    assert await subjects.get(ANNA) == created
    assert await subjects.get(BEN) is None
    assert await is_open(subjects, ANNA)


async def test_a_record_is_created_once(subjects: SubjectRecords) -> None:
    await subjects.create(subject())

    with pytest.raises(ConflictError):
        await subjects.create(subject())


async def test_a_record_is_replaced_by_whoever_has_read_it_last(subjects: SubjectRecords) -> None:
    created = await subjects.create(subject())
    later = replace(subject(), update_time=NOON + SECOND)

    replaced = await subjects.replace(later, etag=created.etag)
    with pytest.raises(ConflictError):
        await subjects.replace(subject(), etag=created.etag)

    assert replaced.etag != created.etag
    assert await subjects.get(ANNA) == replaced


async def test_of_a_closed_subject_the_shell_is_read(subjects: SubjectRecords) -> None:
    await subjects.create(subject())
    await subjects.close(shell())

    held = await subjects.get(ANNA)
    assert held is not None
    assert held.value == shell()
    assert (await subjects.is_closed(ANNA), await subjects.has_data(ANNA)) == (True, True)
    assert not await is_open(subjects, ANNA)
    assert await subjects.erase_data(ANNA)
    assert (await subjects.is_closed(ANNA), await subjects.has_data(ANNA)) == (True, False)
    assert await subjects.erase_shell(ANNA)
    assert await subjects.get(ANNA) is None
    assert not await subjects.erase_data(ANNA)


async def test_the_roll_is_that_of_this_moment(subjects: SubjectRecords) -> None:
    created = await subjects.create(subject())
    await subjects.create(subject(BEN, hour=1))
    before = await subjects.roll()
    later = await subjects.replace(replace(subject(), update_time=NOON + SECOND), etag=created.etag)
    changed = await subjects.roll()
    await subjects.close(shell(BEN))
    await subjects.erase_data(BEN)
    closed = await subjects.roll()
    await subjects.erase_shell(BEN)
    after = await subjects.roll()

    assert [held.value.subject_id for held in before.newest_first(show_closed=False)] == [BEN, ANNA]
    assert changed.opened[ANNA] == later
    assert (set(closed.opened), set(closed.closed)) == ({ANNA}, {BEN})
    assert [held.value.subject_id for held in closed.wanted] == [ANNA]
    assert (set(after.opened), set(after.closed)) == ({ANNA}, set())


def counted_reads(store: InMemoryKeyValueStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that tells how many records each read from now on gives."""
    reads: list[int] = []
    entries = store.entries

    async def counted(*args: Any, **kwargs: Any) -> Any:
        read = await entries(*args, **kwargs)
        reads.append(len(read))
        return read

    monkeypatch.setattr(store, "entries", counted)
    return reads


async def test_the_roll_reads_what_has_changed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InMemoryKeyValueStore()
    subjects, another = KeyValueSubjectRecords(store), KeyValueSubjectRecords(store)
    for number in range(20):
        await subjects.create(subject(f"00000000-0000-4000-8000-{number:012d}"))
    await subjects.roll()
    reads = counted_reads(store, monkeypatch)
    await subjects.roll()
    await another.create(subject())
    roll = await subjects.roll()

    assert reads == [1]
    assert ANNA in roll.opened


async def test_of_the_ledger_what_has_changed_is_read_alone_and_what_was_erased_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = InMemoryKeyValueStore()
    ledger, another = KeyValueSightingLedger(store), KeyValueSightingLedger(store)
    stretch = Stretch(SECOND, 2 * SECOND)
    for footage in (GATE, DOOR):
        await ledger.place(LedgerKey(footage, ANNA), stretch)
    await ledger.close(GATE, received=NOON)
    await ledger.spans()
    reads = counted_reads(store, monkeypatch)
    assert len(await ledger.spans()) == 2
    await another.place(LedgerKey(GATE, BEN), stretch)
    await another.erase(LedgerKey(DOOR, ANNA))

    keys = {key for key, _ in await ledger.spans()}

    assert (reads, keys) == ([1], {LedgerKey(GATE, ANNA), LedgerKey(GATE, BEN)})
    await another.erase_subject(BEN)
    await ledger.forget_erased()
    assert not [name for name in ledger._roll._held if BEN in name]
    await ledger.erase_footage(GATE)
    assert not [name for name in ledger._roll._held if ANNA in name]


async def test_the_roll_is_that_of_a_store_that_came_back_with_an_older_state() -> None:
    store = InMemoryKeyValueStore()
    subjects = KeyValueSubjectRecords(store)
    created = await subjects.create(subject())
    older, revision = dict(store._entries), store._revision
    await subjects.replace(replace(subject(), update_time=NOON + SECOND), etag=created.etag)
    await subjects.roll()

    store._entries, store._revision = older, revision
    roll = await subjects.roll()

    assert roll.opened[ANNA] == created


async def test_a_finding_that_overlaps_is_part_of_the_same_sighting(ledger: SightingLedger) -> None:
    key = LedgerKey(GATE, ANNA)

    first = await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))
    again = await ledger.place(key, Stretch(13 * SECOND, 20 * SECOND))

    assert (first.is_new, again.is_new) == (True, False)
    assert again.span.sighting_id == first.span.sighting_id
    assert (again.span.start, again.span.end) == (10 * SECOND, 20 * SECOND)


async def test_a_plan_tells_where_a_finding_would_be_and_writes_nothing(
    ledger: SightingLedger,
) -> None:
    key = LedgerKey(GATE, ANNA)
    first = Stretch(10 * SECOND, 14 * SECOND, scan_id="scan-1")
    again = Stretch(13 * SECOND, 20 * SECOND, scan_id="scan-2")

    planned = await ledger.plan(key, first)
    assert await ledger.spans() == []
    assert await ledger.place(key, first) == planned
    held = await ledger.spans()
    planned = await ledger.plan(key, again)
    assert await ledger.spans() == held
    assert await ledger.place(key, again) == planned


async def test_a_rejection_is_remembered_and_newest_first(ledger: SightingLedger) -> None:
    for hour, key in enumerate([LedgerKey(GATE, ANNA), LedgerKey(DOOR, BEN)]):
        placed = await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))
        rejection = Rejection("R", NOON + timedelta(hours=hour), NOON)
        await ledger.settle(key, placed.span.sighting_id, rejecting(rejection))
    again = await ledger.place(LedgerKey(GATE, ANNA), Stretch(11 * SECOND, 12 * SECOND))

    found = await ledger.rejections()
    assert again.span.rejected
    assert [one.subject_id for one in found] == [BEN, ANNA]
    assert found[0].rejection == Rejection("R", NOON + timedelta(hours=1), NOON)
    assert [one.subject_id for one in await ledger.rejections(subject_ids=[ANNA])] == [ANNA]
    assert [one.footage_id for one in await ledger.rejections(footage_ids=[DOOR])] == [DOOR]
    assert await ledger.rejections(subject_ids=[ANNA], footage_ids=[DOOR]) == []


async def test_a_confirmed_sighting_does_not_change_any_more(ledger: SightingLedger) -> None:
    key = LedgerKey(GATE, ANNA)
    placed = await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))
    await ledger.settle(key, placed.span.sighting_id, Verdict(CONFIRMED))

    again = await ledger.place(key, Stretch(12 * SECOND, 30 * SECOND))

    assert (again.span.settled, again.span.end) == (True, 14 * SECOND)
    assert await ledger.rejections() == []


async def test_of_two_decisions_the_one_stands_that_nothing_may_overrule(
    ledger: SightingLedger,
) -> None:
    key, other = LedgerKey(GATE, ANNA), LedgerKey(DOOR, ANNA)
    name = (await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))).span.sighting_id
    rejected = (await ledger.place(other, Stretch(10 * SECOND, 14 * SECOND))).span.sighting_id
    rejection = Rejection("S. Econd", NOON, NOON)
    unsure, sure = replace(CONFIRMED, decision=Decision.INCONCLUSIVE), CONFIRMED

    first = await ledger.settle(key, name, Verdict(unsure))
    second = await ledger.settle(key, name, Verdict(sure))
    third = await ledger.settle(key, name, rejecting(rejection))
    await ledger.settle(other, rejected, rejecting(rejection))
    last = await ledger.settle(other, rejected, Verdict(sure))

    told = [one and (one.review, one.rejection) for one in (first, second, third, last)]
    assert told == [(unsure, None), (sure, None), (sure, None), (None, rejection)]
    assert await ledger.span(key, name) == third
    assert await ledger.span(key, rejected) is None
    assert await ledger.settle(LedgerKey(GATE, BEN), name, rejecting(rejection)) is None


async def test_a_second_confirmation_is_counted_beside_the_first(ledger: SightingLedger) -> None:
    key, rules = LedgerKey(GATE, ANNA), ReviewRules(two_reviewers=True, separate_reviewers=True)
    stretch = Stretch(10 * SECOND, 14 * SECOND, requesters=("A. Sker",))
    name = (await ledger.place(key, stretch)).span.sighting_id
    again = await ledger.place(key, replace(stretch, requesters=("T. Hird",)))
    confirmed, asker = (replace(CONFIRMED, reviewer=one) for one in ("S. Econd", "T. Hird"))

    first = await ledger.settle(key, name, Verdict(CONFIRMED, rules))
    with pytest.raises(PermissionDeniedError):
        await ledger.settle(key, name, Verdict(asker, rules))
    second = await ledger.settle(key, name, Verdict(confirmed, rules))

    assert again.span.requesters == ("A. Sker", "T. Hird")
    assert first is not None
    assert second is not None
    assert (first.is_confirmed, second.is_confirmed) == (False, True)
    assert second.reviews == (CONFIRMED, confirmed)
    assert await ledger.span(key, name) == second


async def test_a_decision_is_taken_back_until_the_sighting_is_given_out(
    ledger: SightingLedger,
) -> None:
    key = LedgerKey(GATE, ANNA)
    placed = (await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))).span
    name, withdrawal = placed.sighting_id, Withdrawal(CONFIRMED.reviewer, CONFIRMED.review_time)
    early = await ledger.note_exported(key, name)  # nobody has confirmed it
    await ledger.settle(key, name, Verdict(CONFIRMED))
    back = await ledger.withdraw(key, name, withdrawal)
    again = await ledger.settle(key, name, Verdict(CONFIRMED))
    given_out = await ledger.note_exported(key, name)
    with pytest.raises(FailedPreconditionError):
        await ledger.withdraw(key, name, withdrawal)

    assert early == placed
    assert back == replace(placed, withdrawn=True)
    assert again is not None
    assert given_out == replace(again, exported=True)
    assert await ledger.span(key, name) == given_out
    assert await ledger.withdraw(LedgerKey(DOOR, ANNA), name, withdrawal) is None
    assert await ledger.note_exported(LedgerKey(DOOR, ANNA), name) is None


async def test_the_ledgers_of_a_subject_name_its_sightings(ledger: SightingLedger) -> None:
    placed = [
        (await ledger.place(LedgerKey(*key), Stretch(start * SECOND, (start + 1) * SECOND))).span
        for key, start in (((GATE, ANNA), 1), ((GATE, ANNA), 10), ((DOOR, ANNA), 1))
    ]
    await ledger.place(LedgerKey(GATE, BEN), Stretch(SECOND, 2 * SECOND))

    assert await ledger.sighting_ids(ANNA) == {span.sighting_id for span in placed}


async def test_the_ledger_tells_which_sightings_are_recorded(ledger: SightingLedger) -> None:
    key, other = LedgerKey(GATE, ANNA), LedgerKey(DOOR, BEN)
    name = (await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))).span.sighting_id
    second = (await ledger.place(other, Stretch(10 * SECOND, 14 * SECOND))).span.sighting_id
    assert await ledger.recorded() == []

    for one, of in ((key, name), (key, name), (other, second), (LedgerKey(DOOR, ANNA), name)):
        await ledger.note_recorded(one, of, recorded=True)

    span = RecordedSpan(name, ANNA, GATE, 10 * SECOND, 14 * SECOND, confirmed=False)
    assert await ledger.recorded(subject_ids=[ANNA]) == [span]
    assert await ledger.recorded(footage_ids=[GATE], subject_ids=[BEN]) == []
    assert {one.sighting_id for one in await ledger.recorded()} == {name, second}
    await ledger.settle(key, name, Verdict(CONFIRMED))
    assert await ledger.recorded(footage_ids=[GATE]) == [replace(span, confirmed=True)]
    await ledger.note_recorded(key, name, recorded=False)
    assert await ledger.recorded(footage_ids=[GATE]) == []


async def test_a_rejected_sighting_is_not_to_be_there(ledger: SightingLedger) -> None:
    key = LedgerKey(GATE, ANNA)
    name = (await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND))).span.sighting_id
    await ledger.note_recorded(key, name, recorded=True)

    await ledger.settle(key, name, rejecting(Rejection("R. Viewer", NOON, NOON)))
    await ledger.note_recorded(key, name, recorded=True)  # by whoever was recording it

    assert await ledger.recorded() == []


async def test_a_removed_recording_is_known_by_when_it_came(ledger: SightingLedger) -> None:
    assert not await ledger.is_closed(GATE, NOON)
    await ledger.place(LedgerKey(GATE, ANNA), Stretch(SECOND, 2 * SECOND))

    for received in (NOON, NOON - SECOND):  # removed twice, in any order
        await ledger.close(GATE, received=received)

    told = [await ledger.is_closed(GATE, at) for at in (NOON - SECOND, NOON, None, NOON + SECOND)]
    assert told == [True, True, True, False]
    assert not await ledger.is_closed(DOOR, NOON)
    assert await ledger.keys() == {LedgerKey(GATE, ANNA)}
    assert await ledger.rejections() == []
    await ledger.erase_footage(GATE)
    await ledger.erase_subject(ANNA)
    assert await ledger.is_closed(GATE, NOON)


async def test_a_shell_that_is_to_be_erased_stays_so(subjects: SubjectRecords) -> None:
    to_be_erased = replace(shell(), to_be_erased=True)

    new = [await subjects.close(one) for one in (shell(), to_be_erased, shell())]

    held = await subjects.get(ANNA)
    assert new == [True, False, False]
    assert held is not None
    assert held.value.to_be_erased


class _Raced(InMemoryKeyValueStore):
    """A store in which another writer comes between a read and what follows from it."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], Awaitable[Any]] | None = None

    async def erase(self, key: str, **how: Any) -> bool:
        between, self.between = self.between, None
        if between is not None:
            await between()
        return await super().erase(key, **how)


async def test_what_another_scan_finds_while_one_is_forgotten_stays() -> None:
    store = _Raced()
    ledger = KeyValueSightingLedger(store)
    key = LedgerKey(GATE, ANNA)
    await ledger.place(key, Stretch(10 * SECOND, 14 * SECOND, scan_id="one"))
    found = Stretch(60 * SECOND, 64 * SECOND, scan_id="two")
    store.between = partial(ledger.place, key, found)

    await ledger.forget_scan(key, "one")

    assert await ledger.found_by("one") == []
    assert [span.start for _, span in await ledger.found_by("two")] == [60 * SECOND]


async def test_ledgers_go_with_their_recording_or_their_subject(ledger: SightingLedger) -> None:
    for footage in (GATE, DOOR):
        for name in (ANNA, BEN):
            await ledger.place(LedgerKey(footage, name), Stretch(SECOND, 2 * SECOND))

    await ledger.erase_footage(GATE)
    assert await ledger.keys() == {LedgerKey(DOOR, ANNA), LedgerKey(DOOR, BEN)}
    await ledger.erase_subject(BEN)
    assert await ledger.keys() == {LedgerKey(DOOR, ANNA)}
    await ledger.erase(LedgerKey(DOOR, ANNA))
    assert await ledger.keys() == frozenset()


async def test_the_ledger_tells_what_a_scan_found_and_forgets_what_it_alone_found(
    ledger: SightingLedger,
) -> None:
    both, alone = LedgerKey(GATE, ANNA), LedgerKey(DOOR, ANNA)
    for key, start, scan_id in ((both, 10, "one"), (both, 60, "one"), (alone, 10, "one")):
        await ledger.place(key, Stretch(start * SECOND, (start + 4) * SECOND, scan_id=scan_id))
    await ledger.place(both, Stretch(12 * SECOND, 13 * SECOND, scan_id="two"))
    await ledger.close(DOOR, received=NOON)  # has no spans, and is no ledger

    found = await ledger.found_by("one")
    for key in (both, alone):
        await ledger.forget_scan(key, "one")
    await ledger.forget_scan(LedgerKey(GATE, BEN), "one")

    assert sorted((key.footage_id, span.start, span.scan_ids) for key, span in found) == sorted(
        [
            (GATE, 10 * SECOND, ("one", "two")),
            (GATE, 60 * SECOND, ("one",)),
            (DOOR, 10 * SECOND, ("one",)),
        ]
    )
    assert await ledger.found_by("one") == []
    assert [(key, span.start) for key, span in await ledger.found_by("two")] == [
        (both, 10 * SECOND)
    ]
    assert await ledger.keys() == {both}
