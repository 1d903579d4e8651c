from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore, InMemoryPicture
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage.clocks import Stamps
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.media import MediaInfo, Stretch, VideoTrack
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.timeline import (
    HIDDEN,
    KEY,
    TIMED,
    UNKNOWN,
    VERSION,
    Examination,
    Timeline,
)
from homeward.ingestion.footage.uploads import FootageUploads, IntakeTerms
from homeward.ingestion.scan.faces import Box, Face, Frame, Template
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy, Segment
from homeward.ingestion.scan.ports import Backlog, SightingDraft
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

RECORDED = datetime(2026, 11, 20, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class FakeClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def advance(self, span: timedelta) -> None:
        self.time += span


class FakeProber:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, answer: MediaInfo) -> None:
        self.answer = answer
        self.problem: errors.DomainError | None = None
        self.urls: list[str] = []
        self.timeline: Timeline = Make.timeline(6)

    async def probe(self, url: str) -> Examination:
        self.urls.append(url)
        if self.problem is not None:
            raise self.problem
        return Examination(self.answer, self.timeline)


class FakeMatcher:
    """Matches by the first value of a template: the number of the subject; 0 is nobody."""

    def __init__(self) -> None:
        self.problem: errors.DomainError | None = None
        self.probes: list[Template] = []
        self.asked_for: list[tuple[str, ...]] = []
        self.drafts: list[SightingDraft] = []
        self.held: dict[str, Candidate] = {}
        """The sightings, by their ids."""
        self.unmade: list[SightingDraft] = []
        self.joined: dict[str, str | Drop] = {}
        """What becomes of findings that need no stills, by their subjects."""
        self.rejected: set[str] = set()
        self.closed: set[str] = set()
        self.erased: list[str] = []
        self.erased_of: list[datetime | None] = []
        self.footage_removed = False
        self.cases: dict[str, str] = {}
        """Of subjects, by their ids."""
        self.searched: list[tuple[str, ...]] = []
        self.near: list[Match] = []
        """Whom everybody is nearly alike to: below the threshold."""

    async def match(
        self, probes: Sequence[Template], subject_ids: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        self.probes += probes
        self.asked_for.append(tuple(subject_ids))
        if self.problem is not None:
            raise self.problem
        ranked = [
            [Match(f"subject-{number}", f"photo-{number}", 0.8)] if number else []
            for number in (int(np.argmax(probe.values)) for probe in probes)
        ]
        if margin:
            ranked = [each + self.near if each else [] for each in ranked]
        return ranked, MatchPolicy("policy-1", 0.45)

    async def nobody(
        self, probes: Sequence[Template], subject_ids: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        del subject_ids, margin
        return [[] for _ in probes], MatchPolicy("policy-1", 0.45)

    async def join(self, drafts: Sequence[SightingDraft]) -> list[str | Drop | None]:
        self.unmade += drafts
        return [self.joined.get(one.match.subject_id) for one in drafts]

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        self.drafts += drafts
        return [
            Drop.FOOTAGE_REMOVED
            if self.footage_removed
            else Drop.REJECTED_BEFORE
            if one.match.subject_id in self.rejected
            else Drop.SUBJECT_CLOSED
            if one.match.subject_id in self.closed
            else f"{one.match.subject_id}@{one.start.total_seconds():g}"
            for one in drafts
        ]

    async def candidates(self, sighting_ids: Sequence[str]) -> list[Candidate]:
        if self.problem is not None:
            raise self.problem
        return [self.held[one] for one in sighting_ids if one in self.held]

    async def case_references(self, subject_ids: Collection[str]) -> dict[str, str]:
        return {one: self.cases[one] for one in subject_ids if one in self.cases}

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        self.searched.append(tuple(subject_ids))
        if self.problem is not None:
            raise self.problem

    async def erase_footage_sightings(self, footage_id: str, *, received: datetime | None) -> None:
        self.erased.append(footage_id)
        self.erased_of.append(received)
        if self.problem is not None:
            raise self.problem


class FakeWork:
    """A segment in hand; remembers what was said of it."""

    def __init__(self, scan_id: str, segment: int, attempt: int = 1) -> None:
        self.scan_id = scan_id
        self.recording = 0
        self.segment = segment
        self.attempt = attempt
        self.trace: dict[str, str] = {}
        self.said: list[str] = []

    async def done(self) -> None:
        self.said.append("done")

    async def retry(self, *, at_once: bool = False) -> None:
        self.said.append("retry at once" if at_once else "retry")

    async def extend(self) -> None:
        self.said.append("extend")


class FakeQueue:
    """Remembers what was put, once each; gives out what is waiting, then stops who asks."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, int]] = []
        self.works: list[FakeWork] = []
        self.problems: list[errors.DomainError] = []
        self.when_empty: Callable[[], Any] = lambda: None

    async def put(self, scan_id: str, recording: int, segments: Sequence[int]) -> None:
        del recording
        self.waiting += [
            (scan_id, number) for number in segments if (scan_id, number) not in self.waiting
        ]

    async def drop(self, scan_id: str) -> list[int]:
        dropped = [number for name, number in self.waiting if name == scan_id]
        self.waiting = [one for one in self.waiting if one[0] != scan_id]
        return dropped

    async def take(self) -> FakeWork | None:
        if self.problems:
            raise self.problems.pop(0)
        if self.works:
            return self.works.pop(0)
        self.when_empty()
        await asyncio.sleep(0)  # as a real queue does, it lets others run
        return None

    async def backlog(self) -> Backlog:
        return Backlog(waiting=len(self.waiting), in_flight=len(self.works))

    async def ping(self) -> None:
        return


class FakePlans:
    """Scans that wait to be planned; the same with the same plan is dropped."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.came: set[tuple[str, int]] = set()
        self.attempt = 1
        self.works: list[FakeWork] = []
        self.problems: list[errors.DomainError] = []
        self.when_empty: Callable[[], Any] = lambda: None

    async def put(
        self, scan_id: str, revision: int, *, trace: Mapping[str, str] | None = None
    ) -> None:
        del trace
        if (scan_id, revision) not in self.came:
            self.came.add((scan_id, revision))
            self.waiting.append(scan_id)

    async def take(self) -> FakeWork | None:
        if self.problems:
            raise self.problems.pop(0)
        if self.waiting:
            self.works.append(FakeWork(self.waiting.pop(0), 0, self.attempt))
            return self.works[-1]
        self.when_empty()
        await asyncio.sleep(0)  # as a real queue does, it lets others run
        return None


def _stamps(given: Sequence[int | None]) -> np.ndarray:
    return np.array([UNKNOWN if one is None else one for one in given], np.int64)


class Make:
    """Values with everything that a test does not care about filled in."""

    recorded = RECORDED
    now = NOW

    @staticmethod
    def media(
        length: float = 60.0,
        rate: float = 25.0,
        *,
        holes: Sequence[tuple[float, float]] = (),
        **changes: Any,
    ) -> MediaInfo:
        """`holes` are the starts and ends of what no picture answers for."""
        frames = round(length * rate)
        probe = MediaInfo(
            VideoTrack("h264", 1920, 1080, rate, frames, frames // 50),
            seconds(length),
            holes=tuple(Stretch(seconds(start), seconds(end)) for start, end in holes),
            version=VERSION,
        )
        return replace(probe, **changes)

    @staticmethod
    def header(content: bytes = b"recording", **changes: Any) -> FootageHeader:
        header = FootageHeader(
            "cam-1", "a.mp4", RECORDED, len(content), hashlib.sha256(content).hexdigest()
        )
        return replace(header, **changes)

    @staticmethod
    def footage(length: float = 60.0, **changes: Any) -> Footage:
        header = Make.header(**changes)
        return Footage(header.footage_id, header, Make.media(length), NOW, NOW + FOOTAGE_LIMIT)

    @staticmethod
    def segment(
        start: float = 0,
        end: float = 60,
        *,
        window: tuple[float, float] | None = None,
        looked_at: float = 0,
        passed_over: float = 0,
        **changes: Any,
    ) -> Segment:
        """`window` is what of it was asked for; `looked_at` and `passed_over` are seconds."""
        footage = Make.footage()
        segment = Segment(
            footage.footage_id,
            "cam-1",
            seconds(start),
            seconds(end),
            true_start=RECORDED,
            window=Stretch(*map(seconds, window)) if window else None,
            looked_at=seconds(looked_at),
            passed_over=seconds(passed_over),
        )
        return replace(segment, **changes)

    @staticmethod
    def candidate(sighting: str = "sighting-1", start: float = 0, end: float = 2) -> Candidate:
        return Candidate(
            sighting_id=sighting,
            subject_id="subject-1",
            camera_id="cam-1",
            footage_id=Make.footage().footage_id,
            start_time=RECORDED + seconds(start),
            end_time=RECORDED + seconds(end),
            score=0.8,
            threshold=0.45,
        )

    @staticmethod
    def face(
        x: float = 100, y: float = 100, width: float = 40, *, sure: float = 0.9, who: int = 0
    ) -> Face:
        """`who` is written into the landmarks, for fakes that know people."""
        box = Box(x, y, width, width * 1.25)
        return Face(box, np.full((5, 2), who, np.float32), sure)

    @staticmethod
    def frame(offset: float, grey: int = 0) -> Frame:
        picture = InMemoryPicture(np.full((36, 64, 3), grey, np.uint8))
        return Frame(seconds(offset), picture, np.full((54, 64), grey, np.uint8), 1.0)

    @staticmethod
    def timeline(
        length: float = 60.0,
        *,
        rate: float = 25.0,
        gop: float = 2.0,
        key_bytes: Sequence[int] = (50_000,),
        sizes: Callable[[float], int] = lambda _: 1000,
    ) -> Timeline:
        """Pictures at one rate, all but the key pictures alike; `key_bytes` come in turn.

        `sizes` tells how many bytes a picture has that is shown at so many seconds.
        """
        group = max(1, round(gop * rate))
        count = round(length * rate)
        return Make.timeline_at(
            [number / rate for number in range(count)],
            keys=range(0, count, group),
            sizes=[
                sizes(number / rate)
                if number % group
                else key_bytes[number // group % len(key_bytes)]
                for number in range(count)
            ],
        )

    @staticmethod
    def timeline_at(
        times: Sequence[float],
        *,
        keys: Sequence[int] = (0,),
        sizes: Sequence[int] | None = None,
        hidden: Sequence[int] = (),
    ) -> Timeline:
        """Pictures that are shown at so many seconds, in the file's order.

        `keys` and `hidden` are the ordinals of those that are so.
        """
        shown = np.round(np.array(times, float) * 1e6).astype(np.int64)
        bytes_each = np.array(sizes or [1000] * len(times), np.int64)
        flags = np.full(len(times), TIMED, np.uint8)
        flags[list(keys)] |= KEY
        flags[list(hidden)] |= HIDDEN
        return Timeline(
            times=shown,
            dts=np.arange(len(times), dtype=np.int64),
            pts=shown // 1000,
            positions=np.cumsum(bytes_each) - bytes_each,
            sizes=bytes_each,
            flags=flags,
        )

    @staticmethod
    def stamps(
        pts: Sequence[int | None],
        dts: Sequence[int | None] | None = None,
        *,
        hidden: Sequence[int] = (),
        tick: float = 0.001,
        rate: float = 25.0,
    ) -> Stamps:
        """What a file says of its pictures; None where it gives no stamp.

        Without `dts`, pictures are decoded in the order in which they are shown.
        """
        count = len(pts)
        return Stamps(
            dts=_stamps(pts if dts is None else dts),
            pts=_stamps(pts),
            positions=np.arange(count, dtype=np.int64) * 1000,
            sizes=np.full(count, 1000, np.int64),
            keys=np.arange(count) % 50 == 0,
            hidden=np.isin(np.arange(count), list(hidden)),
            tick=tick,
            rate=rate,
        )

    @staticmethod
    def template(who: int) -> Template:
        return Template(np.eye(8, dtype=np.float32)[who], "model-1")


@pytest.fixture(scope="session")  # so that tests of many examples may have it
def make() -> type[Make]:
    return Make


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber(Make.media())


@pytest.fixture
def matcher() -> FakeMatcher:
    return FakeMatcher()


@pytest.fixture(scope="session")  # as `make`
def new_matcher() -> type[FakeMatcher]:
    return FakeMatcher


@pytest.fixture(scope="session")  # as `make`
def new_clock() -> type[FakeClock]:
    return FakeClock


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def plans() -> FakePlans:
    return FakePlans()


@pytest.fixture
def new_work() -> type[FakeWork]:
    return FakeWork


@pytest.fixture
def bucket(clock: FakeClock) -> InMemoryFootageStore:
    return InMemoryFootageStore(lifecycle_days=29, clock=clock)


@pytest.fixture
def uploads() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def erasures() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def records_store() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
async def cameras(clock: FakeClock) -> Cameras:
    """Two cameras; the clock of the second is ten seconds ahead."""
    cameras = Cameras(InMemoryKeyValueStore(), clock)
    await cameras.create("cam-1", CameraDetails())
    await cameras.create("cam-2", CameraDetails(clock_offset=seconds(10)))
    return cameras


@pytest.fixture
async def threads() -> AsyncIterator[BoundedExecutor]:
    async with BoundedExecutor("timelines", workers=1, queue=8) as threads:
        yield threads


@pytest.fixture
def resource(
    *,
    threads: BoundedExecutor,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    cameras: Cameras,
    prober: FakeProber,
    matcher: FakeMatcher,
    erasures: InMemoryKeyValueStore,
    clock: FakeClock,
) -> FootageResource:
    records = FootageRecords(erasures)
    library = FootageLibrary(
        store=bucket, prober=prober, executor=threads, known=records, clock=clock
    )
    eraser = FootageEraser(
        store=bucket,
        library=library,
        sightings=matcher,
        records=records,
        counts=FootageCounts(erasures),
        clock=clock,
    )
    return FootageResource(
        uploads=FootageUploads(
            store=bucket,
            uploads=uploads,
            cameras=cameras,
            library=library,
            eraser=eraser,
            clock=clock,
            terms=IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT),
        ),
        library=library,
        eraser=eraser,
        reporter=RetentionReporter(
            store=bucket,
            finder=library.finder,
            uploads=uploads,
            records=erasures,
            cameras=cameras,
            clock=clock,
            terms=RetentionTerms(FOOTAGE_LIMIT),
        ),
    )


@pytest.fixture
def library(resource: FootageResource) -> FootageLibrary:
    return resource.library
