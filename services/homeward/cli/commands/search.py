"""`homeward search`: create a scan, follow it, and print its candidates and coverage."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.matching.v1 import matching_service_pb2, subject_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.cli import authorisation, caveats, completing, policy_figures, terminal, times
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.follow import create, follow
from homeward.cli.ids import full_footage_id, full_subject_id, known_cameras
from homeward.cli.looked_for import left_out
from homeward.cli.options import Command, Session, connected, operator_name


@click.command(
    "search",
    cls=Command,
    examples=[
        "homeward search --subject 3f2a91c0 --camera gate \\",
        "    --from 2026-11-20T08:00:00Z --to 2026-11-20T12:00:00Z",
        'homeward search --everything --reason "nobody knows where they went" --subject 3f2a91c0',
        "homeward search --include-rejected --subject 3f2a91c0 \\",
        "    --footage gate-20261120t080000000000z-2c26b46b68ffc68f",
    ],
)
@connected
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="WHO",
    help="Look for this subject only: id, label or case.",
    shell_complete=completing.subjects,
)
@click.option(
    "--camera",
    "camera_ids",
    multiple=True,
    metavar="CAM",
    help="Search this camera only.",
    shell_complete=completing.cameras,
)
@click.option("--from", "begin", type=times.parse_from, metavar="TIME", help="Search from then on.")
@click.option("--to", "end", type=times.parse_to, metavar="TIME", help="Search until then.")
@click.option(
    "--footage",
    "recordings",
    multiple=True,
    metavar="ID",
    help="Search this recording only.",
    shell_complete=completing.footage,
)
@click.option(
    "--include-rejected",
    is_flag=True,
    help="List candidates where a reviewer has rejected one before, too. Needs --subject.",
)
@click.option(
    "--everything",
    is_flag=True,
    help="Search without naming subjects, or cameras and a start. Needs --reason.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why a narrower search would not do.")
@click.option("--necessity", default="", metavar="TEXT", help="Why the search is necessary.")
@click.option("--tried", default="", metavar="TEXT", help="What less intrusive means were tried.")
def search(
    session: Session,
    *,
    subjects: tuple[str, ...],
    camera_ids: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    recordings: tuple[str, ...],
    include_rejected: bool,
    everything: bool,
    reason: str,
    necessity: str,
    tried: str,
) -> ExitCode:
    """Search footage for subjects, and wait for the end.

    Without options: all footage, for all open subjects. A service that is set so takes a search
    alone that names subjects, and recordings or cameras and a start; any other needs --everything
    and --reason. Times are true times: the cameras' clock offsets are taken off. Ctrl-C leaves the
    search running.
    """
    if everything != bool(reason.strip()):
        raise click.UsageError("--everything and --reason belong together")
    if include_rejected and not subjects:
        raise click.UsageError(
            "--include-rejected needs --subject: whose rejected sightings to look for again"
        )
    scope = scan_pb2.ScanScope(
        subject_ids=[full_subject_id(session, given) for given in subjects],
        camera_ids=known_cameras(session, camera_ids),
        interval=times.interval(begin, end),
        footage_ids=[full_footage_id(session, given) for given in recordings],
        include_rejected=include_rejected,
    )
    known = caveats.subjects(session)
    _warn(session, known, scope.subject_ids)
    created = create(
        session,
        scan_service_pb2.CreateScanRequest(
            scope=scope,
            request_id=str(uuid.uuid4()),
            justification=scan_pb2.ScanJustification(
                everything=everything,
                everything_reason=reason,
                necessity=necessity,
                less_intrusive_means=tried,
            ),
            requester=operator_name(),
        ),
    )
    if awaited := authorisation.sentence(created):
        terminal.tell(awaited, err=True)
    for line in left_out(created, known.values()):
        terminal.tell(line, err=True)
    return follow(session, created)


def _warn(
    session: Session, known: Mapping[str, subject_pb2.Subject], subject_ids: Sequence[str]
) -> None:
    """Print warnings about relying on the policy, before the scan."""
    stub = MatchingServiceStub(session.connections.channel("matching"))
    request = matching_service_pb2.GetThresholdPolicyRequest(gallery_size=len(subject_ids))
    try:
        policy = stub.GetThresholdPolicy(request).policy
    except CliError:  # ingestion is about to refuse the scan, and says why
        return
    worth = caveats.Worth(policy.policy_id, policy.figures)
    for line in (
        *policy_figures.warnings(policy.policy_id, policy.figures),
        *caveats.of_scope(known, subject_ids, worth),
    ):
        terminal.tell(line, err=True)
