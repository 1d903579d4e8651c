"""Reads from the services what a report is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from homeward.api.common.v1 import audit_service_pb2
from homeward.api.common.v1.audit_service_pb2_grpc import AuditServiceStub
from homeward.api.common.v1.retention_pb2 import HeldData
from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.matching.v1 import activity_service_pb2, retention_service_pb2
from homeward.api.matching.v1.activity_service_pb2 import GetActivityReportResponse
from homeward.api.matching.v1.activity_service_pb2_grpc import ActivityServiceStub
from homeward.api.matching.v1.retention_service_pb2_grpc import RetentionServiceStub
from homeward.cli import audit_trail, caveats, times
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.options import Session
from homeward.cli.report.figures import Evidence
from homeward.cli.report.period import Period
from homeward.cli.report.trail import TrailTally, tally
from homeward.core.promise import Interval


def read_evidence(session: Session, period: Period, *, exact: bool) -> Evidence:
    """Return what a report of a period is made of.

    Args:
        session: The command's session.
        period: The period, which has begun.
        exact: Whether to tell the numbers of few people too.

    Raises:
        CliError: The period has not begun.
    """
    now = datetime.now(UTC)
    if period.begin > now:
        raise CliError(f"{period.name} has not begun", exit_code=ExitCode.USAGE)
    activity = ActivityServiceStub(session.connections.channel("matching")).GetActivityReport(
        activity_service_pb2.GetActivityReportRequest(
            first_date=period.first.isoformat(), last_date=period.last.isoformat()
        )
    )
    audit = AuditServiceStub(session.connections.channel("matching"))
    request = audit_service_pb2.ListAuditEventsRequest(
        interval=TimeInterval(
            start_time=times.to_timestamp(period.begin), end_time=times.to_timestamp(period.end)
        )
    )
    trail = tally(audit_trail.listed(audit, request))
    held, problems = _retention(session)
    first_event = _first_event(audit)
    _refuse_unknown(period, activity, first_event)
    missing = list(_missing(period, now, activity, trail, first_event))
    return Evidence(
        period=period,
        days=activity.days,
        trail=trail,
        held=held,
        problems=problems,
        missing=missing,
        promised=_promised(session),
        exact=exact,
    )


def _refuse_unknown(
    period: Period, activity: GetActivityReportResponse, first_event: datetime | None
) -> None:
    """Refuse a period of which nothing is known: each of its figures would be 0, and untrue.

    Raises:
        CliError: Counting and the audit trail both begin after it.
    """
    since = activity.counted_since_time.ToDatetime(UTC)  # 1970 while nothing is counted
    begin = min(since, first_event) if first_event else since
    if begin >= period.end:
        raise CliError(
            f"nothing is known of {period.name}: what is on record here begins at {_told(begin)}",
            advice="ask for a period that ends after that",
            exit_code=ExitCode.USAGE,
        )


def _first_event(audit: AuditServiceStub) -> datetime | None:
    """Return when the trail that is held begins."""
    page = audit.ListAuditEvents(audit_service_pb2.ListAuditEventsRequest(page_size=1))
    return page.events[0].event_time.ToDatetime(UTC) if page.events else None


def _retention(session: Session) -> tuple[list[HeldData], list[str]]:
    footage = FootageServiceStub(session.connections.channel("ingestion")).GetRetentionReport(
        footage_service_pb2.GetRetentionReportRequest()
    )
    people = RetentionServiceStub(session.connections.channel("matching")).GetRetentionReport(
        retention_service_pb2.GetRetentionReportRequest()
    )
    problems = [*footage.store_problems, *people.store_problems]
    if people.lost_sighting_count:
        problems.append(f"Sightings that the store has lost: {people.lost_sighting_count}.")
    if people.unknown_collections:
        problems.append("The vector store has collections that no record names.")
    return [*footage.held, *people.held], problems


def _promised(session: Session) -> Interval | None:
    figures = caveats.in_force(session).figures
    rate = figures.expected_fpir
    return Interval(rate.value, rate.low, rate.high) if rate.high else None


def _missing(
    period: Period,
    now: datetime,
    activity: GetActivityReportResponse,
    trail: TrailTally,
    first_event: datetime | None,
) -> Iterator[str]:
    """Tell what a report does not cover, a sentence each."""
    if period.end > now:
        yield f"{period.name} has not ended: this report is until {_told(now)}."
    if not activity.HasField("counted_since_time"):
        yield (
            "Nothing is counted yet: of searches, footage, faces and candidates this report knows"
            " nothing."
        )
    elif (since := activity.counted_since_time.ToDatetime(UTC)) > period.begin:
        yield (
            f"Searches, footage, faces and candidates are counted since {_told(since)}. What was"
            " before that is not in this report, so it does not cover the whole period."
        )
    if first_event is None or first_event > period.begin:
        begin = "is empty" if first_event is None else f"begins at {_told(first_event)}"
        yield f"The audit trail {begin}, so figures from it do not cover the whole period."
    if days := _incomplete(activity):
        yield f"On these days there was more than is counted: {', '.join(days)}."
    ended = sum(one.searches.search_count for one in activity.days)
    if len(trail.searches) > ended:
        yield (
            f"Searches asked for: {len(trail.searches)}; of these, not ended or not counted yet:"
            f" {len(trail.searches) - ended}. A search is counted within ten minutes of its end."
        )


def _incomplete(activity: GetActivityReportResponse) -> Sequence[str]:
    return [one.date for one in activity.days if one.incomplete]


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
