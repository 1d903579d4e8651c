"""The matching service as its clients meet it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from following import Followers
from google.protobuf.field_mask_pb2 import FieldMask
from matching_stores import in_memory

from homeward.api.common.v1 import policy_pb2 as figures_pb2
from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import matching_service_pb2 as matching
from homeward.api.matching.v1 import (
    matching_service_pb2_grpc,
    policy_pb2,
    policy_service_pb2_grpc,
    retention_service_pb2_grpc,
    sighting_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2_grpc,
)
from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.api.matching.v1 import retention_service_pb2 as retention_pb
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.core.policy import (
    MOST_BYTES,
    Ages,
    Basis,
    Cohort,
    Measurement,
    PolicyFile,
    Rate,
    write_policy,
)
from homeward.matching.adapters.memory import (
    InMemorySightingIndex,
    InMemorySubjectIndex,
)
from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.adapters.memory_records import InMemorySightingLedger, InMemorySubjectRecords
from homeward.matching.composition import Choices, compose
from homeward.matching.convert import subjects as convert_subjects
from homeward.matching.convert.ids import MAX_SCOPE
from homeward.matching.convert.leases import MOST_CASES, MOST_HELD, USUALLY_HELD
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.matching.servicer import services
from homeward.servicekit.clients import open_channel, translate
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field, unavailable
from homeward.servicekit.identity.caller import Caller, acting_for
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp
from required_fields import call_with_nothing, calls_with_required_fields

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
NOBODY = "00000000-0000-4000-8000-00000000ffff"
FOOTAGE = "gate-20260304t120000000000z-0123456789abcdef"
ONE_TOO_MANY = 21
POLICY = "yunet-sface/1"

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # where the clock stands
IN_A_MONTH = to_timestamp(NOON + timedelta(days=30))
DOWN = (grpc.StatusCode.UNAVAILABLE, Reason.COMPONENT_UNAVAILABLE)
FIELD = (grpc.StatusCode.INVALID_ARGUMENT, Reason.FIELD_INVALID)


class FakeFaceAnalyzer:
    """Judges a photograph by what is written in it."""

    def __init__(self) -> None:
        self.down = False

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        if self.down:
            raise unavailable("embedding", "e:1", "start it")
        if photo == b"no picture":
            raise invalid_field("photo", "is no picture")
        if photo == b"two people":
            return PhotoAnalysis(("SEVERAL_FACES",), None, 0.0, None)
        model = OTHER_MODEL if photo == b"other model" else MODEL
        person = 1 if photo.startswith(b"somebody else") else 0
        return PhotoAnalysis((), Box(1, 2, 3, 4), 0.75, Template(axis(person), model))

    async def model(self) -> ModelInfo:
        if self.down:
            raise unavailable("embedding", "e:1", "start it")
        return ModelInfo("yunet-sface", MODEL, 4)


class Breakable:
    """A store that stops answering when it is told to."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise unavailable("NATS", "nats://n:4222", "start it")
        return getattr(self.store, name)


@dataclass
class World:
    """A client of the service, and the fakes behind it."""

    subjects: Any
    matching: Any
    sightings: Any
    policies: Any
    retention: Any
    faces: FakeFaceAnalyzer
    stores: list[Breakable]

    def break_down(self) -> None:
        self.faces.down = True
        for store in self.stores:
            store.down = True


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[World]:
    faces = FakeFaceAnalyzer()
    breakable = {
        "records": Breakable(InMemorySubjectRecords()),
        "ledger": Breakable(InMemorySightingLedger()),
        "approvals": Breakable(InMemoryKeyValueStore()),
        "leases": Breakable(InMemoryKeyValueStore()),
        "gallery": Breakable(InMemorySubjectIndex(MODEL)),
        "index": Breakable(InMemorySightingIndex(MODEL)),
        "feed": Breakable(InMemorySightingFeed()),
    }
    stores = in_memory(faces=faces, **breakable)
    use_cases = compose(stores, Choices(shipped=[policy_file()]), clock)
    until = clock.now() + timedelta(days=30)
    await use_cases.policies.approve(POLICY, approver="A. Prover", valid_until=until, note="")
    await use_cases.policies.activate(POLICY)
    served = services(use_cases, stores, clock)
    server = GrpcServer(served, listen="localhost:0", checks={}, grace_seconds=0)
    await server.start()
    async with open_channel(f"localhost:{server.port}") as channel:
        yield World(
            subject_service_pb2_grpc.SubjectServiceStub(channel),
            matching_service_pb2_grpc.MatchingServiceStub(channel),
            sighting_service_pb2_grpc.SightingServiceStub(channel),
            policy_service_pb2_grpc.PolicyServiceStub(channel),
            retention_service_pb2_grpc.RetentionServiceStub(channel),
            faces,
            list(breakable.values()),
        )
    await server.stop()


def policy_file(policy_id: str = POLICY, **changes: Any) -> bytes:
    measured = {
        "gallery_size": 500,
        "fpir": Rate(0.01, 0.005, 0.02, trials=1000),
        "fnir": Rate(0.04, 0.03, 0.06, trials=500),
        "dataset": "photographs",
        "dataset_digest": "d" * 64,
        "identities": 1000,
        "photographs": 2000,
        "seed": 0,
        "make_time": datetime(2026, 1, 1, tzinfo=UTC),
        "limits": "not CCTV",
        "cohorts": (Cohort("18 to 30", 200, Rate(0.02, 0.01, 0.04, trials=100), None),),
    }
    model = changes.pop("model_digest", MODEL)
    measurement = Measurement(**measured | changes)
    return write_policy(PolicyFile(policy_id, "yunet-sface", model, 0.45, measurement))


def axis(number: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[number]


def template(number: int = 0, model: str = MODEL) -> types_pb2.Template:
    return types_pb2.Template(values=axis(number).tolist(), model_digest=model)


@pytest.fixture
def stated(clock: Clock) -> Callable[..., subject_pb2.Subject]:
    """Makes subjects to enrol."""

    def make(**changes: Any) -> subject_pb2.Subject:
        values = {
            "case_reference": "MP-2026-17",
            "label": "Anna Example",
            "age_group": subject_pb2.AGE_GROUP_CHILD,
            "legal_basis": "vital interests",
            "authorised_by": "DI Example",
            "review_time": to_timestamp(clock.now() + timedelta(days=90)),
        }
        return subject_pb2.Subject(**values | changes)

    return make


@pytest.fixture
async def subject_id(world: World, stated: Any) -> str:
    """An open subject with a photograph."""
    answer = await world.subjects.CreateSubject(
        subjects.CreateSubjectRequest(subject=stated(), request_id="r")
    )
    name = answer.subject.subject_id
    await world.subjects.AddReferencePhoto(
        subjects.AddReferencePhotoRequest(subject_id=name, photo=b"photo")
    )
    return name


@pytest.fixture
async def closed_id(world: World, stated: Any) -> str:
    """A closed subject."""
    answer = await world.subjects.CreateSubject(subjects.CreateSubjectRequest(subject=stated()))
    await world.subjects.CloseSubject(
        subjects.CloseSubjectRequest(subject_id=answer.subject.subject_id)
    )
    return answer.subject.subject_id


@pytest.fixture
async def full_id(world: World, subject_id: str) -> str:
    """A subject with as many photographs as it may have."""
    for number in range(2, ONE_TOO_MANY):
        await world.subjects.AddReferencePhoto(
            subjects.AddReferencePhotoRequest(subject_id=subject_id, photo=b"%d" % number)
        )
    return subject_id


@pytest.fixture
def finding(subject_id: str, clock: Clock) -> Callable[..., sightings.SightingFinding]:
    """Makes findings of the subject."""

    def make(
        *, model: str = MODEL, still: bytes = b"a still", **changes: Any
    ) -> sightings.SightingFinding:
        start = clock.now() - timedelta(hours=3)
        values = {
            "subject_id": subject_id,
            "photo_id": NOBODY,
            "footage_id": FOOTAGE,
            "camera_id": "gate",
            "scan_id": NOBODY,
            "interval": to_interval(start, start + timedelta(seconds=4)),
            "best_shot_time": to_timestamp(start),
            "start_offset": to_duration(timedelta(seconds=10)),
            "end_offset": to_duration(timedelta(seconds=14)),
            "best_shot_offset": to_duration(timedelta(seconds=10)),
            "score": 0.5,
            "threshold": 0.45,
            "policy_id": "p",
            "delete_time": to_timestamp(clock.now() + timedelta(days=30)),
        }
        return sightings.SightingFinding(
            sighting=sighting_pb2.Sighting(**values | changes),
            template=template(model=model),
            still=still,
        )

    return make


@pytest.fixture
async def sighting_id(world: World, finding: Any) -> str:
    """A sighting that nobody has judged."""
    found = finding(figures=figures(approved=True))
    answer = await world.sightings.RecordSightings(
        sightings.RecordSightingsRequest(findings=[found])
    )
    return answer.results[0].sighting.sighting_id


@pytest.fixture
async def confirmed_id(world: World, sighting_id: str) -> str:
    """A confirmed sighting."""
    await world.sightings.ReviewSighting(
        sightings.ReviewSightingRequest(
            sighting_id=sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer="R. Viewer",
        )
    )
    return sighting_id


async def refusal(call: Any) -> tuple[grpc.StatusCode, Reason]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    error = refused.value
    return error.code(), translate(error, "matching", "localhost").reason


@pytest.mark.parametrize(
    "method",
    calls_with_required_fields(
        matching.DESCRIPTOR,
        policies.DESCRIPTOR,
        retention_pb.DESCRIPTOR,
        sightings.DESCRIPTOR,
        subjects.DESCRIPTOR,
    ),
    ids=lambda method: method.full_name,
)
async def test_a_call_without_its_required_fields_is_refused(world: World, method: Any) -> None:
    stubs = {
        "MatchingService": world.matching,
        "PolicyService": world.policies,
        "RetentionService": world.retention,
        "SightingService": world.sightings,
        "SubjectService": world.subjects,
    }

    call = call_with_nothing(stubs[method.containing_service.name], method)

    assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.FIELD_INVALID)


async def fields_at_fault(call: Any) -> list[str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert translate(refused.value, "matching", "").reason is Reason.FIELD_INVALID
    return [refused.value.details().partition(":")[0]]


async def create(world: World, subject: subject_pb2.Subject, request_id: str = "") -> Any:
    request = subjects.CreateSubjectRequest(subject=subject, request_id=request_id)
    return await world.subjects.CreateSubject(request)


async def add(world: World, subject_id: str, photo: bytes = b"another", **asked: Any) -> Any:
    request = subjects.AddReferencePhotoRequest(subject_id=subject_id, photo=photo, **asked)
    return await world.subjects.AddReferencePhoto(request)


async def update(world: World, subject: subject_pb2.Subject, *paths: str) -> Any:
    request = subjects.UpdateSubjectRequest(subject=subject, update_mask=FieldMask(paths=paths))
    return await world.subjects.UpdateSubject(request)


async def record(world: World, *findings: sightings.SightingFinding) -> Any:
    request = sightings.RecordSightingsRequest(findings=findings)
    return await world.sightings.RecordSightings(request)


async def review(world: World, sighting_id: str, **changes: Any) -> Any:
    values = {"decision": sighting_pb2.REVIEW_DECISION_REJECT, "reviewer": "R. Viewer"} | changes
    request = sightings.ReviewSightingRequest(sighting_id=sighting_id, **values)
    return await world.sightings.ReviewSighting(request)


# SubjectService


async def test_create_subject_answers_the_subject_as_enrolled(
    world: World, stated: Any, clock: Clock
) -> None:
    subject = (await create(world, stated())).subject

    expected = stated(
        subject_id=subject.subject_id,
        state=subject_pb2.Subject.STATE_OPEN,
        create_time=to_timestamp(clock.now()),
        update_time=to_timestamp(clock.now()),
        etag=subject.etag,
    )
    assert subject == expected


async def test_add_reference_photo_warns_of_another_person_by_the_policys_threshold(
    world: World, subject_id: str
) -> None:
    answer = await add(world, subject_id, b"somebody else")

    (warning,) = answer.warnings
    assert warning == subjects.EnrolmentWarning(
        kind=subjects.EnrolmentWarning.KIND_UNLIKE_OTHER_PHOTOS,
        subject_id=subject_id,
        score=0.0,
        threshold=warning.threshold,
        policy_id=POLICY,
    )
    assert warning.threshold == pytest.approx(0.45)
    assert answer.HasField("reference_photo")
    assert answer.not_compared_reason == ""


async def test_add_reference_photo_leaves_out_what_it_warns_of_if_asked_to(
    world: World, subject_id: str
) -> None:
    answer = await add(world, subject_id, b"somebody else", only_without_warnings=True)

    assert len(answer.warnings) == 1
    assert not answer.HasField("reference_photo")
    assert len(answer.subject.reference_photos) == 1


async def test_add_reference_photo_warns_of_whoever_is_enrolled_already(
    world: World, subject_id: str, stated: Any
) -> None:
    again = (await create(world, stated(case_reference="another case"))).subject.subject_id

    answer = await add(world, again, b"photo")

    (warning,) = answer.warnings
    assert warning.kind == subjects.EnrolmentWarning.KIND_SAME_FILE
    assert warning.subject_id == subject_id


async def test_add_reference_photo_says_that_it_compared_with_nobody(
    world: World, subject_id: str
) -> None:
    await world.policies.ExpirePolicy(
        policies.ExpirePolicyRequest(policy_id=POLICY, reason="measured wrongly")
    )

    answer = await add(world, subject_id, b"somebody else", only_without_warnings=True)

    assert answer.HasField("reference_photo")
    assert list(answer.warnings) == []
    assert POLICY in answer.not_compared_reason


async def test_create_subject_warns_of_the_same_case(
    world: World, subject_id: str, stated: Any
) -> None:
    answer = await create(world, stated(label="Another"))

    assert list(answer.warnings) == [
        subjects.EnrolmentWarning(
            kind=subjects.EnrolmentWarning.KIND_SAME_CASE, subject_id=subject_id
        )
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"case_reference": ""}, "subject.case_reference"),
        ({"case_reference": "x" * 101}, "subject.case_reference"),
        ({"label": "x" * 101}, "subject.label"),
        ({"age_group": subject_pb2.AGE_GROUP_UNSPECIFIED}, "subject.age_group"),
        ({"legal_basis": " "}, "subject.legal_basis"),
        ({"authorised_by": "x" * 201}, "subject.authorised_by"),
        ({"review_time": None}, "subject.review_time"),
    ],
)
async def test_create_subject_refuses_a_field_that_breaks_its_rule(
    world: World, stated: Any, changes: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(create(world, stated(**changes))) == [field]


async def test_create_subject_needs_an_authoriser_where_nobody_knows_who_calls(
    world: World, stated: Any
) -> None:
    nobody = stated(authorised_by="")

    assert await fields_at_fault(create(world, nobody)) == ["subject.authorised_by"]


@pytest.mark.parametrize(("given", "recorded"), [("", "Anna Archer"), ("DI Example", "DI Example")])
def test_the_authoriser_of_an_enrolment_is_whoever_is_stated_else_who_calls(
    stated: Any, clock: Clock, given: str, recorded: str
) -> None:
    subject = stated(authorised_by=given)

    with acting_for(Caller("Anna Archer", frozenset())):
        details = convert_subjects.details_from(subject, now=clock.now())

    assert details.authorised_by == recorded


def test_whoever_changes_an_enrolment_does_not_become_its_authoriser(
    stated: Any, clock: Clock
) -> None:
    subject = stated(authorised_by="")

    with acting_for(Caller("Ben Bishop", frozenset())), pytest.raises(InvalidArgumentError) as no:
        convert_subjects.details_change(subject, ("authorised_by",), now=clock.now())

    assert [one.field for one in no.value.violations] == ["subject.authorised_by"]


@pytest.mark.parametrize("days", [-1, 0, 367])
async def test_create_subject_refuses_a_review_that_is_past_or_too_far(
    world: World, stated: Any, clock: Clock, days: int
) -> None:
    late = stated(review_time=to_timestamp(clock.now() + timedelta(days=days)))

    assert await fields_at_fault(create(world, late)) == ["subject.review_time"]


async def test_create_subject_refuses_another_subject_under_a_request_id(
    world: World, stated: Any
) -> None:
    await create(world, stated(), "r")

    assert await refusal(create(world, stated(label="B"), "r")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        Reason.REQUEST_ID_REUSED,
    )


async def test_add_reference_photo_answers_the_photograph(world: World, subject_id: str) -> None:
    answer = await add(world, subject_id)

    assert answer.reference_photo.face_box == types_pb2.BoundingBox(x=1, y=2, width=3, height=4)
    assert answer.reference_photo in answer.subject.reference_photos
    assert answer.already_held is False


async def test_add_reference_photo_says_that_it_was_held(world: World, subject_id: str) -> None:
    answer = await add(world, subject_id, b"photo")

    assert answer.already_held is True
    assert len(answer.subject.reference_photos) == 1


@pytest.mark.parametrize(
    ("photo", "code", "reason"),
    [
        (b"", *FIELD),
        (bytes(32 * 1024 * 1024 + 1), *FIELD),
        (b"two people", grpc.StatusCode.INVALID_ARGUMENT, Reason.PHOTO_REFUSED),
        (
            b"other model",
            grpc.StatusCode.FAILED_PRECONDITION,
            Reason.EMBEDDING_MODEL_MISMATCH,
        ),
    ],
    ids=["empty", "too large", "refused", "other model"],
)
async def test_add_reference_photo_refuses_what_cannot_serve(
    world: World, subject_id: str, photo: bytes, code: grpc.StatusCode, reason: Reason
) -> None:
    assert await refusal(add(world, subject_id, photo)) == (code, reason)


async def test_add_reference_photo_refuses_more_than_there_may_be(
    world: World, full_id: str
) -> None:
    assert await refusal(add(world, full_id, b"one too many")) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.PHOTO_LIMIT,
    )


async def test_add_reference_photo_refuses_a_closed_subject(world: World, closed_id: str) -> None:
    assert await refusal(add(world, closed_id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SUBJECT_CLOSED,
    )


async def test_get_subject_answers_the_subject(world: World, subject_id: str) -> None:
    answer = await world.subjects.GetSubject(subjects.GetSubjectRequest(subject_id=subject_id))

    assert answer.subject.label == "Anna Example"
    assert len(answer.subject.reference_photos) == 1


async def test_list_subjects_answers_page_by_page(
    world: World, subject_id: str, closed_id: str
) -> None:
    first = await world.subjects.ListSubjects(
        subjects.ListSubjectsRequest(show_closed=True, page_size=1)
    )
    second = await world.subjects.ListSubjects(
        subjects.ListSubjectsRequest(show_closed=True, page_token=first.next_page_token)
    )

    found = {one.subject_id for page in (first, second) for one in page.subjects}
    assert (found, second.next_page_token) == ({subject_id, closed_id}, "")


@pytest.mark.parametrize(
    "change",
    [
        lambda world, stated, _: create(world, stated()),
        lambda world, _, newest: world.subjects.CloseSubject(
            subjects.CloseSubjectRequest(subject_id=newest)
        ),
    ],
    ids=["created", "closed"],
)
async def test_list_subjects_leaves_nobody_out_when_others_come_and_go_between_pages(
    world: World, stated: Any, clock: Any, change: Any
) -> None:
    names: list[str] = []
    for _ in range(4):
        clock.pass_time(timedelta(seconds=1))
        names.insert(0, (await create(world, stated())).subject.subject_id)
    first = await world.subjects.ListSubjects(subjects.ListSubjectsRequest(page_size=2))

    await change(world, stated, names[0])
    second = await world.subjects.ListSubjects(
        subjects.ListSubjectsRequest(page_token=first.next_page_token)
    )

    assert [one.subject_id for one in first.subjects] == names[:2]
    assert [one.subject_id for one in second.subjects][:2] == names[2:]


async def test_list_subjects_leaves_closed_ones_out(world: World, closed_id: str) -> None:
    answer = await world.subjects.ListSubjects(subjects.ListSubjectsRequest())

    assert closed_id not in {one.subject_id for one in answer.subjects}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"page_size": -1}, Reason.FIELD_INVALID),
        ({"page_token": "no token"}, Reason.PAGE_TOKEN_INVALID),
    ],
)
async def test_lists_refuse_a_page_that_there_cannot_be(
    world: World, asked: dict[str, Any], reason: Reason
) -> None:
    refused = (grpc.StatusCode.INVALID_ARGUMENT, reason)
    listed_subjects = world.subjects.ListSubjects(subjects.ListSubjectsRequest(**asked))
    listed_sightings = world.sightings.ListSightings(sightings.ListSightingsRequest(**asked))
    listed_policies = world.policies.ListPolicies(policies.ListPoliciesRequest(**asked))

    assert await refusal(listed_policies) == refused
    assert await refusal(listed_subjects) == refused
    assert await refusal(listed_sightings) == refused


async def test_update_subject_changes_the_fields_of_the_mask_alone(
    world: World, subject_id: str
) -> None:
    changed = subject_pb2.Subject(subject_id=subject_id, label="B", legal_basis="not in the mask")

    answer = await update(world, changed, "label")

    assert (answer.subject.label, answer.subject.legal_basis) == ("B", "vital interests")


@pytest.mark.parametrize(
    ("paths", "field"),
    [
        ((), "update_mask"),
        (("state",), "update_mask"),
        (("case_reference",), "subject.case_reference"),
    ],
)
async def test_update_subject_refuses_what_may_not_be_changed(
    world: World, subject_id: str, paths: tuple[str, ...], field: str
) -> None:
    changed = subject_pb2.Subject(subject_id=subject_id)

    assert await fields_at_fault(update(world, changed, *paths)) == [field]


async def test_update_subject_refuses_an_older_etag(world: World, subject_id: str) -> None:
    changed = subject_pb2.Subject(subject_id=subject_id, label="B", etag="1")

    assert await refusal(update(world, changed, "label")) == (
        grpc.StatusCode.ABORTED,
        Reason.ETAG_MISMATCH,
    )


async def test_update_subject_refuses_a_closed_subject(world: World, closed_id: str) -> None:
    changed = subject_pb2.Subject(subject_id=closed_id, label="B")

    assert await refusal(update(world, changed, "label")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SUBJECT_CLOSED,
    )


async def test_close_subject_answers_shell_and_certificate(world: World, subject_id: str) -> None:
    answer = await world.subjects.CloseSubject(subjects.CloseSubjectRequest(subject_id=subject_id))

    assert answer.subject.state == subject_pb2.Subject.STATE_CLOSED
    assert (answer.subject.label, answer.subject.case_reference) == ("", "")
    assert [entry.item_count for entry in answer.certificate.entries] == [1, 0, 0, 0, 0, 1, 1]


async def test_the_certificate_of_an_erased_subject_can_be_asked_for_again(
    world: World, subject_id: str
) -> None:
    await world.subjects.EraseSubject(subjects.EraseSubjectRequest(subject_id=subject_id))

    answer = await world.retention.GetErasureCertificate(
        retention_pb.GetErasureCertificateRequest(subject_id=subject_id)
    )

    assert answer.certificate.subject_id == subject_id
    assert answer.certificate.entries[0].data == "reference templates"


async def test_there_is_no_certificate_of_what_was_not_erased(
    world: World, subject_id: str
) -> None:
    request = retention_pb.GetErasureCertificateRequest(subject_id=subject_id)

    assert await refusal(world.retention.GetErasureCertificate(request)) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.SUBJECT_NOT_FOUND,
    )


async def test_the_retention_report_counts_what_is_held(world: World, subject_id: str) -> None:
    del subject_id

    report = await world.retention.GetRetentionReport(retention_pb.GetRetentionReportRequest())

    assert {one.name: one.count for one in report.held} == {
        "subjects": 1,
        "reference photographs": 1,
        "reference templates": 1,
        "sightings": 0,
        "stills": 0,
        "spans": 0,
    }
    assert not report.rebuild_due


async def test_erase_subject_answers_the_certificate_and_forgets(
    world: World, subject_id: str
) -> None:
    answer = await world.subjects.EraseSubject(subjects.EraseSubjectRequest(subject_id=subject_id))

    assert answer.certificate.subject_id == subject_id
    assert await refusal(
        world.subjects.GetSubject(subjects.GetSubjectRequest(subject_id=subject_id))
    ) == (grpc.StatusCode.NOT_FOUND, Reason.SUBJECT_NOT_FOUND)


async def photo_of(world: World, subject_id: str, photo_id: str = NOBODY) -> Any:
    request = subjects.GetReferencePhotoRequest(subject_id=subject_id, photo_id=photo_id)
    return await world.subjects.GetReferencePhoto(request)


BY_SUBJECT: dict[str, Callable[[World, str], Any]] = {
    "AddReferencePhoto": add,
    "GetReferencePhoto": photo_of,
    "GetSubject": lambda world, name: world.subjects.GetSubject(
        subjects.GetSubjectRequest(subject_id=name)
    ),
    "UpdateSubject": lambda world, name: update(
        world, subject_pb2.Subject(subject_id=name, label="B"), "label"
    ),
    "CloseSubject": lambda world, name: world.subjects.CloseSubject(
        subjects.CloseSubjectRequest(subject_id=name)
    ),
    "EraseSubject": lambda world, name: world.subjects.EraseSubject(
        subjects.EraseSubjectRequest(subject_id=name)
    ),
}


@pytest.mark.parametrize("rpc", BY_SUBJECT)
async def test_a_subject_that_is_not_there_is_not_found(world: World, rpc: str) -> None:
    assert await refusal(BY_SUBJECT[rpc](world, NOBODY)) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.SUBJECT_NOT_FOUND,
    )


@pytest.mark.parametrize("name", ["", "no id", "*"])
@pytest.mark.parametrize("rpc", BY_SUBJECT)
async def test_a_subject_is_named_by_an_id(world: World, rpc: str, name: str) -> None:
    assert await refusal(BY_SUBJECT[rpc](world, name)) == FIELD


async def test_a_reference_photograph_is_the_file_as_enrolled(
    world: World, subject_id: str
) -> None:
    added = (await add(world, subject_id)).reference_photo

    told = await photo_of(world, subject_id, added.photo_id)

    assert (told.image, told.face_box) == (b"another", added.face_box)


async def test_a_photograph_that_is_not_there_is_not_found(world: World, subject_id: str) -> None:
    assert await refusal(photo_of(world, subject_id)) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.PHOTO_NOT_FOUND,
    )


async def test_a_photograph_is_read_of_its_own_subject_alone(
    world: World, subject_id: str, stated: Any
) -> None:
    photo = (await add(world, subject_id)).reference_photo
    other = (await create(world, stated())).subject.subject_id

    assert (await refusal(photo_of(world, other, photo.photo_id)))[1] is Reason.PHOTO_NOT_FOUND


# MatchingService


@pytest.mark.usefixtures("subject_id")
@pytest.mark.parametrize(("margin", "told"), [(0.0, 0), (0.125, 0), (0.5, 1)])
async def test_match_tells_of_subjects_within_the_margin(
    world: World, margin: float, told: int
) -> None:
    alike = types_pb2.Template(values=[0.2, 0.96**0.5, 0, 0], model_digest=MODEL)

    answer = await world.matching.Match(matching.MatchRequest(probes=[alike], margin=margin))

    assert len(answer.results[0].candidates) == told


async def test_match_answers_candidates_and_policy(world: World, subject_id: str) -> None:
    answer = await world.matching.Match(matching.MatchRequest(probes=[template(0), template(1)]))

    alike, unlike = answer.results
    assert [(one.subject_id, one.score) for one in alike.candidates] == [(subject_id, 1.0)]
    assert list(unlike.candidates) == []
    assert answer.policy.policy_id == POLICY


async def test_match_tells_what_its_policy_is_worth_for_all_that_are_enrolled(
    world: World, full_id: str
) -> None:
    answer = await world.matching.Match(matching.MatchRequest(probes=[template()]))

    assert [one.subject_id for one in answer.results[0].candidates] == [full_id]
    figures = answer.policy.figures
    assert (figures.approved, figures.gallery_size, figures.measured_gallery_size) == (True, 1, 500)
    assert figures.expected_fpir.value == pytest.approx(1 - 0.99 ** (1 / 500))
    assert (figures.fnir.low, figures.fnir.high, figures.fnir.trial_count) == (0.03, 0.06, 500)


async def test_match_tells_what_its_policy_is_worth_for_those_in_its_scope(
    world: World, subject_id: str
) -> None:
    request = matching.MatchRequest(probes=[template()], subject_ids=[subject_id, NOBODY])

    assert (await world.matching.Match(request)).policy.figures.gallery_size == 2


@pytest.mark.parametrize(
    "asked",
    [
        {"probes": []},
        {"probes": [template()] * 257},
        {"probes": [types_pb2.Template(values=[1.0])]},
        {"probes": [types_pb2.Template(values=[], model_digest=MODEL)]},
        {"probes": [types_pb2.Template(values=[0.5, 0.5], model_digest=MODEL)]},
        {"probes": [types_pb2.Template(values=[float("nan")] * 4, model_digest=MODEL)]},
        {"probes": [template(), template(model=OTHER_MODEL)]},
        {"probes": [template()], "limit": 51},
        {"probes": [template()], "limit": -1},
        {"probes": [template()], "margin": -0.01},
        {"probes": [template()], "margin": 0.51},
        {"probes": [template()], "subject_ids": ["no id"]},
        {"probes": [template()], "subject_ids": [NOBODY] * 1001},
    ],
)
async def test_match_refuses_a_field_that_breaks_its_rule(
    world: World, asked: dict[str, Any]
) -> None:
    assert await refusal(world.matching.Match(matching.MatchRequest(**asked))) == FIELD


async def test_match_refuses_a_template_from_another_model(world: World, subject_id: str) -> None:
    request = matching.MatchRequest(probes=[template(model=OTHER_MODEL)], subject_ids=[subject_id])

    assert await refusal(world.matching.Match(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.EMBEDDING_MODEL_MISMATCH,
    )


async def test_get_threshold_policy_answers_the_policy(world: World, clock: Clock) -> None:
    answer = await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())

    policy = answer.policy
    assert policy.model_digest == MODEL
    assert policy.threshold == pytest.approx(0.45)
    assert (policy.approver, policy.evaluation) == ("A. Prover", False)
    assert policy.valid_until_time == to_timestamp(clock.now() + timedelta(days=30))
    assert (policy.measurement.dataset, policy.measurement.limits) == ("photographs", "not CCTV")


@pytest.mark.usefixtures("closed_id", "subject_id")
async def test_get_threshold_policy_counts_those_who_can_be_found(
    world: World, stated: Any
) -> None:
    await create(world, stated())  # without a photograph

    answer = await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())

    assert answer.policy.figures.gallery_size == 1


async def test_get_threshold_policy_tells_the_figures_of_another_gallery(world: World) -> None:
    request = matching.GetThresholdPolicyRequest(gallery_size=1000)

    figures = (await world.matching.GetThresholdPolicy(request)).policy.figures

    assert figures.expected_fpir.value == pytest.approx(1 - 0.99**2)


@pytest.mark.parametrize("size", [-1, 10_000_001])
async def test_get_threshold_policy_refuses_a_gallery_that_there_cannot_be(
    world: World, size: int
) -> None:
    request = matching.GetThresholdPolicyRequest(gallery_size=size)

    assert await refusal(world.matching.GetThresholdPolicy(request)) == FIELD


SEARCHES: dict[str, Callable[[World], Any]] = {
    "Match": lambda world: world.matching.Match(matching.MatchRequest(probes=[template()])),
    "GetThresholdPolicy": lambda world: world.matching.GetThresholdPolicy(
        matching.GetThresholdPolicyRequest()
    ),
}


@pytest.mark.parametrize("rpc", SEARCHES)
async def test_without_an_approval_in_force_nobody_is_compared(world: World, rpc: str) -> None:
    await expire(world)

    assert await refusal(SEARCHES[rpc](world)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_EXPIRED,
    )


# PolicyService


async def approve(world: World, policy_id: str = POLICY, **changes: Any) -> Any:
    values = {"approver": "A. Prover", "valid_until_time": IN_A_MONTH}
    return await world.policies.ApprovePolicy(
        policies.ApprovePolicyRequest(policy_id=policy_id, **values | changes)
    )


async def activate(world: World, policy_id: str = POLICY) -> Any:
    request = policies.ActivatePolicyRequest(policy_id=policy_id)
    return await world.policies.ActivatePolicy(request)


async def expire(world: World, policy_id: str = POLICY, reason: str = "flawed data") -> Any:
    request = policies.ExpirePolicyRequest(policy_id=policy_id, reason=reason)
    return await world.policies.ExpirePolicy(request)


async def add_policy(world: World, file: bytes) -> Any:
    return await world.policies.AddPolicy(policies.AddPolicyRequest(file=file))


async def get_policy(world: World, policy_id: str = POLICY) -> Any:
    request = policies.GetPolicyRequest(policy_id=policy_id)
    return await world.policies.GetPolicy(request)


async def test_a_policy_goes_from_file_to_use_to_its_end(world: World) -> None:
    states = policy_pb2.Policy
    added = (await add_policy(world, policy_file("yunet-sface/2"))).policy
    approved = (await approve(world, "yunet-sface/2", note="a pilot")).policy
    activated = (await activate(world, "yunet-sface/2")).policy
    expired = (await expire(world, "yunet-sface/2")).policy

    assert [(one.state, one.active) for one in (added, approved, activated, expired)] == [
        (states.STATE_UNAPPROVED, False),
        (states.STATE_APPROVED, False),
        (states.STATE_APPROVED, True),
        (states.STATE_EXPIRED, True),
    ]
    assert (approved.approval.approver, approved.approval.note) == ("A. Prover", "a pilot")
    assert expired.approval.expire_reason == "flawed data"


async def test_get_policy_tells_what_was_measured(world: World) -> None:
    policy = (await get_policy(world)).policy

    measured = policy.measurement
    assert (policy.model_name, policy.shipped, policy.active) == ("yunet-sface", True, True)
    assert (measured.gallery_size, measured.identity_count, measured.photograph_count) == (
        500,
        1000,
        2000,
    )
    assert (measured.fpir.low, measured.fpir.value, measured.fpir.high) == (0.005, 0.01, 0.02)
    (cohort,) = measured.cohorts
    assert (cohort.name, cohort.fpir.trial_count) == ("18 to 30", 100)
    assert not cohort.HasField("fnir")


async def test_the_ages_that_a_policy_was_measured_on_travel_with_each_candidate(
    world: World,
) -> None:
    rate = Rate(0.3, 0.2, 0.4, trials=50)
    band = Cohort(
        "6 to 12", 30, rate, rate, "age", Ages(6, 12), Basis.FOOTAGE, 28, fnir_identities=25
    )
    await add_policy(world, policy_file("yunet-sface/2", cohorts=(band,)))
    await approve(world, "yunet-sface/2")
    await activate(world, "yunet-sface/2")

    (cohort,) = (await get_policy(world, "yunet-sface/2")).policy.measurement.cohorts
    in_force = (
        await world.matching.GetThresholdPolicy(matching.GetThresholdPolicyRequest())
    ).policy
    (told,) = in_force.figures.age_figures

    assert (cohort.attribute, cohort.fpir_identity_count, cohort.fnir_identity_count) == (
        "age",
        28,
        25,
    )
    assert (cohort.ages.youngest_years, cohort.ages.oldest_years) == (6, 12)
    assert told.ages == cohort.ages
    assert told.basis == cohort.basis == figures_pb2.MEASUREMENT_BASIS_FOOTAGE
    assert (told.identity_count, told.fnir.trial_count) == (25, 50)


async def test_list_policies_goes_page_by_page(world: World) -> None:
    await add_policy(world, policy_file("yunet-sface/2"))
    first = await world.policies.ListPolicies(policies.ListPoliciesRequest(page_size=1))
    second = await world.policies.ListPolicies(
        policies.ListPoliciesRequest(page_size=1, page_token=first.next_page_token)
    )

    assert [one.policy_id for one in [*first.policies, *second.policies]] == [
        POLICY,
        "yunet-sface/2",
    ]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"no policy",
        b"{}",
        b"x" * (MOST_BYTES + 1),
        policy_file("yunet-sface"),
        policy_file("yunet sface/1"),
        policy_file("yunet-sface/1/2"),
        policy_file("-/1"),
        policy_file("x" * 200 + "/1"),
        policy_file("yunet-sface/2", gallery_size=0),
    ],
    ids=range(10),
)
async def test_add_policy_refuses_what_is_no_policy(world: World, file: bytes) -> None:
    assert await fields_at_fault(add_policy(world, file)) == ["file"]


async def test_add_policy_refuses_another_file_under_an_id(world: World) -> None:
    changed = policy_file(identities=999)

    assert await refusal(add_policy(world, changed)) == (
        grpc.StatusCode.ALREADY_EXISTS,
        Reason.POLICY_EXISTS,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"approver": " "}, "approver"),
        ({"approver": "x" * 201}, "approver"),
        ({"valid_until_time": None}, "valid_until_time"),
        ({"valid_until_time": to_timestamp(NOON)}, "valid_until_time"),
        ({"valid_until_time": to_timestamp(NOON + timedelta(days=367))}, "valid_until_time"),
        ({"note": "x" * 1001}, "note"),
    ],
)
async def test_approve_policy_refuses_a_field_that_breaks_its_rule(
    world: World, changes: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(approve(world, **changes)) == [field]


@pytest.mark.parametrize("reason", ["", "x" * 1001])
async def test_expire_policy_needs_a_reason(world: World, reason: str) -> None:
    assert await fields_at_fault(expire(world, reason=reason)) == ["reason"]


@pytest.mark.parametrize("call", [activate, expire])
async def test_what_nobody_has_approved_is_neither_activated_nor_expired(
    world: World, call: Any
) -> None:
    await add_policy(world, policy_file("yunet-sface/2"))

    assert await refusal(call(world, "yunet-sface/2")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_NOT_APPROVED,
    )


async def test_activate_policy_refuses_one_that_has_expired(world: World) -> None:
    await expire(world)

    assert await refusal(activate(world)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_EXPIRED,
    )


async def test_activate_policy_refuses_one_of_another_pack(world: World) -> None:
    await add_policy(world, policy_file("other/1", model_digest=OTHER_MODEL))
    await approve(world, "other/1")

    assert await refusal(activate(world, "other/1")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_MODEL_MISMATCH,
    )


BY_POLICY: dict[str, Callable[[World, str], Any]] = {
    "GetPolicy": get_policy,
    "ApprovePolicy": approve,
    "ActivatePolicy": activate,
    "ExpirePolicy": expire,
}


@pytest.mark.parametrize("rpc", BY_POLICY)
async def test_a_policy_that_is_not_there_is_not_found(world: World, rpc: str) -> None:
    assert await refusal(BY_POLICY[rpc](world, "yunet-sface/9")) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.POLICY_NOT_FOUND,
    )


@pytest.mark.parametrize("name", ["", "x" * 201])
@pytest.mark.parametrize("rpc", BY_POLICY)
async def test_a_policy_is_named_by_its_id(world: World, rpc: str, name: str) -> None:
    assert await fields_at_fault(BY_POLICY[rpc](world, name)) == ["policy_id"]


# SightingService


def figures(**changes: Any) -> figures_pb2.PolicyFigures:
    rate = figures_pb2.ErrorRate(value=0.25, low=0.125, high=0.5, trial_count=8)
    values = {"gallery_size": 2, "expected_fpir": rate, "fnir": rate, "measured_gallery_size": 500}
    return figures_pb2.PolicyFigures(**values | changes)


async def test_record_sightings_answers_what_became_of_each(world: World, finding: Any) -> None:
    answer = await record(world, finding(), finding())

    first, second = answer.results
    kinds = sightings.RecordedSighting
    assert (first.disposition, second.disposition) == (
        kinds.DISPOSITION_RECORDED,
        kinds.DISPOSITION_JOINED,
    )
    assert first.sighting == second.sighting


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"still": b""}, "still"),
        ({"still": bytes(1024 * 1024 + 1)}, "still"),
        ({"subject_id": ""}, "sighting.subject_id"),
        ({"photo_id": "x"}, "sighting.photo_id"),
        ({"scan_id": ""}, "sighting.scan_id"),
        ({"footage_id": ""}, "sighting.footage_id"),
        ({"footage_id": "a.b"}, "sighting.footage_id"),
        ({"camera_id": ""}, "sighting.camera_id"),
        ({"interval": None}, "sighting.interval.start_time"),
        ({"best_shot_time": None}, "sighting.best_shot_time"),
        ({"start_offset": None}, "sighting.start_offset"),
        ({"end_offset": to_duration(timedelta(0))}, "sighting.end_offset"),
        ({"best_shot_offset": None}, "sighting.best_shot_offset"),
        ({"delete_time": None}, "sighting.delete_time"),
        ({"score": 1.5}, "sighting.score"),
        ({"best_shot_score": -1.5}, "sighting.best_shot_score"),
        ({"rival_score": 1.5}, "sighting.rival_score"),
        ({"threshold": float("nan")}, "sighting.threshold"),
        ({"policy_id": ""}, "sighting.policy_id"),
        ({"figures": figures(gallery_size=-1)}, "sighting.figures.gallery_size"),
        ({"footage_sha256": "5b" * 31}, "sighting.footage_sha256"),
        ({"figures": figures(expected_fpir=None)}, "sighting.figures.expected_fpir"),
        ({"figures": figures(fnir={"value": 2, "trial_count": 1})}, "sighting.figures.fnir"),
        ({"figures": figures(fnir={"value": float("nan")})}, "sighting.figures.fnir"),
        ({"model": ""}, "template.model_digest"),
        ({"requesters": ["A", "B"]}, "sighting.requesters"),
        ({"requesters": [""]}, "sighting.requesters[0]"),
        ({"requesters": ["x" * 201]}, "sighting.requesters[0]"),
    ],
)
async def test_record_sightings_names_the_field_of_the_finding_that_breaks_its_rule(
    world: World, finding: Any, changes: dict[str, Any], field: str
) -> None:
    call = record(world, finding(), finding(**changes))

    assert await fields_at_fault(call) == [f"findings[1].{field}"]


async def test_a_sighting_keeps_what_its_threshold_was_worth(world: World, finding: Any) -> None:
    answer = await record(world, finding(figures=figures()))

    assert answer.results[0].sighting.figures == figures()


async def test_a_sighting_keeps_what_it_was_found_in_and_by_which_clock(
    world: World, finding: Any
) -> None:
    behind = to_duration(timedelta(seconds=-90))
    (told,) = (await record(world, finding(footage_sha256="5b" * 32, clock_offset=behind))).results
    (silent,) = (await record(world, finding(footage_id="another-recording"))).results

    assert (told.sighting.footage_sha256, told.sighting.clock_offset) == ("5b" * 32, behind)
    assert silent.sighting.footage_sha256 == ""
    assert not silent.sighting.HasField("clock_offset")


async def test_a_sighting_keeps_how_alike_somebody_else_is(world: World, finding: Any) -> None:
    (told,) = (await record(world, finding(rival_score=0.25))).results
    (silent,) = (await record(world, finding(footage_id="another-recording"))).results

    assert told.sighting.rival_score == 0.25
    assert not silent.sighting.HasField("rival_score")


async def recorded_id(world: World, finding: sightings.SightingFinding) -> str:
    (told,) = (await record(world, finding)).results
    return told.sighting.sighting_id


async def get(world: World, sighting_id: str) -> Any:
    return (
        await world.sightings.GetSighting(sightings.GetSightingRequest(sighting_id=sighting_id))
    ).sighting


async def listed(world: World, sighting_id: str) -> Any:
    answer = await world.sightings.ListSightings(sightings.ListSightingsRequest())
    return next(one for one in answer.sightings if one.sighting_id == sighting_id)


async def confirmed(world: World, sighting_id: str) -> Any:
    decision = sighting_pb2.REVIEW_DECISION_CONFIRM
    return (await review(world, sighting_id, decision=decision)).sighting


async def exported(world: World, sighting_id: str) -> Any:
    await confirmed(world, sighting_id)
    request = sightings.ExportSightingRequest(sighting_id=sighting_id, unapproved=True)
    return (await world.sightings.ExportSighting(request)).sighting


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("returned", [get, listed, confirmed, exported])
async def test_whoever_returns_a_sighting_tells_whether_its_time_is_uncertain(
    world: World, finding: Any, returned: Callable[[World, str], Any], *, uncertain: bool
) -> None:
    sighting_id = await recorded_id(world, finding(time_uncertain=uncertain))

    told = await returned(world, sighting_id)

    assert told.HasField("time_uncertain")
    assert told.time_uncertain is uncertain


@pytest.mark.parametrize("returned", [get, listed, confirmed, exported])
async def test_of_a_finding_that_does_not_tell_nobody_knows_whether_its_time_is_uncertain(
    world: World, finding: Any, returned: Callable[[World, str], Any]
) -> None:
    told = await returned(world, await recorded_id(world, finding()))

    assert not told.HasField("time_uncertain")


async def test_watch_sightings_tells_that_a_time_has_become_uncertain(
    world: World, finding: Any
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    watch = world.sightings.WatchSightings(sightings.WatchSightingsRequest())
    await asyncio.wait_for(followers.came.acquire(), 5)
    await record(world, finding(time_uncertain=False))
    first = await watch.read()
    await record(world, finding(time_uncertain=True))
    second = await watch.read()
    watch.cancel()

    assert first.sighting.sighting_id == second.sighting.sighting_id
    assert [one.sighting.time_uncertain for one in (first, second)] == [False, True]


@pytest.mark.parametrize("count", [0, 65])
async def test_record_sightings_refuses_too_few_or_too_many(
    world: World, finding: Any, count: int
) -> None:
    assert await fields_at_fault(record(world, *[finding()] * count)) == ["findings"]


async def test_record_sightings_refuses_a_template_from_another_model(
    world: World, finding: Any
) -> None:
    assert await refusal(record(world, finding(model=OTHER_MODEL))) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.EMBEDDING_MODEL_MISMATCH,
    )


async def test_get_sighting_answers_without_pictures(world: World, sighting_id: str) -> None:
    answer = await world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=sighting_id)
    )

    assert answer.sighting.sighting_id == sighting_id
    assert (answer.still, answer.reference_photo) == (b"", b"")


async def test_get_sighting_answers_with_both_pictures_when_asked(
    world: World, finding: Any, subject_id: str
) -> None:
    subject = await BY_SUBJECT["GetSubject"](world, subject_id)
    (photo,) = subject.subject.reference_photos
    answer = await record(world, finding(photo_id=photo.photo_id))

    full = await world.sightings.GetSighting(
        sightings.GetSightingRequest(
            sighting_id=answer.results[0].sighting.sighting_id,
            view=sightings.SIGHTING_VIEW_FULL,
        )
    )

    assert (full.still, full.reference_photo) == (b"a still", b"photo")
    assert full.reference_face_box == photo.face_box


async def test_list_sightings_answers_what_fits(
    world: World, sighting_id: str, subject_id: str
) -> None:
    answer = await world.sightings.ListSightings(
        sightings.ListSightingsRequest(
            subject_ids=[subject_id],
            footage_ids=[FOOTAGE],
            states=[sighting_pb2.Sighting.STATE_UNREVIEWED],
        )
    )

    assert [one.sighting_id for one in answer.sightings] == [sighting_id]


SCOPES = {"subject_ids": NOBODY, "camera_ids": "gate", "footage_ids": "f-1", "scan_ids": NOBODY}


@pytest.mark.parametrize("field", SCOPES)
async def test_list_sightings_takes_a_thousand_names_of_a_kind(world: World, field: str) -> None:
    names = [SCOPES[field]] * MAX_SCOPE

    await world.sightings.ListSightings(sightings.ListSightingsRequest(**{field: names}))
    more = sightings.ListSightingsRequest(**{field: [*names, SCOPES[field]]})

    assert await refusal(world.sightings.ListSightings(more)) == FIELD


@pytest.mark.parametrize(
    ("field", "name", "most"),
    [
        ("subject_ids", NOBODY, MAX_SCOPE),
        ("camera_ids", "gate", MAX_SCOPE),
        ("excluded_sighting_ids", NOBODY, MAX_SCOPE),
        ("case_references", "MP-1", MOST_CASES),
    ],
)
async def test_lease_sightings_takes_so_many_names_of_a_kind(
    world: World, field: str, name: str, most: int
) -> None:
    await lease(world, **{field: [name] * most})

    assert await refusal(lease(world, **{field: [name] * (most + 1)})) == FIELD


async def lease(world: World, **asked: Any) -> Any:
    request = sightings.LeaseSightingsRequest(reviewer="R. Viewer", **asked)
    return await world.sightings.LeaseSightings(request)


@pytest.fixture
async def many(world: World, sighting_id: str) -> None:
    """More sightings than a page has, some minutes after each other."""
    index = world.stores[-2].store
    held = await index.get(sighting_id)
    for number in range(MAX_PAGE_SIZE):
        after = timedelta(minutes=number)
        one = replace(
            held,
            sighting_id=f"{number:08x}-0000-4000-8000-000000000000",
            start_time=held.start_time + after,
            end_time=held.end_time + after,
        )
        await index.put(one, None)


@pytest.mark.usefixtures("many")
async def test_a_page_has_as_many_sightings_as_are_asked_for_up_to_a_thousand(
    world: World,
) -> None:
    async def told(size: int, **asked: Any) -> tuple[int, bool]:
        request = sightings.ListSightingsRequest(page_size=size, **asked)
        page = await world.sightings.ListSightings(request)
        return len(page.sightings), bool(page.next_page_token)

    assert await told(0) == (DEFAULT_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE) == (MAX_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE + 1) == (MAX_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE + 1, id_prefix="00000") == (MAX_PAGE_SIZE, False)


@pytest.mark.usefixtures("many")
async def test_a_reviewer_holds_four_candidates_or_up_to_twenty(world: World) -> None:
    held = [len((await lease(world, count=count)).sightings) for count in (0, 20, 21, 1)]

    assert held == [USUALLY_HELD, MOST_HELD, MOST_HELD, 1]


async def test_sightings_whose_ids_begin_alike_come_page_by_page_to_the_last(
    world: World, sighting_id: str
) -> None:
    index = world.stores[-2].store
    held = await index.get(sighting_id)
    names = [f"{number:08x}-0000-4000-8000-000000000000" for number in (0x10, 0x11, 0x12, 0x20)]
    for name in names:
        await index.put(replace(held, sighting_id=name), None)
    found: list[list[str]] = []
    request = sightings.ListSightingsRequest(id_prefix="0000001", page_size=2)

    while not found or request.page_token:
        answer = await world.sightings.ListSightings(request)
        found.append([one.sighting_id for one in answer.sightings])
        request.page_token = answer.next_page_token

    assert found == [names[:2], names[2:3]]


@pytest.mark.parametrize(
    "asked",
    [
        {"states": [sighting_pb2.Sighting.STATE_UNSPECIFIED]},
        {"states": [99]},
        {"subject_ids": ["no id"]},
        {"interval": types_pb2.TimeInterval(start_time={"seconds": 2}, end_time={"seconds": 1})},
    ],
)
async def test_list_sightings_refuses_a_filter_that_fits_nothing(
    world: World, asked: dict[str, Any]
) -> None:
    call = world.sightings.ListSightings(sightings.ListSightingsRequest(**asked))

    assert await refusal(call) == FIELD


async def test_review_sighting_answers_the_decision(world: World, sighting_id: str) -> None:
    answer = await review(world, sighting_id, reason="another person")

    assert answer.sighting.state == sighting_pb2.Sighting.STATE_REJECTED
    assert answer.sighting.review.reason == "another person"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decision": sighting_pb2.REVIEW_DECISION_UNSPECIFIED}, "decision"),
        ({"reviewer": ""}, "reviewer"),
        ({"reviewer": "x" * 201}, "reviewer"),
        ({"reason": "x" * 1001}, "reason"),
    ],
)
async def test_review_sighting_refuses_a_field_that_breaks_its_rule(
    world: World, sighting_id: str, changes: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(review(world, sighting_id, **changes)) == [field]


async def test_review_sighting_refuses_a_confirmed_one(world: World, confirmed_id: str) -> None:
    assert await refusal(review(world, confirmed_id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SIGHTING_REVIEWED,
    )


async def test_only_a_sighting_that_is_not_confirmed_says_when_it_is_erased(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, finding())
    request = sightings.GetSightingRequest(sighting_id=sighting_id)
    before = (await world.sightings.GetSighting(request)).sighting
    await confirmed(world, sighting_id)
    after = (await world.sightings.GetSighting(request)).sighting

    assert (before.HasField("delete_time"), after.HasField("delete_time")) == (True, False)


async def test_export_sighting_answers_sighting_and_still(
    world: World, confirmed_id: str, clock: Clock
) -> None:
    answer = await world.sightings.ExportSighting(
        sightings.ExportSightingRequest(sighting_id=confirmed_id)
    )

    assert (answer.sighting.sighting_id, answer.still) == (confirmed_id, b"a still")
    assert answer.export_time == to_timestamp(clock.now())


async def test_export_sighting_refuses_what_nobody_answers_for_unless_asked_for(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, finding(figures=figures(approved=False)))
    await confirmed(world, sighting_id)
    request = sightings.ExportSightingRequest(sighting_id=sighting_id)

    assert await refusal(world.sightings.ExportSighting(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_NOT_APPROVED,
    )
    request.unapproved = True
    answer = await world.sightings.ExportSighting(request)
    assert answer.still == b"a still"
    assert not answer.sighting.figures.approved


async def test_export_sighting_refuses_one_that_is_not_confirmed(
    world: World, sighting_id: str
) -> None:
    call = world.sightings.ExportSighting(sightings.ExportSightingRequest(sighting_id=sighting_id))

    assert await refusal(call) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SIGHTING_NOT_CONFIRMED,
    )


BY_SIGHTING: dict[str, Callable[[World, str], Any]] = {
    "GetSighting": lambda world, name: world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=name)
    ),
    "ReviewSighting": review,
    "ExportSighting": lambda world, name: world.sightings.ExportSighting(
        sightings.ExportSightingRequest(sighting_id=name)
    ),
}


@pytest.mark.parametrize("rpc", BY_SIGHTING)
async def test_a_sighting_that_is_not_there_is_not_found(world: World, rpc: str) -> None:
    assert await refusal(BY_SIGHTING[rpc](world, NOBODY)) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.SIGHTING_NOT_FOUND,
    )


@pytest.mark.parametrize("rpc", BY_SIGHTING)
async def test_a_sighting_is_named_by_an_id(world: World, rpc: str) -> None:
    assert await refusal(BY_SIGHTING[rpc](world, "no id")) == FIELD


async def rejections(world: World, **asked: Any) -> Any:
    return await world.sightings.ListRejections(sightings.ListRejectionsRequest(**asked))


async def test_list_rejections_answers_what_is_remembered_of_one(
    world: World, sighting_id: str, subject_id: str, clock: Clock
) -> None:
    sighting = (await review(world, sighting_id, reason="another person")).sighting

    (told,) = (await rejections(world)).rejections

    assert told == sighting_pb2.Rejection(
        sighting_id=sighting_id,
        subject_id=subject_id,
        footage_id=FOOTAGE,
        start_offset=sighting.start_offset,
        end_offset=sighting.end_offset,
        interval=sighting.interval,
        reviewer="R. Viewer",
        review_time=to_timestamp(clock.now()),
    )


async def test_list_rejections_pages(world: World, finding: Any) -> None:
    answer = await record(
        world,
        finding(),
        finding(
            start_offset=to_duration(timedelta(seconds=60)),
            end_offset=to_duration(timedelta(seconds=64)),
        ),
    )
    for one in answer.results:
        await review(world, one.sighting.sighting_id)

    first = await rejections(world, page_size=1)
    second = await rejections(world, page_size=1, page_token=first.next_page_token)

    found = {one.sighting_id for one in (*first.rejections, *second.rejections)}
    assert found == {one.sighting.sighting_id for one in answer.results}
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"subject_ids": ["x"]}, "subject_ids[0]"), ({"footage_ids": ["a", "*"]}, "footage_ids[1]")],
)
async def test_list_rejections_refuses_what_is_no_id(
    world: World, asked: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(rejections(world, **asked)) == [field]


async def test_the_same_rejection_again_gives_the_same_answer_but_for_what_is_erased(
    world: World, sighting_id: str
) -> None:
    first = (await review(world, sighting_id)).sighting

    again = (await review(world, sighting_id)).sighting

    assert again == sighting_pb2.Sighting(
        sighting_id=first.sighting_id,
        subject_id=first.subject_id,
        footage_id=first.footage_id,
        interval=first.interval,
        start_offset=first.start_offset,
        end_offset=first.end_offset,
        state=sighting_pb2.Sighting.STATE_REJECTED,
        review=first.review,
    )


@pytest.mark.parametrize(
    ("later", "disposition"),
    [
        (0, sightings.RecordedSighting.DISPOSITION_REJECTED_BEFORE),
        (1, sightings.RecordedSighting.DISPOSITION_RECORDED),
    ],
)
async def test_a_finding_may_take_back_what_was_rejected_before_a_time(
    world: World, finding: Any, sighting_id: str, later: int, disposition: Any
) -> None:
    rejected = (await review(world, sighting_id)).sighting.review.review_time
    before = to_timestamp(rejected.ToDatetime(UTC) + timedelta(seconds=later))
    again = finding()
    again.include_rejected_before_time.CopyFrom(before)

    answer = await record(world, again)

    assert answer.results[0].disposition == disposition


async def erase_footage(world: World, footage_id: str) -> Any:
    request = sightings.EraseFootageSightingsRequest(footage_id=footage_id)
    return await world.sightings.EraseFootageSightings(request)


def with_stills(found: sightings.SightingFinding, *seconds: int) -> sightings.SightingFinding:
    """Return a finding with stills of these places in the recording; its best shot is at 10 s."""
    for at in seconds:
        found.sighting.stills.add(
            offset=to_duration(timedelta(seconds=at)),
            time=found.sighting.best_shot_time,
            face_height_px=40,
            face_box=types_pb2.BoundingBox(x=1, y=2, width=3, height=4),
            quality=0.5,
        )
        found.stills.append(b"still %d" % at)
    return found


async def full_view(world: World, sighting_id: str) -> Any:
    return await world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=sighting_id, view=sightings.SIGHTING_VIEW_FULL)
    )


async def test_a_sighting_has_the_stills_of_its_finding_in_order(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, with_stills(finding(), 9, 10, 12))

    told = await full_view(world, sighting_id)

    assert list(told.stills) == [b"still 9", b"still 10", b"still 12"]
    assert told.still == b"still 10"
    offsets = [one.offset.ToTimedelta().total_seconds() for one in told.sighting.stills]
    assert offsets == [9, 10, 12]
    assert told.sighting.stills[0].face_box == types_pb2.BoundingBox(x=1, y=2, width=3, height=4)


async def test_a_finding_of_an_earlier_scanner_has_one_still(world: World, finding: Any) -> None:
    told = await full_view(world, await recorded_id(world, finding(face_height_px=30)))

    (still,) = told.sighting.stills
    assert list(told.stills) == [b"a still"]
    assert still.offset == told.sighting.best_shot_offset
    assert still.time == told.sighting.best_shot_time
    assert still.face_height_px == 30
    assert not still.HasField("face_box")
    assert not still.HasField("quality")


@pytest.mark.parametrize(
    ("stills", "field"),
    [
        ((10, 9), "findings[0].sighting.stills"),
        ((10, 10), "findings[0].sighting.stills"),
        ((9, 11), "findings[0].sighting.stills"),
        ((10, 11, 12, 13, 14, 15, 16), "findings[0].sighting.stills"),
    ],
    ids=["not in order", "one twice", "without the best", "more than six"],
)
async def test_stills_are_of_pictures_in_order(
    world: World, finding: Any, stills: tuple[int, ...], field: str
) -> None:
    assert await fields_at_fault(record(world, with_stills(finding(), *stills))) == [field]


async def test_as_many_stills_come_as_are_described(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10, 11)
    del found.stills[1:]

    assert await fields_at_fault(record(world, found)) == ["findings[0].stills"]


async def test_a_face_in_a_still_has_a_size(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10)
    found.sighting.stills[0].face_box.width = 0

    assert await fields_at_fault(record(world, found)) == [
        "findings[0].sighting.stills[0].face_box"
    ]


async def test_a_still_has_at_most_a_mebibyte(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10, 11)
    found.stills[1] = b"x" * (1024 * 1024 + 1)

    assert await fields_at_fault(record(world, found)) == ["findings[0].stills[1]"]


@pytest.mark.usefixtures("sighting_id")
async def test_erase_footage_sightings_answers_how_many(world: World) -> None:
    assert (await erase_footage(world, FOOTAGE)).erased_count == 1


@pytest.mark.parametrize("footage_id", ["", "*", ">", "a.b", "x" * 201])
async def test_erase_footage_sightings_takes_one_recording(world: World, footage_id: str) -> None:
    assert await refusal(erase_footage(world, footage_id)) == FIELD


async def test_a_finding_of_a_removed_recording_is_dropped_by_when_it_came(
    world: World, finding: Any, clock: Any
) -> None:
    received = to_timestamp(clock.now())
    await world.sightings.EraseFootageSightings(
        sightings.EraseFootageSightingsRequest(footage_id=FOOTAGE, footage_receive_time=received)
    )
    found = finding()
    found.footage_receive_time.CopyFrom(received)

    answer = await record(world, found)

    gone = sightings.RecordedSighting.DISPOSITION_FOOTAGE_REMOVED
    assert [(one.disposition, one.HasField("sighting")) for one in answer.results] == [
        (gone, False)
    ]


async def test_the_first_page_of_sightings_tells_what_is_lost(
    world: World, sighting_id: str, finding: Any, subject_id: str
) -> None:
    later = finding(
        start_offset=to_duration(timedelta(seconds=60)),
        end_offset=to_duration(timedelta(seconds=64)),
    )
    await record(world, later)
    ask = sightings.ListSightingsRequest
    whole = await world.sightings.ListSightings(ask())
    assert (whole.HasField("lost"), whole.lost) == (True, sightings.LostSightings())

    del world.stores[-2].store._held[sighting_id]  # Qdrant came back with an older state
    first = await world.sightings.ListSightings(ask(page_size=1))

    assert len(first.sightings) == 1
    assert first.lost == sightings.LostSightings(
        sightings=[
            sightings.LostSighting(
                sighting_id=sighting_id,
                subject_id=subject_id,
                footage_id=FOOTAGE,
                start_offset=to_duration(timedelta(seconds=10)),
                end_offset=to_duration(timedelta(seconds=14)),
            )
        ],
        sighting_count=1,
    )
    others = await world.sightings.ListSightings(ask(subject_ids=[NOBODY]))
    assert others.lost.sighting_count == 0
    without = await world.sightings.ListSightings(ask(leave_out_lost=True))
    assert not without.HasField("lost")


async def test_watch_sightings_follows_the_subjects_asked_for(
    world: World, finding: Any, subject_id: str
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    mine = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=[subject_id]))
    others = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=[NOBODY]))
    await asyncio.wait_for(followers.came.acquire(), 5)
    await asyncio.wait_for(followers.came.acquire(), 5)
    answer = await record(world, finding())

    seen = await mine.read()
    nothing, _ = await asyncio.wait([asyncio.ensure_future(others.read())], timeout=0.05)
    mine.cancel()
    others.cancel()

    assert seen.sighting == answer.results[0].sighting
    assert nothing == set()


async def test_watch_sightings_names_what_was_erased_with_its_subject_and_no_more(
    world: World, finding: Any, subject_id: str
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    watch = world.sightings.WatchSightings(sightings.WatchSightingsRequest())
    await asyncio.wait_for(followers.came.acquire(), 5)
    answer = await record(world, finding())
    held = answer.results[0].sighting

    await world.subjects.CloseSubject(subjects.CloseSubjectRequest(subject_id=subject_id))
    told = [await asyncio.wait_for(watch.read(), 5) for _ in range(2)]
    watch.cancel()

    assert [one.sighting for one in told] == [
        held,
        sighting_pb2.Sighting(
            sighting_id=held.sighting_id,
            subject_id=held.subject_id,
            state=sighting_pb2.Sighting.STATE_ERASED,
        ),
    ]


def watch(world: World, **request: Any) -> Any:
    return world.sightings.WatchSightings(sightings.WatchSightingsRequest(**request))


async def test_watch_sightings_goes_on_after_a_token(world: World, finding: Any) -> None:
    first = watch(world, send_places=True)
    began = await asyncio.wait_for(first.read(), 5)
    first.cancel()
    sighting_id = await recorded_id(world, finding())
    await confirmed(world, sighting_id)

    again = [watch(world, resume_token=began.resume_token) for _ in range(2)]
    told = [[await asyncio.wait_for(one.read(), 5) for _ in range(2)] for one in again]
    after = watch(world, resume_token=told[0][0].resume_token)
    second = await asyncio.wait_for(after.read(), 5)
    for one in (*again, after):
        one.cancel()

    assert began == sightings.WatchSightingsResponse(resume_token=began.resume_token)
    assert told[0] == told[1]
    assert second == told[0][1]
    assert [(one.change, one.state) for one in told[0]] == [
        (sightings.WatchSightingsResponse.CHANGE_RECORDED, sighting_pb2.Sighting.STATE_UNREVIEWED),
        (sightings.WatchSightingsResponse.CHANGE_REVIEWED, sighting_pb2.Sighting.STATE_CONFIRMED),
    ]
    assert {one.sighting.state for one in told[0]} == {sighting_pb2.Sighting.STATE_CONFIRMED}


async def test_watch_sightings_refuses_a_token_after_which_changes_are_gone(
    world: World, finding: Any
) -> None:
    first = watch(world, send_places=True)
    began = await asyncio.wait_for(first.read(), 5)
    first.cancel()
    await record(world, finding())
    world.stores[-1].store.forget(1)

    assert await refusal(watch(world, resume_token=began.resume_token).read()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.RESUME_TOKEN_EXPIRED,
    )


@pytest.mark.parametrize(
    "request_fields",
    [
        {"resume_token": "somewhere"},
        {"resume_token": "m" * 101},
        {"resume_token": "memory-1", "from_oldest": True},
    ],
    ids=["no token", "too long", "both"],
)
async def test_watch_sightings_refuses_what_is_no_token(
    world: World, request_fields: dict[str, Any]
) -> None:
    assert await refusal(watch(world, **request_fields).read()) == FIELD


async def test_watch_sightings_refuses_what_is_no_subject(world: World) -> None:
    call = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=["x"]))

    assert await refusal(call.read()) == FIELD


ANY_CALL: dict[str, Callable[[World, str], Any]] = {
    **BY_SUBJECT,
    **BY_SIGHTING,
    **BY_POLICY,
    "AddPolicy": lambda world, _: add_policy(world, policy_file()),
    "ListPolicies": lambda world, _: world.policies.ListPolicies(policies.ListPoliciesRequest()),
    "ListSubjects": lambda world, _: world.subjects.ListSubjects(subjects.ListSubjectsRequest()),
    "Match": lambda world, _: world.matching.Match(matching.MatchRequest(probes=[template()])),
    "GetThresholdPolicy": lambda world, _: world.matching.GetThresholdPolicy(
        matching.GetThresholdPolicyRequest()
    ),
    "ListSightings": lambda world, _: world.sightings.ListSightings(
        sightings.ListSightingsRequest()
    ),
    "ListRejections": lambda world, _: rejections(world),
    "EraseFootageSightings": lambda world, _: erase_footage(world, FOOTAGE),
    "WatchSightings": lambda world, _: world.sightings.WatchSightings(
        sightings.WatchSightingsRequest()
    ).read(),
}


@pytest.mark.parametrize("rpc", ANY_CALL)
async def test_an_engine_that_does_not_answer_is_unavailable(world: World, rpc: str) -> None:
    world.break_down()

    assert await refusal(ANY_CALL[rpc](world, NOBODY)) == DOWN


async def test_create_subject_without_its_engine_is_unavailable(world: World, stated: Any) -> None:
    world.break_down()

    assert await refusal(create(world, stated())) == DOWN


async def test_record_sightings_without_its_engine_is_unavailable(
    world: World, finding: Any
) -> None:
    found = finding()
    world.break_down()

    assert await refusal(record(world, found)) == DOWN
