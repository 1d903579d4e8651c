"""`homeward report`: what a force publishes about its use of Homeward."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from homeward.cli.errors import ExitCode
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.options import Command, Session, connected
from homeward.cli.report import period
from homeward.cli.shared import OutputFile

_FILES = ("report.html", "figures.csv", "days.csv")


@click.command(
    cls=Command,
    examples=[
        "homeward report --month 2026-11 -o november",
        "homeward report --year 2026 -o year",
    ],
)
@connected
@click.option("--month", type=period.month, metavar="YYYY-MM", help="Of this month.")
@click.option("--year", type=period.year, metavar="YYYY", help="Of this year.")
@click.option(
    "-o",
    "folder",
    type=OutputFile(folder=True),
    required=True,
    metavar="DIR",
    help="Folder to write to; made if it is not there.",
)
@click.option(
    "--exact", is_flag=True, help="Tell numbers of fewer than 5 people too; not to be published."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def report(
    session: Session,
    *,
    month: period.Period | None,
    year: period.Period | None,
    folder: Path,
    exact: bool,
    force: bool,
) -> ExitCode:
    """Write a transparency report: a page and tables, without personal data.

    Searches and their purposes, footage searched, faces compared and forgotten, candidates and what
    reviewers decided, whether more were wrong than the policy promises, retention and access.
    Exit code 3 if more were wrong than promised, or data is held past its deadline.

    For auditors. What is not covered is told on the page. docs/transparency.md says what each
    number counts.
    """
    if (month is None) == (year is None):
        raise click.UsageError("give one of --month and --year")
    wanted = month or year
    assert wanted is not None
    paths = [folder / name for name in _FILES]
    for path in paths:
        refuse_existing(path, force=force)
    from homeward.cli.report import figures, gather, output  # noqa: PLC0415 - slow to import

    made = figures.made_of(gather.read_evidence(session, wanted, exact=exact))
    now = datetime.now(UTC)
    told = f"{now.day} {now:%B %Y, %H:%M} UTC"
    folder.mkdir(parents=True, exist_ok=True)
    contents = (output.page(made, told), output.figures_csv(made), output.days_csv(made))
    for path, content in zip(paths, contents, strict=True):
        write_new(path, content, force=force)
    if session.view.json:
        session.view.document(
            {
                "files": [str(path) for path in paths],
                "figures": [
                    {"section": one.section, "name": one.name, "value": one.value}
                    for one in made.figures
                ],
                "promise": made.comparison.verdict.value,
                "alarms": made.alarms,
                "notCovered": made.missing,
            }
        )
    session.view.say(f"Written: {', '.join(str(path) for path in paths)}")
    for line in made.missing:
        session.view.say(line)
    for line in made.alarms:
        session.view.say(f"ALARM: {line}")
    return ExitCode.OVERDUE if made.alarms else ExitCode.OK
