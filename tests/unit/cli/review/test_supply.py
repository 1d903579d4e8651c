"""Candidates that are handed out and prepared ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.cli.errors import CallError, CliError
from homeward.cli.review import supply as supplying
from homeward.cli.review.supply import AHEAD, Prepared, Scope, Supply

NAMES = [f"00000000-0000-4000-8000-{number:012}" for number in range(8)]


class Service:
    """Hands sightings out, in order, and forgets what is decided."""

    def __init__(self) -> None:
        self.open = list(NAMES)
        self.asked: list[sighting_service_pb2.LeaseSightingsRequest] = []
        self.given_back: list[str] = []
        self.failures: list[CliError] = []

    def LeaseSightings(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        fitting = [one for one in self.open if one not in request.excluded_sighting_ids]
        return sighting_service_pb2.LeaseSightingsResponse(
            sightings=[sighting_pb2.Sighting(sighting_id=one) for one in fitting[: request.count]],
            open_count=len(fitting),
        )

    def ReturnSightings(self, request: Any, timeout: float) -> None:  # noqa: ARG002, N802 - as gRPC has it
        self.given_back += request.sighting_ids


def prepared(listed: sighting_pb2.Sighting) -> Prepared:
    return Prepared(listed, lambda *_: ["card"], lambda _: "", lambda: b"png")


Make = Callable[..., Supply]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def made(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(supplying, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(supplying, "_SHOWN_SECONDS", 0.01)
    supplies: list[Supply] = []

    def make(prepare: Callable[[sighting_pb2.Sighting], Prepared] = prepared) -> Supply:
        stub: Any = service
        one = Supply(stub, Scope(sighting_service_pb2.LeaseSightingsRequest(), prepare))
        supplies.append(one)
        one.start()
        return one

    yield make
    for one in supplies:
        one.end()


def shown(supply: Supply) -> str | None:
    found = supply.next(lambda _: None)
    return found.sighting_id if found else None


def decided(service: Service, supply: Supply) -> Iterator[str]:
    while (name := shown(supply)) is not None:
        service.open.remove(name)
        supply.is_done(name)
        yield name


def test_each_candidate_is_shown_once_in_the_order_of_the_service(
    service: Service, made: Make
) -> None:
    assert list(decided(service, made())) == NAMES
    assert {request.count for request in service.asked} == {AHEAD + 1}


def test_what_is_skipped_is_given_back_and_shown_when_asked_for(
    service: Service, made: Make
) -> None:
    supply = made()
    first = shown(supply)
    supply.skip(NAMES[0])
    rest = list(decided(service, supply))
    supply.look_again(skipped=True)

    assert first == NAMES[0]
    assert service.given_back == [NAMES[0]]
    assert rest == NAMES[1:]
    assert shown(supply) == NAMES[0]


def test_what_is_taken_back_is_shown_first_and_then_what_was_shown(made: Make) -> None:
    supply = made()
    first = supply.next(lambda _: None)
    assert first is not None
    supply.is_done(NAMES[0])
    second = supply.next(lambda _: None)
    assert second is not None
    supply.put_first(first, second)

    assert [shown(supply), shown(supply), shown(supply)] == NAMES[:3]


def test_it_goes_on_when_the_service_is_back(service: Service, made: Make) -> None:
    service.failures = [CallError("away", status="UNAVAILABLE")] * 3

    assert list(decided(service, made())) == NAMES


def test_nothing_is_prepared_while_a_decision_is_on_its_way(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supplying, "_SENT_SECONDS", 60.0)
    begun, go_on, third = threading.Event(), threading.Event(), threading.Event()

    def prepare(listed: sighting_pb2.Sighting) -> Prepared:
        if listed.sighting_id == NAMES[1]:
            begun.set()
            go_on.wait(10)
        elif listed.sighting_id == NAMES[2]:
            third.set()
        return prepared(listed)

    supply = made(prepare)
    assert begun.wait(10)  # the first is ready
    supply.calm()
    go_on.set()

    assert not third.wait(0.1)
    assert shown(supply) == NAMES[0]
    assert third.wait(10)


def test_a_refusal_is_raised_to_who_waits(service: Service, made: Make) -> None:
    service.failures = [CallError("no", status="PERMISSION_DENIED", reason="ROLE_MISSING")] * 9
    supply = made()

    with pytest.raises(CallError, match="no"):
        supply.next(lambda _: None)


def test_what_is_erased_before_it_is_shown_is_passed_over(service: Service, made: Make) -> None:
    def prepare(listed: sighting_pb2.Sighting) -> Prepared:
        if listed.sighting_id == NAMES[1]:
            service.open.remove(NAMES[1])
            raise CallError("gone", status="NOT_FOUND", reason="SIGHTING_NOT_FOUND")
        return prepared(listed)

    assert list(decided(service, made(prepare))) == [NAMES[0], *NAMES[2:]]


def test_what_was_not_decided_on_is_given_back_in_the_end(service: Service, made: Make) -> None:
    supply = made()
    shown(supply)
    supply.end()

    assert NAMES[0] in service.given_back


def test_what_is_being_handed_out_at_the_end_is_given_back(
    service: Service, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()
    hand_out = service.LeaseSightings

    def slowly(request: Any) -> Any:
        answer = hand_out(request)
        asked.set()
        answered.wait(5)
        return answer

    monkeypatch.setattr(service, "LeaseSightings", slowly)
    supply = made()
    asked.wait(5)
    threading.Timer(0.1, answered.set).start()

    supply.end()

    assert service.given_back == NAMES[: AHEAD + 1]
