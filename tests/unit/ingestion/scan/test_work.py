from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client import REGISTRY

from homeward.ingestion.footage.media import MediaInfo, Presentation
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.timeline import VERSION
from homeward.ingestion.scan import progress as segment_progress
from homeward.ingestion.scan import work as module
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.model import (
    Counts,
    Gap,
    GapReason,
    Scan,
    ScanPlan,
    ScanScope,
    ScanState,
    Segment,
)
from homeward.ingestion.scan.progress import CHECKPOINT_INTERVAL
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.segment import Report
from homeward.ingestion.scan.task import SegmentTask
from homeward.ingestion.scan.waiting import Waiting
from homeward.ingestion.scan.work import MAX_ATTEMPTS, ScanWorker
from homeward.servicekit import errors, records
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

UNAVAILABLE = errors.unavailable("matching", "somewhere", "start it")
INCOMPLETE = errors.FailedPreconditionError(
    "the gallery lacks templates", reason=errors.Reason.GALLERY_INCOMPLETE
)


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


class FakeScanner:
    """Does what it is told to, then says that the segment was searched."""

    def __init__(self) -> None:
        self.tasks: list[SegmentTask] = []
        self.steps: list[Callable[[SegmentTask, Report], Any]] = []

    async def scan(self, task: SegmentTask, url: str, report: Report) -> Segment:
        del url
        self.tasks.append(task)
        if self.steps:
            await self.steps.pop(0)(task, report)
        return replace(
            task.segment,
            state=ScanState.SUCCEEDED,
            looked_at=task.segment.duration,
            counts=Counts(frames=7),
        )


async def _content() -> AsyncIterator[bytes]:
    yield b"recording"


class Desk:
    """A worker with one segment to search, and everything around it."""

    def __init__(
        self,
        *,
        make: Any,
        store: InMemoryKeyValueStore,
        queue: Any,
        work: Any,
        resource: FootageResource,
        parts: Any,
    ) -> None:
        self.make = make
        self.store = store
        self.scans = StoredScanRecords(store)
        self.queue = queue
        self.work = work
        self.scanner: FakeScanner = parts["scanner"]
        self.clock = parts["clock"]
        self.acts: InMemoryActs = parts["acts"]
        self.resource = resource
        self.worker = ScanWorker(queue=queue, scans=self.scans, footage=resource.library, **parts)

    async def record(self, probe: MediaInfo) -> None:
        """Take the recording in anew, as this was found out about it."""
        footage = await self.resource.library.get(self.make.footage().footage_id)
        await self.resource.eraser.delete(footage.footage_id)
        self.resource.library._prober.answer = probe  # type: ignore[attr-defined]
        await self.resource.uploads.upload("up-2", self.make.header(), 0, _content())

    async def plan(
        self, *, include_rejected: bool = False, requester: str = "", **recording: Any
    ) -> None:
        """Have a scan of one recording, which is one segment."""
        scope = ScanScope(("subject-1",), include_rejected=include_rejected)
        segment = self.make.segment()
        planned = ScannedRecording(
            number=0,
            footage_id=segment.footage_id,
            camera_id=segment.camera_id,
            true_start=segment.true_start,
            first_segment=0,
            pieces=(segment.stretch,),
            window=segment.stretch,
            **recording,
        )
        scan = Scan("scan-1", scope, self.make.now, requester=requester)
        await self.scans.change(
            "scan-1", lambda held: replace(held, scope=scope, requester=requester)
        )
        await self.scans.create(scan)
        before = await self.scans.recording("scan-1", 0)
        await self.scans.put_recording("scan-1", planned, before.revision if before else 0)
        plan = ScanPlan(recordings=1, queued=1, segments=1, total=segment.duration, complete=True)
        held = await self.scans.plan("scan-1")
        await self.scans.put_plan("scan-1", plan, held.revision)

    async def put(self, segment: Segment) -> None:
        await self.scans.save_segment("scan-1", segment)

    async def cancel_scan(self) -> None:
        await self.scans.change("scan-1", lambda held: replace(held, cancelled=True))

    async def segment(self) -> Segment:
        """Return what is kept of the segment while a scanner works on it."""
        held = await self.scans.segment("scan-1", 0)
        assert held is not None
        return held.value

    async def state(self) -> ScanState:
        """Return what became of the scan."""
        scan = await self.scans.get("scan-1")
        assert scan is not None
        assert scan.final is not None
        return scan.final.state

    async def counts(self) -> Counts:
        return (await self.scans.tally("scan-1")).value.counts

    async def gaps(self) -> tuple[Gap, ...]:
        held = await self.scans.recording("scan-1", 0)
        assert held is not None
        return held.value.gaps

    async def next_waiting(self, wanted: Callable[[Waiting | None], bool]) -> Waiting | None:
        """Return what the record says that is waited for, once it is what is wanted."""
        async with aclosing(self.store.watch("live.scan-1.segment.*")) as changes:
            async for entry in changes:
                if entry is not None:
                    waiting = records.decode(entry.value, Segment).waiting
                    if wanted(waiting):
                        return waiting
        pytest.fail("the record is watched for ever")

    async def run(self) -> None:
        """Let the worker work until the queue is empty."""
        running = asyncio.create_task(self.worker.run())
        self.queue.when_empty = running.cancel
        with pytest.raises(asyncio.CancelledError):
            await running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


@pytest.fixture
def checks() -> list[errors.UnavailableError | None]:
    """What the check of a service finds; the last one counts."""
    return [None]


@pytest.fixture
def check(
    checks: list[errors.UnavailableError | None], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    monkeypatch.setattr(segment_progress, "CHECK_SECONDS", 0)

    async def check() -> None:
        if checks[-1]:
            raise checks[-1]

    return check


@pytest.fixture
async def desk(
    *,
    check: Callable[[], Any],
    make: Any,
    records_store: InMemoryKeyValueStore,
    queue: Any,
    new_work: Any,
    resource: FootageResource,
    clock: Any,
) -> Desk:
    await resource.uploads.upload("up-1", make.header(), 0, _content())
    work = new_work("scan-1", 0)
    queue.works.append(work)
    parts = {"scanner": FakeScanner(), "clock": clock, "acts": InMemoryActs(), "checks": [check]}
    desk = Desk(
        make=make,
        store=records_store,
        queue=queue,
        work=work,
        resource=resource,
        parts=parts,
    )
    await desk.plan()
    return desk


async def test_a_segment_is_searched_checkpointed_and_done(desk: Desk) -> None:
    await desk.run()

    assert desk.work.said == ["done"]
    assert (await desk.state(), (await desk.counts()).frames) == (ScanState.SUCCEEDED, 7)


async def test_a_search_is_an_audit_event(desk: Desk) -> None:
    await desk.run()

    assert desk.acts.recorded == [("SearchSegment", ("scan/scan-1",))]


async def test_a_segment_whose_event_cannot_be_written_is_given_back_and_not_kept_as_searched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise UNAVAILABLE

    monkeypatch.setattr(desk.acts, "record", refuse)

    await desk.run()

    assert desk.work.said == ["retry"]
    assert (await desk.segment()).state is ScanState.RUNNING


async def test_a_segment_is_a_span_of_the_trace_that_its_scan_was_asked_for_in(
    desk: Desk, spans: Callable[[], list[ReadableSpan]]
) -> None:
    desk.work.trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    await desk.run()

    (span,) = spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "scan_id": "scan-1",
        "segment": 0,
        "attempt": 1,
        "state": "succeeded",
        "footage_seconds": 60,
        "looked_at_seconds": 60,
        "pictures": 7,
        "faces": 0,
        "appearances": 0,
        "discarded": 0,
        "candidates": 0,
    }


async def test_the_docs_show_a_segment_with_the_attributes_that_it_has(
    desk: Desk, spans: Callable[[], list[ReadableSpan]]
) -> None:
    await desk.run()

    (span,) = spans()
    page = (Path(__file__).parents[4] / "docs" / "observability.md").read_text(encoding="utf-8")
    shown = re.findall(r"scanner +segment  (segment=.*)", page)
    named = [[one.partition("=")[0] for one in line.split()] for line in shown]
    assert named == [[name for name in span.attributes or {} if name != "scan_id"]] * 2


async def test_segments_that_break_the_scanner_and_those_taken_again_are_counted(
    desk: Desk, new_work: Any
) -> None:
    async def break_down(*_: object) -> None:
        raise RuntimeError

    names = ("failures", "redeliveries")
    before = [sample(f"homeward_scan_segment_{name}_total") for name in names]
    desk.scanner.steps = [break_down]
    desk.queue.works.append(new_work("scan-1", 0, attempt=2))

    await desk.run()

    after = [sample(f"homeward_scan_segment_{name}_total") for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]


async def test_the_scanner_is_told_whom_to_look_for_and_where(desk: Desk) -> None:
    await desk.run()

    (task,) = desk.scanner.tasks
    assert (task.scan_id, task.subject_ids) == ("scan-1", ("subject-1",))
    assert task.footage.footage_id == task.segment.footage_id


@pytest.mark.parametrize("include", [True, False])
async def test_the_scanner_is_told_when_a_search_was_asked_for_that_looks_again(
    desk: Desk, *, include: bool
) -> None:
    await desk.plan(include_rejected=include)

    await desk.run()

    (task,) = desk.scanner.tasks
    assert task.include_rejected_before == (desk.make.now if include else None)


async def test_the_scanner_is_told_who_asked_for_the_search(desk: Desk) -> None:
    await desk.plan(requester="anne@force")

    await desk.run()

    assert [task.requester for task in desk.scanner.tasks] == ["anne@force"]


async def test_the_scanner_gets_the_timeline_of_the_recording(desk: Desk) -> None:
    await desk.run()

    (task,) = desk.scanner.tasks
    np.testing.assert_array_equal(task.timeline.times, desk.make.timeline(6).times)


@pytest.mark.parametrize(
    ("set_to", "stated", "shown"),
    [(None, 1.0, 1.0), (None, 1.5, 1.5), (2.0, 1.0, 2.0), (2.0, 1.5, 1.5)],
    ids=["neither", "the recording", "the camera", "both"],
)
async def test_a_cameras_shape_of_pixels_counts_where_its_recording_states_none(
    desk: Desk, prober: Any, set_to: float | None, stated: float, shown: float
) -> None:
    video = replace(prober.answer.video, presentation=Presentation(pixel_aspect=stated))
    await desk.record(replace(prober.answer, video=video))
    await desk.plan(pixel_aspect=set_to)

    await desk.run()

    (task,) = desk.scanner.tasks
    assert task.footage.media.video.presentation.pixel_aspect == shown


async def test_the_queue_is_told_after_the_checkpoint(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    async def done() -> None:
        states.append(await desk.state())

    monkeypatch.setattr(desk.work, "done", done)

    await desk.run()

    assert states == [ScanState.SUCCEEDED]


@pytest.mark.parametrize("state", [ScanState.SUCCEEDED, ScanState.FAILED, ScanState.CANCELLED])
@pytest.mark.parametrize("added", [True, False])
async def test_a_segment_that_has_ended_is_not_searched_again(
    desk: Desk, state: ScanState, *, added: bool
) -> None:
    counts = Counts(frames=3)
    await desk.put(desk.make.segment(state=state, looked_at=60, counts=counts))
    if added:
        await fold(desk.scans, "scan-1")

    await desk.run()

    assert desk.scanner.tasks == []
    assert desk.work.said == ["done"]
    assert await desk.counts() == counts
    assert await desk.scans.segments("scan-1") == []


async def test_work_of_a_forgotten_scan_is_done(desk: Desk) -> None:
    await desk.store.erase("scan.scan-1")

    await desk.run()

    assert (desk.scanner.tasks, desk.work.said) == ([], ["done"])
    assert await desk.scans.segments("scan-1") == []


async def test_a_segment_of_a_cancelled_scan_is_not_searched(desk: Desk) -> None:
    await desk.cancel_scan()

    await desk.run()

    assert (desk.scanner.tasks, desk.work.said) == ([], ["done"])
    assert await desk.state() is ScanState.CANCELLED
    assert await desk.scans.segments("scan-1") == []


async def test_whoever_takes_a_segment_of_a_cancelled_scan_drops_the_rest(desk: Desk) -> None:
    desk.queue.waiting = [("scan-1", 1), ("scan-2", 0), ("scan-1", 2)]
    await desk.put(desk.make.segment(number=2, state=ScanState.RUNNING))  # its scanner died
    await desk.cancel_scan()

    await desk.run()

    assert desk.queue.waiting == [("scan-2", 0)]
    assert await desk.scans.segments("scan-1") == []
    assert await desk.state() is ScanState.CANCELLED


async def test_a_scan_that_is_cancelled_just_when_a_segment_is_taken_has_it_in_hand_or_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand = []
    get = desk.scans.get

    async def cancelled_first(scan_id: str) -> Scan | None:
        monkeypatch.setattr(desk.scans, "get", get)
        await desk.cancel_scan()
        in_hand.append(len(await desk.scans.segments(scan_id)))
        return await get(scan_id)

    monkeypatch.setattr(desk.scans, "get", cancelled_first)

    await desk.run()

    # Whoever cancels it finds the segment in hand, or else its scanner finds it cancelled.
    assert in_hand == [1]
    assert desk.scanner.tasks == []


async def test_a_scan_that_is_cancelled_meanwhile_is_left(desk: Desk) -> None:
    async def go_on(task: SegmentTask, report: Report) -> None:
        await desk.cancel_scan()
        await report(task.segment)
        pytest.fail("goes on after the scan was cancelled")

    desk.scanner.steps = [go_on]

    await desk.run()

    assert desk.work.said == ["done"]
    assert await desk.state() is ScanState.CANCELLED


async def test_what_was_found_before_a_scan_was_cancelled_stands(desk: Desk) -> None:
    found = ("sighting-1",)

    async def go_on(task: SegmentTask, report: Report) -> None:
        await desk.cancel_scan()
        counts = Counts(frames=3, appearances=1)
        await report(replace(task.segment, sighting_ids=found, counts=counts))

    desk.scanner.steps = [go_on]

    await desk.run()

    assert await desk.state() is ScanState.CANCELLED
    assert tuple((await desk.scans.live("scan-1")).sighting_ids) == found
    assert await desk.counts() == Counts(frames=3, appearances=1)


async def test_what_a_search_that_broke_off_had_recorded_stands(desk: Desk) -> None:
    async def find_and_break_down(task: SegmentTask, report: Report) -> None:
        await report(replace(task.segment, sighting_ids=("sighting-1",)))
        raise UNAVAILABLE

    desk.scanner.steps = [find_and_break_down]

    await desk.run()

    assert list((await desk.scans.live("scan-1")).sighting_ids) == ["sighting-1"]


async def test_no_record_says_where_a_sighting_is(desk: Desk) -> None:
    async def find(task: SegmentTask, report: Report) -> None:
        await report(replace(task.segment, sighting_ids=("sighting-1",)))
        kept.extend(one for one in await desk.store.entries() if b"sighting-1" in one.value)

    kept: list[Any] = []
    desk.scanner.steps = [find]

    await desk.run()

    kept += [one for one in await desk.store.entries() if b"sighting-1" in one.value]
    assert kept == []


async def test_progress_is_checkpointed_now_and_then(desk: Desk) -> None:
    saved = []

    async def go_on(task: SegmentTask, report: Report) -> None:
        for second, wait in enumerate([CHECKPOINT_INTERVAL / 2] * 4):
            running = replace(task.segment, position=timedelta(seconds=second))
            await report(running)
            saved.append((await desk.segment()).position)
            desk.clock.advance(wait)

    desk.scanner.steps = [go_on]

    await desk.run()

    assert saved == [timedelta(seconds=second) for second in (0, 0, 2, 2)]


async def test_a_segment_is_searched_up_to_the_last_attempt(desk: Desk) -> None:
    desk.work.attempt = MAX_ATTEMPTS

    await desk.run()

    assert await desk.state() is ScanState.SUCCEEDED


async def test_a_segment_that_failed_too_often_is_given_up(desk: Desk) -> None:
    desk.work.attempt = MAX_ATTEMPTS + 1

    await desk.run()

    assert (desk.scanner.tasks, desk.work.said) == ([], ["done"])
    (gap,) = await desk.gaps()
    assert (await desk.state(), gap.reason) == (ScanState.FAILED, GapReason.GIVEN_UP)


async def test_a_segment_that_was_handed_back_has_not_failed(desk: Desk) -> None:
    await desk.put(desk.make.segment(handed_back=1))
    desk.work.attempt = MAX_ATTEMPTS + 1

    await desk.run()

    assert await desk.state() is ScanState.SUCCEEDED


@pytest.mark.parametrize("gone", ["deleted", "expired"])
async def test_a_segment_whose_footage_is_gone_is_not_searched(
    desk: Desk, resource: FootageResource, gone: str
) -> None:
    footage_id = desk.make.header().footage_id
    await {
        "deleted": lambda: resource.eraser.delete(footage_id),
        "expired": lambda: asyncio.sleep(0, desk.clock.advance(timedelta(days=31))),
    }[gone]()

    await desk.run()

    assert (desk.scanner.tasks, desk.work.said) == ([], ["done"])
    (gap,) = await desk.gaps()
    assert (await desk.state(), gap.reason) == (ScanState.FAILED, GapReason.FOOTAGE_GONE)


async def test_a_segment_that_an_earlier_version_planned_has_its_recording_examined(
    desk: Desk, prober: Any, bucket: Any
) -> None:
    current = prober.answer
    await desk.record(replace(current, version=0))
    for held in await bucket.objects("footage/"):
        if "timeline" in held.key:
            await bucket.delete(held.key)
    prober.answer = current

    await desk.run()

    (task,) = desk.scanner.tasks
    assert task.footage.media.version == VERSION
    np.testing.assert_array_equal(task.timeline.times, prober.timeline.times)
    assert await desk.state() is ScanState.SUCCEEDED


async def test_a_segment_whose_recording_would_not_be_taken_in_today_says_why(
    desk: Desk, prober: Any
) -> None:
    await desk.record(replace(prober.answer, version=0))
    prober.problem = errors.InvalidArgumentError(
        "the file cannot be searched: it is a bomb", reason=errors.Reason.FOOTAGE_UNREADABLE
    )

    await desk.run()

    assert (desk.scanner.tasks, desk.work.said) == ([], ["done"])
    (gap,) = await desk.gaps()
    assert gap.reason is GapReason.UNDECODABLE
    assert gap.detail == "the file cannot be searched: it is a bomb"


async def test_a_segment_whose_footage_goes_meanwhile_is_given_up(desk: Desk) -> None:
    async def vanish(task: SegmentTask, report: Report) -> None:
        del task, report
        raise errors.NotFoundError("gone", reason=errors.Reason.FOOTAGE_NOT_FOUND)

    desk.scanner.steps = [vanish]

    await desk.run()

    assert [one.reason for one in await desk.gaps()] == [GapReason.FOOTAGE_GONE]


@pytest.mark.parametrize(
    "reason",
    [
        errors.Reason.EMBEDDING_MODEL_MISMATCH,
        errors.Reason.POLICY_NOT_APPROVED,
        errors.Reason.POLICY_EXPIRED,
        errors.Reason.POLICY_MODEL_MISMATCH,
    ],
)
async def test_templates_that_may_not_be_compared_are_not_tried_again(
    desk: Desk, reason: errors.Reason
) -> None:
    async def refuse(task: SegmentTask, report: Report) -> None:
        del task, report
        raise errors.FailedPreconditionError("no comparing", reason=reason)

    desk.scanner.steps = [refuse]

    await desk.run()

    assert desk.work.said == ["done"]
    (gap,) = await desk.gaps()
    assert (gap.reason, gap.detail) == (GapReason.GIVEN_UP, "no comparing")


@pytest.mark.parametrize("problem", [UNAVAILABLE, INCOMPLETE], ids=lambda one: one.reason)
async def test_what_does_not_answer_or_lacks_templates_is_waited_for_in_place(
    desk: Desk, problem: errors.DomainError
) -> None:
    async def unavailable(task: SegmentTask, report: Report) -> None:
        del task, report
        raise problem

    desk.scanner.steps = [unavailable, unavailable]

    await desk.run()

    assert len(desk.scanner.tasks) == 3
    assert desk.work.said == ["done"]
    assert await desk.state() is ScanState.SUCCEEDED


async def test_what_is_waited_for_is_told_with_its_place_and_since_when(desk: Desk) -> None:
    told = []

    async def unavailable(task: SegmentTask, report: Report) -> None:
        del task, report
        told.append((await desk.segment()).waiting)
        desk.clock.advance(timedelta(seconds=9))
        raise UNAVAILABLE

    async def go_on(task: SegmentTask, report: Report) -> None:
        told.append((await desk.segment()).waiting)
        desk.clock.advance(timedelta(seconds=9))
        await report(task.segment)
        told.append((await desk.segment()).waiting)

    desk.scanner.steps = [unavailable, unavailable, go_on]
    began = desk.clock.now()

    await desk.run()

    first = Waiting("matching", "somewhere", began + timedelta(seconds=9), UNAVAILABLE.message)
    assert told == [None, first, first, None]


async def test_a_wait_for_a_free_thread_says_that_nothing_needs_to_be_done(desk: Desk) -> None:
    told = []

    async def refuse(task: SegmentTask, report: Report) -> None:
        del task, report
        raise errors.ResourceExhaustedError(
            "its queue is full; try again in 1 s",
            reason=errors.Reason.QUEUE_FULL,
            metadata={"component": "pictures"},
        )

    async def go_on(task: SegmentTask, report: Report) -> None:
        told.append((await desk.segment()).waiting)
        await report(task.segment)

    desk.scanner.steps = [refuse, go_on]

    await desk.run()

    (waiting,) = told
    assert waiting is not None
    assert (waiting.component, waiting.address) == ("pictures", "")
    assert "waits for a free thread for pictures" in waiting.problem
    assert waiting.problem.endswith("nothing needs to be done")
    assert "try again" not in waiting.problem


async def test_what_is_waited_for_without_a_word_is_told_until_it_answers(
    desk: Desk, checks: list[errors.UnavailableError | None]
) -> None:
    async def hang(task: SegmentTask, report: Report) -> None:
        await report(task.segment)
        checks.append(UNAVAILABLE)
        told.append(await desk.next_waiting(bool))
        checks.append(None)
        told.append(await desk.next_waiting(lambda waiting: waiting is None))

    told: list[Waiting | None] = []
    desk.scanner.steps = [hang]

    await desk.run()

    assert told[1:] == [None]
    assert told[0] is not None
    assert (told[0].component, told[0].address) == ("matching", "somewhere")


async def test_what_the_one_before_waited_for_is_not_told_again(desk: Desk) -> None:
    held = Waiting("matching", "somewhere", desk.clock.now(), "it was away")
    await desk.put(desk.make.segment(waiting=held))

    async def go_on(task: SegmentTask, report: Report) -> None:
        await report(task.segment)
        assert (await desk.segment()).waiting is None

    desk.scanner.steps = [go_on]

    await desk.run()

    assert await desk.state() is ScanState.SUCCEEDED


async def test_a_scan_that_is_cancelled_while_it_waits_is_left(desk: Desk) -> None:
    async def unavailable(task: SegmentTask, report: Report) -> None:
        del task, report
        await desk.cancel_scan()
        raise UNAVAILABLE

    desk.scanner.steps = [unavailable]

    await desk.run()

    assert await desk.state() is ScanState.CANCELLED


async def test_a_segment_that_breaks_the_scanner_is_given_back(desk: Desk) -> None:
    async def break_down(task: SegmentTask, report: Report) -> None:
        del task, report
        raise ZeroDivisionError

    desk.scanner.steps = [break_down]

    await desk.run()

    assert desk.work.said == ["retry"]
    assert not (await desk.segment()).state.ended


async def test_a_segment_that_breaks_the_scanner_does_not_stop_it(
    desk: Desk, new_work: Any
) -> None:
    async def break_down(task: SegmentTask, report: Report) -> None:
        del task, report
        raise ZeroDivisionError

    desk.scanner.steps = [break_down]
    again = new_work("scan-1", 0, attempt=2)
    desk.queue.works.append(again)

    await desk.run()

    assert again.said == ["done"]
    assert await desk.state() is ScanState.SUCCEEDED


async def test_a_segment_in_hand_is_given_back_when_the_scanner_stops(desk: Desk) -> None:
    running = asyncio.Event()

    async def never_end(task: SegmentTask, report: Report) -> None:
        del task, report
        running.set()
        await asyncio.Event().wait()

    desk.scanner.steps = [never_end]
    worker = asyncio.create_task(desk.worker.run())
    await running.wait()

    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker

    assert desk.work.said == ["retry at once"]
    segment = await desk.segment()
    assert (segment.state, segment.handed_back) == (ScanState.PENDING, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_segment_in_hand_is_kept_from_other_scanners(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0)
    beats = asyncio.Semaphore(0)

    async def extend() -> None:
        beats.release()

    async def take_long(task: SegmentTask, report: Report) -> None:
        del task, report
        await beats.acquire()
        await beats.acquire()

    monkeypatch.setattr(desk.work, "extend", extend)
    desk.scanner.steps = [take_long]

    await desk.run()

    assert desk.work.said == ["done"]


async def test_a_heartbeat_that_does_not_get_through_is_followed_by_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0)
    beats = asyncio.Semaphore(0)

    async def extend() -> None:
        beats.release()
        raise UNAVAILABLE

    async def take_long(task: SegmentTask, report: Report) -> None:
        del task, report
        await beats.acquire()
        await beats.acquire()

    monkeypatch.setattr(desk.work, "extend", extend)
    desk.scanner.steps = [take_long]

    await desk.run()

    assert desk.work.said == ["done"]


async def test_a_queue_that_does_not_answer_is_asked_again(desk: Desk) -> None:
    desk.queue.problems = [UNAVAILABLE, UNAVAILABLE]

    await desk.run()

    assert desk.work.said == ["done"]


async def test_a_checkpoint_that_cannot_be_written_leaves_the_segment_in_the_queue(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(key: str, value: bytes) -> int:
        del key, value
        raise UNAVAILABLE

    monkeypatch.setattr(desk.store, "put", refuse)

    await desk.run()

    assert "done" not in desk.work.said
