from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from matching_world import (
    BY_SUBJECT,
    FIELD,
    NOBODY,
    World,
    create,
    fields_at_fault,
    refusal,
    update,
)

from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.api.matching.v1 import retention_service_pb2 as retention_pb
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_pb2
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.matching.convert import subjects as convert_subjects
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import InvalidArgumentError, Reason
from homeward.servicekit.identity.caller import Caller, acting_for
from homeward.servicekit.wire import to_timestamp


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
