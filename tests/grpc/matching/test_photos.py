from __future__ import annotations

from typing import Any

import grpc
import pytest
from matching_world import FIELD, POLICY, World, add, create, photo_of, refusal

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.servicekit.errors import Reason


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
