from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.matching.sightings.model import Decision, Finding
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import ErasureOutcome, SubjectDetails
from homeward.matching.subjects.object_erasures import ObjectErasures
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import (
    FailedPreconditionError,
    NotFoundError,
    Reason,
    UnavailableError,
    unavailable,
)
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.objects import Versioning, kept_version
from homeward.servicekit.store_rules import RULES_TRUSTED

GRACE = timedelta(days=7)
MOMENT = timedelta(microseconds=1)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


def outcomes(certificate: Any) -> dict[str, ErasureOutcome]:
    return {entry.data: entry.outcome for entry in certificate.entries}


@pytest.fixture
async def filled(matching: Any, subject_id: str, finding: Callable[..., Finding]) -> str:
    """A subject with two photographs and an unreviewed sighting."""
    await matching.subjects.add_photo(subject_id, b"first")
    await matching.subjects.add_photo(subject_id, b"second")
    await matching.recording.record(finding())
    return subject_id


async def test_a_subject_is_closed_a_week_after_its_review_date_and_not_before(
    matching: Any, filled: str, details: SubjectDetails, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(details.review_time - matching.clock.now() + GRACE - MOMENT)
    await matching.retention.sweep(yes)
    assert (await matching.subjects.get(filled)).value.details is not None

    pass_time(MOMENT)
    await matching.retention.sweep(yes)

    assert (await matching.subjects.get(filled)).value.details is None
    assert len(await matching.photos.objects("")) == await matching.gallery.count() == 0


async def test_what_a_sweep_closes_is_an_audit_event(
    matching: Any, filled: str, details: SubjectDetails, pass_time: Callable[[timedelta], None]
) -> None:
    pass_time(details.review_time - matching.clock.now() + GRACE)

    await matching.retention.sweep(yes)

    assert matching.stores.acts.recorded[0] == ("CloseSubject", (f"subject/{filled}",))


async def test_an_erasure_that_broke_off_is_finished(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: str) -> None:
        raise unavailable("Qdrant", "its local folder", "start it")

    with monkeypatch.context() as while_it_is_down:
        while_it_is_down.setattr(matching.gallery, "remove_subject", fails)
        await matching.closing.erase(filled)
    assert (await matching.subjects.get(filled)).value.to_be_erased

    await matching.retention.sweep(yes)

    with pytest.raises(NotFoundError):
        await matching.subjects.get(filled)
    assert await matching.gallery.count() == 0


async def test_a_close_that_was_killed_is_finished(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def dies(_: str) -> None:
        raise Killed

    with monkeypatch.context() as this_time:
        this_time.setattr(matching.gallery, "remove_subject", dies)
        with pytest.raises(Killed):
            await matching.closing.close(filled)

    await matching.retention.sweep(yes)

    assert await matching.gallery.count() == await matching.index.count() == 0
    assert [entry.key for entry in await matching.records.entries()] == [f"closed.{filled}"]


async def test_sightings_go_at_their_deadline_unless_they_were_confirmed(
    matching: Any, filled: str, finding: Callable[..., Finding], pass_time: Any
) -> None:
    del filled
    _, confirmed = await matching.recording.record(finding(100, 104))
    await matching.review.review(
        confirmed.sighting_id, decision=Decision.CONFIRM, reason="", reviewer="r"
    )

    pass_time(timedelta(days=30))
    await matching.retention.sweep(yes)

    assert [one.sighting_id for one in await matching.index.find(SightingFilter())] == [
        confirmed.sighting_id
    ]
    assert [one.key for one in await matching.evidence.objects("")] == [
        f"confirmed/{confirmed.sighting_id}.jpg"
    ]


async def overdue(matching: Any) -> dict[str, int]:
    report = await matching.retention.report()
    return {one.name: one.overdue for one in report.held if one.overdue}


async def test_a_confirmed_still_outlives_an_index_that_lost_its_sighting_and_is_told(
    matching: Any, pass_time: Any
) -> None:
    await matching.evidence.put("confirmed/lost.jpg", b"jpeg", content_type="image/jpeg")
    assert await overdue(matching) == {}

    pass_time(timedelta(days=1))
    await matching.retention.sweep(yes)

    assert await matching.evidence.get("confirmed/lost.jpg") == b"jpeg"
    assert await overdue(matching) == {"stills": 1}


async def test_a_still_without_a_sighting_goes_after_a_day(matching: Any, pass_time: Any) -> None:
    await matching.evidence.put("pending/stray.jpg", b"a still", content_type="image/jpeg")

    pass_time(timedelta(days=1) - MOMENT)
    await matching.retention.sweep(yes)
    assert len(await matching.evidence.objects("")) == 1
    pass_time(MOMENT)
    matching.restart()
    await matching.retention.sweep(yes)

    assert await matching.evidence.objects("") == []


async def test_a_certificate_says_erased_once_the_files_are_gone(
    matching: Any, filled: str
) -> None:
    _, told = await matching.closing.close(filled)
    assert outcomes(told)["reference templates"] is ErasureOutcome.PENDING
    assert (await matching.retention.report()).rebuild_due

    await matching.retention.sweep(yes)

    now = outcomes(await matching.certificates.get(filled))
    assert now["reference templates"] is now["sightings"] is ErasureOutcome.ERASED
    assert now["reference photographs"] is ErasureOutcome.PENDING
    assert not (await matching.retention.report()).rebuild_due


async def test_what_goes_with_the_scans_is_erased_when_their_time_has_passed(
    matching: Any, filled: str, pass_time: Any
) -> None:
    await matching.closing.close(filled)

    pass_time(timedelta(days=31) - MOMENT)
    before = outcomes(await matching.certificates.get(filled))
    pass_time(MOMENT)
    after = outcomes(await matching.certificates.get(filled))

    assert (before["scans"], after["scans"]) == (ErasureOutcome.PENDING, ErasureOutcome.ERASED)


async def test_a_certificate_stays_pending_while_a_rebuild_is_put_off(
    matching: Any, filled: str
) -> None:
    await matching.closing.close(filled)

    await matching.retention.sweep(no)

    now = outcomes(await matching.certificates.get(filled))
    assert now["reference templates"] is ErasureOutcome.PENDING


async def test_photographs_and_stills_are_erased_once_the_store_has_had_its_time_to_free_bytes(
    matching: Any, filled: str, pass_time: Any
) -> None:
    matching.restart(frees_after=timedelta(minutes=15))
    until = matching.clock.now() + timedelta(minutes=15)
    _, told = await matching.closing.close(filled)

    pass_time(timedelta(minutes=15) - MOMENT)
    before = outcomes(await matching.certificates.get(filled))
    pass_time(MOMENT)
    after = outcomes(await matching.certificates.get(filled))

    stored = ("reference photographs", "stills")
    assert [one.until for one in told.entries if one.data in stored] == [until, until]
    assert {before[one] for one in stored} == {ErasureOutcome.PENDING}
    assert {after[one] for one in stored} == {ErasureOutcome.ERASED}


async def test_photographs_stay_pending_while_nobody_knows_when_the_store_frees_bytes(
    matching: Any, filled: str, pass_time: Any
) -> None:
    await matching.closing.close(filled)

    pass_time(timedelta(days=365))

    now = outcomes(await matching.certificates.get(filled))
    assert now["reference photographs"] is ErasureOutcome.PENDING


async def test_photographs_and_stills_in_buckets_with_versions_go_with_every_version(
    matching: Any, filled: str
) -> None:
    for store in (matching.photos, matching.evidence):
        store.versioning = Versioning.ENABLED
        for item in await store.objects(""):
            await store.put(item.key, b"again", content_type="image/jpeg")
    matching.restart(frees_after=timedelta(minutes=10))

    _, told = await matching.closing.close(filled)

    assert await matching.photos.left("") == await matching.evidence.left("") == 0
    (entry,) = [one for one in told.entries if one.data == "reference photographs"]
    assert (entry.outcome, entry.item_count) == (ErasureOutcome.PENDING, 2)
    assert "after 4 versions were removed by their ids" in entry.verification


async def test_what_a_lock_keeps_is_not_erased_until_it_has_gone(
    matching: Any, filled: str, pass_time: Any
) -> None:
    matching.restart(frees_after=timedelta(minutes=10))
    matching.photos.locked = matching.evidence.locked = True
    _, kept = await matching.closing.close(filled)
    pass_time(timedelta(days=365))
    later = await matching.certificates.get(filled)
    matching.photos.locked = matching.evidence.locked = False
    _, gone = await matching.closing.close(filled)

    stored = ("reference photographs", "stills")
    assert {outcomes(kept)[one] for one in stored} == {ErasureOutcome.FAILED}
    assert {outcomes(later)[one] for one in stored} == {ErasureOutcome.FAILED}
    assert {outcomes(gone)[one] for one in stored} == {ErasureOutcome.PENDING}
    reasons = [one.verification for one in kept.entries if one.data in stored]
    assert ["object lock is on" in reason for reason in reasons] == [True, True]


async def test_what_was_copied_elsewhere_is_never_said_to_be_erased(
    matching: Any, filled: str, pass_time: Any
) -> None:
    matching.restart(frees_after=timedelta(minutes=10))
    matching.photos.copied = True
    await matching.closing.close(filled)
    matching.photos.copied = False
    await matching.photos.put(f"subjects/{filled}/late", b"1", content_type="image/jpeg")
    await matching.closing.close(filled)
    pass_time(timedelta(days=365))

    told = await matching.certificates.get(filled)

    (entry,) = [one for one in told.entries if one.data == "reference photographs"]
    assert (entry.outcome, entry.item_count) == (ErasureOutcome.PENDING, 3)
    assert "copies are not deleted with it" in entry.verification


async def test_what_was_deleted_before_a_store_went_away_has_its_time_to_be_freed_too(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch, pass_time: Any
) -> None:
    matching.restart(frees_after=timedelta(minutes=15))
    purge = matching.photos.purge

    async def then_goes_away(prefix: str) -> Any:
        await purge(prefix)
        raise unavailable("S3", "somewhere", "start it")

    with monkeypatch.context() as this_time:
        this_time.setattr(matching.photos, "purge", then_goes_away)
        _, broken_off = await matching.closing.close(filled)
    _, repeated = await matching.closing.close(filled)
    pass_time(timedelta(minutes=15))
    later = await matching.certificates.get(filled)

    told = [outcomes(one)["reference photographs"] for one in (broken_off, repeated, later)]
    assert told == [ErasureOutcome.FAILED, ErasureOutcome.PENDING, ErasureOutcome.ERASED]


async def test_a_photograph_that_is_there_again_when_its_time_has_passed_is_told(
    matching: Any, filled: str, pass_time: Any
) -> None:
    matching.restart(frees_after=timedelta(minutes=10))
    await matching.closing.close(filled)
    await matching.photos.put(f"subjects/{filled}/again", b"1", content_type="image/jpeg")

    pass_time(timedelta(minutes=10))

    told = outcomes(await matching.certificates.get(filled))
    assert told["reference photographs"] is ErasureOutcome.FAILED
    assert told["stills"] is ErasureOutcome.ERASED


@pytest.mark.parametrize("wrong", ["versioning is on", "object lock is on", "it is replicated"])
async def test_nobody_is_enrolled_whose_data_the_store_would_keep(
    matching: Any, subject_id: str, details: SubjectDetails, pass_time: Any, wrong: str
) -> None:
    matching.photos.locked = wrong == "object lock is on"
    matching.photos.copied = wrong == "it is replicated"
    versions = wrong == "versioning is on"
    matching.evidence.versioning = Versioning.ENABLED if versions else Versioning.NEVER
    pass_time(RULES_TRUSTED)

    with pytest.raises(FailedPreconditionError, match=wrong) as refused:
        await matching.subjects.create(replace(details, label="Another"), request_id="second")
    with pytest.raises(FailedPreconditionError, match=wrong):
        await matching.subjects.add_photo(subject_id, b"first")

    assert refused.value.reason is Reason.RETENTION_UNSAFE
    assert refused.value.metadata["bucket"] == "homeward-subjects, homeward-evidence"
    assert len(await matching.records.entries()) == 1
    assert await matching.photos.left("") == 0


async def test_a_sweep_removes_old_versions(matching: Any, subject_id: str) -> None:
    matching.photos.versioning = Versioning.ENABLED
    key = f"subjects/{subject_id}/a"
    await matching.photos.put(key, b"1", content_type="image/jpeg")
    await matching.photos.hide(key)

    await matching.retention.sweep(yes)
    await matching.retention.sweep(yes)

    assert await matching.photos.left("") == 0
    assert matching.stores.acts.recorded == [("EraseOldVersions", ())]


async def test_a_still_that_cannot_be_removed_keeps_no_other(
    matching: Any, filled: str, finding: Callable[..., Finding], pass_time: Any
) -> None:
    del filled
    _, other = await matching.recording.record(finding(100, 104))
    remove = matching.evidence.delete

    async def refuses(key: str) -> None:
        if other.sighting_id in key:
            raise kept_version("homeward-evidence", "object lock is on")
        await remove(key)

    matching.evidence.delete = refuses
    pass_time(timedelta(days=30))
    await matching.retention.sweep(yes)

    assert [one.sighting_id for one in await matching.index.find(SightingFilter())] == [
        other.sighting_id
    ]


async def test_a_certificate_names_nobody(
    matching: Any, filled: str, details: SubjectDetails
) -> None:
    await matching.closing.erase(filled)

    (entry,) = await matching.erasures.entries()
    stated = [details.label, details.case_reference, details.legal_basis, details.authorised_by]
    assert [text for text in stated if text.encode() in entry.value] == []


async def test_a_sweep_mends_the_gallery(matching: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = []

    async def mend() -> int:
        mended.append(1)
        return 1

    monkeypatch.setattr(matching.gallery, "mend", mend)

    await matching.retention.sweep(yes)

    assert mended == [1]


async def test_the_report_tells_what_is_overdue_when_nothing_sweeps(
    matching: Any, filled: str, details: SubjectDetails, pass_time: Any
) -> None:
    del filled
    pass_time(details.review_time - matching.clock.now() + GRACE + timedelta(days=1))

    assert await overdue(matching) == {"subjects": 1, "sightings": 1}


async def test_the_report_passes_on_what_is_wrong_with_the_buckets(matching: Any) -> None:
    matching.problems.append("bucket homeward-evidence: versioning is on")

    assert (await matching.retention.report()).deviations == tuple(matching.problems)


async def test_a_rejected_sighting_makes_a_rebuild_due(
    matching: Any, filled: str, finding: Callable[..., Finding]
) -> None:
    del filled
    _, seen = await matching.recording.record(finding(100, 104))

    await matching.review.review(
        seen.sighting_id, decision=Decision.REJECT, reason="", reviewer="r"
    )

    assert await matching.index.holds_erased()


async def test_certificates_of_repeated_erasures_add_up(matching: Any, filled: str) -> None:
    _, first = await matching.closing.close(filled)
    again = replace(first, entries=tuple(replace(entry, item_count=1) for entry in first.entries))

    kept = await matching.certificates.keep(again)

    assert [entry.item_count for entry in kept.entries] == [
        entry.item_count + 1 for entry in first.entries
    ]


async def test_there_is_no_certificate_of_nothing(clock: Clock) -> None:
    with pytest.raises(NotFoundError):
        await Certificates(InMemoryKeyValueStore(), {}, ObjectErasures({}, clock, None), clock).get(
            "nobody"
        )


async def test_a_certificate_stays_pending_while_a_node_of_the_engine_is_away(
    matching: Any, filled: str
) -> None:
    await matching.closing.close(filled)
    await matching.retention.sweep(yes)
    matching.gallery.doubt = "1 of 3 nodes of the cluster do not answer (http://qdrant-2:6335/)"

    told = await matching.certificates.get(filled)
    matching.gallery.doubt = ""
    later = await matching.certificates.get(filled)

    assert outcomes(told)["reference templates"] is ErasureOutcome.PENDING
    assert "1 of 3 nodes" in told.entries[0].verification
    assert outcomes(later)["reference templates"] is ErasureOutcome.ERASED
    assert "every node" in later.entries[0].verification


async def test_a_certificate_is_told_while_the_engine_does_not_answer(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: str) -> str:
        raise unavailable("Qdrant", "its local folder", "start it")

    await matching.closing.close(filled)
    monkeypatch.setattr(matching.gallery, "remains", fails)

    told = await matching.certificates.get(filled)

    assert outcomes(told)["reference templates"] is ErasureOutcome.PENDING
    assert "is not known: Qdrant does not answer" in told.entries[0].verification


async def test_the_rules_of_the_buckets_are_kept_while_templates_cannot_be_made(
    matching: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del filled
    matching.gallery.lose()
    kept: list[bool] = []

    async def fails() -> Any:
        raise unavailable("embedding", "localhost:1", "start it")

    async def keeps() -> None:
        kept.append(True)

    monkeypatch.setattr(matching.faces, "model", fails)
    monkeypatch.setattr(matching.buckets, "keep_rules", keeps)

    with pytest.raises(UnavailableError):
        await matching.retention.sweep(yes)

    assert kept == [True]
