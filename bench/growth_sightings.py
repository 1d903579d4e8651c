"""Candidates for `growth.py`: written straight into the stores, as one that was recorded left them.

Recording 20,000 candidates through the API would take an hour. So one is recorded; what it left in
the stores, point, ledger, change and still, is the model of all others, and no code of the services
is used to write them. Candidates are of `PEOPLE` subjects on `CAMERAS` cameras, hour after hour.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import pickle
import random
import sqlite3
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import growth_calls as calls
import grpc
import nats
import psutil
from growth_stack import FILL_THREADS, REPEATED_SECONDS, REPEATS, CountedStack, code_of
from PIL import Image
from qdrant_client.local.persistence import CollectionPersistence
from review_terminal import Seat, Terminal

from homeward.api.common.v1 import policy_pb2, types_pb2
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli.times import to_duration, to_timestamp
from homeward.embedded.running import command

PEOPLE, CAMERAS, HOURS = 10, 20, 24
EVIDENCE = "homeward-evidence"
LEDGER, FEED = "SIGHTINGS", "homeward.feed"
SCORES = (0.45, 0.8)
MODEL_START = timedelta(minutes=1)
LASTS = timedelta(seconds=6)
AHEAD = 4
"""Candidates that `homeward review` asks for."""
NOBODY = "00000000-0000-4000-8000-00000000ffff"
PAGE_SIZE = 100
SWEEP_SECONDS = 20.0
SWEEP_PATIENCE = 1800.0
POLL_SECONDS = 0.1
SHOWN = 200
"""Characters of what a command says that fails."""

Row = dict[str, Any]
Made = dict[str, list[dict[str, Any]]]


class CommandError(Exception):
    """A command failed; what it said."""


class Candidates:
    """Candidates in the stores of a stack.

    Args:
        stack: Runs, with somebody enrolled.
        subjects: Whom they are of; more than one.
    """

    def __init__(self, stack: CountedStack, subjects: Sequence[str]) -> None:
        self._stack, self._subjects = stack, subjects
        self._day = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(
            hours=HOURS + 1
        )
        self._random = random.Random(16)
        self.ids: list[str] = []
        self._begun: dict[tuple[int, int, int], timedelta] = defaultdict(lambda: timedelta(0))
        recorded = self._record_model()
        self._model = recorded.sighting_id
        self._footage = recorded.footage_id
        self._subject = recorded.subject_id
        self._ledgers: Made = defaultdict(list)
        self.camera = recorded.camera_id
        self._read_model()

    def fill(self, count: int) -> None:
        """Add candidates until there are so many, while the services are stopped."""
        numbers = range(len(self.ids), count)
        rows, changes = [], []
        for number in numbers:
            row, change = self._add(number)
            rows.append(row)
            changes.append(change)
        names = [row[0] for row in rows]
        self._write_points([payload for _, payload in rows])
        asyncio.run(self._write_records(changes))
        store = self._stack.store()
        with ThreadPoolExecutor(FILL_THREADS) as threads:

            def put(name: str) -> None:
                key = self._still.replace(self._model, name)
                store.put_object(EVIDENCE, key, io.BytesIO(self._picture), len(self._picture))

            list(threads.map(put, names))
        self.ids += names

    def _record_model(self) -> sighting_pb2.Sighting:
        """Record a candidate through the API; return it."""
        matching = self._stack.channel("matching")
        photo_id = (
            SubjectServiceStub(matching)
            .GetSubject(subject_service_pb2.GetSubjectRequest(subject_id=self._subjects[0]))
            .subject.reference_photos[0]
            .photo_id
        )
        file = io.BytesIO()
        Image.new("RGB", (64, 48), "grey").save(file, "JPEG")
        self._picture = file.getvalue()
        digest, size = calls.model_in_use(self._stack)
        begin = self._day + MODEL_START
        finding = sighting_service_pb2.SightingFinding(
            sighting=sighting_pb2.Sighting(
                subject_id=self._subjects[0],
                photo_id=photo_id,
                footage_id=_footage(0, self._day),
                camera_id=_camera(0),
                scan_id=NOBODY,
                interval=types_pb2.TimeInterval(
                    start_time=to_timestamp(begin), end_time=to_timestamp(begin + LASTS)
                ),
                best_shot_time=to_timestamp(begin),
                start_offset=to_duration(MODEL_START),
                end_offset=to_duration(MODEL_START + LASTS),
                best_shot_offset=to_duration(MODEL_START),
                score=SCORES[1],
                threshold=SCORES[0],
                policy_id="yunet-sface/bench",
                figures=policy_pb2.PolicyFigures(
                    approved=True,
                    gallery_size=PEOPLE,
                    measured_gallery_size=500,
                    expected_fpir=policy_pb2.ErrorRate(
                        value=0.00024, low=0.0001, high=0.0005, trial_count=1000
                    ),
                    fnir=policy_pb2.ErrorRate(value=0.04, low=0.03, high=0.06, trial_count=500),
                ),
                delete_time=to_timestamp(datetime.now(UTC) + timedelta(days=20)),
                face_height_px=64,
                time_uncertain=False,
            ),
            template=types_pb2.Template(values=[1.0] + [0.0] * (size - 1), model_digest=digest),
            still=self._picture,
        )
        with self._stack.channel("matching", as_service=True) as channel:
            answer = SightingServiceStub(channel).RecordSightings(
                sighting_service_pb2.RecordSightingsRequest(findings=[finding])
            )
        matching.close()
        return answer.results[0].sighting

    def _read_model(self) -> None:
        """Read what the candidate left in the stores."""
        store = self._stack.store()
        self._still = next(
            str(one.object_name)
            for one in store.list_objects(EVIDENCE, recursive=True)
            if self._model in str(one.object_name)
        )
        self._stack.stop()
        for file in (self._stack.folder / "stack" / "qdrant").rglob("storage.sqlite"):
            with sqlite3.connect(file) as base:
                for (point,) in base.execute("SELECT point FROM points"):
                    held = pickle.loads(point)
                    if str(held.id) == self._model:
                        self._file, self._point = file, held
        asyncio.run(self._read_records())

    async def _read_records(self) -> None:
        client = await nats.connect(self._stack.nats_url)
        try:
            stream = client.jetstream()
            ledger = await stream.key_value(LEDGER)
            value = (await ledger.get(f"{self._footage}.{self._subject}")).value
            (self._span,) = json.loads(value or b"")
            name = await stream.find_stream_name_by_subject(f"{FEED}.>")
            change = await stream.get_last_msg(name, f"{FEED}.{self._subject}.{self._model}")
            self._change = (change.data or b"").decode()
        finally:
            await client.close()

    def _add(self, number: int) -> tuple[tuple[str, dict[str, Any]], tuple[str, bytes]]:
        """Return a candidate's id with its payload, and its change; note its span."""
        pair, turn = divmod(number, PEOPLE)
        camera, hour = pair % CAMERAS, (pair // CAMERAS) % HOURS
        subject, start = self._subjects[turn], self._day + timedelta(hours=hour)
        place = (turn, camera, hour)
        offset = self._begun[place] + timedelta(seconds=self._random.randrange(10, 400))
        self._begun[place] = offset + LASTS
        name = str(uuid.UUID(int=self._random.getrandbits(128), version=5))
        footage = _footage(camera, start)
        payload = copy.deepcopy(self._point.payload)
        payload |= {
            "sighting_id": name,
            "subject_id": subject,
            "footage_id": footage,
            "camera_id": _camera(camera),
            "start_time": _stated(start + offset),
            "end_time": _stated(start + offset + LASTS),
            "best_shot_time": _stated(start + offset),
            "start_offset": _lasting(offset),
            "end_offset": _lasting(offset + LASTS),
            "score": self._random.uniform(*SCORES),
        }
        span = self._span | {
            "sighting_id": name,
            "start": _lasting(offset),
            "end": _lasting(offset + LASTS),
        }
        self._ledgers[f"{footage}.{subject}"].append(span)
        change = self._change.replace(self._model, name).replace(self._subject, subject)
        return (name, payload), (f"{FEED}.{subject}.{name}", change.encode())

    def _write_points(self, payloads: Sequence[dict[str, Any]]) -> None:
        with sqlite3.connect(self._file) as base:
            base.executemany(
                "INSERT OR REPLACE INTO points VALUES (?, ?)",
                (
                    (
                        CollectionPersistence.encode_key(payload["sighting_id"]),
                        pickle.dumps(
                            self._point.model_copy(
                                update={"id": payload["sighting_id"], "payload": payload}
                            )
                        ),
                    )
                    for payload in payloads
                ),
            )

    async def _write_records(self, changes: Sequence[tuple[str, bytes]]) -> None:
        client = await nats.connect(self._stack.nats_url)
        try:
            stream = client.jetstream(publish_async_max_pending=256)
            for subject, value in changes:
                await stream.publish_async(subject, value)
            for key, spans in self._ledgers.items():
                await stream.purge_stream(f"KV_{LEDGER}", subject=f"$KV.{LEDGER}.{key}")
                await stream.publish_async(f"$KV.{LEDGER}.{key}", json.dumps(spans).encode())
            await stream.publish_async_completed()
        finally:
            await client.close()


class Asked:
    """The calls whose cost is measured, each beside what it cost matching alone."""

    def __init__(self, stack: CountedStack, candidates: Candidates, subject: str) -> None:
        self._stack, self._candidates, self._subject = stack, candidates, subject
        self._matching = SightingServiceStub(stack.channel("matching"))
        self._subjects = SubjectServiceStub(stack.channel("matching"))
        self._token = ""

    def everything(self) -> dict[str, Callable[[], object]]:
        """Return the calls by their names."""
        one = self._candidates.ids[len(self._candidates.ids) // 2]
        return {
            "GetSighting": lambda: self._matching.GetSighting(
                sighting_service_pb2.GetSightingRequest(
                    sighting_id=one, view=sighting_service_pb2.SIGHTING_VIEW_FULL
                ),
                timeout=calls.DEADLINE_SECONDS,
            ),
            "ListSightings, first page": self._first,
            "ListSightings, next page": lambda: self._list(page_token=self._token),
            "ListSightings, of a subject": lambda: self._list(subject_ids=[self._subject]),
            "ListSightings, of a state": lambda: self._list(
                states=[sighting_pb2.Sighting.STATE_INCONCLUSIVE]
            ),
            "ListSightings, of a camera": lambda: self._list(camera_ids=[self._candidates.camera]),
            "ListSightings, near a candidate": self._near,
            "ListSightings, ids that begin so": lambda: self._list(page_size=0, id_prefix=one[:8]),
            "LeaseSightings": self._lease,
            "LeaseSightings, of a subject": lambda: self._lease(subject_ids=[self._subject]),
            "ListSubjects": lambda: self._subjects.ListSubjects(
                subject_service_pb2.ListSubjectsRequest(page_size=PAGE_SIZE),
                timeout=calls.DEADLINE_SECONDS,
            ),
        }

    def commands(self) -> dict[str, Callable[[], object]]:
        """Return the commands by their names."""
        return {
            "homeward sighting list, of a camera": lambda: self._run(
                "sighting", "list", "--camera", self._candidates.camera
            ),
            "homeward sighting list": lambda: self._run("sighting", "list"),
            "homeward sheet": self._sheet,
            "homeward watch, until it follows": self._watch,
            "homeward review, until the first picture": self._review,
        }

    def _list(self, **asked: Any) -> sighting_service_pb2.ListSightingsResponse:  # noqa: ANN401 - fields
        request = sighting_service_pb2.ListSightingsRequest(**{"page_size": PAGE_SIZE, **asked})
        answer: sighting_service_pb2.ListSightingsResponse = self._matching.ListSightings(
            request, timeout=calls.DEADLINE_SECONDS
        )
        return answer

    def _first(self) -> None:
        self._token = self._list().next_page_token

    def _near(self) -> None:
        """Ask for what `homeward review` shows beside a candidate."""
        start = to_timestamp(datetime.now(UTC) - timedelta(hours=HOURS))
        end = to_timestamp(datetime.now(UTC) - timedelta(hours=HOURS - 1))
        self._list(
            camera_ids=[self._candidates.camera],
            interval=types_pb2.TimeInterval(start_time=start, end_time=end),
        )

    def _lease(self, **asked: Any) -> None:  # noqa: ANN401 - fields
        request = sighting_service_pb2.LeaseSightingsRequest(reviewer="bench", count=AHEAD, **asked)
        answer = self._matching.LeaseSightings(request, timeout=calls.DEADLINE_SECONDS)
        assert len(answer.sightings) == AHEAD, "there are enough"

    def _run(self, *arguments: str) -> None:
        assert self._stack.services is not None, "it runs"
        done = subprocess.run(
            command(*arguments),
            env=self._stack.services.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise CommandError(done.stderr.strip().splitlines()[0])

    def _sheet(self) -> None:
        file = self._stack.folder / "sheet.html"
        file.unlink(missing_ok=True)
        self._run("sheet", "--subject", self._subject, "-o", str(file))

    def _watch(self) -> None:
        self._run("watch", "--once")

    def _review(self) -> None:
        assert self._stack.services is not None, "it runs"
        terminal = Terminal(command("review"), self._stack.services.environment, (80, 24))
        assert Seat(terminal, 0.0).next(), terminal.text()
        terminal.press("q")
        terminal.end()


def measure_sightings(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure what reads candidates, among growing numbers of them."""
    never = {"HOMEWARD_SWEEP_INTERVAL_SECONDS": "3600"}
    often = {"HOMEWARD_SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS)}
    with CountedStack(folder, never) as stack:
        people = calls.People(stack)
        people.fill(PEOPLE)
        candidates = Candidates(stack, people.subjects)
        for size in sizes:
            candidates.fill(size)
            told: Row = {"part": "sightings", "size": size}
            stack.start()
            began = stack.counters()
            yield {**told, "what": "start, with the first sweep"} | _after_sweep(stack, began, 0.0)
            asked = Asked(stack, candidates, people.subjects[PEOPLE // 2])
            for what, call in asked.everything().items():
                yield {**told, "what": what} | _measured(stack, call)
            for what, call in asked.commands().items():
                yield {**told, "what": what} | _measured(stack, call, most=1)
            stack.stop()
            stack.start(often)
            began = stack.counters()
            _after_sweep(stack, began, 0.0)
            last = stack.metric(SWEPT, of="matching")
            began = stack.counters()
            yield {**told, "what": "second sweep"} | _after_sweep(stack, began, last)
            stack.stop()


SWEPT = "homeward_sweep_success_timestamp_seconds"


def _after_sweep(stack: CountedStack, began: Any, last: float) -> Row:  # noqa: ANN401 - counters
    """Return what was spent until matching has swept again; the time is that of its process."""
    matching = _processor(stack)
    while stack.metric(SWEPT, of="matching") == last:
        time.sleep(POLL_SECONDS)  # the metric is all that tells
        if time.monotonic() - began.seconds > SWEEP_PATIENCE:
            return {"failed": "TIMEOUT", "seconds": SWEEP_PATIENCE}
    row = calls.spent_since(stack, began)
    return row | {"matching": _processor(stack) - (matching if last else 0.0)}


def _measured(stack: CountedStack, call: Callable[[], object], *, most: int = REPEATS) -> Row:
    """Return what a call costs, as `growth_stack.measured`, with the part of matching."""
    before, matching = stack.counters(), _processor(stack)
    times = 0
    try:
        while not times or (times < most and _within(stack, before, times)):
            call()
            times += 1
    except grpc.RpcError as error:
        return calls.spent_since(stack, before) | {"failed": code_of(error)}
    except (CommandError, TimeoutError) as error:
        return calls.spent_since(stack, before) | {"failed": str(error)[:SHOWN]}
    spent = calls.spent_since(stack, before) | {"matching": _processor(stack) - matching}
    return {name: value / times for name, value in spent.items()}


def _within(stack: CountedStack, before: Any, times: int) -> bool:  # noqa: ANN401 - counters
    return bool((stack.counters() - before).seconds / times < REPEATED_SECONDS)


def _processor(stack: CountedStack) -> float:
    """Return the processor time of matching."""
    times = [one.cpu_times() for one in stack.processes("homeward.matching") if _lives(one)]
    return float(sum(one.user + one.system for one in times))


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running())


def _camera(number: int) -> str:
    return f"growth-{number:03d}"


def _footage(camera: int, start: datetime) -> str:
    return f"{_camera(camera)}-{start:%Y%m%dt%H%M%S}000000z-0123456789abcdef"


def _stated(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _lasting(span: timedelta) -> str:
    return f"PT{span.total_seconds():g}S"
