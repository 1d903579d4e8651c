"""`ActivityService`, on counts in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from homeward.api.matching.v1 import activity_service_pb2, activity_service_pb2_grpc
from homeward.cli.report import figures
from homeward.common.activity import of_policy
from homeward.core.promise import Verdict
from homeward.matching.activity.servicer import ActivityServicer
from homeward.matching.metrics import measure_promise
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.clients import open_channel
from homeward.servicekit.errors import FailedPreconditionError, Reason
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.server import GrpcServer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class At:
    def now(self) -> datetime:
        return NOON


@pytest.fixture
def counts() -> ActivityCounts:
    return ActivityCounts(InMemoryKeyValueStore(), At())


@pytest.fixture
async def stub(counts: ActivityCounts) -> AsyncIterator[Any]:
    server = GrpcServer(
        [ActivityServicer(counts, At()).service()],
        listen="localhost:0",
        checks={},
        grace_seconds=1,
    )
    await server.start()
    async with open_channel(f"localhost:{server.port}") as channel:
        yield activity_service_pb2_grpc.ActivityServiceStub(channel)
    await server.stop()


def days(first: str, last: str) -> activity_service_pb2.GetActivityReportRequest:
    return activity_service_pb2.GetActivityReportRequest(first_date=first, last_date=last)


async def test_days_are_told_with_their_figures(stub: Any, counts: ActivityCounts) -> None:
    await counts.begin()
    await counts.state("searches", "a", NOON, {"searches": 1, "searched_seconds": 90.4})
    await counts.state("searches", "b", NOON - timedelta(days=1), {"searches": 1, "faces": 7})
    for number, (state, high) in enumerate([("rejected", 0.02), ("confirmed", 0.04)]):
        figures = {state: 1, "promised": 1, "promised_value": 0.01, "promised_high": high}
        named = {of_policy("p/1", name): value for name, value in figures.items()}
        await counts.state("candidates", f"{number}", NOON, named)

    answer = await stub.GetActivityReport(days("2026-11-01", "2026-11-30"))

    assert answer.counted_since_time.ToDatetime(UTC) == NOON
    assert [one.date for one in answer.days] == ["2026-11-19", "2026-11-20"]
    assert answer.days[0].searches.face_count == 7
    assert answer.days[1].searches.searched_duration.seconds == 90
    [policy] = answer.days[1].candidates
    assert (policy.policy_id, policy.rejected_count, policy.confirmed_count) == ("p/1", 1, 1)
    assert policy.promised_fpir.high == pytest.approx(0.03)
    assert policy.promised_fpir.trial_count == 2


class NoPolicy:
    """Policies of which none is in force."""

    async def in_force(self) -> Any:
        raise FailedPreconditionError("none is active", reason=Reason.POLICY_NOT_APPROVED)


async def listed(counts: ActivityCounts, *, wrong: int, right: int, compared: int) -> None:
    """Count a search, and candidates of two policies, on two days."""
    for days_ago, policy in enumerate(["p/1", "p/2"]):
        when = NOON - timedelta(days=days_ago)
        await counts.state("searches", policy, when, {"appearances": compared / 2})
        for state, number in (("rejected", wrong), ("confirmed", right), ("unreviewed", 1)):
            stated = {
                state: 1,
                "promised": 1,
                "promised_value": 0.001,
                "promised_low": 0.0005,
                "promised_high": 0.002 + days_ago / 1000,
            }
            named = {of_policy(policy, name): value for name, value in stated.items()}
            for one in range(number):
                await counts.state("candidates", f"{policy} {state} {one}", when, named)


def gauges() -> dict[str, float]:
    return {
        " ".join((sample.name.removeprefix("homeward_"), *sample.labels.values())): sample.value
        for family in REGISTRY.collect()
        if "promise" in family.name or "wrong" in family.name
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("wrong", "verdict"), [(0, Verdict.NOT_BROKEN), (1, Verdict.NOT_BROKEN), (9, Verdict.BROKEN)]
)
async def test_metrics_and_the_report_judge_a_promise_alike(
    stub: Any, counts: ActivityCounts, wrong: int, verdict: Verdict
) -> None:
    await listed(counts, wrong=wrong, right=2, compared=2000)
    answer = await stub.GetActivityReport(days("2026-10-22", "2026-11-20"))
    report = figures.comparison(answer.days, None)

    await measure_promise(counts, NoPolicy(), At())  # type: ignore[arg-type]

    assert report.verdict is verdict
    assert report.observed is not None
    assert report.promised is not None
    told = gauges()
    assert told["promise_broken"] == (verdict is Verdict.BROKEN)
    assert told["wrong_candidate_rate value"] == report.observed.value == wrong * 2 / 2000
    assert told["wrong_candidate_rate low"] == report.observed.low
    assert told["wrong_candidate_rate high"] == report.observed.high
    assert told["promised_wrong_candidate_rate high"] == pytest.approx(report.promised.high)


async def test_what_is_older_than_thirty_days_breaks_no_promise(counts: ActivityCounts) -> None:
    await listed(counts, wrong=9, right=0, compared=2000)

    class Later:
        def now(self) -> datetime:
            return NOON + timedelta(days=30)

    await measure_promise(counts, NoPolicy(), Later())  # type: ignore[arg-type]

    assert gauges() == {"promise_broken": 0}


async def test_without_counts_it_says_so(stub: Any) -> None:
    answer = await stub.GetActivityReport(days("2026-11-01", "2026-11-30"))

    assert not answer.HasField("counted_since_time")
    assert list(answer.days) == []


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("", "2026-11-30", "first_date"),
        ("2026-11-01", "30.11.2026", "last_date"),
        ("2026-11-02", "2026-11-01", "last_date"),
        ("2026-01-01", "2027-01-03", "last_date"),
    ],
)
async def test_a_span_that_is_none_is_refused(stub: Any, first: str, last: str, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetActivityReport(days(first, last))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(field)


async def test_a_leap_year_is_one_span(stub: Any) -> None:
    assert await stub.GetActivityReport(days("2028-01-01", "2028-12-31"))
