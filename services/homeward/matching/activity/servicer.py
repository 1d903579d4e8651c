"""`homeward.api.matching.v1.ActivityService`: how much Homeward was used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from homeward.api.common.v1.policy_pb2 import ErrorRate
from homeward.api.matching.v1 import activity_service_pb2, activity_service_pb2_grpc
from homeward.common.activity import (
    CANDIDATES,
    SEARCHES,
    CandidateFigure,
    SearchFigure,
    by_policy,
)
from homeward.matching.sightings.model import SightingState
from homeward.servicekit import wire
from homeward.servicekit.activity import ActivityCounts, DayTotals
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import invalid_field
from homeward.servicekit.server import Service

Context = grpc.aio.ServicerContext[Any, Any]

MOST_DAYS = 366


class ActivityServicer(activity_service_pb2_grpc.ActivityServiceServicer):
    """Serves the counts to auditors.

    Args:
        counts: The counts.
        clock: Tells the time.
    """

    def __init__(self, counts: ActivityCounts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock

    def service(self) -> Service:
        """Return what a server serves."""
        return Service(
            activity_service_pb2.DESCRIPTOR.services_by_name["ActivityService"].full_name,
            activity_service_pb2_grpc.add_ActivityServiceServicer_to_server,
            self,
        )

    async def GetActivityReport(
        self, request: activity_service_pb2.GetActivityReportRequest, _: Context
    ) -> activity_service_pb2.GetActivityReportResponse:
        first, last = _date(request.first_date, "first_date"), _date(request.last_date, "last_date")
        if not first <= last <= first + timedelta(days=MOST_DAYS):
            raise invalid_field(
                "last_date", f"is before first_date, or more than {MOST_DAYS} days after it"
            )
        answer = activity_service_pb2.GetActivityReportResponse(
            report_time=wire.to_timestamp(self._clock.now())
        )
        since = await self._counts.since()
        if since is not None:
            answer.counted_since_time.CopyFrom(wire.to_timestamp(since))
        days: dict[date, activity_service_pb2.DailyActivity] = {}
        for totals in await self._counts.totals(SEARCHES, first, last):
            _day(days, totals).searches.CopyFrom(_searches(totals.figures))
        for totals in await self._counts.totals(CANDIDATES, first, last):
            _day(days, totals).candidates.extend(_candidates(totals.figures))
        answer.days.extend(days[one] for one in sorted(days))
        return answer


def _date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid_field(field, "is not a day, such as 2026-11-29") from None


def _day(
    days: dict[date, activity_service_pb2.DailyActivity], totals: DayTotals
) -> activity_service_pb2.DailyActivity:
    made = days.setdefault(
        totals.day, activity_service_pb2.DailyActivity(date=totals.day.isoformat())
    )
    made.incomplete = made.incomplete or totals.incomplete
    return made


def _searches(figures: Mapping[str, float]) -> activity_service_pb2.SearchActivity:
    def count(figure: SearchFigure) -> int:
        return round(figures.get(figure, 0))

    return activity_service_pb2.SearchActivity(
        search_count=count(SearchFigure.SEARCHES),
        everything_count=count(SearchFigure.EVERYTHING),
        authorised_count=count(SearchFigure.AUTHORISED),
        refused_count=count(SearchFigure.REFUSED),
        lapsed_count=count(SearchFigure.LAPSED),
        awaited_count=count(SearchFigure.AWAITED),
        requested_duration=Duration(seconds=count(SearchFigure.REQUESTED_SECONDS)),
        searched_duration=Duration(seconds=count(SearchFigure.SEARCHED_SECONDS)),
        footage_count=count(SearchFigure.FOOTAGE),
        face_count=count(SearchFigure.FACES),
        appearance_count=count(SearchFigure.APPEARANCES),
        discarded_appearance_count=count(SearchFigure.DISCARDED),
        incomparable_appearance_count=count(SearchFigure.INCOMPARABLE),
    )


def _candidates(figures: Mapping[str, float]) -> list[activity_service_pb2.CandidateActivity]:
    return [_of_policy(policy_id, own) for policy_id, own in by_policy(figures).items()]


def _of_policy(
    policy_id: str, figures: Mapping[str, float]
) -> activity_service_pb2.CandidateActivity:
    def count(figure: str) -> int:
        return round(figures.get(figure, 0))

    made = activity_service_pb2.CandidateActivity(
        policy_id=policy_id,
        unreviewed_count=count(SightingState.UNREVIEWED),
        confirmed_count=count(SightingState.CONFIRMED),
        rejected_count=count(SightingState.REJECTED),
        inconclusive_count=count(SightingState.INCONCLUSIVE),
        awaiting_second_count=count(SightingState.AWAITING_SECOND),
        approved_count=count(CandidateFigure.APPROVED),
    )
    promised = figures.get(CandidateFigure.PROMISED, 0)
    if promised:
        made.promised_fpir.CopyFrom(
            ErrorRate(
                value=figures.get(CandidateFigure.PROMISED_VALUE, 0) / promised,
                low=figures.get(CandidateFigure.PROMISED_LOW, 0) / promised,
                high=figures.get(CandidateFigure.PROMISED_HIGH, 0) / promised,
                trial_count=round(promised),
            )
        )
    return made
