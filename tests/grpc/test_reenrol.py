"""Re-enrolment: two model packs behind real gRPC, a gallery in Qdrant's local mode, the CLI."""

# ruff: noqa: N802 - gRPC names the methods

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from numpy.typing import NDArray

from homeward.api.common.v1 import types_pb2
from homeward.api.embedding.v1 import (
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    face_pb2,
    model_pb2,
)
from homeward.api.matching.v1 import (
    matching_service_pb2,
    matching_service_pb2_grpc,
    sighting_pb2,
    sighting_service_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.cli.__main__ import run
from homeward.core.inventory import PHOTOGRAPHS, REFERENCES, SIGHTINGS, STILLS
from homeward.core.policy import Measurement, PolicyFile, Rate, write_policy
from homeward.matching.adapters.embedding import IDEMPOTENT, GrpcFaceAnalyzer
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import InMemorySightingFeed
from homeward.matching.adapters.qdrant import (
    SIGHTING_KINDS,
    SUBJECT_KINDS,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.gallery import reenrol
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.gallery.reenrol import Reenrolment
from homeward.matching.policies.catalogue import Policies
from homeward.matching.retention import Leased, Retention
from homeward.matching.servicer import services
from homeward.matching.sightings.sightings import Sightings
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.judging import AT_ONCE
from homeward.matching.subjects.leftovers import LeftoverSearch
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.matching.subjects.subjects import Subjects, count_enrolled, is_open, subject_rules
from homeward.matching.subjects.sweep import SubjectSweep
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import UnavailableError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lease import Lease
from homeward.servicekit.objects import InMemoryObjectStore
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp

OLD = model_pb2.Model(name="old-pack", digest="a" * 64, template_size=16)
NEW = model_pb2.Model(name="new-pack", digest="b" * 64, template_size=24)
NOBODY = "00000000-0000-4000-8000-00000000ffff"
Response = subject_service_pb2.ReenrolSubjectsResponse


def face(person: str, model: model_pb2.Model) -> NDArray[np.float32]:
    """Return the template that a model makes of a person."""
    seed = int.from_bytes(hashlib.sha256(f"{person} {model.name}".encode()).digest()[:4])
    values = np.random.default_rng(seed).standard_normal(model.template_size)
    return (values / np.linalg.norm(values)).astype(np.float32)


def template(person: str, model: model_pb2.Model) -> types_pb2.Template:
    return types_pb2.Template(values=face(person, model).tolist(), model_digest=model.digest)


class Embedding(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """A model pack. A photograph is the person's name, and a number behind it."""

    def __init__(self, model: model_pb2.Model) -> None:
        self.model = model
        self.refused: set[bytes] = set()
        self.judged: list[bytes] = []
        self.meanwhile: Callable[[], Any] | None = None
        """Something that happens before each answer."""

    async def GetModel(self, _: Any, __: Any) -> Any:
        return embedding_service_pb2.GetModelResponse(model=self.model)

    async def AnalyzePhoto(self, request: Any, _: Any) -> Any:
        self.judged.append(request.photo)
        if self.meanwhile:
            await self.meanwhile()
        if request.photo in self.refused:
            return embedding_service_pb2.AnalyzePhotoResponse(
                problems=[face_pb2.PHOTO_PROBLEM_TOO_SMALL]
            )
        return embedding_service_pb2.AnalyzePhotoResponse(
            faces=[face_pb2.Face(quality=face_pb2.FaceQuality(score=0.5))],
            template=template(request.photo.decode().rstrip("0123456789"), self.model),
        )


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Matching:
    """A replica of matching, as its clients meet it, and what is behind it."""

    address: str
    subjects: Any
    matching: Any
    sightings: Any
    use: Subjects
    gallery: QdrantSubjectIndex
    index: QdrantSightingIndex
    reenrolment: Reenrolment
    retention: Retention

    async def enrol(self, person: str, *photos: bytes) -> str:
        """Enrol somebody and return the id."""
        made = await self.subjects.CreateSubject(
            subject_service_pb2.CreateSubjectRequest(
                subject=subject_pb2.Subject(
                    case_reference="MP-1",
                    label=person,
                    age_group=subject_pb2.AGE_GROUP_ADULT,
                    legal_basis="vital interests",
                    authorised_by="DI Example",
                    review_time=to_timestamp(datetime(2026, 6, 1, tzinfo=UTC)),
                )
            )
        )
        for photo in photos or (person.encode(),):
            await self.add(made.subject.subject_id, photo)
        return str(made.subject.subject_id)

    async def add(self, subject_id: str, photo: bytes) -> Any:
        return await self.subjects.AddReferencePhoto(
            subject_service_pb2.AddReferencePhotoRequest(subject_id=subject_id, photo=photo)
        )

    async def close(self, subject_id: str) -> Any:
        return await self.subjects.CloseSubject(
            subject_service_pb2.CloseSubjectRequest(subject_id=subject_id)
        )

    async def found(self, person: str, model: model_pb2.Model) -> list[str]:
        """Return the subjects that somebody in view is like."""
        answer = await self.matching.Match(
            matching_service_pb2.MatchRequest(probes=[template(person, model)])
        )
        return [one.subject_id for one in answer.results[0].candidates if one.score > 0.99]

    async def reenrol(self, model: str = NEW.name, *, accept_lost: bool = False) -> list[Response]:
        call = self.subjects.ReenrolSubjects(
            subject_service_pb2.ReenrolSubjectsRequest(model=model, accept_lost=accept_lost)
        )
        return [told async for told in call]


@dataclass
class World:
    """What outlives a replica of matching, and two embedding services."""

    clock: Clock
    engine: QdrantEngine
    targets: dict[str, str]
    old: Embedding
    new: Embedding
    records: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    ledger: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    register: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    leases: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    erasures: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    approvals: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    photos: InMemoryObjectStore = field(default_factory=InMemoryObjectStore)
    evidence: InMemoryObjectStore = field(default_factory=InMemoryObjectStore)

    @asynccontextmanager
    async def matching(
        self, main: model_pb2.Model = OLD, coming: model_pb2.Model | None = NEW
    ) -> AsyncGenerator[Matching, None]:
        """Run a replica of matching.

        Args:
            main: Pack of the embedding service in use.
            coming: Of the next one.
        """
        names = [main.name, *([coming.name] if coming else [])]
        async with contextlib.AsyncExitStack() as stack:
            analyzers = [
                GrpcFaceAnalyzer(
                    await stack.enter_async_context(
                        open_channel(self.targets[name], idempotent=IDEMPOTENT)
                    ),
                    self.targets[name],
                )
                for name in names
            ]
            faces = analyzers[0]
            collection = partial(
                KeyedCollection,
                self.engine,
                register=self.register,
                secret=bytes(32),
                model=faces.model,
                others=[each.model for each in analyzers[1:]],
            )
            gallery = QdrantSubjectIndex(collection(name="subjects", kinds=SUBJECT_KINDS))
            index = QdrantSightingIndex(
                collection(name="sightings", kinds=SIGHTING_KINDS, title="the sightings")
            )
            seen = Sightings(
                index=index,
                ledger=self.ledger,
                evidence=self.evidence,
                feed=InMemorySightingFeed(),
                subject_is_open=partial(is_open, self.records),
                clock=self.clock,
            )
            buckets = {PHOTOGRAPHS.name: self.photos, STILLS.name: self.evidence}
            objects = ObjectErasures(buckets, self.clock, None)
            certificates = Certificates(
                self.erasures,
                {REFERENCES.name: gallery, SIGHTINGS.name: index},
                objects,
                self.clock,
            )
            enrolled = Subjects(
                subjects=self.records,
                photos=self.photos,
                gallery=gallery,
                sightings=seen,
                certificates=certificates,
                faces=faces,
                objects=objects,
                rules=subject_rules(no_problems, self.clock),
                clock=self.clock,
            )
            lease = partial(Lease, self.leases, "collections", "this")
            completeness = Completeness(subjects=self.records, gallery=gallery, clock=self.clock)
            gallery_rebuild = GalleryRebuild(
                subjects=enrolled,
                gallery=gallery,
                completeness=completeness,
                services=analyzers,
                lease=partial(Lease, self.leases, "templates", "this"),
            )
            reenrolment = Reenrolment(
                subjects=enrolled,
                gallery=gallery,
                sightings=index,
                rebuild=gallery_rebuild,
                services=analyzers[::-1],
                lease=lease,
            )
            retention = Retention(
                gallery_rebuild=gallery_rebuild,
                subjects=SubjectSweep(
                    subjects=enrolled,
                    records=self.records,
                    photos=self.photos,
                    gallery=gallery,
                    leftovers=LeftoverSearch(
                        subjects=self.records,
                        photos=self.photos,
                        gallery=gallery,
                        sightings=seen,
                        certificates=certificates,
                    ),
                    clock=self.clock,
                ),
                sightings=seen,
                indexes=[Leased(one, lease()) for one in (gallery, index)],
                deviations=no_problems,
                old_versions=self.photos.remove_old_versions,
                rules=self.evidence,
                encryption=no_encryption,
                clock=self.clock,
                grace=timedelta(days=7),
            )
            policies = Policies(
                store=self.approvals,
                shipped=[policy_file(OLD), policy_file(NEW)],
                faces=faces,
                count_enrolled=partial(count_enrolled, self.records),
                clock=self.clock,
                evaluation=True,
            )
            server = GrpcServer(
                services(
                    subjects=enrolled,
                    reenrolment=reenrolment,
                    gallery_rebuild=gallery_rebuild,
                    sightings=seen,
                    gallery=gallery,
                    completeness=completeness,
                    policies=policies,
                    retention=retention,
                    certificates=certificates,
                    clock=self.clock,
                ),
                listen="localhost:0",
                checks={},
                grace_seconds=0,
            )
            await server.start()
            stack.push_async_callback(server.stop)
            address = f"localhost:{server.port}"
            channel = await stack.enter_async_context(open_channel(address))
            yield Matching(
                address,
                subject_service_pb2_grpc.SubjectServiceStub(channel),
                matching_service_pb2_grpc.MatchingServiceStub(channel),
                sighting_service_pb2_grpc.SightingServiceStub(channel),
                enrolled,
                gallery,
                index,
                reenrolment,
                retention,
            )


async def no_problems() -> list[str]:
    return []


async def no_encryption() -> dict[str, str]:
    return {}


async def yes() -> bool:
    return True


def policy_file(model: model_pb2.Model) -> bytes:
    rate = Rate(0.01, 0.005, 0.02, trials=1000)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    measured = Measurement(500, rate, rate, "photographs", "d" * 64, 1000, 2000, 0, made, "none")
    return write_policy(PolicyFile(f"{model.name}/1", model.name, model.digest, 0.45, measured))


@asynccontextmanager
async def served(embedding: Embedding) -> AsyncGenerator[str, None]:
    server = grpc.aio.server()
    embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(embedding, server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    yield f"localhost:{port}"
    await server.stop(None)


@pytest.fixture
async def world(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(reenrol, "LOOK_AGAIN_SECONDS", 0.01)
    old, new = Embedding(OLD), Embedding(NEW)
    async with (
        served(old) as old_address,
        served(new) as new_address,
        BoundedExecutor("qdrant", workers=1, queue=64) as threads,
    ):
        client = connect(url=None, path=tmp_path)
        engine = QdrantEngine(client, threads, "its local folder")
        yield World(clock, engine, {OLD.name: old_address, NEW.name: new_address}, old, new)
        client.close()


@pytest.fixture
async def matching(world: World) -> AsyncIterator[Matching]:
    async with world.matching() as replica:
        yield replica


async def refusal(call: Any) -> tuple[str, str]:
    """Return reason and message of the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    metadata = dict(refused.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info.reason, refused.value.details() or ""


def finding(
    subject_id: str, model: model_pb2.Model, *, score: float, start: float = 10.0
) -> sighting_service_pb2.RecordSightingsRequest:
    noon = datetime(2026, 3, 4, 9, tzinfo=UTC)
    sighting = sighting_pb2.Sighting(
        subject_id=subject_id,
        photo_id=NOBODY,
        footage_id="gate-20260304t120000000000z-0123456789abcdef",
        camera_id="gate",
        scan_id=NOBODY,
        interval=to_interval(noon, noon + timedelta(seconds=4)),
        best_shot_time=to_timestamp(noon),
        start_offset=to_duration(timedelta(seconds=start)),
        end_offset=to_duration(timedelta(seconds=start + 4)),
        best_shot_offset=to_duration(timedelta(seconds=start)),
        score=score,
        threshold=0.45,
        policy_id="p/1",
        delete_time=to_timestamp(noon + timedelta(days=30)),
    )
    return sighting_service_pb2.RecordSightingsRequest(
        findings=[
            sighting_service_pb2.SightingFinding(
                sighting=sighting, template=template("anna", model), still=model.name.encode()
            )
        ]
    )


async def test_everybody_is_found_with_the_new_pack_and_nobody_with_the_old_one(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    ben = await matching.enrol("ben")

    *_, last = await matching.reenrol()

    assert (last.stage, last.model_name, last.model_digest) == (
        Response.STAGE_DONE,
        NEW.name,
        NEW.digest,
    )
    assert (last.lost_subject_ids, sorted(world.new.judged)) == ([], [b"anna1", b"anna2", b"ben"])
    async with world.matching(main=NEW, coming=None) as switched:
        assert await switched.found("anna", NEW) == [anna]
        assert await switched.found("ben", NEW) == [ben]
        assert await switched.gallery.count() == 3


async def test_searches_go_on_with_the_old_pack_until_the_exchange(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna")
    found: list[list[str]] = []

    async def search() -> None:
        found.append(await matching.found("anna", OLD))

    world.new.meanwhile = search
    await matching.reenrol()

    assert found == [[anna]]


async def test_progress_tells_how_many_photographs_are_done_of_how_many(
    matching: Matching,
) -> None:
    await matching.enrol("anna", *(b"anna%d" % number for number in range(10)))

    told = await matching.reenrol()

    assert [
        (each.done_photo_count, each.total_photo_count)
        for each in told
        if each.stage == Response.STAGE_EMBEDDING
    ] == [(0, 10), (8, 10), (10, 10), (10, 10)]
    assert [each.stage for each in told[-2:]] == [
        Response.STAGE_MOVING_SIGHTINGS,
        Response.STAGE_DONE,
    ]


@pytest.mark.parametrize("model", ["third-pack", OLD.name + "x", NEW.digest[:12]])
async def test_a_pack_that_no_embedding_service_runs_is_refused(
    matching: Matching, model: str
) -> None:
    reason, message = await refusal(matching.reenrol(model))

    assert reason == "MODEL_NOT_SERVED"
    assert "only new-pack and old-pack" in message
    assert "HOMEWARD_NEXT_EMBEDDING_TARGET" in message


@pytest.mark.parametrize("model", ["", "x" * 201])
async def test_a_model_has_a_name(matching: Matching, model: str) -> None:
    assert (await refusal(matching.reenrol(model)))[0] == "FIELD_INVALID"


async def test_a_pack_is_named_by_its_digest_too(matching: Matching) -> None:
    assert (await matching.reenrol(NEW.digest))[-1].stage == Response.STAGE_DONE


async def test_a_pack_that_is_in_use_already_can_be_moved_to(
    world: World, matching: Matching
) -> None:
    """As after a switch that came first: everything is refused until this."""
    anna = await matching.enrol("anna")
    async with world.matching(main=NEW, coming=None) as switched:
        reason, message = await refusal(switched.found("anna", NEW))
        assert (reason, "reenrol --model new-pack" in message) == ("EMBEDDING_MODEL_MISMATCH", True)

        await switched.reenrol()

        assert await switched.found("anna", NEW) == [anna]


async def test_a_gallery_can_be_moved_back_with_the_photographs_that_were_refused_before(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    world.new.refused = {b"anna1"}
    await matching.reenrol()

    *_, last = await matching.reenrol(OLD.name)

    assert (last.stage, last.unusable_photos) == (Response.STAGE_DONE, [])
    assert await matching.found("anna", OLD) == [anna]
    assert await matching.gallery.count() == 2


async def test_photographs_that_the_pack_cannot_use_are_told_by_subject_and_reason(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    world.new.refused = {b"anna2"}

    told = await matching.reenrol()

    (unusable,) = [one for each in told for one in each.unusable_photos]
    assert (unusable.subject_id, unusable.problems) == (anna, ["TOO_SMALL"])
    held = await matching.subjects.GetSubject(
        subject_service_pb2.GetSubjectRequest(subject_id=anna)
    )
    assert {photo.photo_id: photo.unusable for photo in held.subject.reference_photos}[
        unusable.photo_id
    ] is True
    assert sum(photo.unusable for photo in held.subject.reference_photos) == 1


async def test_a_photograph_that_is_gone_is_told(world: World, matching: Matching) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    first, *_ = await world.photos.objects(f"subjects/{anna}/")
    await world.photos.delete(first.key)

    told = await matching.reenrol()

    assert [one.problems for each in told for one in each.unusable_photos] == [["PHOTO_GONE"]]


async def test_nobody_is_lost_unless_that_is_accepted(world: World, matching: Matching) -> None:
    anna, ben = await matching.enrol("anna"), await matching.enrol("ben")
    world.new.refused = {b"ben"}
    told: list[Response] = []

    async def collect() -> None:
        request = subject_service_pb2.ReenrolSubjectsRequest(model=NEW.name)
        async for each in matching.subjects.ReenrolSubjects(request):
            told.append(each)  # noqa: PERF401 - those before the error are wanted

    reason, message = await refusal(collect())

    assert (reason, told[-1].lost_subject_ids) == ("SUBJECTS_LOST", [ben])
    assert "1 of the subjects" in message
    assert "--accept-lost" in message
    assert await matching.found("anna", OLD) == [anna]
    assert await matching.found("ben", OLD) == [ben]


async def test_who_is_lost_is_named_at_the_end_and_not_searched_for(
    world: World, matching: Matching
) -> None:
    anna, ben = await matching.enrol("anna"), await matching.enrol("ben")
    world.new.refused = {b"ben"}

    *_, last = await matching.reenrol(accept_lost=True)

    assert (last.stage, last.lost_subject_ids) == (Response.STAGE_DONE, [ben])
    listed = await matching.subjects.ListSubjects(subject_service_pb2.ListSubjectsRequest())
    assert {
        each.subject_id: [photo.unusable for photo in each.reference_photos]
        for each in listed.subjects
    } == {anna: [False], ben: [True]}


async def test_a_run_goes_on_with_what_was_embedded_before(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna", *(b"anna%d" % number for number in range(10)))
    call = matching.subjects.ReenrolSubjects(
        subject_service_pb2.ReenrolSubjectsRequest(model=NEW.name)
    )
    while (await call.read()).done_photo_count < 8:
        pass
    call.cancel()

    *_, last = await matching.reenrol()

    assert last.stage == Response.STAGE_DONE
    assert len(world.new.judged) <= 12  # the second batch, of 2, twice at most


async def test_a_second_run_waits_for_the_first_and_finds_its_work_done(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna", b"anna1", b"anna2")
    second: list[asyncio.Task[list[Response]]] = []

    async def begin() -> None:
        if not second:
            second.append(asyncio.create_task(matching.reenrol()))
            await asyncio.sleep(0.05)

    world.new.meanwhile = begin
    await matching.reenrol()
    told = await second[0]

    assert (told[0].stage, told[-1].stage) == (Response.STAGE_WAITING, Response.STAGE_DONE)
    assert sorted(world.new.judged) == [b"anna1", b"anna2"]


async def test_a_sweep_meanwhile_leaves_the_collections_alone(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna")
    ben = await matching.enrol("ben")
    await matching.close(ben)

    async def sweep() -> None:
        with pytest.raises(UnavailableError, match="the rebuild waits"):
            await matching.retention.sweep(yes)

    world.new.meanwhile = sweep
    told = await matching.reenrol()

    assert [each.done_photo_count for each in told].count(1) == 2
    assert not await matching.gallery.holds_erased()  # the exchange was the purge


async def test_who_is_enrolled_or_closed_meanwhile_is_so_in_both(
    world: World, matching: Matching
) -> None:
    people = [await matching.enrol(f"person{letter}") for letter in "abcdefghijklmnopqrstuvw"]
    others: dict[int, str] = {}
    judged = 0

    async def meanwhile() -> None:
        nonlocal judged
        judged, turn = judged + 1, judged
        if turn % 4 == 1 and turn < 24:
            await matching.close(people[turn])
            others[turn] = await matching.enrol(f"other{'abcdef'[turn // 4]}")
            assert await matching.found("persona", OLD) == [people[0]]

    world.new.meanwhile = meanwhile
    *_, last = await matching.reenrol()

    gone = {people[number] for number in range(1, 23, 4)}
    assert (last.stage, len(others)) == (Response.STAGE_DONE, 6)
    async with world.matching(main=NEW) as switched:
        kept = [
            await switched.found(f"person{letter}", NEW) for letter in "abcdefghijklmnopqrstuvw"
        ]
        came = [await switched.found(f"other{letter}", NEW) for letter in "abcdef"]
    assert kept == [[] if name in gone else [name] for name in people]
    assert came == [[others[turn]] for turn in sorted(others)]
    assert await matching.gallery.count() == len(people) - len(gone) + len(others)


async def test_a_photograph_that_is_added_at_the_exchange_is_in_it_or_refused(
    world: World, matching: Matching
) -> None:
    """At any of its steps: nothing that was answered as held is without a template."""
    anna = await matching.enrol("anna")
    adding: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        adding.extend(
            asyncio.create_task(matching.add(anna, b"anna%d" % number)) for number in range(9)
        )
        await asyncio.sleep(0.02)
        world.new.meanwhile = None

    world.new.meanwhile = begin
    await matching.reenrol()
    answers = await asyncio.gather(*adding, return_exceptions=True)

    accepted = {one.reference_photo.photo_id for one in answers if not isinstance(one, Exception)}
    refused = [one.details() for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert len(accepted) + len(refused) == 9
    assert [one for one in refused if "reenrol --model" not in one] == []
    assert await matching.gallery.holding(accepted) == accepted
    subject, _ = await matching.use.get(anna)
    listed = {photo.photo_id for photo in subject.photos}
    assert await matching.gallery.holding(listed) == listed >= accepted


@pytest.mark.parametrize("moment", ["before it is listed", "after it is listed"])
async def test_a_photograph_that_is_being_added_while_the_gallery_is_exchanged_is_right(
    matching: Matching, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    anna = await matching.enrol("anna")
    edit = matching.use._edit

    async def around(*args: Any, **kwargs: Any) -> Any:
        if moment.startswith("before"):
            await matching.reenrol()
        edited = await edit(*args, **kwargs)
        if moment.startswith("after"):
            await matching.reenrol()
        return edited

    monkeypatch.setattr(matching.use, "_edit", around)
    added = await matching.add(anna, b"anna2")

    assert await matching.gallery.model() == await matching.index.model()
    assert await matching.gallery.holding([added.reference_photo.photo_id])
    assert await matching.gallery.count() == 2


async def test_a_photograph_that_the_exchange_overtakes_leaves_nothing(
    world: World, matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await matching.enrol("anna")
    put = matching.gallery.put

    async def late(reference: Any) -> None:
        await matching.reenrol()
        await put(reference)

    monkeypatch.setattr(matching.gallery, "put", late)
    reason, _ = await refusal(matching.add(anna, b"anna2"))

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert len(await world.photos.objects("")) == await matching.gallery.count() == 1


def dying(call: Any, left: list[int]) -> Any:
    """Return a call that ends the process when none are left."""

    async def counted(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return await call(*args, **kwargs)

    return counted


STEPS = 28
"""More than a run of `killed` takes: calls of Qdrant, and writes of which collection is in use."""


async def killed(world: World, monkeypatch: pytest.MonkeyPatch, step: int) -> tuple[str, str, str]:
    """Enrol Anna, Ben and Carl, and end the process at a step of their re-enrolment."""
    async with world.matching() as matching:
        anna, ben = await matching.enrol("anna", b"anna1", b"anna2"), await matching.enrol("ben")
        carl = await matching.enrol("carl")
        await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
        left = [step]
        with contextlib.suppress(Killed), monkeypatch.context() as patched:
            patched.setattr(world.engine, "run", dying(world.engine.run, left))
            patched.setattr(world.register, "update", dying(world.register.update, left))
            async for _ in matching.reenrolment.run(NEW.name, accept_lost=False):
                pass
    for entry in await world.leases.entries():  # which runs out within a minute
        await world.leases.erase(entry.key)
    return anna, ben, carl


@pytest.mark.parametrize("step", range(STEPS))
async def test_a_run_that_was_killed_is_done_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    anna, ben, carl = await killed(world, monkeypatch, step)
    async with world.matching() as restarted:
        *_, last = await restarted.reenrol()

        assert last.stage == Response.STAGE_DONE
        assert len(world.new.judged) <= 4 + AT_ONCE
        assert await restarted.gallery.count() == 4
        names = await world.engine.run(world.engine.client.get_collections)
        assert len(names.collections) == 2
    async with world.matching(main=NEW, coming=None) as switched:
        found = [await switched.found(name, NEW) for name in ("anna", "ben", "carl")]
        assert found == [[anna], [ben], [carl]]
        assert len(await switched.index.find()) == 1


@pytest.mark.parametrize("step", range(STEPS))
async def test_who_is_closed_after_a_run_was_killed_is_in_no_collection(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    anna, ben, carl = await killed(world, monkeypatch, step)
    async with world.matching() as restarted:
        await restarted.close(carl)
        await restarted.retention.sweep(yes)
        certificate = (await restarted.close(carl)).certificate
        assert [
            entry.outcome for entry in certificate.entries if entry.data == "reference templates"
        ] == [subject_pb2.ErasureEntry.OUTCOME_ERASED]

        await restarted.reenrol()

        names = await world.engine.run(world.engine.client.get_collections)
        assert len(names.collections) == 2
    async with world.matching(main=NEW, coming=None) as switched:
        found = [await switched.found(name, NEW) for name in ("anna", "ben", "carl")]
        assert found == [[anna], [ben], []]
        assert len(await switched.index.find()) == 1


async def test_the_steps_at_which_a_run_is_killed_are_all_of_them(
    world: World, matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    await matching.enrol("ben")
    await matching.enrol("carl")
    await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
    left = [1000]
    monkeypatch.setattr(world.engine, "run", dying(world.engine.run, left))
    monkeypatch.setattr(world.register, "update", dying(world.register.update, left))

    await matching.reenrol()

    assert STEPS - 4 < 1000 - left[0] < STEPS


@pytest.mark.parametrize(
    "act", ["Match", "GetThresholdPolicy", "AddReferencePhoto", "RecordSightings"]
)
async def test_everything_of_the_former_pack_is_refused_after_the_exchange_and_says_what_to_do(
    matching: Matching, act: str
) -> None:
    anna = await matching.enrol("anna")
    await matching.reenrol()

    reason, message = await refusal(
        {
            "Match": lambda: matching.found("anna", OLD),
            "GetThresholdPolicy": lambda: matching.matching.GetThresholdPolicy(
                matching_service_pb2.GetThresholdPolicyRequest()
            ),
            "AddReferencePhoto": lambda: matching.add(anna, b"anna2"),
            "RecordSightings": lambda: matching.sightings.RecordSightings(
                finding(anna, OLD, score=0.5)
            ),
        }[act]()
    )

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert "new-pack (bbbbbbbbbbbb)" in message
    assert "old-pack (aaaaaaaaaaaa)" in message
    assert "run the embedding service with new-pack" in message


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("act", ["Match", "AddReferencePhoto", "RecordSightings"])
async def test_an_embedding_service_that_has_changed_its_pack_is_refused(
    world: World,
    matching: Matching,
    restarted: bool,  # noqa: FBT001 - a case
    act: str,
) -> None:
    anna = await matching.enrol("anna")
    await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
    world.old.model = NEW

    @asynccontextmanager
    async def same() -> AsyncGenerator[Matching, None]:
        yield matching

    replicas: dict[bool, Callable[[], AbstractAsyncContextManager[Matching]]] = {
        False: same,
        True: partial(world.matching, coming=None),
    }
    async with replicas[restarted]() as replica:
        reason, message = await refusal(
            {
                "Match": lambda: replica.found("anna", NEW),
                "AddReferencePhoto": lambda: replica.add(anna, b"anna2"),
                "RecordSightings": lambda: replica.sightings.RecordSightings(
                    finding(anna, NEW, score=0.5)
                ),
            }[act]()
        )

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert "model pack old-pack (aaaaaaaaaaaa)" in message
    assert "new-pack (bbbbbbbbbbbb)" in message
    assert "`homeward subject reenrol --model new-pack`" in message
    assert len(await world.photos.objects("")) == await matching.gallery.count() == 1


async def test_an_embedding_service_that_changes_its_pack_during_a_run_ends_it(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna")

    async def change() -> None:
        world.new.model = model_pb2.Model(name="third-pack", digest="c" * 64, template_size=16)

    world.new.meanwhile = change
    reason, _ = await refusal(matching.reenrol())

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert (await matching.gallery.model()).name == OLD.name


async def test_sightings_of_the_old_pack_stay_listed_and_can_be_reviewed_and_erased(
    matching: Matching,
) -> None:
    anna = await matching.enrol("anna")
    recorded = await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
    other = await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5, start=60))
    await matching.reenrol()

    listed = await matching.sightings.ListSightings(sighting_service_pb2.ListSightingsRequest())
    assert len(listed.sightings) == 2
    reviewed = await matching.sightings.ReviewSighting(
        sighting_service_pb2.ReviewSightingRequest(
            sighting_id=recorded.results[0].sighting.sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer="R",
        )
    )
    assert reviewed.sighting.state == sighting_pb2.Sighting.STATE_CONFIRMED
    assert reviewed.sighting.model_digest == OLD.digest
    full = await matching.sightings.GetSighting(
        sighting_service_pb2.GetSightingRequest(
            sighting_id=other.results[0].sighting.sighting_id,
            view=sighting_service_pb2.SIGHTING_VIEW_FULL,
        )
    )
    assert full.still == b"old-pack"
    await matching.close(anna)
    assert await matching.index.count() == 0


async def test_a_finding_of_the_new_pack_joins_a_sighting_of_the_old_one_and_takes_its_place(
    world: World, matching: Matching
) -> None:
    """Scores of different packs say nothing of each other."""
    anna = await matching.enrol("anna")
    first = await matching.sightings.RecordSightings(finding(anna, OLD, score=0.9))
    await matching.reenrol()

    async with world.matching(main=NEW, coming=None) as switched:
        again = await switched.sightings.RecordSightings(finding(anna, NEW, score=0.5, start=11))
        (held,) = await switched.index.find()
        still = await world.evidence.get(f"pending/{held.sighting_id}.jpg")

    assert again.results[0].sighting.sighting_id == first.results[0].sighting.sighting_id
    assert (held.score, held.model_digest, still) == (0.5, NEW.digest, b"new-pack")
    assert held.end_offset - held.start_offset == timedelta(seconds=5)


async def test_a_confirmed_sighting_of_the_old_pack_takes_findings_in_and_does_not_change(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna")
    first = await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
    await matching.sightings.ReviewSighting(
        sighting_service_pb2.ReviewSightingRequest(
            sighting_id=first.results[0].sighting.sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer="R",
        )
    )
    await matching.reenrol()

    async with world.matching(main=NEW, coming=None) as switched:
        again = await switched.sightings.RecordSightings(finding(anna, NEW, score=0.9))

    assert again.results[0].sighting.model_digest == OLD.digest
    assert again.results[0].sighting.state == sighting_pb2.Sighting.STATE_CONFIRMED


async def test_an_erasure_during_a_run_is_certified_once_the_old_collections_are_gone(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna")
    ben = await matching.enrol("ben")
    closing: list[asyncio.Task[Any]] = []

    async def close() -> None:
        if not closing:
            closing.append(asyncio.create_task(matching.close(ben)))
            await closing[0]

    world.new.meanwhile = close
    await matching.reenrol()
    await matching.retention.sweep(yes)

    closed = await closing[0]
    (templates,) = [e for e in closed.certificate.entries if e.data == "reference templates"]
    assert templates.outcome == subject_pb2.ErasureEntry.OUTCOME_PENDING
    certificate = (await matching.close(ben)).certificate
    assert [
        (entry.item_count, entry.outcome)
        for entry in certificate.entries
        if entry.data == "reference templates"
    ] == [(1, subject_pb2.ErasureEntry.OUTCOME_ERASED)]


async def cli(matching: Matching, *arguments: str) -> int:
    return await asyncio.to_thread(
        run, ["subject", "reenrol", "--matching", matching.address, *arguments]
    )


def document_in(printed: str) -> Any:
    """Return the JSON document among the service's log lines."""
    return json.JSONDecoder().raw_decode(printed[printed.index("{") :])[0]


async def test_the_command_moves_the_gallery_and_says_what_comes_next(
    matching: Matching, capsys: pytest.CaptureFixture[str]
) -> None:
    await matching.enrol("anna")

    code = await cli(matching, "--model", NEW.name)

    told = capsys.readouterr().out
    assert code == 0
    assert "The gallery is of new-pack (bbbbbbbbbbbb) now." in told
    assert (await matching.gallery.model()).name == NEW.name


async def test_the_command_prints_a_document_with_what_the_pack_cannot_use(
    world: World, matching: Matching, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, ben = await matching.enrol("anna", b"anna1", b"anna2"), await matching.enrol("ben")
    world.new.refused = {b"anna1", b"ben"}

    code = await cli(matching, "--model", NEW.name, "--output", "json")
    first = capsys.readouterr()
    accepted = await cli(matching, "--model", NEW.name, "--output", "json", "--accept-lost")

    document = document_in(first.out)
    assert (code, accepted) == (7, 10)
    assert "reason: SUBJECTS_LOST" in first.err
    assert document["reenrolment"]["lostSubjectIds"] == [ben]
    assert {one["subjectId"] for one in document["unusablePhotos"]} == {anna, ben}
    assert document_in(capsys.readouterr().out)["reenrolment"]["stage"] == "STAGE_DONE"
