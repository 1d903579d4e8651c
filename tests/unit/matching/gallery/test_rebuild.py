"""A gallery that has lost templates refuses searches until it is whole, and is made whole again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from matching_values import MODEL, NOON, SIZE, policy, unit_vector

from homeward.matching.compare import match
from homeward.matching.gallery.completeness import LOOKED_FOR
from homeward.matching.gallery.model import (
    Box,
    Candidate,
    ModelInfo,
    PhotoKey,
    RefusedPhoto,
    Template,
)
from homeward.matching.gallery.rebuild import AT_ONCE, RebuildProgress, RebuildStage
from homeward.matching.subjects.model import ReferencePhoto, SubjectDetails
from homeward.servicekit import records
from homeward.servicekit.errors import (
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    Reason,
    UnavailableError,
    unavailable,
)

MOMENT = timedelta(microseconds=1)


async def yes() -> bool:
    return True


def face(photo: bytes) -> Template:
    """Return the template that the fake makes of a photograph."""
    return Template(unit_vector(int.from_bytes(hashlib.sha256(photo).digest()[:4])), MODEL)


async def found(matching: Any, photo: bytes, *subject_ids: str) -> list[Candidate]:
    """Search for whoever a photograph shows."""
    (candidates,) = await match(
        [face(photo)],
        matching.gallery,
        matching.completeness,
        policy=policy(0.9),
        subject_ids=subject_ids,
        limit=5,
    )
    return candidates


async def enrol(matching: Any, details: SubjectDetails, *photos: bytes) -> str:
    subject = (await matching.subjects.create(details, request_id="")).value
    for photo in photos:
        await matching.subjects.add_photo(subject.subject_id, photo)
    return str(subject.subject_id)


@pytest.fixture
async def anna(matching: Any, details: SubjectDetails) -> str:
    return await enrol(matching, details, b"anna 1", b"anna 2")


@pytest.fixture
async def ben(matching: Any, details: SubjectDetails) -> str:
    return await enrol(matching, details, b"ben")


async def refused(matching: Any, photo: bytes, *subject_ids: str) -> DomainError:
    with pytest.raises(FailedPreconditionError) as refusal:
        await found(matching, photo, *subject_ids)
    assert refusal.value.reason is Reason.GALLERY_INCOMPLETE
    return refusal.value


async def rebuilt(matching: Any, *, accept_lost: bool = False) -> list[RebuildProgress]:
    return [told async for told in matching.gallery_rebuild.run(accept_lost=accept_lost)]


def keys(photos: Any) -> set[PhotoKey]:
    return {one.photo for told in photos for one in told.refused}


async def photo_ids(matching: Any, subject_id: str) -> list[str]:
    subject = (await matching.subjects.get(subject_id)).value
    return [photo.photo_id for photo in subject.photos]


async def test_a_gallery_that_came_back_empty_refuses_to_search_and_says_what_to_do(
    matching: Any, anna: str, ben: str
) -> None:
    del anna
    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]
    matching.gallery.lose()

    refusal = await refused(matching, b"ben")

    assert refusal.metadata == {"subject_count": "2", "photo_count": "3"}
    assert "lacks the templates of 3 photographs of 2 people" in refusal.message
    assert "refused until the templates are made" in refusal.message


async def test_a_gallery_that_came_back_with_an_older_state_refuses_to_search(
    matching: Any, anna: str, ben: str
) -> None:
    await found(matching, b"ben")
    matching.gallery.lose([(await photo_ids(matching, anna))[1], *await photo_ids(matching, ben)])

    refusal = await refused(matching, b"anna 1")

    assert refusal.metadata == {"subject_count": "2", "photo_count": "2"}


async def test_a_loss_that_new_templates_hide_is_seen_within_a_minute(
    matching: Any,
    anna: str,
    ben: str,
    details: SubjectDetails,
    pass_time: Callable[[timedelta], None],
) -> None:
    await found(matching, b"ben")
    matching.gallery.lose(await photo_ids(matching, ben))
    await enrol(matching, details, b"carl")
    del anna

    pass_time(LOOKED_FOR - MOMENT)
    assert await found(matching, b"ben") == []
    pass_time(MOMENT)

    assert (await refused(matching, b"ben")).metadata["subject_count"] == "1"


async def test_a_search_for_others_than_those_who_lack_templates_goes_on(
    matching: Any, anna: str, ben: str
) -> None:
    matching.gallery.lose(await photo_ids(matching, ben))

    (one,) = await found(matching, b"anna 1 is like", anna) or [None]
    assert one is None
    await refused(matching, b"ben", anna, ben)


async def test_what_was_searched_while_the_gallery_was_lost_is_searched_again(
    matching: Any, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qdrant is lost, and made anew by another replica, between the look and the search."""
    search = matching.gallery.search

    async def lost_before(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(matching.gallery, "search", search)
        matching.gallery.lose()
        return await search(*args, **kwargs)

    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]
    monkeypatch.setattr(matching.gallery, "search", lost_before)

    await refused(matching, b"ben")


async def test_nobody_enrolled_is_a_whole_gallery(matching: Any) -> None:
    assert await found(matching, b"ben") == []


async def test_who_is_being_enrolled_or_closed_keeps_nobody_from_searching(
    matching: Any, ben: str, subject_id: str
) -> None:
    matching.gallery.lose(await photo_ids(matching, ben))

    await matching.closing.close(ben)

    assert await found(matching, b"ben") == []
    del subject_id  # open, without any photograph


async def test_a_rebuild_makes_the_templates_that_are_missing_and_no_others(
    matching: Any, anna: str, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del anna
    analyze, judged = matching.faces.analyze, []

    async def counted(photo: bytes) -> Any:
        judged.append(photo)
        return await analyze(photo)

    matching.gallery.lose(await photo_ids(matching, ben))
    monkeypatch.setattr(matching.faces, "analyze", counted)

    told = await rebuilt(matching)

    assert judged == [b"ben"]
    assert (told[-1].stage, told[-1].done, told[-1].total) == (RebuildStage.DONE, 1, 1)
    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]


async def test_a_rebuild_tells_how_far_it_is(matching: Any, details: SubjectDetails) -> None:
    await enrol(matching, details, *(b"%d" % number for number in range(AT_ONCE + 3)))
    matching.gallery.lose()

    told = await rebuilt(matching)

    embedding = RebuildStage.EMBEDDING
    assert [(one.stage, one.done, one.total) for one in told] == [
        (embedding, 0, 11),
        (embedding, 8, 11),
        (embedding, 11, 11),
        (RebuildStage.DONE, 11, 11),
    ]


async def test_a_rebuild_of_a_whole_gallery_does_nothing(matching: Any, anna: str) -> None:
    del anna
    before = await matching.everything()

    told = await rebuilt(matching)

    assert (told[-1].stage, told[-1].total) == (RebuildStage.DONE, 0)
    assert await matching.everything() == before


async def test_the_sweep_makes_a_lost_gallery_whole(matching: Any, anna: str, ben: str) -> None:
    del anna
    matching.gallery.lose()

    await matching.retention.sweep(yes)

    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]
    assert await matching.gallery.count() == 3


async def test_a_sweep_that_may_not_go_on_leaves_the_rest_to_the_next(
    matching: Any, details: SubjectDetails
) -> None:
    await enrol(matching, details, *(b"%d" % number for number in range(AT_ONCE + 3)))
    matching.gallery.lose()
    asked = []

    async def once() -> bool:
        asked.append(1)
        return len(asked) < 2

    await matching.gallery_rebuild.sweep(once)
    await refused(matching, b"1")
    await matching.gallery_rebuild.sweep(yes)

    assert await matching.gallery.count() == AT_ONCE + 3


async def test_a_run_that_another_replica_takes_over_says_so(matching: Any, ben: str) -> None:
    del ben
    matching.gallery.lose()
    run = matching.gallery_rebuild.run(accept_lost=False)
    assert (await anext(run)).stage is RebuildStage.EMBEDDING
    await matching.leases.erase("matching-templates")
    await matching.leases.create("matching-templates", b"another")

    with pytest.raises(UnavailableError) as ended:
        await anext(run)

    assert "another replica" in ended.value.message


def test_a_photograph_that_an_earlier_version_wrote_is_usable_with_every_pack() -> None:
    photo = ReferencePhoto("p", Box(0, 0, 1, 1), 1.0, NOON)
    written = records.to_plain(photo)
    del written["unusable_with"]

    assert records.from_plain(written, ReferencePhoto) == photo


async def test_a_sweep_waits_for_an_embedding_service_that_does_not_answer(
    matching: Any, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> ModelInfo:
        raise unavailable("embedding", "e:1", "start it")

    matching.gallery.lose()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(matching.faces, "model", silent)
        with pytest.raises(UnavailableError):
            await matching.retention.sweep(yes)

    await matching.retention.sweep(yes)

    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]


async def test_without_a_service_of_its_pack_a_gallery_is_not_rebuilt_and_the_sweep_goes_on(
    matching: Any, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def another() -> ModelInfo:
        return ModelInfo("another", "b" * 64, SIZE)

    del ben
    matching.gallery.lose()
    monkeypatch.setattr(matching.faces, "model", another)

    await matching.retention.sweep(yes)

    with pytest.raises(FailedPreconditionError) as refusal:
        await rebuilt(matching)
    assert refusal.value.reason is Reason.MODEL_NOT_SERVED
    assert "the embedding service runs another" in refusal.value.message
    assert refusal.value.metadata == {"model": "the gallery's", "served": "another"}


async def test_the_same_photograph_again_gets_the_template_that_was_lost(
    matching: Any, ben: str
) -> None:
    matching.gallery.lose()
    await matching.photos.delete(f"subjects/{ben}/{(await photo_ids(matching, ben))[0]}")

    offer = await matching.subjects.add_photo(ben, b"ben")

    assert offer.already_held is False
    assert len(offer.subject.value.photos) == 1
    assert [one.subject_id for one in await found(matching, b"ben")] == [ben]
    assert len(await matching.photos.objects("")) == 1


async def test_a_full_subject_gets_a_lost_template_back_by_the_same_photograph(
    matching: Any, details: SubjectDetails
) -> None:
    full = await enrol(matching, details, *(b"%d" % number for number in range(20)))
    matching.gallery.lose((await photo_ids(matching, full))[:1])

    await matching.subjects.add_photo(full, b"0")

    assert await matching.gallery.count() == 20


async def test_a_photograph_that_cannot_be_used_any_more_is_told_and_does_not_stop_searches(
    matching: Any, anna: str
) -> None:
    matching.gallery.lose()
    matching.faces.refused[b"anna 1"] = ("BLURRED",)

    told = await rebuilt(matching)

    first = PhotoKey(anna, (await photo_ids(matching, anna))[0])
    assert [one for each in told for one in each.refused] == [RefusedPhoto(first, ("BLURRED",))]
    assert told[-1].lost == ()
    assert [one.subject_id for one in await found(matching, b"anna 2")] == [anna]


async def test_a_photograph_that_was_refused_is_not_judged_by_every_sweep(
    matching: Any, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del anna
    matching.gallery.lose()
    matching.faces.refused[b"anna 1"] = ("BLURRED",)
    await matching.retention.sweep(yes)
    judged = []

    async def counted(photo: bytes) -> None:
        judged.append(photo)

    monkeypatch.setattr(matching.faces, "analyze", counted)
    await matching.retention.sweep(yes)

    assert judged == []


async def test_a_photograph_that_was_refused_is_judged_again_when_somebody_asks(
    matching: Any, anna: str
) -> None:
    matching.gallery.lose()
    matching.faces.refused[b"anna 1"] = ("BLURRED",)
    await rebuilt(matching)
    matching.faces.refused.clear()

    told = await rebuilt(matching)

    assert (told[-1].total, keys(told)) == (1, set())
    assert await matching.gallery.count() == 2
    subject = (await matching.subjects.get(anna)).value
    assert [photo.unusable_with for photo in subject.photos] == [(), ()]


@pytest.mark.parametrize("why", ["BLURRED", "PHOTO_GONE"])
async def test_searches_stay_refused_while_nothing_of_somebody_can_be_used(
    matching: Any, anna: str, ben: str, why: str
) -> None:
    matching.gallery.lose()
    if why == "BLURRED":
        matching.faces.refused[b"ben"] = (why,)
    else:
        await matching.photos.delete(f"subjects/{ben}/{(await photo_ids(matching, ben))[0]}")

    told = await rebuilt(matching)

    assert told[-1].lost == (ben,)
    assert [one.problems for each in told for one in each.refused] == [(why,)]
    assert (await refused(matching, b"anna 1")).metadata["subject_count"] == "1"
    assert await found(matching, b"ben", anna) == []


async def test_somebody_of_whom_nothing_can_be_used_is_left_out_when_that_is_accepted(
    matching: Any, anna: str, ben: str
) -> None:
    matching.gallery.lose()
    matching.faces.refused[b"ben"] = ("BLURRED",)

    told = await rebuilt(matching, accept_lost=True)

    assert told[-1].lost == (ben,)
    assert await found(matching, b"ben") == []
    assert anna in {one.subject_id for one in (await matching.gallery.contents()).compared}


async def test_another_photograph_of_somebody_lost_ends_the_refusal(
    matching: Any, anna: str, ben: str
) -> None:
    del anna
    matching.gallery.lose()
    matching.faces.refused[b"ben"] = ("BLURRED",)
    await rebuilt(matching)

    await matching.subjects.add_photo(ben, b"ben again")
    await matching.retention.sweep(yes)

    assert [one.subject_id for one in await found(matching, b"ben again")] == [ben]


@pytest.mark.parametrize("act", ["close", "erase"])
async def test_nothing_is_made_of_who_ends_while_the_photograph_is_judged(
    matching: Any, ben: str, act: str
) -> None:
    matching.gallery.lose()
    matching.faces.meanwhile = lambda: getattr(matching.closing, act)(ben)

    told = await rebuilt(matching)

    assert keys(told) == set()
    assert await matching.gallery.count() == 0


async def test_nothing_stays_of_who_ends_while_the_template_is_written(
    matching: Any, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all = matching.gallery.put_all
    matching.gallery.lose()

    async def late(references: Any) -> None:
        await matching.closing.close(ben)
        await put_all(references)

    monkeypatch.setattr(matching.gallery, "put_all", late)
    await rebuilt(matching)

    assert await matching.gallery.count() == 0


async def test_a_run_waits_for_another_and_finds_its_work_done(
    matching: Any, ben: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    matching.gallery.lose()
    monkeypatch.setattr("homeward.matching.gallery.rebuild.LOOK_AGAIN_SECONDS", 0.0)
    other = matching.gallery_rebuild._lease()
    assert await other.held()
    run = matching.gallery_rebuild.run(accept_lost=False)
    first = await anext(run)
    await matching.subjects.add_photo(ben, b"ben")
    await other.release()

    told = [one async for one in run]

    assert first.stage is RebuildStage.WAITING
    assert told[-1] == replace(told[-1], stage=RebuildStage.DONE, total=0)


async def test_a_photograph_that_is_refused_when_it_comes_again_is_told(
    matching: Any, ben: str
) -> None:
    matching.gallery.lose()
    matching.faces.refused[b"ben"] = ("BLURRED",)

    with pytest.raises(InvalidArgumentError) as refusal:
        await matching.subjects.add_photo(ben, b"ben")

    assert refusal.value.reason is Reason.PHOTO_REFUSED
    assert len(await photo_ids(matching, ben)) == 1


async def test_who_would_be_left_out_for_want_of_a_photographs_own_template_is_not_passed_by(
    matching: Any, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await photo_ids(matching, anna)
    whole = await matching.gallery.contents()
    holds = replace(whole, photos=whole.photos - {PhotoKey(anna, first)})

    async def contents() -> Any:
        return holds

    monkeypatch.setattr(matching.gallery, "contents", contents)

    assert (await refused(matching, b"anna 1")).metadata["photo_count"] == "1"
    assert PhotoKey(anna, second) in holds.photos
