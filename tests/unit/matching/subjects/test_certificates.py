"""A certificate says "erased" of nothing that it has no evidence of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from homeward.core.inventory import CERTIFICATES_KEPT
from homeward.matching.sightings.model import Decision, Finding
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.subjects.model import ErasureEntry, ErasureOutcome
from homeward.servicekit.errors import NotFoundError, unavailable

GRACE = timedelta(days=7)
DAY = timedelta(days=1)
TEMPLATES, PHOTOGRAPHS, STILLS = "reference templates", "reference photographs", "stills"


class KilledError(BaseException):
    pass


async def yes() -> bool:
    return True


async def away(*_: Any, **__: Any) -> Any:
    raise unavailable("Qdrant", "nowhere", "start it")


async def told(matching: Any, subject_id: str) -> dict[str, ErasureEntry]:
    certificate = await matching.certificates.get(subject_id)
    return {entry.data: entry for entry in certificate.entries}


@pytest.fixture
async def filled(matching: Any, subject_id: str, finding: Callable[..., Finding]) -> str:
    """A subject with two photographs and a sighting."""
    matching.restart(frees_after=timedelta(minutes=10))
    await matching.subjects.add_photo(subject_id, b"first")
    await matching.subjects.add_photo(subject_id, b"second")
    await matching.recording.record(finding())
    return subject_id


@pytest.fixture
async def killed(matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A subject of whom all is removed, by a close that was killed before it could say so."""

    async def dies(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as this_time:
        this_time.setattr(matching.erasures, "create", dies)
        with pytest.raises(KilledError):
            await matching.closing.close(filled)
    return filled


async def test_a_close_that_was_killed_before_its_certificate_promises_no_more_than_is_known(
    matching: Any, killed: str
) -> None:
    await matching.closing.close(killed)
    before = await told(matching, killed)
    await matching.retention.sweep(yes)
    after = await told(matching, killed)

    assert before[TEMPLATES].outcome is before["sightings"].outcome is ErasureOutcome.PENDING
    assert before[PHOTOGRAPHS].outcome is before[STILLS].outcome is ErasureOutcome.PENDING
    assert "after an erasure that was cut short" in before[TEMPLATES].verification
    assert after[TEMPLATES].outcome is after["sightings"].outcome is ErasureOutcome.ERASED


async def test_a_close_that_was_killed_before_its_certificate_gets_one_from_the_sweep(
    matching: Any, killed: str
) -> None:
    with pytest.raises(NotFoundError):
        await matching.certificates.get(killed)

    await matching.subject_sweep.sweep(grace=GRACE)

    assert (await told(matching, killed))[TEMPLATES].outcome is ErasureOutcome.PENDING


@pytest.mark.parametrize(
    ("age", "certified"), [(CERTIFICATES_KEPT - DAY, 1), (CERTIFICATES_KEPT, 0)]
)
async def test_a_certificate_that_has_gone_by_age_is_not_made_anew(
    matching: Any,
    killed: str,
    pass_time: Callable[[timedelta], None],
    age: timedelta,
    certified: int,
) -> None:
    del killed
    pass_time(age)

    await matching.subject_sweep.sweep(grace=GRACE)

    assert len(await matching.erasures.keys()) == certified


async def test_a_first_close_of_somebody_without_templates_waits_for_nobody_elses(
    matching: Any, filled: str, subject_id: str, details: Any
) -> None:
    bare = (await matching.subjects.create(details, request_id="bare")).value.subject_id
    await matching.closing.close(filled)

    await matching.closing.close(bare)

    assert subject_id == filled
    assert (await told(matching, bare))[TEMPLATES].outcome is ErasureOutcome.ERASED


async def test_an_erasure_that_fails_later_forgets_nothing_of_what_was_removed(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await matching.closing.close(filled)
    with monkeypatch.context() as broken:
        broken.setattr(matching.gallery, "remove_subject", away)
        await matching.closing.close(filled)
    failed = (await told(matching, filled))[TEMPLATES]
    await matching.retention.sweep(yes)
    await matching.closing.close(filled)
    entry = (await told(matching, filled))[TEMPLATES]

    assert (failed.outcome, failed.item_count) == (ErasureOutcome.FAILED, 2)
    assert (entry.outcome, entry.item_count) == (ErasureOutcome.ERASED, 2)
    assert "copied to new files" in entry.verification


async def test_what_failed_is_not_counted_twice(matching: Any, filled: str) -> None:
    matching.photos.locked = True
    await matching.closing.close(filled)
    matching.photos.locked = False
    await matching.closing.close(filled)

    assert (await told(matching, filled))[PHOTOGRAPHS].item_count == 2


async def test_what_was_copied_elsewhere_is_not_said_to_be_erased_after_a_break_off(
    matching: Any,
    filled: str,
    monkeypatch: pytest.MonkeyPatch,
    pass_time: Callable[[timedelta], None],
) -> None:
    matching.photos.copied = True
    purge = matching.photos.purge

    async def answer_is_lost(prefix: str) -> Any:
        await purge(prefix)
        await away()

    with monkeypatch.context() as broken:
        broken.setattr(matching.photos, "purge", answer_is_lost)
        await matching.closing.close(filled)
    await matching.closing.close(filled)
    pass_time(timedelta(days=365))

    entry = (await told(matching, filled))[PHOTOGRAPHS]
    assert entry.outcome is ErasureOutcome.PENDING
    assert "copies are not deleted with it" in entry.verification


async def test_stills_go_with_their_subject_although_the_index_has_lost_the_sightings(
    matching: Any, filled: str
) -> None:
    (sighting,) = await matching.index.find(SightingFilter())
    await matching.review.review(
        sighting.sighting_id, decision=Decision.CONFIRM, reason="", reviewer="r"
    )
    matching.index._held.clear()

    await matching.closing.close(filled)

    entry = (await told(matching, filled))[STILLS]
    assert await matching.evidence.objects("") == []
    assert (entry.outcome, entry.item_count) == (ErasureOutcome.PENDING, 1)


async def test_a_certificate_tells_of_stills_of_whom_nobody_knows_any_more(
    matching: Any, filled: str, pass_time: Callable[[timedelta], None]
) -> None:
    key = "confirmed/00000000-0000-4000-8000-00000000dead.jpg"
    await matching.evidence.put(key, b"jpeg", content_type="image/jpeg")

    await matching.closing.close(filled)
    before = (await told(matching, filled))[STILLS]
    pass_time(timedelta(minutes=10))
    still = (await told(matching, filled))[STILLS]
    await matching.evidence.delete(key)
    after = (await told(matching, filled))[STILLS]

    assert before.outcome is still.outcome is ErasureOutcome.PENDING
    assert "1 stills of confirmed sightings" in before.verification
    assert after.outcome is ErasureOutcome.ERASED


@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=11)])
@pytest.mark.parametrize("frees_after", [timedelta(minutes=10), None])
async def test_photographs_that_are_put_back_are_told_until_they_are_gone_again(
    matching: Any,
    filled: str,
    pass_time: Callable[[timedelta], None],
    later: timedelta,
    frees_after: timedelta | None,
) -> None:
    matching.restart(frees_after=frees_after)
    kept = [(item.key, await matching.photos.get(item.key)) for item in await photographs(matching)]
    await matching.closing.close(filled)
    for key, photo in kept:  # as a copy of the bucket is restored
        await matching.photos.put(key, photo, content_type="image/jpeg")
    pass_time(later)

    back = (await told(matching, filled))[PHOTOGRAPHS]
    await matching.subject_sweep.sweep(grace=GRACE)
    again = (await told(matching, filled))[PHOTOGRAPHS]

    assert back.outcome is ErasureOutcome.FAILED
    assert back.verification.startswith("2 are there again")
    assert again.outcome is ErasureOutcome.PENDING
    assert await photographs(matching) == []


async def photographs(matching: Any) -> list[Any]:
    found: list[Any] = await matching.photos.objects("subjects/")
    return found
