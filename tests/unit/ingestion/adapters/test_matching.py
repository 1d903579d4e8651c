from __future__ import annotations

# ruff: noqa: N802 - gRPC names the methods
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from homeward.api.common.v1 import policy_pb2 as figures_pb2
from homeward.api.matching.v1 import (
    matching_service_pb2,
    matching_service_pb2_grpc,
    policy_pb2,
    sighting_pb2,
    sighting_service_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.core.policy import PolicyFigures, Rate
from homeward.ingestion.adapters.matching import GrpcMatcher
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.faces import Box, Template
from homeward.ingestion.scan.model import Drop, Match, MatchPolicy
from homeward.ingestion.scan.ports import DraftStill, SightingDraft, Still
from homeward.servicekit import errors, wire
from homeward.servicekit.clients import open_channel

SUBJECT = "00000000-0000-4000-8000-000000000001"
PROBE = Template(np.array([1.0, 0.0], np.float32), "model-1")
RATE = figures_pb2.ErrorRate(value=0.25, low=0.125, high=0.5, trial_count=8)
FIGURES = figures_pb2.PolicyFigures(
    approved=True, gallery_size=2, expected_fpir=RATE, fnir=RATE, measured_gallery_size=500
)


class FakeMatching(
    matching_service_pb2_grpc.MatchingServiceServicer,
    subject_service_pb2_grpc.SubjectServiceServicer,
    sighting_service_pb2_grpc.SightingServiceServicer,
):
    """Has one subject and one policy; records what it is given."""

    def __init__(self) -> None:
        self.policy = policy_pb2.ThresholdPolicy(policy_id="p/1", threshold=0.5, figures=FIGURES)
        self.subject = subject_pb2.Subject(
            subject_id=SUBJECT,
            state=subject_pb2.Subject.STATE_OPEN,
            reference_photos=[subject_pb2.ReferencePhoto()],
        )
        self.knows_nobody = False
        self.refuses = False
        self.findings: list[sighting_service_pb2.SightingFinding] = []
        self.dispositions: list[Any] = []
        self.unmade: list[sighting_service_pb2.SightingFinding] = []
        self.joined: list[sighting_service_pb2.RecordedSighting] = []
        self.refuses_to_join: grpc.StatusCode | None = None
        self.erasures: list[sighting_service_pb2.EraseFootageSightingsRequest] = []

    async def RecordSightings(self, request: Any, _: Any) -> Any:
        self.findings += request.findings
        return sighting_service_pb2.RecordSightingsResponse(
            results=[
                sighting_service_pb2.RecordedSighting(disposition=disposition)
                for disposition in self.dispositions
            ]
            or [sighting_service_pb2.RecordedSighting() for _ in request.findings]
        )

    async def JoinSightings(self, request: Any, context: Any) -> Any:
        if self.refuses_to_join is not None:
            await context.abort(self.refuses_to_join, "no")
        self.unmade += request.findings
        return sighting_service_pb2.JoinSightingsResponse(results=self.joined)

    async def EraseFootageSightings(self, request: Any, _: Any) -> Any:
        self.erasures.append(request)
        return sighting_service_pb2.EraseFootageSightingsResponse()

    async def Match(self, _: Any, __: Any) -> Any:
        return matching_service_pb2.MatchResponse(
            results=[matching_service_pb2.ProbeCandidates()], policy=self.policy
        )

    async def GetThresholdPolicy(self, _: Any, context: Any) -> Any:
        if self.refuses:
            status = status_pb2.Status(code=9, message="nobody has approved policy p/1")
            info = any_pb2.Any()
            info.Pack(error_details_pb2.ErrorInfo(reason="POLICY_NOT_APPROVED", domain="homeward"))
            status.details.append(info)
            trailer = (("grpc-status-details-bin", status.SerializeToString()),)
            code = grpc.StatusCode.FAILED_PRECONDITION
            await context.abort(code, status.message, trailing_metadata=trailer)
        return matching_service_pb2.GetThresholdPolicyResponse(policy=self.policy)

    async def GetSubject(self, _: Any, context: Any) -> Any:
        if self.knows_nobody:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        return subject_service_pb2.GetSubjectResponse(subject=self.subject)

    async def ListSubjects(self, _: Any, __: Any) -> Any:
        return subject_service_pb2.ListSubjectsResponse(subjects=[self.subject])


@pytest.fixture
def fake() -> FakeMatching:
    return FakeMatching()


@pytest.fixture
async def matcher(fake: FakeMatching) -> AsyncIterator[GrpcMatcher]:
    server = grpc.aio.server()
    matching_service_pb2_grpc.add_MatchingServiceServicer_to_server(fake, server)
    subject_service_pb2_grpc.add_SubjectServiceServicer_to_server(fake, server)
    sighting_service_pb2_grpc.add_SightingServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    async with open_channel(f"localhost:{port}") as channel:
        yield GrpcMatcher(channel, "m:1")
    await server.stop(None)


async def test_matches_come_with_what_their_policy_is_worth(matcher: GrpcMatcher) -> None:
    _, policy = await matcher.match([PROBE], [])

    rate = Rate(0.25, 0.125, 0.5, trials=8)
    assert (policy.policy_id, policy.threshold) == ("p/1", 0.5)
    assert policy.figures == PolicyFigures(
        approved=True, gallery_size=2, expected_fpir=rate, fnir=rate, measured_gallery_size=500
    )


async def test_a_matching_service_that_tells_no_figures_is_understood(
    matcher: GrpcMatcher, fake: FakeMatching
) -> None:
    fake.policy.ClearField("figures")

    _, policy = await matcher.match([PROBE], [])

    assert policy.figures is None


@pytest.mark.parametrize("subject_ids", [(), (SUBJECT,)])
async def test_a_search_needs_a_photograph_that_the_model_can_use(
    matcher: GrpcMatcher, fake: FakeMatching, subject_ids: tuple[str, ...]
) -> None:
    fake.subject.reference_photos[0].unusable = True

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await matcher.require_searchable(subject_ids)

    assert refused.value.reason is errors.Reason.NO_OPEN_SUBJECTS


@pytest.mark.parametrize("subject_ids", [(), (SUBJECT,)])
async def test_a_search_needs_a_policy_in_force(
    matcher: GrpcMatcher, fake: FakeMatching, subject_ids: tuple[str, ...]
) -> None:
    await matcher.require_searchable(subject_ids)
    fake.refuses = True

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await matcher.require_searchable(subject_ids)

    assert refused.value.reason is errors.Reason.POLICY_NOT_APPROVED
    assert refused.value.message == "nobody has approved policy p/1"


def a_finding(make: Any, footage: Footage) -> SightingDraft:
    return SightingDraft(
        scan_id=SUBJECT,
        footage=footage,
        match=Match(SUBJECT, SUBJECT, 0.8),
        best_shot_score=None,
        rival_score=None,
        policy=MatchPolicy("p/1", 0.5),
        true_start=make.recorded,
        start=timedelta(seconds=1),
        end=timedelta(seconds=4),
        best_shot=timedelta(seconds=2),
        face_height_px=50,
        template=PROBE,
        stills=(
            DraftStill(timedelta(seconds=2), None, 50, 0.75, Still(b"best", Box(10, 20, 30, 40))),
            DraftStill(timedelta(seconds=3), 0.5, 48, 0.5, Still(b"another", Box(11, 21, 31, 41))),
        ),
    )


async def test_a_finding_has_its_stills_in_order_of_time(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any
) -> None:
    await matcher.record([a_finding(make, make.footage())])

    (finding,) = fake.findings
    assert (finding.still, list(finding.stills)) == (b"best", [b"best", b"another"])
    told = finding.sighting.stills
    assert [one.offset.ToTimedelta() for one in told] == [
        timedelta(seconds=2),
        timedelta(seconds=3),
    ]
    assert told[0].time == finding.sighting.best_shot_time
    assert [one.HasField("score") for one in told] == [False, True]
    assert (told[0].face_box.height, told[0].face_height_px, told[0].quality) == (40, 50, 0.75)


def before_stills(draft: SightingDraft) -> SightingDraft:
    return replace(draft, stills=tuple(replace(one, still=None) for one in draft.stills))


async def test_a_finding_before_its_stills_tells_when_they_would_be(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any
) -> None:
    kinds = sighting_service_pb2.RecordedSighting
    fake.joined = [
        kinds(disposition=kinds.DISPOSITION_STILLS_NEEDED),
        kinds(
            disposition=kinds.DISPOSITION_JOINED, sighting=sighting_pb2.Sighting(sighting_id="one")
        ),
        kinds(disposition=kinds.DISPOSITION_SUBJECT_CLOSED),
    ]

    joined = await matcher.join([before_stills(a_finding(make, make.footage()))] * 3)

    assert joined == [None, "one", Drop.SUBJECT_CLOSED]
    finding = fake.unmade[0]
    assert (finding.still, list(finding.stills)) == (b"", [])
    told = finding.sighting.stills
    assert [one.offset.ToTimedelta().total_seconds() for one in told] == [2, 3]
    assert [one.HasField("face_box") for one in told] == [False, False]


async def test_matching_of_a_version_before_needs_all_stills(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any
) -> None:
    fake.refuses_to_join = grpc.StatusCode.UNIMPLEMENTED

    joined = await matcher.join([before_stills(a_finding(make, make.footage()))] * 70)

    assert joined == [None] * 70


async def test_matching_that_is_away_is_told_as_away(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any
) -> None:
    fake.refuses_to_join = grpc.StatusCode.DEADLINE_EXCEEDED

    with pytest.raises(errors.UnavailableError):
        await matcher.join([before_stills(a_finding(make, make.footage()))])


@pytest.mark.parametrize("ahead", [90, -90, 0])
async def test_a_finding_tells_what_it_was_found_in_and_by_which_clock(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any, ahead: int
) -> None:
    offset = timedelta(seconds=ahead)
    footage = make.footage()
    found = replace(a_finding(make, footage), true_start=footage.header.start_time - offset)

    await matcher.record([found])

    (finding,) = fake.findings
    assert finding.sighting.footage_sha256 == footage.header.sha256
    assert finding.sighting.HasField("clock_offset")
    assert finding.sighting.clock_offset.ToTimedelta() == offset


@pytest.mark.parametrize(("requester", "told"), [("anne@force", ["anne@force"]), ("", [])])
async def test_a_finding_tells_who_asked_for_the_search(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any, requester: str, told: list[str]
) -> None:
    await matcher.record([replace(a_finding(make, make.footage()), requester=requester)])

    assert list(fake.findings[0].sighting.requesters) == told


async def test_a_finding_that_is_dropped_tells_why(
    matcher: GrpcMatcher, fake: FakeMatching, make: Any
) -> None:
    kinds = sighting_service_pb2.RecordedSighting
    fake.dispositions = [
        kinds.DISPOSITION_REJECTED_BEFORE,
        kinds.DISPOSITION_SUBJECT_CLOSED,
        kinds.DISPOSITION_FOOTAGE_REMOVED,
    ]

    recorded = await matcher.record([a_finding(make, make.footage())] * 3)

    assert recorded == [Drop.REJECTED_BEFORE, Drop.SUBJECT_CLOSED, Drop.FOOTAGE_REMOVED]


@pytest.mark.parametrize(
    ("uncertain_from", "told"),
    [(None, False), (3.999, True), (4.0, False), (2.0, True), (0.0, True)],
    ids=["never", "just before its end", "at its end", "in it", "from the beginning"],
)
async def test_a_finding_tells_whether_its_time_is_uncertain(
    matcher: GrpcMatcher,
    fake: FakeMatching,
    make: Any,
    *,
    uncertain_from: float | None,
    told: bool,
) -> None:
    footage = make.footage()
    at = None if uncertain_from is None else timedelta(seconds=uncertain_from)
    footage = replace(footage, media=replace(footage.media, uncertain_from=at))
    await matcher.record([a_finding(make, footage)])

    (finding,) = fake.findings
    assert finding.sighting.HasField("time_uncertain")
    assert finding.sighting.time_uncertain is told
    assert not finding.HasField("include_rejected_before_time")

    found = replace(a_finding(make, footage), include_rejected_before=make.recorded)
    await matcher.record([found])

    again = fake.findings[-1].include_rejected_before_time
    assert again == wire.to_timestamp(make.recorded)


async def test_case_references_are_of_those_who_are_looked_for(
    matcher: GrpcMatcher, fake: FakeMatching
) -> None:
    fake.subject.case_reference = "MP/1"
    held = await matcher.case_references({SUBJECT})
    fake.subject.ClearField("case_reference")  # as of a closed one
    closed = await matcher.case_references({SUBJECT})

    assert (held, closed) == ({SUBJECT: "MP/1"}, {})


async def test_a_service_that_does_not_know_ours_is_said_to_refuse_it(
    matcher: GrpcMatcher, fake: FakeMatching
) -> None:
    fake.knows_nobody = True

    with pytest.raises(errors.UnavailableError, match="it does not know this service"):
        await matcher.case_references({SUBJECT})


async def test_an_erasure_says_when_the_recording_came(
    matcher: GrpcMatcher, fake: FakeMatching
) -> None:
    received = datetime(2026, 3, 4, 12, 0, 0, 17, tzinfo=UTC)

    await matcher.erase_footage_sightings("footage-1", received=received)
    await matcher.erase_footage_sightings("footage-2", received=None)

    known, unknown = fake.erasures
    assert wire.from_timestamp(known.footage_receive_time, "") == received
    assert not unknown.HasField("footage_receive_time")
