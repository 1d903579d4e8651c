from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.matching.gallery.model import Box
from homeward.matching.sightings.model import Decision
from homeward.matching.subjects.model import (
    MAX_PHOTOS_PER_SUBJECT,
    ErasureOutcome,
    SubjectDetails,
    SubjectState,
)
from homeward.servicekit.errors import (
    AbortedError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    Reason,
    ResourceExhaustedError,
    unavailable,
)

NOBODY = "00000000-0000-4000-8000-00000000ffff"
NOTHING = dict.fromkeys(["records", "ledger", "photos", "evidence", "gallery", "sightings"], 0)


@pytest.fixture
async def filled(matching: Any, subject_id: str, finding: Any) -> str:
    """A subject with two photographs, a sighting, and a confirmed one."""
    await matching.subjects.add_photo(subject_id, b"photo 1")
    await matching.subjects.add_photo(subject_id, b"photo 2")
    await matching.recording.record(finding(10, 14))
    _, confirmed = await matching.recording.record(finding(60, 64))
    await review(matching, confirmed.sighting_id)
    return subject_id


async def review(matching: Any, sighting_id: str) -> None:
    await matching.review.review(sighting_id, decision=Decision.CONFIRM, reason="", reviewer="R")


async def test_a_subject_is_enrolled_open_and_without_photographs(
    matching: Any, details: SubjectDetails
) -> None:
    created = await matching.subjects.create(details, request_id="")

    subject = created.value
    assert (subject.state, subject.details, subject.photos) == (SubjectState.OPEN, details, ())
    assert subject.create_time == subject.update_time == matching.clock.now()
    assert await matching.subjects.get(subject.subject_id) == created


async def test_a_retry_of_the_creation_gives_the_same_subject(
    matching: Any, details: SubjectDetails, pass_time: Callable[[timedelta], None]
) -> None:
    first = await matching.subjects.create(details, request_id="r")
    pass_time(timedelta(minutes=1))

    assert await matching.subjects.create(details, request_id="r") == first


async def test_a_retry_of_the_creation_is_recognised_after_an_update(
    matching: Any, details: SubjectDetails
) -> None:
    first = (await matching.subjects.create(details, request_id="r")).value
    await matching.subjects.update(first.subject_id, lambda held: replace(held, label="B"), etag="")

    again = (await matching.subjects.create(details, request_id="r")).value

    assert again.subject_id == first.subject_id


async def test_another_subject_under_the_same_request_id_is_refused(
    matching: Any, details: SubjectDetails
) -> None:
    await matching.subjects.create(details, request_id="r")

    with pytest.raises(InvalidArgumentError) as refused:
        await matching.subjects.create(replace(details, label="B"), request_id="r")

    assert refused.value.reason is Reason.REQUEST_ID_REUSED
    assert refused.value.metadata == {"request_id": "r"}


async def test_the_request_id_of_a_closed_subject_brings_nothing_back(
    matching: Any, subject_id: str, details: SubjectDetails
) -> None:
    await matching.closing.close(subject_id)

    with pytest.raises(InvalidArgumentError) as refused:
        await matching.subjects.create(details, request_id="first")

    assert refused.value.reason is Reason.REQUEST_ID_REUSED
    assert [entry.key for entry in await matching.records.entries()] == [f"closed.{subject_id}"]


async def test_the_request_id_of_an_erased_subject_brings_nothing_back(
    matching: Any, subject_id: str, details: SubjectDetails
) -> None:
    await matching.closing.erase(subject_id)

    with pytest.raises(InvalidArgumentError) as refusal:
        await matching.subjects.create(details, request_id="first")

    assert refusal.value.reason is Reason.REQUEST_ID_REUSED
    assert await matching.records.keys() == frozenset()


async def test_without_a_request_id_every_creation_enrols(
    matching: Any, details: SubjectDetails
) -> None:
    first = (await matching.subjects.create(details, request_id="")).value
    second = (await matching.subjects.create(details, request_id="")).value

    assert first.subject_id != second.subject_id


async def test_a_photograph_is_held_as_it_was_sent(matching: Any, subject_id: str) -> None:
    offer = await matching.subjects.add_photo(subject_id, b"photo")

    (photo,) = offer.subject.value.photos
    assert offer.already_held is False
    assert photo.photo_id == offer.photo_id
    assert (photo.face_box, photo.quality) == (Box(10, 20, 30, 40), 0.75)
    assert await matching.subjects.photo(subject_id, offer.photo_id) == b"photo"
    assert await matching.subjects.get(subject_id) == offer.subject
    assert await matching.gallery.count() == 1


async def test_the_same_photograph_again_changes_nothing(matching: Any, subject_id: str) -> None:
    first = await matching.subjects.add_photo(subject_id, b"photo")
    before = await matching.everything()

    again = await matching.subjects.add_photo(subject_id, b"photo")

    assert again == replace(first, already_held=True)
    assert await matching.everything() == before


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("NO_FACE", "no face was found"),
        ("SEVERAL_FACES", "more than one face was found"),
        ("TOO_SMALL", "the face is too small"),
        ("BLURRED", "the face is blurred"),
        ("TURNED_AWAY", "the face is turned away"),
        ("NEWER_PROBLEM", "NEWER_PROBLEM"),
    ],
)
async def test_a_refused_photograph_says_what_is_wrong_and_stores_nothing(
    matching: Any, subject_id: str, problem: str, words: str
) -> None:
    matching.faces.refused[b"photo"] = (problem,)

    with pytest.raises(InvalidArgumentError) as refused:
        await matching.subjects.add_photo(subject_id, b"photo")

    assert refused.value.reason is Reason.PHOTO_REFUSED
    assert refused.value.metadata == {"verdict": problem}
    assert refused.value.message == f"the photograph cannot serve as a reference: {words}"
    assert await matching.everything() == NOTHING | {"records": 1}


async def test_every_problem_of_a_photograph_is_told(matching: Any, subject_id: str) -> None:
    matching.faces.refused[b"photo"] = ("TOO_SMALL", "BLURRED")

    with pytest.raises(InvalidArgumentError) as refused:
        await matching.subjects.add_photo(subject_id, b"photo")

    assert refused.value.metadata == {"verdict": "TOO_SMALL,BLURRED"}
    assert "the face is too small; the face is blurred" in refused.value.message


@pytest.fixture
async def full(matching: Any, subject_id: str) -> str:
    """A subject with all but one of the photographs that it may have."""
    for number in range(MAX_PHOTOS_PER_SUBJECT - 1):
        await matching.subjects.add_photo(subject_id, b"%d" % number)
    return subject_id


async def test_a_subject_has_no_more_photographs_than_it_may(matching: Any, full: str) -> None:
    await matching.subjects.add_photo(full, b"the last")

    with pytest.raises(ResourceExhaustedError) as refused:
        await matching.subjects.add_photo(full, b"one too many")

    assert refused.value.reason is Reason.PHOTO_LIMIT
    assert refused.value.metadata == {"subject_id": full, "limit": "20"}


async def test_a_photograph_that_finds_no_room_in_the_end_leaves_nothing(
    matching: Any, full: str
) -> None:
    matching.faces.meanwhile = lambda: matching.subjects.add_photo(full, b"the last")

    with pytest.raises(ResourceExhaustedError):
        await matching.subjects.add_photo(full, b"one too many")

    held = await matching.everything()
    assert (held["photos"], held["gallery"]) == (20, 20)


async def test_the_same_photograph_added_twice_at_once_is_one(
    matching: Any, subject_id: str
) -> None:
    matching.faces.meanwhile = lambda: matching.subjects.add_photo(subject_id, b"photo")

    offer = await matching.subjects.add_photo(subject_id, b"photo")

    assert len(offer.subject.value.photos) == 1
    assert await matching.gallery.count() == 1


def change(matching: Any, act: str, subject_id: str) -> Awaitable[object]:
    return {
        "add_photo": lambda: matching.subjects.add_photo(subject_id, b"photo"),
        "update": lambda: matching.subjects.update(subject_id, lambda held: held, etag=""),
    }[act]()


@pytest.mark.parametrize("act", ["add_photo", "update"])
async def test_a_closed_subject_is_not_changed(matching: Any, subject_id: str, act: str) -> None:
    await matching.closing.close(subject_id)

    with pytest.raises(FailedPreconditionError) as refused:
        await change(matching, act, subject_id)

    assert refused.value.reason is Reason.SUBJECT_CLOSED
    assert refused.value.metadata == {"subject_id": subject_id}


@pytest.mark.parametrize("act", ["add_photo", "update"])
async def test_an_unknown_subject_is_not_changed(matching: Any, act: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        await change(matching, act, NOBODY)

    assert refused.value.reason is Reason.SUBJECT_NOT_FOUND
    assert refused.value.metadata == {"subject_id": NOBODY}


@pytest.mark.parametrize(
    ("act", "error", "records"),
    [("close", FailedPreconditionError, 1), ("erase", NotFoundError, 0)],
)
async def test_a_subject_that_ends_while_a_photograph_is_judged_keeps_nothing_of_it(
    matching: Any, subject_id: str, act: str, error: type[DomainError], records: int
) -> None:
    matching.faces.meanwhile = lambda: getattr(matching.closing, act)(subject_id)

    with pytest.raises(error):
        await matching.subjects.add_photo(subject_id, b"photo")

    assert await matching.everything() == NOTHING | {"records": records}


async def test_an_update_changes_what_is_stated(
    matching: Any, subject_id: str, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(timedelta(hours=1))

    updated = await matching.subjects.update(
        subject_id, lambda held: replace(held, label="B"), etag=""
    )

    subject = updated.value
    assert subject.details.label == "B"
    assert subject.update_time - subject.create_time == timedelta(hours=1)
    assert await matching.subjects.get(subject_id) == updated


async def test_an_update_with_the_present_etag_is_taken(matching: Any, subject_id: str) -> None:
    etag = (await matching.subjects.get(subject_id)).etag

    after = (await matching.subjects.update(subject_id, lambda held: held, etag=etag)).etag

    assert after != etag


async def test_an_update_with_an_older_etag_is_refused(matching: Any, subject_id: str) -> None:
    etag = (await matching.subjects.get(subject_id)).etag
    await matching.subjects.update(subject_id, lambda held: replace(held, label="B"), etag="")

    with pytest.raises(AbortedError) as refused:
        await matching.subjects.update(subject_id, lambda held: held, etag=etag)

    assert refused.value.reason is Reason.ETAG_MISMATCH
    assert refused.value.metadata == {"resource": subject_id}


async def test_closing_erases_everything_but_a_shell(matching: Any, filled: str) -> None:
    held, _ = await matching.closing.close(filled)

    closed = held.value
    assert (closed.state, closed.details, closed.photos) == (SubjectState.CLOSED, None, ())
    assert closed.created_as is None
    assert await matching.subjects.get(filled) == held
    assert await matching.everything() == NOTHING | {"records": 1}


async def test_the_shell_of_a_closed_subject_names_nobody(
    matching: Any, filled: str, details: SubjectDetails
) -> None:
    await matching.closing.close(filled)

    (entry,) = await matching.records.entries()
    stated = [details.label, details.case_reference, details.legal_basis, details.authorised_by]
    assert [text for text in stated if text.encode() in entry.value] == []


async def test_the_certificate_says_what_became_of_each_store(matching: Any, filled: str) -> None:
    _, certificate = await matching.closing.close(filled)

    assert (certificate.subject_id, certificate.erase_time) == (filled, matching.clock.now())
    assert [
        (entry.data, entry.store, entry.item_count, entry.outcome) for entry in certificate.entries
    ] == [
        ("reference templates", "Qdrant subjects", 2, ErasureOutcome.PENDING),
        ("sightings", "Qdrant sightings", 2, ErasureOutcome.PENDING),
        ("stills", "S3 homeward-evidence", 2, ErasureOutcome.PENDING),
        ("scans", "NATS KV SCANS", 2, ErasureOutcome.PENDING),
        ("feed of sightings", "NATS stream SIGHTING_FEED", 2, ErasureOutcome.PENDING),
        ("reference photographs", "S3 homeward-subjects", 2, ErasureOutcome.PENDING),
        ("subjects", "NATS KV SUBJECTS", 1, ErasureOutcome.ERASED),
    ]


async def test_the_certificate_promises_no_more_than_was_seen(matching: Any, filled: str) -> None:
    _, certificate = await matching.closing.close(filled)

    pending = [one for one in certificate.entries if one.outcome is ErasureOutcome.PENDING]
    assert [one for one in pending if "bytes" not in one.verification and one.until is None] == []


async def test_closing_again_finds_nothing_left(
    matching: Any, filled: str, pass_time: Callable[[timedelta], None]
) -> None:
    first, _ = await matching.closing.close(filled)
    pass_time(timedelta(days=1))

    again, certificate = await matching.closing.close(filled)

    assert again == first
    # What the first certificate told stands: the repetition found nothing.
    assert [one.item_count for one in certificate.entries] == [2, 2, 2, 2, 2, 2, 1]


async def test_a_store_that_does_not_answer_is_an_entry_and_the_rest_is_erased(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: str) -> Any:
        raise unavailable("Qdrant", "its local folder", "start it")

    monkeypatch.setattr(matching.gallery, "remove_subject", fails)

    _, certificate = await matching.closing.close(filled)

    templates, *others, record = certificate.entries
    assert templates.outcome is record.outcome is ErasureOutcome.FAILED
    assert templates.verification == (
        "Qdrant does not answer at its local folder; the next sweep tries again"
    )
    assert [one for one in others if one.outcome is ErasureOutcome.FAILED] == []
    assert await matching.everything() == NOTHING | {"records": 2, "gallery": 2}


async def test_closing_again_does_what_was_left_undone(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: str) -> Any:
        raise unavailable("Qdrant", "its local folder", "start it")

    with monkeypatch.context() as while_it_is_down:
        while_it_is_down.setattr(matching.gallery, "remove_subject", fails)
        await matching.closing.close(filled)

    await matching.closing.close(filled)

    assert await matching.everything() == NOTHING | {"records": 1}


async def test_erasing_forgets_that_the_subject_was_there(matching: Any, filled: str) -> None:
    await matching.closing.erase(filled)

    assert await matching.everything() == NOTHING


async def test_an_erasure_that_failed_keeps_the_shell_for_the_next(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: str) -> Any:
        raise unavailable("Qdrant", "its local folder", "start it")

    with monkeypatch.context() as while_it_is_down:
        while_it_is_down.setattr(matching.gallery, "remove_subject", fails)
        await matching.closing.erase(filled)
        shell = (await matching.subjects.get(filled)).value

    await matching.closing.erase(filled)

    assert shell.state is SubjectState.CLOSED
    assert await matching.everything() == NOTHING


@pytest.mark.parametrize("act", ["close", "erase", "get"])
async def test_an_unknown_subject_is_not_found(matching: Any, act: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        await getattr(matching.subjects if act == "get" else matching.closing, act)(NOBODY)

    assert refused.value.reason is Reason.SUBJECT_NOT_FOUND


async def test_subjects_are_found_newest_first(
    matching: Any,
    subject_id: str,
    details: SubjectDetails,
    pass_time: Callable[[timedelta], None],
) -> None:
    pass_time(timedelta(hours=1))
    newer = (await matching.subjects.create(details, request_id="second")).value

    found = await matching.subjects.find(show_closed=False)

    assert [held.value.subject_id for held in found] == [newer.subject_id, subject_id]


@pytest.mark.parametrize(("show_closed", "count"), [(True, 1), (False, 0)])
async def test_closed_subjects_are_found_when_asked_for(
    matching: Any,
    subject_id: str,
    show_closed: bool,  # noqa: FBT001 - a case
    count: int,
) -> None:
    await matching.closing.close(subject_id)

    assert len(await matching.subjects.find(show_closed=show_closed)) == count
