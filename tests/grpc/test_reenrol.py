"""Re-enrolment: an embedding service that changes its pack, a gallery in Qdrant's local mode."""

# ruff: noqa: N802 - gRPC names the methods

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from matching_stores import in_memory
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
from homeward.core.policy import Measurement, PolicyFile, Rate, write_policy
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.embedding import IDEMPOTENT, GrpcFaceAnalyzer
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import (
    SIGHTING_LAYOUT,
    SUBJECT_LAYOUT,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.adapters.sighting_ledger import KeyValueSightingLedger
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.gallery import reenrol
from homeward.matching.gallery.completeness import INCOMPLETE_FOR
from homeward.matching.gallery.judging import AT_ONCE
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.gallery.reenrol import Reenrolment
from homeward.matching.policies.catalogue import FRESH
from homeward.matching.retention import Retention
from homeward.matching.servicer import services
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.subjects.enrol import Subjects
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
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
    """Runs a model pack. A photograph is the person's name, and a number behind it."""

    def __init__(self) -> None:
        self.model = OLD
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
    clock: Any
    embedding: Embedding
    subjects: Any
    matching: Any
    sightings: Any
    does: UseCases
    gallery: QdrantSubjectIndex
    index: QdrantSightingIndex

    @property
    def use(self) -> Subjects:
        return self.does.subjects

    @property
    def reenrolment(self) -> Reenrolment:
        return self.does.reenrolment

    @property
    def retention(self) -> Retention:
        return self.does.retention

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

    async def reenrol(
        self, model: model_pb2.Model = NEW, *, accept_lost: bool = False
    ) -> list[Response]:
        """Move everybody to a pack, with which the embedding service was started again."""
        self.switch(model)
        return await self.moved(model.name, accept_lost=accept_lost)

    def switch(self, model: model_pb2.Model) -> None:
        """Start the embedding service again with another pack; what was read of it is too old."""
        self.embedding.model = model
        self.clock.pass_time(FRESH)

    async def moved(self, model: str, *, accept_lost: bool = False) -> list[Response]:
        call = self.subjects.ReenrolSubjects(
            subject_service_pb2.ReenrolSubjectsRequest(model=model, accept_lost=accept_lost)
        )
        return [told async for told in call]


@dataclass
class World:
    """What outlives a replica of matching, and an embedding service."""

    clock: Clock
    engine: QdrantEngine
    target: str
    embedding: Embedding
    records: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    ledger: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    register: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    leases: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    erasures: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    approvals: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    photos: InMemoryObjectStore = field(default_factory=InMemoryObjectStore)
    evidence: InMemoryObjectStore = field(default_factory=InMemoryObjectStore)

    @asynccontextmanager
    async def matching(self) -> AsyncGenerator[Matching, None]:
        """Run a replica of matching."""
        async with contextlib.AsyncExitStack() as stack:
            to_embedding = open_channel(self.target, idempotent=IDEMPOTENT)
            faces = GrpcFaceAnalyzer(await stack.enter_async_context(to_embedding), self.target)
            gallery, index = (
                kind(
                    KeyedCollection(
                        CollectionAccess(self.engine, layout, self.register, bytes(32), faces.model)
                    )
                )
                for kind, layout in (
                    (QdrantSubjectIndex, SUBJECT_LAYOUT),
                    (QdrantSightingIndex, SIGHTING_LAYOUT),
                )
            )
            stores = in_memory(
                records=KeyValueSubjectRecords(self.records),
                ledger=KeyValueSightingLedger(self.ledger),
                leases=self.leases,
                erasures=self.erasures,
                approvals=self.approvals,
                photos=self.photos,
                evidence=self.evidence,
                faces=faces,
                gallery=gallery,
                index=index,
            )
            choices = Choices(shipped=[policy_file(OLD), policy_file(NEW)], evaluation=True)
            use_cases = compose(stores, choices, self.clock)
            server = GrpcServer(
                services(use_cases, stores, self.clock),
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
                self.clock,
                self.embedding,
                subject_service_pb2_grpc.SubjectServiceStub(channel),
                matching_service_pb2_grpc.MatchingServiceStub(channel),
                sighting_service_pb2_grpc.SightingServiceStub(channel),
                use_cases,
                gallery,
                index,
            )


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
    embedding = Embedding()
    async with (
        served(embedding) as target,
        BoundedExecutor("qdrant", workers=1, queue=64) as threads,
    ):
        client = connect(url=None, path=tmp_path)
        engine = QdrantEngine(client, threads, "its local folder")
        yield World(clock, engine, target, embedding)
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


async def test_everybody_is_found_with_the_new_pack(world: World, matching: Matching) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    ben = await matching.enrol("ben")
    world.embedding.judged.clear()

    *_, last = await matching.reenrol()

    assert (last.stage, last.model_name, last.model_digest) == (
        Response.STAGE_DONE,
        NEW.name,
        NEW.digest,
    )
    judged = sorted(world.embedding.judged)
    assert (last.lost_subject_ids, judged) == ([], [b"anna1", b"anna2", b"ben"])
    assert await matching.found("anna", NEW) == [anna]
    assert await matching.found("ben", NEW) == [ben]
    assert await matching.gallery.count() == 3


async def test_searches_are_refused_meanwhile_with_what_is_missing(
    world: World, matching: Matching
) -> None:
    """Nobody is compared with half a gallery, whichever pack a search uses."""
    await matching.enrol("anna")
    refusals: list[tuple[str, str]] = []

    async def search() -> None:
        refusals.append(await refusal(matching.found("anna", NEW)))
        refusals.append(await refusal(matching.found("anna", OLD)))

    world.embedding.meanwhile = search
    await matching.reenrol()

    new, old = refusals
    assert new[0] == "GALLERY_INCOMPLETE"
    assert "lacks the templates of 1 photographs of 1 people" in new[1]
    assert "refused until the templates are made" in new[1]
    assert old[0] == "EMBEDDING_MODEL_MISMATCH"


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
    assert told[0].stage == Response.STAGE_MOVING_SIGHTINGS
    assert told[-1].stage == Response.STAGE_DONE


@pytest.mark.parametrize("model", ["third-pack", NEW.name, OLD.digest[:12]])
async def test_a_pack_that_the_embedding_service_does_not_run_is_refused_and_nothing_changes(
    matching: Matching, model: str
) -> None:
    anna = await matching.enrol("anna")

    reason, message = await refusal(matching.moved(model))

    assert reason == "MODEL_NOT_SERVED"
    assert f"the embedding service runs old-pack, not {model}" in message
    assert await matching.found("anna", OLD) == [anna]


@pytest.mark.parametrize("model", ["", "x" * 201])
async def test_a_model_has_a_name(matching: Matching, model: str) -> None:
    assert (await refusal(matching.moved(model)))[0] == "FIELD_INVALID"


async def test_a_pack_is_named_by_its_digest_too(world: World, matching: Matching) -> None:
    world.embedding.model = NEW

    assert (await matching.moved(NEW.digest))[-1].stage == Response.STAGE_DONE


async def test_a_gallery_can_be_moved_back_with_the_photographs_that_were_refused_before(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    world.embedding.refused = {b"anna1"}
    await matching.reenrol()
    world.embedding.refused = set()

    *_, last = await matching.reenrol(OLD)

    assert (last.stage, last.unusable_photos) == (Response.STAGE_DONE, [])
    assert await matching.found("anna", OLD) == [anna]
    assert await matching.gallery.count() == 2


async def test_photographs_that_the_pack_cannot_use_are_told_by_subject_and_reason(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    world.embedding.refused = {b"anna2"}

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


async def test_nobody_is_passed_by_unless_that_is_accepted(
    world: World, matching: Matching
) -> None:
    anna, ben = await matching.enrol("anna"), await matching.enrol("ben")
    world.embedding.refused = {b"ben"}
    matching.switch(NEW)
    told: list[Response] = []

    async def collect() -> None:
        request = subject_service_pb2.ReenrolSubjectsRequest(model=NEW.name)
        async for each in matching.subjects.ReenrolSubjects(request):
            told.append(each)  # noqa: PERF401 - those before the error are wanted

    reason, message = await refusal(collect())

    assert (reason, told[-1].lost_subject_ids) == ("SUBJECTS_LOST", [ben])
    assert "1 of the subjects" in message
    assert (await refusal(matching.found("anna", NEW)))[0] == "GALLERY_INCOMPLETE"
    await matching.moved(NEW.name, accept_lost=True)
    matching.clock.pass_time(INCOMPLETE_FOR)
    assert await matching.found("anna", NEW) == [anna]


async def test_who_is_lost_is_named_at_the_end_and_not_searched_for(
    world: World, matching: Matching
) -> None:
    anna, ben = await matching.enrol("anna"), await matching.enrol("ben")
    world.embedding.refused = {b"ben"}

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
    for letter in "abcd":
        await matching.enrol(letter, *(b"%s%d" % (letter.encode(), one) for one in range(20)))
    world.embedding.judged.clear()
    world.embedding.model = NEW
    call = matching.subjects.ReenrolSubjects(
        subject_service_pb2.ReenrolSubjectsRequest(model=NEW.name)
    )
    while (await call.read()).done_photo_count < 64:  # what is written together
        pass
    call.cancel()

    *_, last = await matching.reenrol()

    assert last.stage == Response.STAGE_DONE
    assert len(world.embedding.judged) <= 80 + 8  # a batch twice at most


async def test_the_sweep_goes_on_with_a_run_that_broke_off(
    world: World, matching: Matching
) -> None:
    anna = await matching.enrol("anna")
    matching.switch(NEW)
    call = matching.subjects.ReenrolSubjects(
        subject_service_pb2.ReenrolSubjectsRequest(model=NEW.name)
    )
    await call.read()
    call.cancel()
    await matching.gallery.start_over(ModelInfo(NEW.name, NEW.digest, NEW.template_size))
    for entry in await world.leases.entries():  # which run out within a minute
        await world.leases.erase(entry.key)

    await matching.retention.sweep(yes)

    assert await matching.found("anna", NEW) == [anna]


async def test_a_second_run_waits_for_the_first_and_finds_its_work_done(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna", b"anna1", b"anna2")
    world.embedding.judged.clear()
    second: list[asyncio.Task[list[Response]]] = []

    async def begin() -> None:
        if not second:
            second.append(asyncio.create_task(matching.moved(NEW.name)))
            await asyncio.sleep(0.05)

    world.embedding.meanwhile = begin
    await matching.reenrol()
    told = await second[0]

    assert told[-1].stage == Response.STAGE_DONE
    assert sorted(world.embedding.judged) == [b"anna1", b"anna2"]


async def test_who_is_enrolled_or_closed_meanwhile_is_so(world: World, matching: Matching) -> None:
    people = [await matching.enrol(f"person{letter}") for letter in "abcdefghijklmnopqrstuvw"]
    others: dict[int, str] = {}
    judged = 0

    async def meanwhile() -> None:
        nonlocal judged
        judged, turn = judged + 1, judged
        if turn % 4 == 1 and turn < 24:
            await matching.close(people[turn])
            others[turn] = await matching.enrol(f"other{'abcdef'[turn // 4]}")

    world.embedding.meanwhile = meanwhile
    *_, last = await matching.reenrol()
    world.embedding.meanwhile = None

    gone = {people[turn] for turn in others}
    assert (last.stage, len(others)) == (Response.STAGE_DONE, len(gone))
    kept = [await matching.found(f"person{letter}", NEW) for letter in "abcdefghijklmnopqrstuvw"]
    came = [await matching.found(f"other{'abcdef'[turn // 4]}", NEW) for turn in sorted(others)]
    assert kept == [[] if name in gone else [name] for name in people]
    assert came == [[others[turn]] for turn in sorted(others)]
    assert await matching.gallery.count() == len(people)


async def test_a_photograph_that_the_start_overtakes_leaves_nothing(
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


async def test_a_photograph_that_is_listed_after_the_start_gets_its_template(
    world: World, matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its template went with the former gallery, and the run looks again at its end."""
    anna = await matching.enrol("anna")
    edit = matching.use._edit

    async def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(matching.use, "_edit", edit)
        listed = asyncio.Event()

        async def list_it() -> None:
            if not listed.is_set():
                listed.set()
                await edit(*args, **kwargs)

        world.embedding.meanwhile = list_it
        await matching.reenrol()
        return await matching.use.get(anna)

    monkeypatch.setattr(matching.use, "_edit", late)
    added = await matching.add(anna, b"anna2")

    assert await matching.gallery.holding([added.reference_photo.photo_id])
    assert await matching.found("anna", NEW) == [anna]


def dying(call: Any, left: list[int]) -> Any:
    """Return a call that ends the process when none are left."""

    async def counted(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return await call(*args, **kwargs)

    return counted


STEPS = 31
"""More than a run of `killed` takes: calls of Qdrant, and writes of which collection is in use."""


async def killed(world: World, monkeypatch: pytest.MonkeyPatch, step: int) -> tuple[str, str, str]:
    """Enrol Anna, Ben and Carl, and end the process at a step of their re-enrolment."""
    async with world.matching() as matching:
        anna, ben = await matching.enrol("anna", b"anna1", b"anna2"), await matching.enrol("ben")
        carl = await matching.enrol("carl")
        await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
        left = [step]
        world.embedding.judged.clear()
        world.embedding.model = NEW
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
        assert len(world.embedding.judged) <= 4 + AT_ONCE
        assert await restarted.gallery.count() == 4
        names = await world.engine.run(world.engine.client.get_collections)
        assert len(names.collections) == 2
        found = [await restarted.found(name, NEW) for name in ("anna", "ben", "carl")]
        assert found == [[anna], [ben], [carl]]
        assert len(await restarted.index.find(SightingFilter())) == 1


@pytest.mark.parametrize("step", range(STEPS))
async def test_what_is_found_after_a_run_was_killed_is_recorded_once_a_sweep_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    anna, _, _ = await killed(world, monkeypatch, step)
    async with world.matching() as restarted:
        await restarted.retention.sweep(yes)

        digest = (await restarted.gallery.model()).digest
        (model,) = [one for one in (OLD, NEW) if one.digest == digest]
        answer = await restarted.sightings.RecordSightings(finding(anna, model, score=0.6))
        assert answer.results[0].sighting.model_digest == digest


@pytest.mark.parametrize("step", range(STEPS))
async def test_who_is_closed_after_a_run_was_killed_is_in_no_collection(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    anna, ben, carl = await killed(world, monkeypatch, step)
    async with world.matching() as restarted:
        await restarted.close(carl)
        await restarted.reenrol()
        await restarted.retention.sweep(yes)
        certificate = (await restarted.close(carl)).certificate

        assert [
            entry.outcome for entry in certificate.entries if entry.data == "reference templates"
        ] == [subject_pb2.ErasureEntry.OUTCOME_ERASED]
        names = await world.engine.run(world.engine.client.get_collections)
        assert len(names.collections) == 2
        found = [await restarted.found(name, NEW) for name in ("anna", "ben", "carl")]
        assert found == [[anna], [ben], []]
        assert len(await restarted.index.find(SightingFilter())) == 1


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
async def test_everything_of_the_former_pack_is_refused_afterwards_and_says_what_to_do(
    matching: Matching, act: str
) -> None:
    anna = await matching.enrol("anna")
    await matching.reenrol()
    matching.embedding.model = OLD

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


@pytest.mark.parametrize("act", ["Match", "AddReferencePhoto", "RecordSightings"])
async def test_an_embedding_service_that_has_changed_its_pack_is_refused(
    world: World, matching: Matching, act: str
) -> None:
    anna = await matching.enrol("anna")
    await matching.sightings.RecordSightings(finding(anna, OLD, score=0.5))
    world.embedding.model = NEW

    reason, message = await refusal(
        {
            "Match": lambda: matching.found("anna", NEW),
            "AddReferencePhoto": lambda: matching.add(anna, b"anna2"),
            "RecordSightings": lambda: matching.sightings.RecordSightings(
                finding(anna, NEW, score=0.5)
            ),
        }[act]()
    )

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert "model pack old-pack (aaaaaaaaaaaa)" in message
    assert "new-pack (bbbbbbbbbbbb)" in message
    assert "have the kept photographs embedded again" in message
    assert len(await world.photos.objects("")) == await matching.gallery.count() == 1


async def test_an_embedding_service_that_changes_its_pack_during_a_run_ends_it(
    world: World, matching: Matching
) -> None:
    await matching.enrol("anna")

    async def change() -> None:
        world.embedding.model = model_pb2.Model(
            name="third-pack", digest="c" * 64, template_size=16
        )

    world.embedding.meanwhile = change
    reason, _ = await refusal(matching.reenrol())

    assert reason == "EMBEDDING_MODEL_MISMATCH"
    assert await matching.gallery.count() == 0


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

    again = await matching.sightings.RecordSightings(finding(anna, NEW, score=0.5, start=11))
    (held,) = await matching.index.find(SightingFilter())
    still = await world.evidence.get(f"pending/{held.sighting_id}.jpg")

    assert again.results[0].sighting.sighting_id == first.results[0].sighting.sighting_id
    assert (held.score, held.model_digest, still) == (0.5, NEW.digest, b"new-pack")
    assert held.end_offset - held.start_offset == timedelta(seconds=5)


async def test_a_confirmed_sighting_of_the_old_pack_takes_findings_in_and_does_not_change(
    matching: Matching,
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

    again = await matching.sightings.RecordSightings(finding(anna, NEW, score=0.9))

    assert again.results[0].sighting.model_digest == OLD.digest
    assert again.results[0].sighting.state == sighting_pb2.Sighting.STATE_CONFIRMED


async def test_an_erasure_during_a_run_finds_no_template_and_says_so(
    world: World, matching: Matching
) -> None:
    """Those of the former pack are gone, with their files, before the first new one is made."""
    await matching.enrol("anna")
    ben = await matching.enrol("ben")
    closed: list[Any] = []

    async def close() -> None:
        if not closed:
            closed.append(await matching.close(ben))

    world.embedding.meanwhile = close
    await matching.reenrol()

    (templates,) = [e for e in closed[0].certificate.entries if e.data == "reference templates"]
    assert templates.outcome == subject_pb2.ErasureEntry.OUTCOME_ERASED
    names = await world.engine.run(world.engine.client.get_collections)
    assert len(names.collections) == 2


async def test_an_erasure_is_pending_while_files_of_the_former_pack_are_there(
    matching: Matching,
) -> None:
    anna = await matching.enrol("anna")
    await matching.gallery.start_over(ModelInfo(NEW.name, NEW.digest, NEW.template_size))

    first = (await matching.close(anna)).certificate
    await matching.retention.sweep(yes)
    later = (await matching.close(anna)).certificate

    outcomes = [
        entry.outcome
        for one in (first, later)
        for entry in one.entries
        if entry.data == "reference templates"
    ]
    assert outcomes == [
        subject_pb2.ErasureEntry.OUTCOME_PENDING,
        subject_pb2.ErasureEntry.OUTCOME_ERASED,
    ]


async def cli(matching: Matching, *arguments: str) -> int:
    matching.switch(NEW)
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
    world.embedding.refused = {b"anna1", b"ben"}

    code = await cli(matching, "--model", NEW.name, "--output", "json")
    first = capsys.readouterr()
    accepted = await cli(matching, "--model", NEW.name, "--output", "json", "--accept-lost")

    document = document_in(first.out)
    assert (code, accepted) == (7, 10)
    assert "reason: SUBJECTS_LOST" in first.err
    assert document["reenrolment"]["lostSubjectIds"] == [ben]
    assert {one["subjectId"] for one in document["unusablePhotos"]} == {anna, ben}
    assert document_in(capsys.readouterr().out)["reenrolment"]["stage"] == "STAGE_DONE"
