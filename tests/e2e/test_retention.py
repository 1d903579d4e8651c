"""Deadlines of seconds instead of days, with everything else as it is."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from homeward.api.ingestion.v1 import footage_service_pb2, footage_service_pb2_grpc
from unretained import prove

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

START = "2026-03-04T10:00:00Z"
KEPT_SECONDS = 20
BUCKET = "homeward-footage"
FOOTAGE_HELD = 'homeward_held{data="footage"} '


def eventually(check: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask again and again until something is so."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)  # between two questions


def answer(stack: LiveStack, footage_id: str) -> grpc.StatusCode:
    """What another service gets that asks for a recording."""
    with stack.channel("ingestion") as channel:
        stub = footage_service_pb2_grpc.FootageServiceStub(channel)
        try:
            stub.GetFootage(footage_service_pb2.GetFootageRequest(footage_id=footage_id), timeout=9)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def holding(folder: Path, text: str) -> list[str]:
    """The files in a folder that hold a text."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def footage_held(stack: LiveStack) -> float:
    """What a scrape of ingestion's metrics says."""
    port = json.loads((stack.data / "ports.json").read_text())["ingestion-metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=9) as answer:
        (line,) = [
            line for line in answer.read().decode().splitlines() if line.startswith(FOOTAGE_HELD)
        ]
    return float(line.removeprefix(FOOTAGE_HELD))


def test_a_recording_is_readable_then_refused_then_gone(
    new_stack: Callable[..., LiveStack], street: Street
) -> None:
    stack = new_stack(
        "lifetime",
        HOMEWARD_FOOTAGE_KEEP_DAYS=str(KEPT_SECONDS / 86400),
        HOMEWARD_SWEEP_INTERVAL_SECONDS="3600",
    )
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    (held,) = stack.run("footage", "list", "--output", "json").json["footage"]
    name = held["footageId"]
    store = stack.object_store()

    assert answer(stack, name) is grpc.StatusCode.OK
    eventually(lambda: answer(stack, name) is grpc.StatusCode.FAILED_PRECONDITION, "refused")
    keys = [item.object_name for item in store.list_objects(BUCKET, recursive=True)]
    stack.stop()
    stack.environment["HOMEWARD_SWEEP_INTERVAL_SECONDS"] = "2"
    stack.start()
    store = stack.object_store()
    eventually(lambda: answer(stack, name) is grpc.StatusCode.NOT_FOUND, "gone")
    eventually(lambda: footage_held(stack) == 0, "measured")

    assert any(name in str(key) for key in keys)  # refused before it was gone
    eventually(lambda: not list(store.list_objects(BUCKET, recursive=True)), "nothing listed")
    versions = store.list_objects(BUCKET, recursive=True, include_version=True)
    assert list(versions) == []
    assert store._list_multipart_uploads(BUCKET).uploads == []
    report = stack.run("retention", "--output", "json").json["footage"]
    assert [one["footageId"] for one in report["erasures"]] == [name]
    assert "eraseTime" in report["erasures"][0]
    stack.stop()


def test_an_erased_person_is_in_no_file_of_the_vector_store(
    new_stack: Callable[..., LiveStack], street: Street
) -> None:
    stack = new_stack("erased", embedded=True, HOMEWARD_SWEEP_INTERVAL_SECONDS="2")
    for case, portrait in (("ONE", street.portraits[4]), ("TWO", street.portraits[0])):
        stack.run("subject", "add", "--case", case, str(portrait))
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    stack.run("search")
    found: Any = stack.run("subject", "list", "--output", "json").json["subjects"]
    one, two = sorted(found, key=lambda each: each["caseReference"])
    gone, kept = one["subjectId"], two["subjectId"]
    folder = stack.data / "qdrant"
    before = holding(folder, gone)
    sighted = stack.run("sighting", "list", "--output", "json").json["sightings"]
    theirs = [gone, *(each["sightingId"] for each in sighted if each["subjectId"] == gone)]

    stack.run("subject", "erase", gone, "--yes")

    def outcome(data: str) -> str:
        told = stack.run("subject", "certificate", gone, "--output", "json").json["certificate"]
        return next(each["outcome"] for each in told["entries"] if each["data"] == data)

    for data in ("reference templates", "sightings"):
        eventually(lambda data=data: outcome(data) == "OUTCOME_ERASED", data)  # type: ignore[misc]
    assert before
    assert holding(folder, gone) == []
    assert holding(folder, kept)
    # Ids of what it led to stay in the records of scans and in the feed, its certificate names it,
    # and the audit trail says what was done with it.
    streams = {path.split("/")[3] for path in holding(stack.data / "nats", gone)}
    assert streams <= {"KV_SCANS", "KV_ERASURES", "AUDIT", "SIGHTING_FEED"}
    trail = stack.run("audit", "list", "--output", "json").json["events"]
    events = [text for text in map(json.dumps, trail) if any(one in text for one in theirs)]
    assert events
    assert len(theirs) > 1
    # The recording's day is in its id, in its times, and in no time of an event.
    places = ("footage/", "camera/", "street", START[:10])
    assert not [text for text in events if any(place in text for place in places)]
    sighted = stack.run("sighting", "list", "--output", "json").json["sightings"]
    assert {each["subjectId"] for each in sighted} <= {kept}
    stack.stop()


def test_no_stranger_is_kept_anywhere_and_a_copy_would_be_found(
    tmp_path: Path, street: Street
) -> None:
    kept, planted = prove(tmp_path, lambda _: None, street)

    assert kept == []
    assert [what for what, found in planted.items() if found is None] == []
    assert len(planted) == 9
