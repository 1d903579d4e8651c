"""Decisions on scans, and what is done about those that were refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.scan.authorisation import (
    Authorisation,
    AuthorisationState,
    Justification,
    ScanRules,
)
from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.model import Scan, ScanPlan, ScanScope, ScanState
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.scans import ScanLimits, Scans
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.identity.caller import Caller, Role, acting_for
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

SCAN = "00000000-0000-4000-8000-00000000000a"
WITHIN = timedelta(hours=48)
TICK = timedelta(microseconds=1)
STATES = AuthorisationState


@dataclass
class Sightings:
    """Matching, which erases what scans found; may fail, or leave something."""

    asked: list[str] = field(default_factory=list)
    failure: errors.DomainError | None = None
    erases_all: bool = True

    async def erase_scan_sightings(self, scan_id: str, *, subject_ids: Sequence[str]) -> bool:
        assert tuple(subject_ids) == ("s",)
        if self.failure is not None:
            raise self.failure
        self.asked.append(scan_id)
        return self.erases_all


class Desk:
    """One scan, and who decides on it."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.store = InMemoryKeyValueStore()
        self.records = StoredScanRecords(self.store)
        self.sightings = Sightings()
        self.acts = InMemoryActs()
        self.restart()

    def restart(self, **rules: Any) -> None:
        given = ScanRules(**{"authorised_within": WITHIN, **rules})
        self.rules = given
        self.scans = Scans(
            records=self.records,
            plans=None,  # type: ignore[arg-type]
            scope=None,  # type: ignore[arg-type]
            matcher=None,  # type: ignore[arg-type]
            clock=self.clock,
            limits=ScanLimits(3, 100),
            rules=given,
        )
        self.authorising = ScanAuthorising(
            scans=self.scans,
            records=self.records,
            sightings=self.sightings,
            clock=self.clock,
            acts=self.acts,
            rules=given,
        )

    async def create(self, *, requester: str = "Ivy") -> None:
        now = self.clock.now()
        scan = Scan(
            SCAN,
            ScanScope(("s",), ("gate",)),
            now,
            justification=Justification(necessity="she is eight"),
            requester=requester,
            authorisation=self.rules.authorisation(now),
        )
        await self.records.create(scan)
        await self.records.put_plan(SCAN, ScanPlan(recordings=1, segments=1, complete=True), 0)

    async def authorise(self, by: str = "Otto", reference: str = "R/1") -> Authorisation:
        scan, _ = await self.authorising.authorise(SCAN, reference=reference, authoriser=by)
        return scan.authorisation

    async def refuse(self, by: str = "Otto", reason: str = "no case") -> Authorisation:
        scan, _ = await self.authorising.refuse(SCAN, reason=reason, authoriser=by)
        return scan.authorisation

    async def sweep(self) -> int:
        async def proceed() -> bool:
            return True

        return await self.authorising.sweep(proceed)

    async def held(self) -> Scan:
        scan = await self.records.get(SCAN)
        assert scan is not None
        return scan

    async def state(self) -> AuthorisationState:
        return (await self.held()).authorisation.state


@pytest.fixture
async def desk(clock: Any) -> Desk:
    desk = Desk(clock)
    await desk.create()
    return desk


async def refused(call: Any) -> tuple[type, errors.Reason, str]:
    with pytest.raises(errors.DomainError) as found:
        await call
    return type(found.value), found.value.reason, found.value.metadata.get("state", "")


def decided(state: AuthorisationState) -> tuple[type, errors.Reason, str]:
    return errors.FailedPreconditionError, errors.Reason.SCAN_DECIDED, state.name


async def test_a_new_scan_awaits_its_authorisation(desk: Desk) -> None:
    held = (await desk.held()).authorisation

    assert (held.state, held.deadline) == (STATES.AWAITED, desk.clock.now() + WITHIN)
    assert await desk.records.undecided() == [SCAN]


async def test_who_authorises_a_scan_is_kept(desk: Desk) -> None:
    held = await desk.authorise()

    assert (held.state, held.decider, held.reference) == (STATES.AUTHORISED, "Otto", "R/1")
    assert held.decide_time == desk.clock.now()
    assert (await desk.held()).authorisation == held
    assert await desk.records.undecided() == []
    assert desk.sightings.asked == []


async def test_the_same_authorisation_again_changes_nothing(desk: Desk) -> None:
    first = await desk.authorise()
    desk.clock.advance(timedelta(hours=1))

    assert await desk.authorise() == first
    for again in (desk.authorise(by="Olga"), desk.authorise(reference="R/2"), desk.refuse()):
        assert await refused(again) == decided(STATES.AUTHORISED)
    assert (await desk.held()).authorisation == first


async def test_nobody_authorises_what_they_asked_for_themselves(desk: Desk) -> None:
    own = await refused(desk.authorise(by="Ivy"))

    assert own == (errors.PermissionDeniedError, errors.Reason.OWN_SCAN, "")
    assert await desk.state() is STATES.AWAITED
    desk.restart(own_scans=True)
    assert (await desk.authorise(by="Ivy")).state is STATES.AUTHORISED


@pytest.mark.parametrize("spelt", ["ivy", "IVY", " Ivy", "\uff29vy"])
async def test_whoever_spells_their_name_otherwise_is_no_second_person(
    desk: Desk, spelt: str
) -> None:
    own = await refused(desk.authorise(by=spelt))

    assert own == (errors.PermissionDeniedError, errors.Reason.OWN_SCAN, "")
    assert await desk.state() is STATES.AWAITED


async def test_a_known_caller_counts_as_themselves_whatever_they_state(desk: Desk) -> None:
    ivy = Caller("Ivy", frozenset({Role.AUTHORISER}))
    with acting_for(ivy):
        own = await refused(desk.authorise(by="Otto"))
    with acting_for(Caller("Olga", frozenset({Role.AUTHORISER}))):
        held = await desk.authorise(by="Ivy")

    assert own[1] is errors.Reason.OWN_SCAN
    assert held.decider == "Olga"


async def test_somebody_must_be_named_where_callers_are_not_known(desk: Desk) -> None:
    for call in (desk.authorise(by=""), desk.refuse(by="")):
        assert (await refused(call))[1] is errors.Reason.FIELD_INVALID
    assert await desk.state() is STATES.AWAITED


async def test_refusing_a_scan_stops_it_and_erases_what_it_found(desk: Desk) -> None:
    scan, summary = await desk.authorising.refuse(SCAN, reason="no case", authoriser="Otto")

    held = scan.authorisation
    assert (held.state, held.decider, held.reason) == (STATES.REFUSED, "Otto", "no case")
    assert held.erase_time == desk.clock.now()
    assert (scan.cancelled, summary.state) == (True, ScanState.CANCELLED)
    assert desk.sightings.asked == [SCAN]
    assert await desk.records.undecided() == []


async def test_a_scan_that_has_ended_is_refused_and_stays_as_it_ended(desk: Desk) -> None:
    plan = await desk.records.plan(SCAN)
    await desk.records.put_plan(SCAN, ScanPlan(complete=True), plan.revision)

    scan, summary = await desk.authorising.refuse(SCAN, reason="no case", authoriser="Otto")

    assert (scan.cancelled, summary.state) == (False, ScanState.FAILED)
    assert scan.authorisation.erase_time is not None


async def test_a_refusal_stands(desk: Desk) -> None:
    first = await desk.refuse()
    desk.clock.advance(timedelta(hours=1))

    assert await desk.refuse(by="Olga", reason="another") == first
    assert await refused(desk.authorise()) == decided(STATES.REFUSED)


@pytest.mark.parametrize(("late", "state"), [(-TICK, STATES.AWAITED), (timedelta(), STATES.LAPSED)])
async def test_what_nobody_decides_on_in_time_is_refused_by_itself(
    desk: Desk, late: timedelta, state: AuthorisationState
) -> None:
    desk.clock.advance(WITHIN + late)

    await desk.sweep()

    assert await desk.state() is state
    assert desk.sightings.asked == ([SCAN] if state is STATES.LAPSED else [])
    written = ("LapseScan", (f"scan/{SCAN}",))
    assert desk.acts.recorded == ([written] if state is STATES.LAPSED else [])
    assert (await desk.held()).cancelled is (state is STATES.LAPSED)


async def test_after_its_deadline_a_scan_is_not_authorised_though_no_sweep_came(
    desk: Desk,
) -> None:
    desk.clock.advance(WITHIN)

    assert await refused(desk.authorise()) == decided(STATES.LAPSED)
    assert await desk.sweep() == 1
    assert await refused(desk.authorise()) == decided(STATES.LAPSED)
    assert await desk.sweep() == 0


async def test_an_authorisation_at_the_last_moment_counts(desk: Desk) -> None:
    desk.clock.advance(WITHIN - TICK)
    await desk.authorise()
    desk.clock.advance(timedelta(days=1))

    assert await desk.sweep() == 0
    assert await desk.state() is STATES.AUTHORISED


async def test_of_a_sweep_and_an_authorisation_at_the_same_moment_the_first_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.clock.advance(WITHIN - TICK)
    update = desk.store.update

    async def swept_first(*args: Any, **kwargs: Any) -> int:
        monkeypatch.setattr(desk.store, "update", update)
        desk.clock.advance(TICK)
        await desk.sweep()
        return await update(*args, **kwargs)

    monkeypatch.setattr(desk.store, "update", swept_first)

    assert await refused(desk.authorise()) == decided(STATES.LAPSED)
    assert desk.sightings.asked == [SCAN]


async def test_one_that_is_authorised_at_the_last_moment_is_not_told_to_have_lapsed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = desk.records.change

    async def authorised_first(scan_id: str, made: Any) -> Any:
        monkeypatch.setattr(desk.records, "change", change)
        desk.clock.advance(-TICK)
        await desk.authorise()
        desk.clock.advance(TICK)
        return await change(scan_id, made)

    monkeypatch.setattr(desk.records, "change", authorised_first)
    desk.clock.advance(WITHIN)

    assert await desk.sweep() == 0

    assert await desk.state() is STATES.AUTHORISED
    assert desk.acts.recorded == []
    assert desk.sightings.asked == []


async def test_a_lapse_is_told_once_whatever_breaks_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = errors.unavailable("a store", "localhost:1", "start it")

    async def fail(*_: Any) -> None:
        raise away

    desk.clock.advance(WITHIN)
    with monkeypatch.context() as broken:
        broken.setattr(desk.records, "change", fail)
        assert (await refused(desk.sweep()))[0] is errors.UnavailableError
    with monkeypatch.context() as broken:
        broken.setattr(desk.acts, "record", fail)
        assert (await refused(desk.sweep()))[0] is errors.UnavailableError
    assert desk.acts.recorded == []
    desk.sightings.failure = away
    for _ in range(2):
        assert (await refused(desk.sweep()))[0] is errors.UnavailableError
    desk.sightings.failure = None

    assert await desk.sweep() == 1

    assert desk.acts.recorded == [("LapseScan", (f"scan/{SCAN}",))]


@pytest.mark.parametrize("answers", ["with less than all", "not at all"])
async def test_a_refusal_that_broke_off_is_finished_by_the_next_sweep(
    desk: Desk, answers: str
) -> None:
    if answers == "not at all":
        desk.sightings.failure = errors.unavailable("matching", "localhost:1", "start it")
        assert (await refused(desk.refuse()))[0] is errors.UnavailableError
    else:
        desk.sightings.erases_all = False
        assert (await desk.refuse()).erase_time is None
    assert (await desk.held()).authorisation.state is STATES.REFUSED
    assert (await desk.held()).cancelled
    desk.sightings.failure, desk.sightings.erases_all = None, True

    assert await desk.sweep() == 1

    assert (await desk.held()).authorisation.erase_time == desk.clock.now()
    assert await desk.records.undecided() == []


@pytest.mark.parametrize("write", range(1, 8))
async def test_a_refusal_is_finished_wherever_the_service_died(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    class Died(BaseException):
        """The process is gone."""

    calls = iter(range(1, 100))

    def dying(call: Any) -> Any:
        async def counted(*args: Any, **kwargs: Any) -> Any:
            if next(calls) >= write:
                raise Died
            return await call(*args, **kwargs)

        return counted

    with monkeypatch.context() as dead:
        for name in ("put", "create", "update", "erase"):
            dead.setattr(desk.store, name, dying(getattr(desk.store, name)))
        with pytest.raises(Died):
            await desk.refuse()
    if await desk.state() is STATES.AWAITED:  # it was not written down: refused again
        await desk.refuse()
    await desk.sweep()

    held = await desk.held()
    assert held.authorisation.erase_time is not None
    assert held.cancelled
    assert SCAN in desk.sightings.asked
    assert await desk.records.undecided() == []


async def test_one_that_need_not_be_authorised_may_be_decided_on(clock: Any) -> None:
    desk = Desk(clock)
    desk.restart(authorised_within=None)
    await desk.create()

    desk.clock.advance(timedelta(days=20))
    assert await desk.sweep() == 0
    assert await desk.state() is STATES.NOT_REQUIRED
    assert (await desk.refuse()).state is STATES.REFUSED


async def test_a_scan_that_is_not_there_is_not_decided_on(clock: Any) -> None:
    desk = Desk(clock)

    for call in (desk.authorise(), desk.refuse()):
        assert (await refused(call))[1] is errors.Reason.SCAN_NOT_FOUND
    assert desk.sightings.asked == []
    assert await desk.records.undecided() == []


async def test_a_sweep_stops_when_another_replica_sweeps(desk: Desk) -> None:
    async def stop() -> bool:
        return False

    desk.clock.advance(WITHIN)

    assert await desk.authorising.sweep(stop) == 0
    assert await desk.state() is STATES.AWAITED


async def test_a_record_of_an_earlier_version_needs_no_authorisation(desk: Desk) -> None:
    old = b'{"scan_id":"%s","scope":{},"create_time":"2026-11-20T10:00:00Z"}' % SCAN.encode()
    await desk.store.put(f"scan.{SCAN}", old)

    held = await desk.held()

    assert (held.authorisation, held.justification) == (Authorisation(), Justification())
    assert await desk.sweep() == 0


async def test_what_cannot_be_written_to_the_audit_trail_is_not_carried_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise errors.unavailable("NATS", "localhost:1", "start it")

    desk.clock.advance(WITHIN)
    with monkeypatch.context() as broken:
        broken.setattr(desk.acts, "record", fail)
        with pytest.raises(errors.UnavailableError):
            await desk.sweep()
    before = await desk.held()
    assert (before.cancelled, desk.sightings.asked) == (False, [])
    assert before.authorisation.erase_time is None
    await desk.sweep()

    after = await desk.held()
    assert (after.cancelled, desk.sightings.asked) == (True, [SCAN])
    assert after.authorisation.state is STATES.LAPSED


async def test_the_next_deadline_is_of_what_still_waits(desk: Desk) -> None:
    first = await desk.authorising.next_deadline()
    await desk.authorise()

    assert first == desk.clock.now() + WITHIN
    assert await desk.authorising.next_deadline() is None
