"""`homeward retention`: what footage is held, and whether any is past its deadline."""

from __future__ import annotations

import click

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import times
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import size


@click.command(
    "retention", cls=Command, examples=["homeward retention", "homeward retention --output json"]
)
@connected
def retention(session: Session) -> ExitCode:
    """Show what footage is held and how old it is. Exit code 3 when any is past its deadline."""
    report = FootageServiceStub(session.connections.channel("ingestion")).GetRetentionReport(
        footage_service_pb2.GetRetentionReportRequest()
    )
    overdue = list(report.overdue_footage_ids)
    if session.view.json:
        session.view.document({"retentionReport": report})
    else:
        session.view.details(
            [
                ("recordings held", str(report.footage_count)),
                ("size", size(report.footage_size_bytes)),
                ("oldest received", times.utc(report.oldest_receive_time)),
                ("past their deadline", str(len(overdue))),
                ("the store removes after", f"{report.lifecycle_days} days"),
                ("report of", times.utc(report.report_time)),
            ]
        )
    if not overdue:
        return ExitCode.OK
    tell(
        CliError(
            f"{len(overdue)} recordings are past their deadline: {', '.join(overdue)}",
            advice="this is a breach: remove them with `homeward footage rm`, tell the operator",
        )
    )
    return ExitCode.OVERDUE
