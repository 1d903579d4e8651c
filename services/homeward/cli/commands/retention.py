"""`homeward retention`: what is held, how old it is, and whether any is past its deadline."""

from __future__ import annotations

from collections.abc import Sequence

import click

from homeward.api.common.v1 import retention_pb2
from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.matching.v1 import retention_service_pb2
from homeward.api.matching.v1.retention_service_pb2_grpc import RetentionServiceStub
from homeward.cli import times
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import size


@click.command(
    "retention", cls=Command, examples=["homeward retention", "homeward retention --output json"]
)
@connected
def retention(session: Session) -> ExitCode:
    """Show what is held, how old it is, and what is past its deadline: exit code 3 if any is.

    It is 3 as well when a store keeps what is deleted, has lost sightings, or has collections that
    no record names.

    Homeward's sweep removes what is due. A rule that is set in the store removes what no sweep has
    removed, if the store executes such rules: the object store of `homeward up` does not.
    """
    footage = FootageServiceStub(session.connections.channel("ingestion")).GetRetentionReport(
        footage_service_pb2.GetRetentionReportRequest()
    )
    people = RetentionServiceStub(session.connections.channel("matching")).GetRetentionReport(
        retention_service_pb2.GetRetentionReportRequest()
    )
    held = [*footage.held, *people.held]
    problems = [*footage.store_problems, *people.store_problems]
    if session.view.json:
        session.view.document({"footage": footage, "people": people})
    else:
        _show(session, footage, people, held)
    for problem in problems:
        tell(CliError(problem, advice="nothing new is accepted into it until this is put right"))
    if people.unknown_collections:
        tell(
            CliError(
                "Qdrant has collections that no record names: "
                + ", ".join(people.unknown_collections),
                advice="an older state of Qdrant was restored, or another installation uses it too;"
                " they may hold templates, places and times of people who were erased, and nothing"
                " removes them: whoever runs Qdrant does (docs/operations.md, Back up and restore)",
            )
        )
    if people.lost_sighting_count:
        tell(
            CliError(
                f"sightings that were recorded and are lost: {people.lost_sighting_count}",
                advice="`homeward sighting list` says which, and how to find them again",
            )
        )
    overdue = [one for one in held if one.overdue_count]
    for one in overdue:
        named = ": " + ", ".join(footage.overdue_footage_ids) if one.name == "footage" else ""
        tell(
            CliError(
                f"{one.overdue_count} of {one.name} past the deadline, or dated in the future"
                f"{named}",
                advice="this is a breach: see the logs of ingestion and matching for why the"
                " sweeper does not remove it, and tell the operator",
            )
        )
    found = overdue or problems or people.unknown_collections or people.lost_sighting_count
    return ExitCode.OVERDUE if found else ExitCode.OK


def _show(
    session: Session,
    footage: footage_service_pb2.GetRetentionReportResponse,
    people: retention_service_pb2.GetRetentionReportResponse,
    held: list[retention_pb2.HeldData],
) -> None:
    session.view.table(
        ("data", "held", "size", "oldest", "overdue"),
        [
            (
                one.name,
                str(one.count),
                size(one.size_bytes) if one.HasField("size_bytes") else "",
                times.shown(one.oldest_time) if one.HasField("oldest_time") else "",
                str(one.overdue_count),
            )
            for one in held
        ],
    )
    under_way = [one for one in footage.erasures if not one.HasField("erase_time")]
    listed = [one for one in footage.erasures if one.HasField("erase_time")]
    # A server of an earlier version lists all and counts none.
    erased = max(footage.erased_count, len(listed))
    by_store = max(footage.erased_by_store_count, sum(one.by_store for one in listed))
    session.view.details(
        [
            ("rule set in the store for footage", _lifecycle(footage.lifecycle)),
            ("rule set in the store for stills", _lifecycle(people.lifecycle)),
            ("encryption at rest", _encryption([*footage.encryption, *people.encryption])),
            (
                "recordings removed in 7 days",
                f"{erased}"
                + f" (of which by the store itself: {by_store})" * bool(by_store)
                + f"; being removed now: {len(under_way)}",
            ),
            ("recordings counted", _counted(footage)),
            (
                "bytes of erased templates",
                "in files that the next sweep rebuilds" if people.rebuild_due else "none",
            ),
            ("report of", times.shown(footage.report_time)),
        ]
    )


def _counted(footage: footage_service_pb2.GetRetentionReportResponse) -> str:
    if not footage.HasField("count_time"):
        return "now, for this report"
    since = f"at {times.shown(footage.count_time)} or later"
    changed = (
        f"; of {footage.uncounted_days} days of cameras more has come or gone since"
        if footage.uncounted_days
        else ""
    )
    return since + changed


def _lifecycle(span: retention_pb2.LifecycleSpan) -> str:
    if not span.longest_days:
        some = f"; some after {span.shortest_days} days" if span.shortest_days else ""
        return f"never removes all of them{some}"
    if span.shortest_days < span.longest_days:
        return f"removes after {span.longest_days} days, some after {span.shortest_days}"
    return f"removes after {span.longest_days} days"


def _encryption(buckets: Sequence[retention_pb2.BucketEncryption]) -> str:
    by_algorithm: dict[str, list[str]] = {}
    for one in buckets:
        by_algorithm.setdefault(one.algorithm or "the store reports none", []).append(one.bucket)
    return "; ".join(f"{name}: {', '.join(found)}" for name, found in by_algorithm.items())
