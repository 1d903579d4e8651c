"""Keys, decisions, and what is taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli_values import ANNA, FOOTAGE, IN_VIEW, SCAN
from homeward.api.ingestion.v1 import scan_pb2
from homeward.api.matching.v1 import sighting_pb2
from homeward.cli.errors import CallError
from homeward.cli.review import keyboard
from homeward.cli.review.deciding import Decided
from homeward.cli.review.supply import Left, Prepared
from homeward.cli.review.viewing import Elsewhere
from homeward.cli.review.walk import Screen, Walk, summary

NAMES = [f"00000000-0000-4000-8000-{number:012}" for number in range(4)]
State = sighting_pb2.Sighting


class FakeSupply:
    """Hands out what is left, in order."""

    def __init__(self) -> None:
        self.left = Left(open=len(NAMES))
        self.coming = [prepared(name) for name in NAMES]
        self.skipped: list[str] = []
        self.again: list[str] = []

    def next(self, _: Any) -> Prepared | None:
        return self.coming.pop(0) if self.coming else None

    def calm(self) -> None:
        pass

    def is_done(self, sighting_id: str) -> None:
        pass

    def skip(self, sighting_id: str) -> None:
        self.skipped.append(sighting_id)

    def put_first(self, *given: Prepared) -> None:
        self.coming[:0] = given

    def find_again(self, sighting_id: str) -> None:
        self.again.append(sighting_id)

    def look_again(self, *, skipped: bool = False) -> None:
        self.coming += [prepared(name) for name in self.skipped] if skipped else []
        self.skipped.clear()


class FakeDesk:
    """Takes every decision, unless told otherwise."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.withdrawn: list[str] = []
        self.refusal: CallError | None = None
        self.no_search: CallError | None = None

    def send(self, sighting_id: str, decision: str, reason: str) -> Decided:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((sighting_id[-1], decision, reason))
        rejected = decision == "reject"
        sighting = State(
            sighting_id=sighting_id,
            subject_id=ANNA,
            footage_id=FOOTAGE,
            camera_id="gate",
            interval=IN_VIEW,
            state=State.STATE_REJECTED if rejected else State.STATE_CONFIRMED,
            review=sighting_pb2.Review(review_time=Timestamp(seconds=len(self.sent))),
        )
        return Decided(sighting, decision, reason)

    def withdraw(self, decided: Decided) -> sighting_pb2.Sighting:
        if self.refusal is not None:
            raise self.refusal
        self.withdrawn.append(decided.sighting.sighting_id[-1])
        return decided.sighting

    def search_again(self, _: sighting_pb2.Sighting) -> scan_pb2.Scan:
        if self.no_search is not None:
            raise self.no_search
        return scan_pb2.Scan(scan_id=SCAN)


def prepared(name: str) -> Prepared:
    def card(_: int, reason: str) -> list[str]:
        return [f"card of {name[-1]} {reason}".rstrip()]

    return Prepared(State(sighting_id=name, camera_id="gate"), card, lambda _: "", lambda: b"png")


Go = Callable[..., Walk]


@pytest.fixture
def supply() -> FakeSupply:
    return FakeSupply()


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def go(supply: FakeSupply, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Go]:
    screen = Screen(Elsewhere.NONE, draws=False, reasons=["same scar", "too blurred"])

    def walk(keys: str, *, line: str = "") -> Walk:
        left = iter(keys)
        monkeypatch.setattr(keyboard, "key", lambda: next(left))
        monkeypatch.setattr(keyboard, "forget_pressed", lambda: None)
        monkeypatch.setattr(keyboard, "line", lambda _: line)
        kinds: Any = (supply, desk, screen)
        walking = Walk(*kinds)
        walking.go()
        return walking

    yield walk
    screen.folder.remove()


def test_a_key_decides_and_the_next_candidate_follows(go: Go, desk: FakeDesk) -> None:
    walking = go("cirrcq")

    assert desk.sent == [
        ("0", "confirm", ""),
        ("1", "inconclusive", ""),
        ("2", "reject", ""),
        ("3", "confirm", ""),
    ]
    assert summary(walking.counts) == "Recorded: 2 confirmed, 1 rejected, 1 inconclusive."


def test_a_rejection_needs_a_second_key(go: Go, desk: FakeDesk) -> None:
    go("rxrcq")

    assert desk.sent == []


def test_a_reason_is_written_or_taken_from_the_list_for_one_decision(
    go: Go, desk: FakeDesk
) -> None:
    go("1c2wccq", line="a limp")

    assert desk.sent == [
        ("0", "confirm", "same scar"),
        ("1", "confirm", "a limp"),
        ("2", "confirm", ""),
    ]


def test_the_last_decision_is_taken_back_and_judged_again(
    go: Go, desk: FakeDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    walking = go("cuiq")
    cards = [line for line in capsys.readouterr().out.splitlines() if line.startswith("card")]

    assert desk.withdrawn == ["0"]
    assert desk.sent == [("0", "confirm", ""), ("0", "inconclusive", "")]
    assert cards == ["card of 0", "card of 1", "card of 0", "card of 1"]
    assert summary(walking.counts) == "Recorded: 1 inconclusive."


def test_a_skipped_one_is_put_off_and_shown_in_the_end(go: Go, desk: FakeDesk) -> None:
    go("scccscq")

    assert [name for name, _, _ in desk.sent] == ["1", "2", "3", "0"]


def test_the_last_one_can_be_taken_back_in_the_end(go: Go, desk: FakeDesk) -> None:
    go("ccccuiq")

    assert desk.withdrawn == ["3"]
    assert desk.sent[-1] == ("3", "inconclusive", "")


def test_a_decision_that_stands_is_not_taken_back(
    go: Go, desk: FakeDesk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Decided) -> sighting_pb2.Sighting:
        raise CallError("it stands", status="FAILED_PRECONDITION", reason="REVIEW_STANDS")

    monkeypatch.setattr(desk, "withdraw", refuse)
    go("cuiq")

    assert desk.sent == [("0", "confirm", ""), ("1", "inconclusive", "")]
    assert "it stands" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "no_search", "told"),
    [
        ("y", None, f"Search {SCAN} is under way."),
        ("n", None, "Left as it is."),
        (
            "y",
            CallError("gone", status="NOT_FOUND", reason="FOOTAGE_NOT_FOUND"),
            "Its recording has gone, so it cannot be searched again.",
        ),
        (
            "y",
            CallError("no", status="PERMISSION_DENIED", reason="ROLE_MISSING"),
            f"homeward search --include-rejected --subject {ANNA} --footage {FOOTAGE}",
        ),
    ],
)
def test_a_rejection_is_searched_for_again_instead(
    go: Go,
    desk: FakeDesk,
    capsys: pytest.CaptureFixture[str],
    *,
    answer: str,
    no_search: CallError | None,
    told: str,
) -> None:
    desk.no_search = no_search
    go(f"rru{answer}q")

    assert desk.withdrawn == []
    assert told in capsys.readouterr().out


def test_a_refused_decision_does_not_keep_the_others(
    go: Go, desk: FakeDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.refusal = CallError("taken", status="FAILED_PRECONDITION", reason="SIGHTING_LEASED")
    walking = go("ccccq")

    assert capsys.readouterr().err.count("reason: SIGHTING_LEASED") == 4
    assert walking.counts["refused"] == 4


def test_a_decision_that_is_interrupted_is_said_to_be_unknown(
    go: Go, desk: FakeDesk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: str) -> Decided:
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "send", interrupt)
    with pytest.raises(KeyboardInterrupt):
        go("c")

    assert "It is not known whether your decision on sighting" in capsys.readouterr().out


def test_why_nothing_is_left_is_told(
    go: Go, supply: FakeSupply, capsys: pytest.CaptureFixture[str]
) -> None:
    supply.left = Left(held_by_others=2, own_searches=1)
    supply.coming.clear()
    go("aq")
    out = capsys.readouterr().out

    assert out.count("2 candidates are left, with other reviewers now.") == 2
    assert "1 candidate is left from searches that you asked for" in out


def test_without_anything_it_ends(go: Go, supply: FakeSupply) -> None:
    supply.coming.clear()

    assert summary(go("").counts) == "Nothing was decided."


@pytest.mark.parametrize("key", ["?", "h"])
def test_help_names_every_key_and_reason(
    go: Go, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    go(f"{key}q")
    out = capsys.readouterr().out

    assert "1  same scar" in out
    assert "q  quit" in out
