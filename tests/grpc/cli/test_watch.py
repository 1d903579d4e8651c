"""`homeward watch`, printed and sent to a receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cli_documents
import grpc
import pytest
from webhook_receiver import WebhookReceiver, receiving

from cli_services import Homeward
from cli_values import ANNA, BEGIN, SIGHTING, Refusal
from homeward.api.matching.v1 import sighting_pb2
from homeward.api.matching.v1.sighting_service_pb2 import WatchSightingsResponse as Response
from homeward.cli import patience, watching, webhook
from homeward.cli.__main__ import run
from homeward.cli.errors import CliError

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
State = sighting_pb2.Sighting
WATCHING = "Watching; Ctrl-C ends it. A candidate is a lead for a reviewer."
AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "COMPONENT_UNAVAILABLE", "NATS does not answer")


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was to be waited before an event is offered again."""
    made: list[float] = []
    monkeypatch.setattr(webhook.time, "sleep", made.append)
    return made


@pytest.fixture
def hook(receiver: WebhookReceiver, tmp_path: Path) -> list[str]:
    """The options of a delivery that ends when all is told."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    return [
        *("watch", "--once", "--webhook", receiver.url),
        *("--secret-file", str(secret), "--state", str(tmp_path / "state.json")),
    ]


def place(number: int) -> Response:
    return Response(resume_token=f"f-{number}")


def change(
    number: int,
    kind: Response.Change.ValueType = Response.CHANGE_RECORDED,
    state: State.State.ValueType = State.STATE_UNREVIEWED,
    **now: object,
) -> Response:
    sighting = State(sighting_id=SIGHTING, subject_id=ANNA, state=state, **now)  # type: ignore[arg-type]
    return Response(
        sighting=sighting,
        resume_token=f"f-{number}",
        change=kind,
        state=state,
        change_time=BEGIN,
    )


CONFIRMED = (Response.CHANGE_REVIEWED, State.STATE_CONFIRMED)


def kept(hook: list[str]) -> str:
    return str(json.loads(Path(hook[-1]).read_text())["resumeToken"])


def test_changes_are_printed_a_line_each(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {"camera_id": "gate", "score": 0.612}
    homeward.sightings.watches = [
        [
            change(1, **seen),
            change(2, Response.CHANGE_ALTERED, **seen),
            change(3, Response.CHANGE_REVIEWED, State.STATE_AWAITING_SECOND, **seen),
            change(4, *CONFIRMED, **seen),
            change(5, Response.CHANGE_ERASED, State.STATE_ERASED),
            place(5),
        ]
    ]

    assert run(["watch", "--once", "--subject", ANNA]) == 0

    told = capsys.readouterr()
    lines = told.out.splitlines()
    words = ["new candidate", "found again", "awaiting second", "confirmed", "erased"]
    assert [line.split("  ")[1] for line in lines] == words
    assert ["gate" in line and "0.612" in line for line in lines] == [True] * 4 + [False]
    assert list(homeward.sightings.watched[0].subject_ids) == [ANNA]
    assert f"No more changes now. `homeward watch --subject {ANNA} --after f-5` goes" in told.err


def test_json_is_a_line_a_change_and_a_token_to_go_on(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.watches = [[change(1), change(2, *CONFIRMED), place(7)]]

    assert run(["watch", "--once", "--after", "f-0", "--output", "json"]) == 0

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cli_documents.require(told[0], "watch")
    assert [one["resumeToken"] for one in told] == ["f-1", "f-2", "f-7"]
    assert told[1]["sighting"]["state"] == told[1]["state"] == "STATE_CONFIRMED"
    assert told[2] == {"resumeToken": "f-7"}
    assert homeward.sightings.watched[0].resume_token == "f-0"


def test_a_watch_that_breaks_goes_on_after_the_last_change(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], pauses: list[int]
) -> None:
    homeward.sightings.watches = [
        [change(1), AWAY],
        [AWAY],
        [change(2, *CONFIRMED)],  # and ends, as with a service that is stopped
        [place(2)],
    ]

    assert run(["watch", "--once"]) == 0

    assert len(capsys.readouterr().out.splitlines()) == 2
    assert [one.resume_token for one in homeward.sightings.watched] == ["", "f-1", "f-1", "f-2"]
    assert pauses == [1, 2, 1]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, once the stream breaks."""

    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(patience, "pause", pressed)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("told", "after", "place"),
    [
        ([place(7)], [], "f-7"),
        ([place(7), change(8)], [], "f-8"),
        ([place(7), change(8), place(9)], [], "f-9"),
        ([change(8)], ["--after", "f-7"], "f-8"),
    ],
)
def test_a_watch_that_is_ended_says_how_to_go_on_without_a_gap(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    *,
    told: list[Response],
    after: list[str],
    place: str,
) -> None:
    homeward.sightings.watches = [told, told]

    assert run(["watch", *after]) == 130
    text = capsys.readouterr()
    assert run(["watch", *after, "--output", "json"]) == 130
    document = capsys.readouterr()

    how = f"Ended. `homeward watch --after {place}` goes on from here; nothing is missed."
    assert text.err.splitlines() == [WATCHING, how]
    assert document.err == f"{how}\n"
    assert json.loads(document.out.splitlines()[-1]) == {"resumeToken": place}
    assert "resumeToken" not in text.out
    assert homeward.sightings.watched[0].send_places


@pytest.mark.usefixtures("stopped")
def test_a_watch_of_some_subjects_goes_on_with_these(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.watches = [[place(7)]]

    assert run(["watch", "--subject", ANNA]) == 130

    assert f"`homeward watch --subject {ANNA} --after f-7`" in capsys.readouterr().err.replace(
        "\n", " "
    )


@pytest.mark.usefixtures("stopped")
def test_a_change_that_was_not_printed_comes_again(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "line", pressed)
    homeward.sightings.watches = [[place(7), change(8)]]

    assert run(["watch"]) == 130

    assert "--after f-7`" in capsys.readouterr().err


def test_a_watch_that_is_ended_before_the_service_answers_ends_without_a_word_about_errors(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> Iterator[Response]:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "changes", pressed)

    assert run(["watch"]) == 130

    assert capsys.readouterr().err.splitlines() == [WATCHING, "Ended."]
    assert homeward.sightings.watched == []


@pytest.mark.usefixtures("stopped")
def test_a_delivery_that_is_ended_says_how_to_go_on(
    homeward: Homeward, hook: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.watches = [[change(1)]]
    hook.remove("--once")

    assert run(hook) == 130

    assert capsys.readouterr().err.startswith("Ended. Start it again with the same --state")
    assert kept(hook) == "f-1"


def test_a_service_that_does_not_answer_at_first_is_told(homeward: Homeward) -> None:
    homeward.sightings.watches = [[AWAY]]

    assert run(["watch"]) == 8


@pytest.mark.parametrize("delivered", [False, True])
def test_a_token_that_is_too_old_is_refused_with_what_to_do(
    homeward: Homeward,
    hook: list[str],
    capsys: pytest.CaptureFixture[str],
    *,
    delivered: bool,
) -> None:
    gone = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "RESUME_TOKEN_EXPIRED", "it is too old")
    homeward.sightings.watches = [[gone]]

    assert run(hook if delivered else ["watch", "--after", "f-1"]) == 7

    error = capsys.readouterr().err
    assert "RESUME_TOKEN_EXPIRED" in error
    begin = f"remove {hook[-1]} and start this again" if delivered else "watch without --after"
    assert f"then {begin}" in error


@pytest.mark.parametrize(
    "words",
    [
        ["--after", "f-1", "--from-oldest"],
        ["--webhook", "https://example.org/"],
        ["--state", "state.json"],
    ],
)
def test_options_that_do_not_fit_are_refused(homeward: Homeward, words: list[str]) -> None:  # noqa: ARG001 - it is not asked
    assert run(["watch", *words]) == 2


def test_an_event_has_ids_alone_and_is_signed(
    homeward: Homeward, hook: list[str], receiver: WebhookReceiver
) -> None:
    seen = {"camera_id": "gate", "footage_id": "gate-1", "score": 0.612}
    homeward.sightings.watches = [[change(1, *CONFIRMED, **seen), place(1)]]

    assert run([*hook, "--source", "urn:force:homeward"]) == 0

    (one,) = receiver.taken
    assert json.loads(one.body) == {
        "specversion": "1.0",
        "id": "f-1",
        "source": "urn:force:homeward",
        "type": "homeward.sighting.reviewed",
        "subject": SIGHTING,
        "time": BEGIN.ToJsonString(),
        "datacontenttype": "application/json",
        "data": {"sightingId": SIGHTING, "subjectId": ANNA, "state": "STATE_CONFIRMED"},
    }
    assert one.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert one.headers["webhook-id"] == "f-1"
    stamp = one.headers["webhook-timestamp"]
    signed = b".".join((b"f-1", stamp.encode(), one.body))
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert one.headers["webhook-signature"] == f"v1,{expected}"


def test_the_documented_receiver_takes_an_event_and_no_other(
    homeward: Homeward, hook: list[str], receiver: WebhookReceiver
) -> None:
    page = Path(__file__).parents[3].joinpath("docs", "api.md").read_text()
    example: dict[str, Any] = {}
    blocks = page.split("```python\n")
    exec(blocks[2].partition("```")[0], example)
    homeward.sightings.watches = [[change(1), place(1)]]
    assert run(hook) == 0
    (one,) = receiver.taken

    assert example["verified"](one.headers, one.body, SECRET)["id"] == "f-1"
    with pytest.raises(ValueError, match="not signed"):
        example["verified"](one.headers, one.body + b" ", SECRET)
    with pytest.raises(ValueError, match="too long ago"):
        example["verified"](one.headers | {"webhook-timestamp": "1000"}, one.body, SECRET)


def test_an_event_is_offered_until_it_is_taken_and_the_next_one_waits(
    homeward: Homeward,
    hook: list[str],
    receiver: WebhookReceiver,
    waits: list[float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    homeward.sightings.watches = [[change(1), change(2, *CONFIRMED), place(2)]]
    receiver.statuses = [500, 503, 302, 204]
    receiver.answer_headers = {"Location": "https://elsewhere.example/", "Retry-After": "7"}

    assert run(hook) == 0

    assert [one.headers["webhook-id"] for one in receiver.offered] == ["f-1"] * 4 + ["f-2"]
    assert len({one.body for one in receiver.offered[:4]}) == 1
    assert waits[:2] == [7.0, 7.0]
    assert 2 <= waits[2] <= 4
    assert "HTTP 302, a redirect, which is not followed" in capsys.readouterr().err


def test_a_receiver_that_does_not_answer_is_waited_for(
    homeward: Homeward, hook: list[str], receiver: WebhookReceiver, waits: list[float]
) -> None:
    homeward.sightings.watches = [[change(1)], [change(1), place(1)]]
    receiver.statuses = [410]

    assert run(hook) == 7

    assert waits == []
    assert not Path(hook[-1]).exists()
    assert run(hook) == 0
    assert kept(hook) == "f-1"


def test_a_restart_goes_on_after_what_was_delivered(
    homeward: Homeward, hook: list[str], receiver: WebhookReceiver
) -> None:
    homeward.sightings.watches = [
        [place(3)],
        [change(4), place(9)],
        [change(10), place(10)],
    ]

    assert [run(hook), kept(hook), run(hook), kept(hook)] == [0, "f-3", 0, "f-9"]
    assert run([*hook, "--from-oldest"]) == 0

    assert [one.headers["webhook-id"] for one in receiver.taken] == ["f-4", "f-10"]
    assert [one.resume_token for one in homeward.sightings.watched] == ["", "f-3", "f-9"]
    assert {one.send_places for one in homeward.sightings.watched} == {True}
    assert not homeward.sightings.watched[-1].from_oldest
    assert Path(hook[-1]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("written", ["", "{", "[]", "{}", '{"resumeToken": ""}', "null"])
def test_a_damaged_state_does_not_begin_anew_without_a_word(
    homeward: Homeward, hook: list[str], written: str
) -> None:
    Path(hook[-1]).write_text(written)

    assert run(hook) == 4
    assert homeward.sightings.watched == []


def test_two_deliveries_with_one_state_are_refused(homeward: Homeward, hook: list[str]) -> None:
    with webhook.PlaceFile(Path(hook[-1])).locked():
        assert run(hook) == 6

    assert homeward.sightings.watched == []


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "is empty"),
        ("secret", "something else than secrets"),
        ("whsec_c2hvcnQ=", "something else than secrets"),
        (f"{SECRET} no", "something else than secrets"),
    ],
    ids=["empty", "no prefix", "short", "one of two"],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, written: str, reason: str) -> None:
    path = tmp_path / "secret"
    path.write_text(written)

    with pytest.raises(CliError, match=reason):
        webhook.read_secrets(path)


def test_events_are_not_sent_in_the_open(
    homeward: Homeward,  # noqa: ARG001 - it is not asked
    hook: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook[hook.index("--webhook") + 1] = "http://cases.example.police.uk/"

    assert run(hook) == 4

    assert "it must be an https URL" in capsys.readouterr().err


def test_each_secret_of_a_file_signs() -> None:
    made = webhook.headers("f-1", b"{}", [KEY, KEY[::-1]], now=1_000.9)

    assert made["webhook-timestamp"] == "1000"
    assert len(set(made["webhook-signature"].split())) == 2


@pytest.mark.parametrize(
    ("failures", "asked", "least", "most"),
    [
        (0, None, 0.5, 1),
        (3, None, 4, 8),
        (50, None, 150, 300),
        (0, 30, 30, 30),
        (0, 1e9, 3600, 3600),
    ],
)
def test_waits_grow_and_are_bounded(
    failures: int, asked: float | None, least: float, most: float
) -> None:
    assert least <= webhook.wait_seconds(failures, asked) <= most
