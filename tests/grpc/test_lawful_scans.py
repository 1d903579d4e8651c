"""Scans are targeted and authorised; what a refused one found is erased from matching."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from matching_stores import in_memory

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2_grpc
from homeward.api.ingestion.v1 import scan_service_pb2 as scans
from homeward.api.matching.v1 import (
    retention_service_pb2,
    retention_service_pb2_grpc,
    sighting_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.cli.use_record_page import record_page
from homeward.core.audit.events import AuditEvent, format_time
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.caller_metadata import CASE, PURPOSE
from homeward.core.rpc_errors import error_info
from homeward.core.use_record import UseRecordError, file_of, verify_file
from homeward.ingestion.adapters.matching import GrpcMatcher
from homeward.ingestion.scan.authorisation import ScanRules
from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.model import ScanScope
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.resource import ScanResource
from homeward.ingestion.scan.scans import ScanLimits, Scans
from homeward.ingestion.scan.use_records import UseRecords
from homeward.ingestion.servicer import ScanServicer
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.composition import Choices, compose
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.servicer import services
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.use_records import EXPORT
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.settings import ServiceSettings
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp
from issuer import Issuer

MODEL = "a" * 64
PHOTO = "00000000-0000-4000-8000-00000000ffff"
FOOTAGE = "gate-20260304t120000000000z-0123456789abcdef"
TEMPLATE = np.eye(4, dtype=np.float32)[0]
WITHIN = timedelta(hours=48)
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
NOT_TARGETED = (grpc.StatusCode.INVALID_ARGUMENT, "SCAN_NOT_TARGETED")
NECESSARY = scan_pb2.ScanJustification(necessity="she is eight")
Held = scan_pb2.ScanAuthorisation


class Queue:
    """Takes scans to plan; recordings are in every scope."""

    async def put(self, scan_id: str, revision: int) -> None:
        del scan_id, revision

    async def any(self, scope: ScanScope) -> bool:
        del scope
        return True

    async def manifest(self, footage_id: str) -> None:
        """Of a recording that was removed."""
        del footage_id


class Nobody:
    """An embedding service that is asked for its model alone."""

    async def model(self) -> ModelInfo:
        return ModelInfo("yunet-sface", MODEL, 4)


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail."""

    events: list[AuditEvent]

    async def touching(self, resources: Collection[str], *, since: datetime) -> list[AuditEvent]:
        begin = format_time(since)
        return [
            one
            for one in self.events
            if one.event_time >= begin and {*resources} & {*one.resources}
        ]


class Key:
    """What matching signs with."""

    def __init__(self) -> None:
        self._key = SigningKey("homeward-audit", Ed25519PrivateKey.generate())
        self.verifier_key = self._key.verifier.text()

    def sign(self, text: str) -> str:
        return self._key.sign(text)


KEY = Key()


class Matcher(GrpcMatcher):
    """Finds everybody searchable, whatever the policy."""

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        del subject_ids


@dataclass(frozen=True, slots=True)
class Force:
    """Ingestion, which checks its callers, and matching behind it."""

    clock: Any
    issuer: Issuer
    scans: Any
    subjects: Any
    sightings: Any
    retention: Any
    authorising: ScanAuthorising
    events: list[AuditEvent]
    kept: StoredScanRecords

    def who(self, name: str, *roles: str) -> tuple[tuple[str, str], ...]:
        token = self.issuer.token(*roles, sub=name, cases=["*"])
        return (("authorization", f"Bearer {token}"), (PURPOSE, "find her"), (CASE, "MP/1"))

    async def enrol(self) -> str:
        subject = subject_pb2.Subject(
            case_reference="MP/1",
            age_group=subject_pb2.AGE_GROUP_CHILD,
            legal_basis="vital interests",
            authorised_by="DI Example",
            review_time=to_timestamp(self.clock.now() + timedelta(days=90)),
        )
        request = subject_service_pb2.CreateSubjectRequest(subject=subject)
        return str((await self.subjects.CreateSubject(request)).subject.subject_id)

    async def create(
        self, scope: scan_pb2.ScanScope, why: scan_pb2.ScanJustification = NECESSARY
    ) -> scan_pb2.Scan:
        request = scans.CreateScanRequest(scope=scope, justification=why, requester="somebody else")
        who = self.who("ivy", "investigator")
        scan: scan_pb2.Scan = (await self.scans.CreateScan(request, metadata=who)).scan
        return scan

    async def targeted(self, subject_id: str) -> scan_pb2.Scan:
        return await self.create(
            scan_pb2.ScanScope(subject_ids=[subject_id], footage_ids=[FOOTAGE])
        )

    async def get(self, scan_id: str, *roles: str) -> scan_pb2.Scan:
        request = scans.GetScanRequest(scan_id=scan_id)
        who = self.who("otto", *roles or ("authoriser",))
        scan: scan_pb2.Scan = (await self.scans.GetScan(request, metadata=who)).scan
        return scan

    async def authorise(self, scan_id: str, *roles: str, by: str = "otto") -> scan_pb2.Scan:
        request = scans.AuthoriseScanRequest(
            scan_id=scan_id, reference="R/1", authoriser="somebody else"
        )
        who = self.who(by, *roles or ("authoriser",))
        scan: scan_pb2.Scan = (await self.scans.AuthoriseScan(request, metadata=who)).scan
        return scan

    async def refuse(self, scan_id: str, *roles: str) -> scan_pb2.Scan:
        request = scans.RefuseScanRequest(scan_id=scan_id, reason="no case is open")
        who = self.who("otto", *roles or ("authoriser",))
        scan: scan_pb2.Scan = (await self.scans.RefuseScan(request, metadata=who)).scan
        return scan

    async def record(self, scan_id: str, subject_id: str) -> Any:
        """Record what a scanner found; return what became of it."""
        start = self.clock.now() - timedelta(hours=3)
        sighting = sighting_pb2.Sighting(
            subject_id=subject_id,
            photo_id=PHOTO,
            footage_id=FOOTAGE,
            camera_id="gate",
            scan_id=scan_id,
            interval=to_interval(start, start + timedelta(seconds=4)),
            best_shot_time=to_timestamp(start),
            start_offset=to_duration(timedelta(seconds=10)),
            end_offset=to_duration(timedelta(seconds=14)),
            best_shot_offset=to_duration(timedelta(seconds=11)),
            score=0.5,
            threshold=0.45,
            policy_id="p",
            delete_time=to_timestamp(self.clock.now() + timedelta(days=30)),
        )
        finding = sightings.SightingFinding(
            sighting=sighting,
            template=types_pb2.Template(values=TEMPLATE.tolist(), model_digest=MODEL),
            still=b"a still",
        )
        request = sightings.RecordSightingsRequest(findings=[finding])
        return (await self.sightings.RecordSightings(request)).results[0]

    async def found(self) -> list[str]:
        listed = await self.sightings.ListSightings(sightings.ListSightingsRequest())
        return [one.scan_id for one in listed.sightings]

    async def certificate(self, scan_id: str) -> dict[str, int]:
        request = retention_service_pb2.GetScanErasureCertificateRequest(scan_id=scan_id)
        answer = await self.retention.GetScanErasureCertificate(request)
        return {one.data: one.item_count for one in answer.certificate.entries}


@pytest.fixture
async def force(clock: Any, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Force]:
    """Yield the services of a force; its parameter is by which rules sightings are confirmed."""
    reviewing: ReviewRules = getattr(request, "param", ReviewRules())
    events: list[AuditEvent] = []
    stores = in_memory(
        faces=Nobody(),
        gallery=InMemorySubjectIndex(MODEL),
        index=InMemorySightingIndex(MODEL),
        events=Trail(events),
        signer=KEY,
    )
    behind = GrpcServer(
        services(
            compose(stores, Choices(shipped=[], review_rules=reviewing), clock), stores, clock
        ),
        listen="localhost:0",
        checks={},
        grace_seconds=0,
    )
    await behind.start()
    issuer, records = Issuer(), StoredScanRecords(InMemoryKeyValueStore())
    rules = ScanRules(targeted=True, authorised_within=WITHIN)
    target = f"localhost:{behind.port}"
    async with grpc.aio.insecure_channel(target) as matching:
        matcher = Matcher(matching, target)
        use_cases = Scans(
            records=records,
            plans=Queue(),  # type: ignore[arg-type]
            scope=Queue(),  # type: ignore[arg-type]
            matcher=matcher,
            clock=clock,
            limits=ScanLimits(100, 1000),
            rules=rules,
        )
        authorising = ScanAuthorising(
            scans=use_cases,
            records=records,
            sightings=matcher,
            clock=clock,
            acts=InMemoryActs(),
            rules=rules,
        )
        use_records = UseRecords(
            scans=use_cases,
            records=records,
            footage=Queue(),  # type: ignore[arg-type]
            sealer=matcher,
        )
        service = Service(
            "homeward.api.ingestion.v1.ScanService",
            scan_service_pb2_grpc.add_ScanServiceServicer_to_server,
            ScanServicer(ScanResource(use_cases, authorising, None, use_records)),  # type: ignore[arg-type]
        )
        settings = ServiceSettings(
            listen="localhost:0", drain_seconds=0, auth_file=issuer.write(tmp_path / "auth")
        )
        server = GrpcServer.configured(settings, [service], checks={})
        await server.start()
        async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
            yield Force(
                clock,
                issuer,
                scan_service_pb2_grpc.ScanServiceStub(channel),
                subject_service_pb2_grpc.SubjectServiceStub(matching),
                sighting_service_pb2_grpc.SightingServiceStub(matching),
                retention_service_pb2_grpc.RetentionServiceStub(matching),
                authorising,
                events,
                records,
            )
        await server.stop()
    await behind.stop()


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_info(refused.value)
    return refused.value.code(), info.reason if info else ""


async def test_a_scan_of_everything_needs_a_reason(force: Force) -> None:
    subject_id = await force.enrol()
    scope = scan_pb2.ScanScope(subject_ids=[subject_id])
    why = scan_pb2.ScanJustification(
        everything=True,
        everything_reason="nobody knows where she went",
        necessity="she is eight",
        less_intrusive_means="her phone\nand her friends",
    )

    assert await refusal(force.create(scope)) == NOT_TARGETED
    scan = await force.create(scope, why)

    assert scan.justification == why
    assert (await force.get(scan.scan_id)).justification == why


@pytest.mark.parametrize(
    "why",
    [
        {"necessity": ""},
        {"everything": True},
        {"everything": True, "everything_reason": " \n"},
        {"everything_reason": "no need"},
        {"everything": True, "everything_reason": "x" * 1001},
        {"necessity": "x" * 2001},
        {"less_intrusive_means": "x" * 2001},
        {"necessity": "red \x1b[31m"},
        {"necessity": "turned \u202e round"},
        {"less_intrusive_means": "a\rb"},
        {"everything": True, "everything_reason": "a\x9bb"},
    ],
)
async def test_what_is_stated_is_bounded_and_has_no_control_characters(
    force: Force, why: dict[str, Any]
) -> None:
    stated = scan_pb2.ScanJustification(**{"necessity": "she is eight", **why})
    scope = scan_pb2.ScanScope(subject_ids=[await force.enrol()], footage_ids=[FOOTAGE])

    assert await refusal(force.create(scope, stated)) == INVALID


async def test_the_longest_statements_are_taken(force: Force) -> None:
    scope = scan_pb2.ScanScope(subject_ids=[await force.enrol()], footage_ids=[FOOTAGE])
    why = scan_pb2.ScanJustification(
        everything=True,
        everything_reason="x" * 1000,
        necessity="x" * 2000,
        less_intrusive_means="x" * 2000,
    )

    assert (await force.create(scope, why)).justification == why


@pytest.mark.parametrize(
    "fields", [{"reference": ""}, {"reference": "x" * 201}, {"reference": "a\nb"}]
)
async def test_a_reference_is_one_line(force: Force, fields: dict[str, str]) -> None:
    scan = await force.targeted(await force.enrol())
    request = scans.AuthoriseScanRequest(scan_id=scan.scan_id, **fields)
    who = force.who("otto", "authoriser")

    assert await refusal(force.scans.AuthoriseScan(request, metadata=who)) == INVALID


@pytest.mark.parametrize("reason", ["", "x" * 1001, "a\x07b"])
async def test_a_refusal_says_why(force: Force, reason: str) -> None:
    scan = await force.targeted(await force.enrol())
    request = scans.RefuseScanRequest(scan_id=scan.scan_id, reason=reason)
    who = force.who("otto", "authoriser")

    assert await refusal(force.scans.RefuseScan(request, metadata=who)) == INVALID
    assert (await force.get(scan.scan_id)).authorisation.state == Held.STATE_AWAITED


async def test_who_asked_and_who_authorised_are_the_callers_not_what_they_typed(
    force: Force,
) -> None:
    scan = await force.targeted(await force.enrol())
    authorised = await force.authorise(scan.scan_id)

    assert scan.requester == "ivy"
    assert scan.authorisation.state == Held.STATE_AWAITED
    assert scan.authorisation.deadline_time == to_timestamp(force.clock.now() + WITHIN)
    assert authorised.authorisation.state == Held.STATE_AUTHORISED
    assert (authorised.authorisation.decider, authorised.authorisation.reference) == ("otto", "R/1")
    assert (await force.get(scan.scan_id)).authorisation == authorised.authorisation


async def test_who_may_not_authorise_is_refused(force: Force) -> None:
    scan = await force.targeted(await force.enrol())
    denied = grpc.StatusCode.PERMISSION_DENIED
    both = force.authorise(scan.scan_id, "investigator", "authoriser", by="ivy")

    assert await refusal(both) == (denied, "OWN_SCAN")
    for call in (force.authorise, force.refuse):
        assert await refusal(call(scan.scan_id, "investigator")) == (denied, "ROLE_MISSING")
    assert (await force.get(scan.scan_id)).authorisation.state == Held.STATE_AWAITED


@pytest.mark.parametrize("confirmed", ["", "by a reviewer"])
async def test_refusing_a_scan_erases_what_it_found_with_a_certificate(
    force: Force, confirmed: str
) -> None:
    subject_id = await force.enrol()
    scan = await force.targeted(subject_id)
    recorded = await force.record(scan.scan_id, subject_id)
    if confirmed:
        review = sightings.ReviewSightingRequest(
            sighting_id=recorded.sighting.sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer=confirmed,
        )
        await force.sightings.ReviewSighting(review)
    assert await force.found() == [scan.scan_id]

    refused = await force.refuse(scan.scan_id)

    held = refused.authorisation
    assert refused.state == scan_pb2.Scan.STATE_CANCELLED
    assert (held.state, held.decider, held.reason) == (
        Held.STATE_REFUSED,
        "otto",
        "no case is open",
    )
    assert held.erase_time == to_timestamp(force.clock.now())
    assert await force.found() == []
    assert await force.certificate(scan.scan_id) == {
        "sightings": 1,
        "stills": 1,
        "spans": 1,
        "scans": 1,
        "feed of sightings": 1,
    }
    late = await force.record(scan.scan_id, subject_id)
    assert late.disposition == sightings.RecordedSighting.DISPOSITION_SCAN_REFUSED
    assert await force.found() == []


async def test_what_another_scan_found_too_outlasts_a_refusal(force: Force) -> None:
    subject_id = await force.enrol()
    one, other = await force.targeted(subject_id), await force.targeted(subject_id)
    for scan in (one, other):
        await force.record(scan.scan_id, subject_id)

    await force.refuse(one.scan_id)

    assert await force.found() == [other.scan_id]


async def test_a_scan_that_nobody_authorised_in_time_is_refused_by_the_sweep(
    force: Force,
) -> None:
    async def proceed() -> bool:
        return True

    subject_id = await force.enrol()
    late, early = await force.targeted(subject_id), await force.targeted(subject_id)
    await force.record(late.scan_id, subject_id)
    await force.authorise(early.scan_id)
    force.clock.pass_time(WITHIN)

    assert await force.authorising.sweep(proceed) == 1

    held = (await force.get(late.scan_id)).authorisation
    assert (held.state, held.decider) == (Held.STATE_LAPSED, "")
    assert await force.found() == []
    assert (await force.certificate(late.scan_id))["sightings"] == 1
    assert (await force.get(early.scan_id)).authorisation.state == Held.STATE_AUTHORISED
    decided = (grpc.StatusCode.FAILED_PRECONDITION, "SCAN_DECIDED")
    assert await refusal(force.authorise(late.scan_id)) == decided
    assert await refusal(force.refuse(early.scan_id)) == decided


def event(
    force: Force, name: str, rpc: str, actor: str, *resources: str, outcome: str = "OK"
) -> AuditEvent:
    return AuditEvent(
        writer=name,
        sequence=len(force.events) + 1,
        previous_digest="0" * 64,
        event_time=format_time(force.clock.now()),
        service=name.partition("-")[0],
        rpc=f"homeward.api.{rpc}",
        operation="DISCLOSURE",
        actor=actor,
        resources=resources,
        outcome=outcome,
    )


async def given_out(force: Force, scan_id: str) -> dict[str, Any]:
    """Return the use record of a scan as a file has it, after its signature was verified."""
    request = scans.GetUseRecordRequest(scan_id=scan_id)
    who = force.who("ada", "auditor")
    answer = await force.scans.GetUseRecord(request, metadata=who)
    data = file_of(answer.record, answer.note, answer.verifier_key)
    assert (
        verify_file(data, VerifierKey.parse(KEY.verifier_key)).record == json.loads(data)["record"]
    )
    content: dict[str, Any] = json.loads(data)
    return content


async def test_a_use_record_says_what_was_done_with_whose_data(force: Force) -> None:
    subject_id = await force.enrol()
    scan = await force.targeted(subject_id)
    found = (await force.record(scan.scan_id, subject_id)).sighting.sighting_id
    await force.authorise(scan.scan_id)
    review = sightings.ReviewSightingRequest(
        sighting_id=found,
        decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
        reviewer="R. Viewer",
    )
    await force.sightings.ReviewSighting(review)
    await force.kept.add_sightings(scan.scan_id, [found])
    for name, rpc, actor, about in (
        ("ingestion-1", "ingestion.v1.ScanService/CreateScan", "ivy", f"scan/{scan.scan_id}"),
        ("matching-1", EXPORT.removeprefix("homeward.api."), "rex", f"sighting/{found}"),
        ("matching-1", "matching.v1.SubjectService/GetSubject", "eve", f"subject/{subject_id}"),
    ):
        force.events.append(event(force, name, rpc, actor, about))
    export = EXPORT.removeprefix("homeward.api.")
    for outcome in ("FAILED_PRECONDITION", "CANCELLED"):
        about = f"sighting/{found}"
        force.events.append(event(force, "matching-1", export, "ben", about, outcome=outcome))

    record = (await given_out(force, scan.scan_id))["record"]

    told = record["scan"]
    assert (told["scan_id"], told["requester"]) == (scan.scan_id, "ivy")
    assert told["justification"]["necessity"] == "she is eight"
    assert (told["authorisation"]["state"], told["authorisation"]["decider"]) == (
        "authorised",
        "otto",
    )
    assert [(one["subject_id"], one["case_reference"]) for one in record["gallery"]] == [
        (subject_id, "MP/1")
    ]
    (finding,) = record["findings"]
    assert (finding["sighting_id"], finding["state"], finding["score"]) == (
        found,
        "confirmed",
        "0.500000",
    )
    assert [one["reviewer"] for one in finding["reviews"]] == ["R. Viewer"]
    assert [(one["by"], one["sighting_ids"]) for one in record["disclosures"]] == [("rex", [found])]
    assert [(one["writer"], one["sequence"]) for one in record["audit"]] == [
        ("ingestion-1", 1),
        ("matching-1", 2),
        ("matching-1", 4),
        ("matching-1", 5),
    ]


async def test_a_use_record_does_not_list_who_was_enrolled_after_the_scan(force: Force) -> None:
    before = await force.enrol()
    everybody = scan_pb2.ScanJustification(
        everything=True, everything_reason="nobody knows where", necessity="she is eight"
    )
    scan = await force.create(scan_pb2.ScanScope(), everybody)
    force.clock.pass_time(timedelta(minutes=5))
    meanwhile = await force.enrol()
    running = (await given_out(force, scan.scan_id))["record"]["gallery"]
    await force.scans.CancelScan(
        scans.CancelScanRequest(scan_id=scan.scan_id), metadata=force.who("ivy", "investigator")
    )
    force.clock.pass_time(timedelta(minutes=5))
    after = await force.enrol()

    ended = (await given_out(force, scan.scan_id))["record"]["gallery"]

    assert {one["subject_id"] for one in running} == {before, meanwhile}
    assert {one["subject_id"] for one in ended} == {before, meanwhile}
    assert after not in str(ended)


async def test_a_use_record_of_a_rejected_sighting_names_who_rejected_it(force: Force) -> None:
    subject_id = await force.enrol()
    scan = await force.targeted(subject_id)
    found = (await force.record(scan.scan_id, subject_id)).sighting.sighting_id
    await force.kept.add_sightings(scan.scan_id, [found, PHOTO])
    review = sightings.ReviewSightingRequest(
        sighting_id=found, decision=sighting_pb2.REVIEW_DECISION_REJECT, reviewer="R. Viewer"
    )
    await force.sightings.ReviewSighting(review)

    findings = (await given_out(force, scan.scan_id))["record"]["findings"]

    by_state = {one["state"]: one for one in findings}
    assert by_state["rejected"]["reviews"][0]["reviewer"] == "R. Viewer"
    assert by_state["not held"] == {"sighting_id": PHOTO, "state": "not held"}


@pytest.mark.parametrize("force", [ReviewRules(two_reviewers=True)], indirect=True)
async def test_a_use_record_names_both_who_confirmed(force: Force) -> None:
    subject_id = await force.enrol()
    scan = await force.targeted(subject_id)
    found = (await force.record(scan.scan_id, subject_id)).sighting.sighting_id
    await force.kept.add_sightings(scan.scan_id, [found])

    async def confirmed(reviewer: str) -> tuple[str, list[str], str]:
        review = sightings.ReviewSightingRequest(
            sighting_id=found, decision=sighting_pb2.REVIEW_DECISION_CONFIRM, reviewer=reviewer
        )
        await force.sightings.ReviewSighting(review)
        content = await given_out(force, scan.scan_id)
        (finding,) = content["record"]["findings"]
        page = record_page(verify_file(json.dumps(content).encode(), None))
        return finding["state"], [one["reviewer"] for one in finding["reviews"]], page

    first, second = await confirmed("R. Viewer"), await confirmed("S. Econd")

    assert first[:2] == ("awaiting_second", ["R. Viewer"])
    assert second[:2] == ("confirmed", ["R. Viewer", "S. Econd"])
    assert ("reviewer: R. Viewer" in second[2], "reviewer: S. Econd" in second[2]) == (True, True)


async def test_a_use_record_that_was_changed_does_not_hold(force: Force) -> None:
    scan = await force.targeted(await force.enrol())
    content = await given_out(force, scan.scan_id)
    content["record"]["scan"]["requester"] = "nobody"

    with pytest.raises(UseRecordError, match="not the one that was signed"):
        verify_file(json.dumps(content).encode(), None)


async def test_a_use_record_is_given_to_those_who_may_have_it(force: Force) -> None:
    scan = await force.targeted(await force.enrol())
    denied, auditor = force.who("rex", "reviewer"), force.who("ada", "auditor")
    request = scans.GetUseRecordRequest(scan_id=scan.scan_id)
    unknown = scans.GetUseRecordRequest(scan_id=PHOTO)

    reviewer = refusal(force.scans.GetUseRecord(request, metadata=denied))
    missing = refusal(force.scans.GetUseRecord(unknown, metadata=auditor))

    assert await reviewer == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert await missing == (grpc.StatusCode.NOT_FOUND, "SCAN_NOT_FOUND")
