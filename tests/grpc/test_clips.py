"""Clips and packages, as their callers meet them: ingestion, and matching behind it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.duration_pb2 import Duration
from matching_stores import in_memory
from served_matching import MODEL, Analyzer, Stubs, finding, refusal, stated

from homeward.api.ingestion.v1 import clip_service_pb2, clip_service_pb2_grpc
from homeward.api.matching.v1 import (
    export_service_pb2,
    export_service_pb2_grpc,
    sighting_pb2,
)
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.caller_metadata import CASE, PURPOSE
from homeward.core.export_package import (
    CLIP,
    KEY,
    MANIFEST,
    NOTE,
    SUMMARY,
    package_of,
    still_name,
    verify_package,
)
from homeward.ingestion.adapters.matching import GrpcMatcher
from homeward.ingestion.clip.making import ClipMaking, ClipParts
from homeward.ingestion.clip.model import MOST_LENGTH
from homeward.ingestion.footage.library import footage_not_found
from homeward.ingestion.footage.media import MediaInfo, VideoTrack
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.scan.faces import Box, Face, Frame
from homeward.ingestion.scan.ports import Undecodable
from homeward.ingestion.servicer import ClipServicer
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.composition import Choices, compose
from homeward.matching.servicer import services
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer

INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "SIGHTING_NOT_FOUND")
FOOTAGE = "gate-20260304t120000000000z-0123456789abcdef"
FILM = b"an MP4 file"


class Signer:
    def __init__(self) -> None:
        self._key = SigningKey("homeward-audit", Ed25519PrivateKey.generate())
        self.verifier_key = self._key.verifier.text()

    def sign(self, text: str) -> str:
        return self._key.sign(text)


class NoEvents:
    async def touching(self, resources: Any, *, since: Any) -> list[Any]:
        del resources, since
        return []


class Picture:
    width, height = 640, 360

    def cut(self, region: Any) -> Any:
        return np.zeros((region.bottom - region.top, region.right - region.left, 3), np.uint8)

    def part(self, region: Any) -> Any:
        del region
        return self


@dataclass
class Studio:
    """All of a clip's ports but matching: a recording with somebody in every picture."""

    at: datetime
    items: list[Frame | Undecodable] = field(default_factory=list)
    held: bool = True
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)
    covers: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.items = [
            Frame(timedelta(hours=3, seconds=n / 10), Picture(), np.zeros((540, 640), np.uint8), 1)
            for n in range(40)
        ]
        self.going_on.set()

    # The library.
    async def get(self, footage_id: str) -> Footage:
        if not self.held:
            raise footage_not_found(footage_id)
        video = VideoTrack("h264", 640, 360, 10, 40, 4)
        header = FootageHeader("gate", "a.mp4", self.at, 1, "0" * 64)
        media = MediaInfo(video, timedelta(hours=9), version=9)
        return Footage(footage_id, header, media, self.at, self.at + timedelta(days=31))

    async def up_to_date(self, footage: Footage) -> Footage:
        return footage

    async def timeline(self, footage: Footage) -> Any:
        del footage

    async def url(self, footage: Footage) -> str:
        del footage
        return "http://localhost/"

    # The decoder.
    @asynccontextmanager
    async def open(self, *_: Any) -> AsyncIterator[Any]:
        yield self

    @asynccontextmanager
    async def frames(self, pieces: Any, *, rate: float) -> AsyncIterator[Any]:
        del rate
        self.asked.append(pieces[0].stretch)
        self.begun.set()

        async def play() -> AsyncIterator[Any]:
            for item in self.items:
                await self.going_on.wait()
                yield item

        yield play()

    # The embedding service.
    async def find_all(self, images: Sequence[Any], *, least_score: float) -> list[list[Face]]:
        del least_score
        return [[Face(Box(100, 100, 40, 50), np.zeros((5, 2), np.float32), 0.9)] for _ in images]

    async def embedded(self, shots: Sequence[Any]) -> dict[int, Any]:
        del shots
        return {}

    # Pixels.
    def thumbnail(self, frame: Any) -> Any:
        del frame
        return np.arange(576, dtype=np.float32).reshape(18, 32)

    def patch(self, frame: Any, face: Any) -> Any:
        del frame, face
        return np.zeros((8, 6), np.float32)

    def selection_quality(self, *_: Any, sharpness: bool) -> float:
        del sharpness
        return 0.5

    def portrait(self, *_: Any) -> Any:
        return None

    def scaled(self, frame: Any, factors: Any) -> list[Any]:
        del frame
        return [None for _ in factors]

    def redacted(self, frame: Any, cover: Any, text: str) -> Any:
        del frame
        self.covers.append(cover)
        self.texts.append(text)
        return np.zeros((360, 640, 3), np.uint8)


class Film:
    """An encoder."""

    def open(self, width: int, height: int) -> Film:
        assert (width, height) == (640, 360)
        return self

    def add(self, image: Any, at: timedelta) -> None:
        assert image.shape == (360, 640, 3)
        assert at >= timedelta()

    def finish(self) -> bytes:
        return FILM

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class World:
    """Ingestion, which checks its callers, and matching behind it, with a sighting."""

    clips: Any
    exports: Any
    inside: Stubs
    sighting_id: str
    studio: Studio
    issuer: Issuer
    key: VerifierKey

    def who(self, *roles: str, case: str = "MP/1") -> tuple[tuple[str, str], ...]:
        token = self.issuer.token(*roles, sub="ann", cases=[case])
        return (("authorization", f"Bearer {token}"), (PURPOSE, "find her"), (CASE, case))

    def clip(self, *roles: str, case: str = "MP/1", **fields: Any) -> Any:
        request = clip_service_pb2.RenderClipRequest(**{"sighting_id": self.sighting_id, **fields})
        who = self.who(*(roles or ("reviewer",)), case=case)
        return self.clips.RenderClip(request, metadata=who, timeout=10)

    async def made(self, **fields: Any) -> tuple[clip_service_pb2.Clip, bytes, set[Any]]:
        """Return a clip, its file, and the steps that were told of."""
        data, steps, told = b"", set(), None
        async for message in self.clip(**fields):
            kind = message.WhichOneof("payload")
            told = message.clip if kind == "clip" else told
            data += message.chunk
            steps |= {message.progress.step} if kind == "progress" else set()
        assert told is not None
        return told, data, steps

    async def refused(self, **given: Any) -> tuple[grpc.StatusCode, str]:
        return await refusal(anext(aiter(self.clip(**given))))

    async def confirm(self) -> None:
        request = sightings.ReviewSightingRequest(
            sighting_id=self.sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer="ben",
        )
        await self.inside.call("ReviewSighting", request)

    def package(self, **fields: Any) -> Any:
        request = export_service_pb2.SealPackageRequest(
            **{
                "sighting_id": self.sighting_id,
                "recipient": "A force",
                "unapproved": True,
                **fields,
            }
        )
        return self.exports.SealPackage(request, timeout=10)


@pytest.fixture
async def world(clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    signer = Signer()
    stores = in_memory(
        faces=Analyzer(),
        gallery=InMemorySubjectIndex(MODEL),
        index=InMemorySightingIndex(MODEL),
        events=NoEvents(),
        signer=signer,
    )
    served = services(compose(stores, Choices([]), clock), stores, clock)
    behind = GrpcServer(served, listen="localhost:0", checks={}, grace_seconds=0)
    await behind.start()
    issuer = Issuer()
    settings = ServiceSettings(
        listen="localhost:0",
        drain_seconds=0,
        auth_file=issuer.write(tmp_path / "auth", restrict_to_cases=True),
    )
    target = f"localhost:{behind.port}"
    async with (
        grpc.aio.insecure_channel(target) as matching,
        BoundedExecutor("pictures", workers=1, queue=8) as threads,
    ):
        matcher, studio = GrpcMatcher(matching, target), Studio(clock.now() - timedelta(hours=6))
        parts: Any = ClipParts(
            sightings=matcher,
            matcher=matcher,
            footage=studio,  # type: ignore[arg-type]
            source=studio,  # type: ignore[arg-type]
            faces=studio,
            comparer=studio,  # type: ignore[arg-type]
            images=studio,  # type: ignore[arg-type]
            painter=studio,
            encoder=Film(),
            executor=threads,
        )
        service = Service(
            "homeward.api.ingestion.v1.ClipService",
            clip_service_pb2_grpc.add_ClipServiceServicer_to_server,
            ClipServicer(ClipMaking(parts, at_once=1)),
        )
        server = GrpcServer.configured(settings, [service], checks={})
        await server.start()
        inside = Stubs.on(matching)
        enrol = subjects.CreateSubjectRequest(subject=stated("MP/1", clock))
        name = (await inside.call("CreateSubject", enrol)).subject.subject_id
        found = finding(name, clock)
        found.sighting.footage_sha256 = "5b" * 32
        for second, still in enumerate((b"earlier", found.still, b"later"), start=-1):
            made = found.sighting.stills.add(face_height_px=60)
            made.offset.FromSeconds(found.sighting.best_shot_offset.seconds + second)
            made.time.FromSeconds(found.sighting.best_shot_time.seconds + second)
            found.stills.append(still)
        recorded = await inside.call(
            "RecordSightings", sightings.RecordSightingsRequest(findings=[found])
        )
        async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
            yield World(
                clip_service_pb2_grpc.ClipServiceStub(channel),
                export_service_pb2_grpc.ExportServiceStub(matching),
                inside,
                recorded.results[0].sighting.sighting_id,
                studio,
                issuer,
                VerifierKey.parse(signer.verifier_key),
            )
        await server.stop()
    await behind.stop()


async def test_a_clip_comes_with_its_progress_and_its_digest(world: World) -> None:
    clip, data, steps = await world.made()
    assert data == FILM
    assert (clip.sha256, clip.size_bytes) == (hashlib.sha256(FILM).hexdigest(), len(FILM))
    assert (clip.picture_count, clip.width, clip.height) == (40, 640, 360)
    assert steps == {1, 2, 3}


async def test_where_nobody_is_certain_everybody_is_blurred(world: World) -> None:
    clip, _, _ = await world.made()
    assert clip.subject == clip_service_pb2.Clip.SUBJECT_UNCERTAIN
    assert clip.subject_picture_count == 0
    assert all(cover.covered and not cover.shown for cover in world.studio.covers)


async def test_a_clip_tells_of_stretches_that_could_not_be_decoded(world: World) -> None:
    at = timedelta(hours=3, seconds=1)
    world.studio.items[10:10] = [Undecodable(at, at + timedelta(seconds=2), "it ended")]
    clip, _, _ = await world.made()
    assert list(clip.problems) == ["6.0 s to 8.0 s could not be decoded: it ended"]


class SecondPass(list):  # type: ignore[type-arg]
    """Pictures that are others once those before were decoded."""

    def __init__(self, studio: Studio, then: Callable[[], Iterator[Any]]) -> None:
        super().__init__(studio.items)
        self._asked, self._then = studio.asked, then

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__() if len(self._asked) == 1 else self._then()


async def test_what_cannot_be_decoded_any_more_is_told_and_not_in_the_clip(
    world: World,
) -> None:
    start, items = timedelta(hours=3), list(world.studio.items)
    ended = Undecodable(start + timedelta(seconds=1), start + timedelta(seconds=4), "it ended")
    world.studio.items = SecondPass(world.studio, lambda: iter([*items[:10], ended]))
    clip, _, _ = await world.made()

    assert clip.picture_count == 10
    assert list(clip.problems) == ["6.0 s to 9.0 s could not be decoded: it ended"]
    length = clip.interval.end_time.ToDatetime() - clip.interval.start_time.ToDatetime()
    assert length == timedelta(seconds=0.9)


async def test_nothing_is_given_out_of_a_recording_that_went_meanwhile(world: World) -> None:
    items = list(world.studio.items)

    def gone() -> Iterator[Any]:
        world.studio.held = False
        return iter(items)

    world.studio.items = SecondPass(world.studio, gone)

    assert await refusal(world.made()) == (grpc.StatusCode.NOT_FOUND, "FOOTAGE_NOT_FOUND")


async def test_a_picture_that_was_not_searched_is_blurred_as_a_whole(world: World) -> None:
    late = replace(world.studio.items[-1], offset=timedelta(hours=3, seconds=9))  # type: ignore[type-var]
    items = list(world.studio.items)
    world.studio.items = SecondPass(world.studio, lambda: iter([*items, late]))
    clip, _, _ = await world.made()
    assert (clip.picture_count, clip.blurred_picture_count) == (41, 1)


async def test_the_true_time_is_written_below_each_picture_if_it_is_asked_for(
    world: World, clock: Any
) -> None:
    await world.made(burn_time=True)
    start = clock.now() - timedelta(hours=3)
    assert world.studio.texts[0].startswith(f"{start.astimezone(UTC):%Y-%m-%d %H:%M:%S.000} UTC")
    assert world.sighting_id in world.studio.texts[0]


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [({}, 5, 9), ({"margin": Duration(seconds=1)}, 1, 5), ({"around_still": True}, 5, 5)],
)
async def test_a_clip_shows_a_margin_around_the_appearance_or_the_still(
    world: World, fields: dict[str, Any], before: float, after: float
) -> None:
    await world.made(**fields)
    [stretch, again] = world.studio.asked
    hours = timedelta(hours=3)
    assert (hours - stretch.start, stretch.end - hours) == (
        timedelta(seconds=before),
        timedelta(seconds=after),
    )
    assert again == stretch


async def test_a_clip_that_cannot_be_is_refused(world: World) -> None:
    given: list[dict[str, Any]] = [
        {"sighting_id": "x"},
        {"margin": Duration(seconds=31)},
        {"margin": Duration(seconds=-1)},
        {"margin": Duration(), "around_still": True},
    ]
    assert [await world.refused(**fields) for fields in given] == [INVALID] * len(given)


async def test_a_clip_has_a_longest_length(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeward.ingestion.clip.making.MOST_LENGTH", timedelta(seconds=14))
    await world.made()
    monkeypatch.setattr("homeward.ingestion.clip.making.MOST_LENGTH", timedelta(seconds=13.9))
    too_long = (grpc.StatusCode.FAILED_PRECONDITION, "CLIP_TOO_LONG")
    assert await world.refused() == too_long
    assert timedelta(seconds=60) < MOST_LENGTH  # the margins alone always fit


async def test_no_clip_is_cut_from_footage_that_is_gone(world: World) -> None:
    world.studio.held = False
    with pytest.raises(grpc.aio.AioRpcError, match="was found in is gone") as refused:
        await anext(aiter(world.clip()))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_no_clip_is_made_of_another_case(world: World) -> None:
    assert await world.refused(case="MP/2") == NOT_FOUND
    assert world.studio.asked == []


async def test_a_further_clip_waits_until_the_first_one_is_made(world: World) -> None:
    world.studio.going_on.clear()
    first = asyncio.create_task(world.made())
    await world.studio.begun.wait()
    assert await world.refused() == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    world.studio.going_on.set()
    await first
    await world.made()


async def test_a_recording_of_which_nothing_decodes_makes_no_clip(world: World) -> None:
    world.studio.items = []
    unreadable = (grpc.StatusCode.INVALID_ARGUMENT, "FOOTAGE_UNREADABLE")
    assert await world.refused() == unreadable


def packed(sealed: Any, **more: bytes) -> bytes:
    return package_of(
        {
            MANIFEST: sealed.manifest,
            NOTE: sealed.note.encode(),
            KEY: f"{sealed.verifier_key}\n".encode(),
            SUMMARY: sealed.summary,
            **{still_name(number): data for number, data in enumerate(sealed.stills, 1)},
            **more,
        }
    )


async def test_a_package_with_its_clip_holds(world: World) -> None:
    clip, data, _ = await world.made()
    await world.confirm()

    sealed = await world.package(clip_record=clip.record, clip_note=clip.note)

    found = verify_package(packed(sealed, **{CLIP: data}), [world.key])
    assert [one.sentence for one in found.findings if not one.holds] == []
    manifest = json.loads(sealed.manifest)
    assert (manifest["recipient"], manifest["approved"]) == ("A force", False)
    assert manifest["subject"]["case_reference"] == "MP/1"
    assert [one["reviewer"] for one in manifest["sighting"]["reviews"]] == ["ben"]
    assert [one["name"] for one in manifest["files"]] == [
        *(still_name(number) for number in (1, 2, 3)),
        SUMMARY,
        CLIP,
    ]
    summary = sealed.summary.decode()
    assert "NOT FOR USE" in summary
    assert "Given to: A force" in summary
    assert "no probability" in summary


async def test_a_package_has_all_stills_in_order_of_time(world: World) -> None:
    await world.confirm()
    sealed = await world.package()

    assert list(sealed.stills) == [b"earlier", b"a still", b"later"]
    told = json.loads(sealed.manifest)["stills"]
    assert [one["name"] for one in told] == [still_name(number) for number in (1, 2, 3)]
    assert verify_package(packed(sealed), [world.key]).holds


async def test_what_cannot_be_packed_is_not_noted_as_given_out(world: World) -> None:
    await world.confirm()
    refused = await refusal(world.package(clip_record=b"{}", clip_note="x"))
    wanted = sightings.GetSightingRequest(sighting_id=world.sighting_id)
    review = (await world.inside.call("GetSighting", wanted)).sighting.review
    back = await world.inside.call(
        "WithdrawReview",
        sightings.WithdrawReviewRequest(
            sighting_id=world.sighting_id, review_time=review.review_time, reviewer="ben"
        ),
    )

    assert refused == INVALID
    assert back.sighting.state == sighting_pb2.Sighting.STATE_UNREVIEWED


async def test_a_package_without_a_clip_says_why(world: World) -> None:
    await world.confirm()
    sealed = await world.package(no_clip_reason="the recording is not held any more")
    assert verify_package(packed(sealed), [world.key]).holds
    assert "No clip: the recording is not held any more." in sealed.summary.decode()


async def test_only_what_is_confirmed_and_approved_is_given_out(world: World) -> None:
    unconfirmed = (grpc.StatusCode.FAILED_PRECONDITION, "SIGHTING_NOT_CONFIRMED")
    assert await refusal(world.package()) == unconfirmed
    await world.confirm()
    unapproved = (grpc.StatusCode.FAILED_PRECONDITION, "POLICY_NOT_APPROVED")
    assert await refusal(world.package(unapproved=False)) == unapproved


async def test_a_clip_that_homeward_did_not_make_is_in_no_package(world: World) -> None:
    clip, _, _ = await world.made()
    await world.confirm()
    forged = clip.record.replace(clip.sha256.encode(), b"0" * 64)
    assert await refusal(world.package(clip_record=forged, clip_note=clip.note)) == INVALID
    for fields in (
        {"clip_record": clip.record},
        {"clip_record": b"x", "clip_note": clip.note},
        {"clip_record": b"[]", "clip_note": clip.note},
        {"clip_record": bytes(16 * 1024 + 1), "clip_note": clip.note},
    ):
        assert await refusal(world.package(**fields)) == INVALID


async def test_a_package_names_its_recipient(world: World) -> None:
    await world.confirm()
    given = [
        {"recipient": ""},
        {"recipient": "x" * 201},
        {"recipient": "two\nlines"},
        {"no_clip_reason": "x" * 501},
    ]
    refused = [await refusal(world.package(**fields)) for fields in given]
    assert refused == [INVALID] * len(given)


async def test_what_is_said_of_a_clip_is_plain(world: World) -> None:
    given = [b"", b"x", b"[]", b'{"a":1.5}', b'{"a":{}}', b'{"a":true}', bytes(16 * 1024 + 1)]
    requests = [
        export_service_pb2.SealClipRequest(sighting_id=world.sighting_id, clip=told)
        for told in given
    ]
    refused = [await refusal(world.exports.SealClip(one, timeout=10)) for one in requests]
    assert refused == [INVALID] * len(given)
