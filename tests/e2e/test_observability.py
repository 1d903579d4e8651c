"""What a real scan shows of itself: figures, one trace, lines of it, and nothing about anybody."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import trace_tree

from byte_search import ByteSearch, Sought
from homeward.core.vision.alignment import align
from homeward.embedded.demo_footage import Street
from homeward.embedding.adapters.pack import load_pack

if TYPE_CHECKING:
    from .conftest import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
START = "2026-03-04T10:00:00Z"
PROCESSES = ("ingestion", "scanner", "embedding", "matching")
MARKED = {
    "case": "CASE-zq7Xk1",
    "label": "Label zq7Xk2",
    "basis": "basis zq7Xk3",
    "authoriser": "Supt zq7Xk4",
    "place": "Place zq7Xk5",
    "authority": "authority zq7Xk6",
    "file": "file-zq7Xk7",
    "reason": "scar zq7Xk8",
    "reviewer": "DC zq7Xk9",
    "note": "note zq7Xk0",
}
MARK = re.compile(rb"zq7Xk\d")


@dataclass(frozen=True)
class Shown:
    """What a stack has shown by the end of a scan and a review."""

    trace_id: str
    spans: list[Any]
    logs: Mapping[str, bytes]
    scraped: Mapping[str, str]
    photograph: bytes
    footage: Path


@pytest.fixture(scope="module")
def shown(
    new_module_stack: Callable[..., LiveStack],
    street: Street,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shown]:
    """A stack that logs all it can, with marked values wherever somebody writes one."""
    folder = tmp_path_factory.mktemp("marked")
    with trace_tree.Collector("127.0.0.1:0") as collector:
        stack = new_module_stack(
            "observed",
            HOMEWARD_TRACES_ENDPOINT=f"http://127.0.0.1:{collector.port}",
            HOMEWARD_LOG_LEVEL="debug",
        )
        footage = folder / f"{MARKED['file']}.mp4"
        shutil.copy(street.footage, footage)
        stack.run(
            "subject", "add", "--case", MARKED["case"], "--label", MARKED["label"],
            "--basis", MARKED["basis"], "--authorised-by", MARKED["authoriser"],
            str(street.portraits[2]),
        )  # fmt: skip
        # Refused, with an error that quotes what was written.
        stack.run("camera", "add", MARKED["place"], code=None)
        stack.run(
            "camera", "add", "street", "--place", MARKED["place"],
            "--authority", MARKED["authority"],
        )  # fmt: skip
        stack.run("footage", "add", str(footage), "--camera", "street", "--start", START)
        searched = stack.run("search", "--verbose")
        (sighting,) = stack.run("sighting", "list", "--output", "json").json["sightings"]
        stack.run("sighting", "show", sighting["sightingId"])
        stack.run(
            "sighting", "review", sighting["sightingId"], "--confirm",
            "--reason", MARKED["reason"], "--reviewer", MARKED["reviewer"],
        )  # fmt: skip
        until = (datetime.now(UTC) + timedelta(days=90)).date().isoformat()
        stack.run(
            "policy", "approve", "yunet-sface/4", "--by", MARKED["authoriser"],
            "--until", until, "--note", MARKED["note"],
        )  # fmt: skip
        ports = json.loads((stack.data / "ports.json").read_text())
        scraped = {name: scrape(ports[f"{name}-metrics"]) for name in PROCESSES}
        stack.stop()  # sends the last spans
        yield Shown(
            trace_id=re.findall(r"^trace: (\w{32})$", searched.err, re.MULTILINE)[0],
            spans=collector.spans,
            logs={path.stem: path.read_bytes() for path in (stack.data / "logs").glob("*.log")},
            scraped=scraped,
            photograph=street.portraits[2].read_bytes(),
            footage=street.footage,
        )


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def text_of(spans: list[Any]) -> bytes:
    return "\n".join(f"{each.service} {each.span}" for each in spans).encode()


# one trace


def test_a_search_is_one_trace_through_all_services(shown: Shown) -> None:
    of_search = [one for one in shown.spans if one.span.trace_id.hex() == shown.trace_id]

    assert {one.service for one in of_search} == {f"homeward-{name}" for name in PROCESSES}
    names = [one.span.name.rpartition("/")[2] for one in of_search]
    assert names.count("segment") == 4
    assert {"CreateScan", "WatchScan", "decode", "DetectFaces", "embed", "match", "record"} <= set(
        names
    )


def test_every_span_of_a_search_hangs_on_the_command_that_asked_for_it(shown: Shown) -> None:
    of_search = [one.span for one in shown.spans if one.span.trace_id.hex() == shown.trace_id]
    known = {span.span_id for span in of_search}

    roots = [span for span in of_search if span.parent_span_id not in known]
    assert [span for span in of_search if not span.parent_span_id] == []
    # The client sends none itself: its calls are what hangs on it, from one channel a service.
    assert len({span.parent_span_id for span in roots}) == 2
    assert {span.name.rpartition("/")[2] for span in roots} == {
        "CreateScan", "WatchScan", "GetThresholdPolicy", "ListSubjects", "ListCameras",
        "ListSightings",
    }  # fmt: skip


def test_segments_hang_on_the_planning_that_was_asked_for_and_stages_on_segments(
    shown: Shown,
) -> None:
    of_search = [one.span for one in shown.spans if one.span.trace_id.hex() == shown.trace_id]
    named = {span.span_id: span.name.rpartition("/")[2] for span in of_search}
    chains = {(named.get(span.parent_span_id), span.name.rpartition("/")[2]) for span in of_search}

    assert {
        ("CreateScan", "plan"), ("plan", "segment"), ("segment", "follow"),
        ("follow", "DetectFaces"),
        ("follow", "decode"), ("follow", "compare"), ("compare", "embed"),
        ("embed", "EmbedFaces"), ("match", "Match"), ("record", "RecordSightings"),
    } <= chains  # fmt: skip


@pytest.mark.parametrize("process", PROCESSES)
def test_the_log_of_each_process_has_lines_of_the_trace(shown: Shown, process: str) -> None:
    lines = [json.loads(line) for line in shown.logs[process].splitlines() if line[:1] == b"{"]
    joined = [line for line in lines if line.get("trace_id") == shown.trace_id]
    spans = {one.span.span_id.hex() for one in shown.spans}

    assert joined
    assert {line["span_id"] for line in joined} <= spans


# figures


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_serves_what_the_docs_say_that_it_exports(shown: Shown, process: str) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| \w+ \| [^|]*\| ([^|]+) \|",
        (ROOT / "docs" / "observability.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    told = {name for name, processes in rows if process in processes or processes == "all"}
    served = re.findall(r"^# TYPE (homeward_\w+) (\w+)$", shown.scraped[process], re.MULTILINE)

    assert told
    assert {name for name, _ in served if not name.endswith("_created")} == told


def test_a_scan_is_counted_by_what_came_of_it(shown: Shown) -> None:
    scanner, matching = shown.scraped["scanner"], shown.scraped["matching"]

    assert 'homeward_scan_segments_total{outcome="searched"} 4.0' in scanner
    assert "homeward_scan_candidates_total 1.0" in scanner
    assert 'homeward_sightings_total{outcome="recorded"} 1.0' in matching
    assert 'homeward_sighting_reviews_total{decision="confirm"} 1.0' in matching
    assert re.search(r'homeward_policy_info\{[^}]*policy_id="yunet-sface/4"\} 1\.0', matching)


# nothing about anybody


@pytest.mark.parametrize("process", ["embedding", "ingestion", "scanner"])
def test_who_reads_bytes_from_outside_logs_once_what_keeps_a_decoder_in(
    shown: Shown, process: str
) -> None:
    lines = [json.loads(line) for line in shown.logs[process].splitlines() if line[:1] == b"{"]
    told = [line["calls_forbidden"] for line in lines if line["event"].endswith(" in a cage")]
    assert told == [True]


def test_no_marked_value_is_in_any_log(shown: Shown) -> None:
    assert {name: MARK.findall(log) for name, log in shown.logs.items() if MARK.search(log)} == {}


def test_no_marked_value_is_in_any_figure(shown: Shown) -> None:
    assert MARK.findall("".join(shown.scraped.values()).encode()) == []


def test_no_marked_value_is_in_any_span(shown: Shown) -> None:
    assert shown.spans
    assert MARK.findall(text_of(shown.spans)) == []


def test_no_camera_and_no_recording_is_in_figures_and_spans(shown: Shown) -> None:
    assert b"street-20260304" not in text_of(shown.spans)
    assert "street" not in "".join(shown.scraped.values())


def test_no_face_is_in_logs_figures_and_spans(shown: Shown) -> None:
    pack = load_pack(runtime="auto", threads=1, cache=None)
    picture = cv2.imdecode(np.frombuffer(shown.photograph, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    crop = align(np.asarray(picture), pack.detector.detect(np.asarray(picture), 0.5)[0].landmarks)
    template = pack.recogniser.embed(crop[None])
    search = ByteSearch(Sought({"plain": template}, crop[None]), pack)
    everything = [
        *shown.logs.values(),
        text_of(shown.spans),
        *map(str.encode, shown.scraped.values()),
    ]

    assert [hit for data in everything for hit in search.hits(data)] == []
    # It would be found.
    planted = json.dumps({"template": [round(float(value), 4) for value in template[0]]}).encode()
    assert search.hits(b"2026-03-04 10:00:00 debug " + planted)
    assert search.hits(b"crop=" + crop.tobytes())
