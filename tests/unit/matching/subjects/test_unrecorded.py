from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from homeward.matching.subjects.unrecorded import UNRECORDED_AFTER
from homeward.servicekit.errors import (
    FailedPreconditionError,
    Reason,
    UnavailableError,
    unavailable,
)

MOMENT = timedelta(seconds=1)


async def yes() -> bool:
    return True


def away(*_: Any, **__: Any) -> Any:
    raise unavailable("Qdrant", "http://qdrant:6333", "start it")


@pytest.fixture
async def left(matching: Any, subject_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A subject with a photograph, and with another one whose enrolment failed and left it all."""
    await matching.subjects.add_photo(subject_id, b"photo 1")
    with monkeypatch.context() as broken:
        broken.setattr(matching.records, "update", away)  # after photograph and template
        broken.setattr(matching.gallery, "remove_photo", away)
        with pytest.raises(UnavailableError):
            await matching.subjects.add_photo(subject_id, b"photo 2")
    return subject_id


async def held(matching: Any, subject_id: str) -> tuple[int, int, int]:
    """Return how many photographs are kept, have a template, and are on record."""
    subject = (await matching.subjects.get(subject_id)).value
    kept = len(await matching.photos.objects(""))
    return kept, await matching.gallery.count(), len(subject.photos)


@pytest.mark.parametrize("store", ["photos.put", "gallery.put", "records.update"])
async def test_an_enrolment_that_fails_leaves_nothing_of_the_photograph(
    matching: Any, subject_id: str, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    await matching.subjects.add_photo(subject_id, b"photo 1")
    part, _, method = store.partition(".")
    with monkeypatch.context() as broken:
        broken.setattr(getattr(matching, part), method, away)
        with pytest.raises(UnavailableError):
            await matching.subjects.add_photo(subject_id, b"photo 2")

    assert await held(matching, subject_id) == (1, 1, 1)


async def test_an_enrolment_that_failed_is_told_as_it_was_when_nothing_can_be_taken_back(
    matching: Any, left: str
) -> None:
    assert await held(matching, left) == (2, 2, 1)


async def test_the_sweep_removes_what_an_enrolment_left(
    matching: Any, left: str, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(UNRECORDED_AFTER)

    await matching.subject_sweep.sweep(grace=timedelta(days=7))

    assert await held(matching, left) == (1, 1, 1)
    ((act, (photo,)),) = matching.stores.acts.recorded
    assert (act, photo.partition("/")[0]) == ("EraseUnrecordedPhotos", "photo")


async def test_the_sweep_leaves_an_enrolment_alone_that_may_be_under_way(
    matching: Any, left: str, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(UNRECORDED_AFTER - MOMENT)

    await matching.subject_sweep.sweep(grace=timedelta(days=7))

    assert await held(matching, left) == (2, 2, 1)


async def test_the_sweep_goes_on_with_what_it_could_not_remove(
    matching: Any,
    left: str,
    pass_time: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pass_time(UNRECORDED_AFTER)
    with monkeypatch.context() as broken:
        broken.setattr(matching.photos, "delete", away)
        with pytest.raises(UnavailableError):
            await matching.subject_sweep.sweep(grace=timedelta(days=7))

    await matching.subject_sweep.sweep(grace=timedelta(days=7))

    assert await held(matching, left) == (1, 1, 1)


async def test_a_photograph_that_a_lock_keeps_holds_up_nothing_else(
    matching: Any,
    left: str,
    pass_time: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def kept(_: str) -> None:
        raise FailedPreconditionError("a lock keeps it", reason=Reason.RETENTION_UNSAFE)

    del left
    mended: list[bool] = []

    async def mend() -> None:
        mended.append(True)

    pass_time(UNRECORDED_AFTER)
    monkeypatch.setattr(matching.photos, "delete", kept)
    monkeypatch.setattr(matching.gallery, "mend", mend)

    await matching.subject_sweep.sweep(grace=timedelta(days=7))

    assert mended


async def test_a_photograph_that_was_enrolled_again_meanwhile_stays(
    matching: Any, left: str, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(UNRECORDED_AFTER)
    await matching.subjects.add_photo(left, b"photo 2")

    await matching.subject_sweep.sweep(grace=timedelta(days=7))

    assert await held(matching, left) == (2, 2, 2)


async def test_a_photograph_that_is_enrolled_again_while_the_sweep_removes_it_stays(
    matching: Any,
    left: str,
    pass_time: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pass_time(UNRECORDED_AFTER)
    remove = matching.gallery.remove_photo

    async def enrolled_again(*args: Any) -> None:
        with monkeypatch.context() as now:
            now.setattr(matching.gallery, "remove_photo", remove)
            await matching.subjects.add_photo(left, b"photo 2")
        await remove(*args)

    monkeypatch.setattr(matching.gallery, "remove_photo", enrolled_again)

    await matching.retention.sweep(yes)

    assert await held(matching, left) == (2, 2, 2)
    assert await matching.completeness.lacking() == frozenset()
