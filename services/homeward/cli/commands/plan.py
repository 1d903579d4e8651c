"""`homeward plan`: how much of what a search needs. Asks no service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from homeward.cli import render, times
from homeward.cli.options import Command
from homeward.cli.sizing import RETENTION_DAYS, Plan, Workload, assumptions, plan


@click.command(
    "plan",
    cls=Command,
    examples=[
        "homeward plan --cameras 200 --busy 0.1 --deadline 8h",
        "homeward plan --cameras 40 --days 2 --deadline 30m --searched-before",
    ],
)
@click.option("--cameras", type=click.IntRange(1, 1_000_000), required=True, help="How many.")
@click.option(
    "--hours", type=click.FloatRange(0, 24, min_open=True), default=24.0, show_default=True,
    help="Hours that a camera records in a day.",
)  # fmt: skip
@click.option(
    "--days", type=click.IntRange(1, RETENTION_DAYS), default=RETENTION_DAYS, show_default=True,
    help="Days that a search goes back.",
)  # fmt: skip
@click.option(
    "--busy", type=click.FloatRange(0, 1), default=0.1, show_default=True,
    help="Part of the time in which somebody is in view.",
)  # fmt: skip
@click.option(
    "--deadline", type=times.parse_span, default="8h", show_default=True, metavar="SPAN",
    help="In which one search has to be done.",
)  # fmt: skip
@click.option(
    "--megabits", type=click.FloatRange(0, 1000, min_open=True), default=4.0, show_default=True,
    help="Bit rate of a recording, Mbit/s.",
)  # fmt: skip
@click.option("--subjects", type=click.IntRange(0), default=500, show_default=True)
@click.option(
    "--photos", type=click.IntRange(1), default=3, show_default=True, help="Of each subject."
)
@click.option(
    "--sightings", type=click.IntRange(0), default=100_000, show_default=True,
    help="Sightings kept at a time.",
)  # fmt: skip
@click.option(
    "--searched-before", is_flag=True, help="The footage has been searched for others before."
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def plan_command(
    *,
    cameras: int,
    hours: float,
    days: int,
    busy: float,
    deadline: timedelta,
    megabits: float,
    subjects: int,
    photos: int,
    sightings: int,
    searched_before: bool,
    output: str,
) -> None:
    """Estimate what a search needs: scanners, cores, storage and memory.

    Arithmetic on measurements of one machine; measure yours with `make bench`.
    """
    if deadline <= timedelta():
        raise click.BadParameter("must be longer than nothing", param_hint="--deadline")
    made = plan(
        Workload(
            cameras=cameras,
            hours_a_day=hours,
            days=days,
            busy=busy,
            deadline=deadline,
            megabits=megabits,
            subjects=subjects,
            photos=photos,
            sightings=sightings,
            searched_before=searched_before,
        )
    )
    view = render.View(output)
    if view.json:
        view.document(_document(made))
    else:
        _say(view, made)


def _document(made: Plan) -> dict[str, Any]:
    return {
        "footageHours": made.footage.total_seconds() / 3600,
        "coreHours": made.core_seconds / 3600,
        "cores": made.cores,
        "scanners": made.scanners,
        "storageBytes": round(made.storage_bytes),
        "qdrantBytes": round(made.qdrant_bytes),
        "assumptions": assumptions(),
    }


def _say(view: render.View, made: Plan) -> None:
    view.details(
        [
            ("footage in one search", f"{made.footage.total_seconds() / 3600:,.0f} hours"),
            ("work", f"{made.core_seconds / 3600:,.1f} core hours"),
            ("cores", f"{made.cores:,}"),
            ("scanners", f"{made.scanners:,}"),
            (f"object storage for {RETENTION_DAYS} days", render.size(made.storage_bytes)),
            ("Qdrant memory", render.size(made.qdrant_bytes)),
        ]
    )
    view.say()
    view.say("Assumptions:")
    for assumption in assumptions():
        view.say(f"- {assumption}")
