"""What an outage interrupts is finished later, and counts as overdue until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from homeward.matching.sightings.model import Finding
from homeward.matching.subjects.model import ErasureOutcome, SubjectDetails
from homeward.servicekit.errors import NotFoundError, UnavailableError, unavailable

GRACE = timedelta(days=7)
UNKNOWN = "00000000-0000-4000-8000-00000000ffff"


async def yes() -> bool:
    return True


@contextmanager
def away(*stores: Any) -> Iterator[None]:
    """Have stores answer nothing meanwhile."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise unavailable("Qdrant", "its local folder", "start it")

    with pytest.MonkeyPatch.context() as patched:
        for store in stores:
            for name in [name for name in dir(store) if not name.startswith("_")]:
                patched.setattr(store, name, refuse)
        yield


@pytest.fixture
async def filled(matching: Any, subject_id: str, finding: Callable[..., Finding]) -> str:
    """A subject with two photographs and a sighting."""
    await matching.subjects.add_photo(subject_id, b"first")
    await matching.subjects.add_photo(subject_id, b"second")
    await matching.recording.record(finding())
    return subject_id


async def overdue(matching: Any) -> dict[str, int]:
    report = await matching.retention.report()
    return {one.name: one.overdue for one in report.held if one.overdue}


async def left(matching: Any) -> dict[str, int]:
    held = await matching.everything()
    return {name: count for name, count in held.items() if count}


async def test_a_close_that_meets_an_outage_is_finished_by_a_later_sweep(
    matching: Any, filled: str
) -> None:
    with away(matching.gallery, matching.index):
        await matching.closing.close(filled)
    before = await overdue(matching)

    await matching.retention.sweep(yes)

    assert before == {
        "subjects": 1,
        "reference templates": 2,
        "sightings": 1,
        "stills": 1,
        "spans": 1,
    }
    assert await overdue(matching) == {}
    assert await left(matching) == {"records": 1}


async def test_what_an_engine_removed_without_an_answer_is_not_said_to_be_erased_before_a_rebuild(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = matching.gallery.remove_subject

    async def answer_is_lost(subject_id: str) -> Any:
        await remove(subject_id)
        raise unavailable("Qdrant", "its local folder", "start it")

    with monkeypatch.context() as broken:
        broken.setattr(matching.gallery, "remove_subject", answer_is_lost)
        await matching.closing.close(filled)

    _, told = await matching.closing.close(filled)
    await matching.retention.sweep(yes)
    later = await matching.certificates.get(filled)

    first, after = (
        next(one for one in certificate.entries if one.data == "reference templates")
        for certificate in (told, later)
    )
    assert first.outcome is ErasureOutcome.PENDING
    assert "after an erasure that was cut short" in first.verification
    assert after.outcome is ErasureOutcome.ERASED


async def test_a_certificate_tells_that_the_record_stays_until_the_rest_is_gone(
    matching: Any, filled: str
) -> None:
    with away(matching.gallery, matching.index):
        _, told = await matching.closing.close(filled)
    await matching.retention.sweep(yes)
    now = await matching.certificates.get(filled)

    failed = [one.data for one in told.entries if one.outcome is ErasureOutcome.FAILED]
    assert failed == [
        *("reference templates", "sightings", "stills", "scans", "feed of sightings"),
        "subjects",
    ]
    assert [one.data for one in now.entries if one.outcome is ErasureOutcome.FAILED] == []
    assert [one.item_count for one in now.entries] == [2, 1, 1, 1, 1, 2, 1]


async def test_a_review_date_that_lapses_in_an_outage_leaves_nothing_once_it_is_over(
    matching: Any, filled: str, details: SubjectDetails, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(details.review_time - matching.clock.now() + GRACE)
    with away(matching.gallery, matching.index), pytest.raises(UnavailableError):
        await matching.retention.sweep(yes)
    assert (await matching.subjects.get(filled)).value.details is None
    before = await overdue(matching)

    await matching.retention.sweep(yes)

    assert (before["subjects"], before["reference templates"], before["sightings"]) == (1, 2, 1)
    assert await overdue(matching) == {}
    assert await left(matching) == {"records": 1}


async def test_an_erasure_that_meets_an_outage_is_finished_and_forgotten(
    matching: Any, filled: str
) -> None:
    with away(matching.gallery, matching.index):
        await matching.closing.erase(filled)
    assert (await overdue(matching))["reference templates"] == 2

    await matching.retention.sweep(yes)

    assert await left(matching) == {}
    with pytest.raises(NotFoundError):
        await matching.subjects.get(filled)


@pytest.mark.parametrize("kept", ["closed", "erased"])
async def test_what_is_left_of_a_subject_without_an_open_record_is_found_by_itself(
    matching: Any, filled: str, kept: str
) -> None:
    """As an earlier version left it, whose record went whatever became of the rest."""
    with away(matching.gallery, matching.index):
        await matching.closing.close(filled)
    await matching.records.erase(f"open.{filled}")
    if kept == "erased":
        await matching.records.erase(f"closed.{filled}")
    assert (await overdue(matching))["reference templates"] == 2

    await matching.retention.sweep(yes)

    assert await overdue(matching) == {}
    assert await left(matching) == ({"records": 1} if kept == "closed" else {})


async def test_photographs_that_a_closed_subject_left_behind_are_found(
    matching: Any, filled: str
) -> None:
    await matching.closing.close(filled)
    await matching.photos.put(f"subjects/{filled}/late", b"photo", content_type="image/jpeg")
    assert await overdue(matching) == {"reference photographs": 1}

    await matching.retention.sweep(yes)

    assert await left(matching) == {"records": 1}


async def test_data_of_whom_no_record_tells_is_overdue_and_stays(
    matching: Any, filled: str
) -> None:
    """Records may be another installation's: then it would be everybody's."""
    await matching.records.erase(f"open.{filled}")

    await matching.retention.sweep(yes)

    assert (await left(matching))["gallery"] == 2
    assert await overdue(matching) == {
        "reference templates": 2,
        "reference photographs": 2,
        "sightings": 1,
        "stills": 1,
        "spans": 1,
    }


async def test_nothing_of_an_open_subject_is_overdue_or_removed(matching: Any, filled: str) -> None:
    before = await matching.everything()

    await matching.retention.sweep(yes)

    assert await matching.everything() == before
    assert await overdue(matching) == {}
    assert (await matching.subjects.get(filled)).value.details is not None
