"""What a scan found whose authorisation was refused is erased, and what others found stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.api.matching.v1 import retention_service_pb2
from homeward.core.inventory import FEED, RECORD_LIMIT, SCANS, SIGHTINGS, SPANS, STILLS
from homeward.matching.servicer import RetentionServicer
from homeward.matching.sightings.finders import with_finder, without_finder
from homeward.matching.sightings.ledger import LedgerKey
from homeward.matching.sightings.model import Decision, Disposition, Finding, SightingState
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.spans import Span, place
from homeward.matching.subjects.model import ErasureCertificate, ErasureOutcome
from homeward.servicekit.errors import (
    FailedPreconditionError,
    NotFoundError,
    Reason,
    UnavailableError,
    unavailable,
)
from homeward.servicekit.identity.caller import Caller, Role, acting_for

REFUSED = "00000000-0000-4000-8000-00000000000a"
OTHER = "00000000-0000-4000-8000-00000000000b"
Make = Callable[..., Finding]


async def record(matching: Any, finding: Finding) -> str:
    _, sighting = await matching.recording.record(finding)
    assert sighting is not None
    return str(sighting.sighting_id)


async def decide(matching: Any, sighting_id: str, decision: Decision) -> None:
    await matching.review.review(sighting_id, decision=decision, reason="", reviewer="R. Viewer")


async def held(matching: Any) -> list[str]:
    return sorted(one.sighting_id for one in await matching.index.find(SightingFilter()))


def counts(certificate: ErasureCertificate) -> dict[str, int]:
    return {one.data: one.item_count for one in certificate.entries}


def outcomes(certificate: ErasureCertificate) -> dict[str, ErasureOutcome]:
    return {one.data: one.outcome for one in certificate.entries}


@pytest.mark.parametrize("decision", [None, Decision.INCONCLUSIVE, Decision.CONFIRM])
async def test_what_a_refused_scan_found_is_erased_whatever_was_decided_on_it(
    matching: Any, finding: Make, decision: Decision | None
) -> None:
    name = await record(matching, finding(scan_id=REFUSED))
    if decision is not None:
        await decide(matching, name, decision)

    certificate = await matching.scan_erasure.erase(REFUSED)

    assert await held(matching) == []
    assert await matching.evidence.objects("") == []
    assert await matching.ledger.entries() == []
    assert counts(certificate) == {
        SIGHTINGS.name: 1,
        STILLS.name: 1,
        SPANS.name: 1,
        SCANS.name: 1,
        FEED.name: 1,
    }
    assert outcomes(certificate)[SPANS.name] is ErasureOutcome.ERASED


async def test_what_is_remembered_of_a_rejected_sighting_is_erased_too(
    matching: Any, finding: Make
) -> None:
    await decide(matching, await record(matching, finding(scan_id=REFUSED)), Decision.REJECT)

    certificate = await matching.scan_erasure.erase(REFUSED)

    assert await matching.ledger.entries() == []
    assert counts(certificate)[SPANS.name] == 1
    assert (await matching.recording.record(finding(scan_id=OTHER)))[0] is Disposition.RECORDED


@pytest.mark.parametrize("first", [REFUSED, OTHER])
@pytest.mark.parametrize("decision", [None, Decision.CONFIRM])
async def test_what_another_scan_found_too_stays_and_is_its_own(
    matching: Any, finding: Make, first: str, decision: Decision | None
) -> None:
    second = OTHER if first == REFUSED else REFUSED
    name = await record(matching, finding(10, 14, scan_id=first))
    if decision is not None:
        await decide(matching, name, decision)
    await record(matching, finding(12, 18, scan_id=second))

    certificate = await matching.scan_erasure.erase(REFUSED)

    sighting = await matching.index.get(name)
    assert sighting.scan_id == OTHER
    assert await matching.review.still(sighting) == b"a still"
    assert counts(certificate) == {
        SIGHTINGS.name: 0,
        STILLS.name: 0,
        SPANS.name: 0,
        SCANS.name: 0,
        FEED.name: 0,
    }
    await matching.scan_erasure.erase(OTHER)
    assert await held(matching) == []


async def test_a_rejection_stays_where_another_scan_found_the_same(
    matching: Any, finding: Make
) -> None:
    await decide(matching, await record(matching, finding(scan_id=REFUSED)), Decision.REJECT)
    assert (await matching.recording.record(finding(scan_id=OTHER)))[0] is (
        Disposition.REJECTED_BEFORE
    )

    await matching.scan_erasure.erase(REFUSED)

    again = await matching.recording.record(finding(scan_id=OTHER))
    assert again == (Disposition.REJECTED_BEFORE, None)


async def test_what_joined_sightings_of_several_scans_stays_until_all_are_refused(
    matching: Any, finding: Make
) -> None:
    await record(matching, finding(10, 12, scan_id=REFUSED))
    await record(matching, finding(20, 22, scan_id=OTHER))
    joined = await record(matching, finding(11, 21, scan_id=REFUSED))

    await matching.scan_erasure.erase(REFUSED)

    assert await held(matching) == [joined]
    assert (await matching.index.get(joined)).scan_id == OTHER


async def test_a_refused_scan_records_nothing_any_more(matching: Any, finding: Make) -> None:
    await matching.scan_erasure.erase(REFUSED)

    told = await matching.recording.record(finding(scan_id=REFUSED))

    assert told == (Disposition.SCAN_REFUSED, None)
    assert (await matching.everything())["ledger"] == 0
    assert await held(matching) == []


async def test_what_is_recorded_while_its_scan_is_refused_goes_too(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = matching.index.put

    async def refused_first(*args: Any) -> None:
        monkeypatch.setattr(matching.index, "put", put)
        await matching.stores.erasures.create(f"refused.{REFUSED}", b"{}")
        await put(*args)

    monkeypatch.setattr(matching.index, "put", refused_first)
    told = await matching.recording.record(finding(scan_id=REFUSED))

    assert told == (Disposition.SCAN_REFUSED, None)
    assert await held(matching) == []
    assert (await matching.everything())["ledger"] == 0
    assert await matching.evidence.objects("") == []


@pytest.mark.parametrize("call", ["forget_scan", "found_by"])
async def test_an_erasure_that_broke_off_is_finished_by_the_next(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await record(matching, finding(scan_id=REFUSED))

    async def fail(*_: Any) -> None:
        raise unavailable("NATS", "localhost:1", "start it")

    with monkeypatch.context() as broken:
        broken.setattr(matching.stores.ledger, call, fail)
        first = await matching.scan_erasure.erase(REFUSED)
    lost = await matching.review.lost(SightingFilter())
    certificate = await matching.scan_erasure.erase(REFUSED)

    assert lost.count == 0
    assert set(outcomes(first).values()) == {ErasureOutcome.FAILED}
    assert ErasureOutcome.FAILED not in outcomes(certificate).values()
    assert (await matching.everything())["ledger"] == 0
    assert await held(matching) == []


async def test_an_object_store_that_keeps_a_still_is_told_of(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await record(matching, finding(scan_id=REFUSED))

    async def refuse(_: str) -> None:
        raise FailedPreconditionError("it keeps a version", reason=Reason.RETENTION_UNSAFE)

    with monkeypatch.context() as keeping:
        keeping.setattr(matching.evidence, "delete", refuse)
        certificate = await matching.scan_erasure.erase(REFUSED)

    assert set(outcomes(certificate).values()) == {ErasureOutcome.FAILED}
    assert await held(matching) == [name]  # so that it is tried again
    await matching.scan_erasure.erase(REFUSED)
    assert await held(matching) == []


async def test_the_certificate_is_kept_and_told_as_things_are(
    matching: Any, finding: Make, clock: Any
) -> None:
    await record(matching, finding(scan_id=REFUSED))
    certificate = await matching.scan_erasure.erase(REFUSED)

    again = await matching.scan_erasure.erase(REFUSED)
    clock.pass_time(RECORD_LIMIT + timedelta(seconds=1))
    later = await matching.certificates.of_scan(REFUSED)

    assert (certificate.scan_id, certificate.subject_id) == (REFUSED, "")
    assert counts(again) == counts(certificate) == counts(later)
    assert outcomes(certificate)[SCANS.name] is ErasureOutcome.PENDING
    assert outcomes(later)[SCANS.name] is ErasureOutcome.ERASED
    assert await matching.certificates.subject_ids() == frozenset()


async def test_a_scan_that_was_not_refused_has_no_certificate(matching: Any) -> None:
    with pytest.raises(NotFoundError) as missing:
        await matching.certificates.of_scan(OTHER)

    assert missing.value.reason is Reason.SCAN_NOT_FOUND


async def test_a_refusal_that_cannot_be_written_down_erases_nothing(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await record(matching, finding(scan_id=REFUSED))

    async def fail(*_: Any) -> None:
        raise unavailable("NATS", "localhost:1", "start it")

    monkeypatch.setattr(matching.erasures, "create", fail)
    with pytest.raises(UnavailableError):
        await matching.scan_erasure.erase(REFUSED)

    assert await held(matching) == [name]


async def test_of_a_sighting_of_an_earlier_version_the_first_scan_alone_counts(
    matching: Any, finding: Make, subject_id: str
) -> None:
    early = await record(matching, finding(10, 14, scan_id=REFUSED))
    stays = await record(matching, finding(30, 34, scan_id=OTHER))
    key = LedgerKey("footage-1", subject_id)
    (entry,) = await matching.ledger.entries()
    await matching.ledger.put(entry.key, entry.value.replace(b'"scan_ids"', b'"before"'))
    await record(matching, finding(31, 33, scan_id=REFUSED))

    assert (await matching.stores.ledger.span(key, early)).scan_ids == ()
    await matching.scan_erasure.erase(REFUSED)

    assert await held(matching) == [stays]


async def test_a_confirmed_sighting_of_another_scan_is_let_be(matching: Any, finding: Make) -> None:
    name = await record(matching, finding(scan_id=OTHER))
    await decide(matching, name, Decision.CONFIRM)

    await matching.scan_erasure.erase(REFUSED)

    assert (await matching.index.get(name)).state is SightingState.CONFIRMED


def span(*scan_ids: str) -> Span:
    return Span("s", timedelta(seconds=10), timedelta(seconds=14), scan_ids=scan_ids)


def placed_again(before: tuple[Span, ...], scan_id: str) -> tuple[str, ...]:
    placed = place(
        before,
        footage_id="f",
        subject_id="p",
        start=timedelta(seconds=11),
        end=timedelta(seconds=12),
    )
    spans, placement = with_finder(scan_id, before, placed)
    assert spans == (placement.span,)
    return placement.span.scan_ids


@pytest.mark.parametrize(
    ("before", "scan_id", "after"),
    [
        ((), "a", ("a",)),
        ((span("a"),), "a", ("a",)),
        ((span("a"),), "b", ("a", "b")),
        ((span(),), "b", ()),
        ((span("a"),), "", ()),
        ((replace(span("a"), rejected=True),), "b", ("a", "b")),
        ((replace(span("a"), settled=True),), "b", ("a", "b")),
    ],
)
def test_a_span_keeps_who_found_it(
    before: tuple[Span, ...], scan_id: str, after: tuple[str, ...]
) -> None:
    assert placed_again(before, scan_id) == after


def test_a_span_without_its_only_finder_goes() -> None:
    spans = (span("a"), span("a", "b"), span("b"), span())

    assert without_finder("a", spans) == (span("b"), span("b"), span())


async def test_what_it_found_of_a_rejected_sighting_is_no_other_scans(
    matching: Any, finding: Make
) -> None:
    name = await record(matching, finding(scan_id=OTHER))
    await decide(matching, name, Decision.REJECT)  # erases what the other scan found
    later = matching.clock.now() + timedelta(seconds=1)
    again = replace(finding(scan_id=REFUSED), include_rejected_before=later)
    assert await record(matching, again) == name

    certificate = await matching.scan_erasure.erase(REFUSED)

    assert counts(certificate)[SIGHTINGS.name] == 1
    assert await held(matching) == []
    assert await matching.evidence.objects("") == []
    assert await matching.ledger.entries() == []


@pytest.mark.parametrize(
    ("role", "cases", "seen"),
    [
        (Role.INVESTIGATOR, ["another"], False),
        (Role.AUTHORISER, ["another"], False),
        (Role.INVESTIGATOR, ["MP-2026-17"], True),
        (Role.AUTHORISER, None, True),
        (Role.AUDITOR, [], True),
    ],
)
async def test_who_may_not_see_a_scan_may_not_see_its_certificate(
    matching: Any, subject_id: str, role: Role, cases: list[str] | None, *, seen: bool
) -> None:
    await matching.scan_erasure.erase(REFUSED, subject_ids=[subject_id])
    everybody = await matching.scan_erasure.erase(OTHER)

    who = Caller("x", frozenset({role}), None if cases is None else frozenset(cases))
    assert await may_read(matching, REFUSED, who) is seen
    # One for everybody is of every case, and so is one of which an earlier version did not say.
    assert everybody.searched_ids == ()
    assert await may_read(matching, OTHER, who) is (seen and cases in (None, []))


async def may_read(matching: Any, scan_id: str, who: Caller) -> bool:
    servicer = RetentionServicer(matching.retention, matching.certificates, matching.stores.records)
    request = retention_service_pb2.GetScanErasureCertificateRequest(scan_id=scan_id)
    context: Any = None
    with acting_for(who):
        try:
            answer = await servicer.GetScanErasureCertificate(request, context)
        except NotFoundError:
            return False
    return answer.certificate.scan_id == scan_id
