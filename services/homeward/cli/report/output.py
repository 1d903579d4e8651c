"""A report as a page and as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib import resources

from markupsafe import Markup

from homeward.cli.report import plots
from homeward.cli.report.figures import Report, count
from homeward.cli.sheet.page import environment, policy_of
from homeward.cli.terminal import clean
from homeward.core.promise import Verdict

_PACKAGE = "homeward.cli.report"
_FORMULA = ("=", "+", "-", "@")

VERDICTS = {
    Verdict.BROKEN: "Broken: more were wrong than promised, and chance does not explain it.",
    Verdict.KEPT: (
        "Kept: even if all that nobody has judged were wrong, the rate would be as promised."
    ),
    Verdict.NOT_BROKEN: (
        "Not shown to be broken: as far as candidates were judged, the rate is as promised, or too"
        " few were judged to tell."
    ),
    Verdict.UNKNOWN: "Not known: nobody was compared, or no policy states a rate.",
}


def page(report: Report, made: str) -> bytes:
    """Return the report as one HTML file, which asks nothing of any network.

    Args:
        report: The report.
        made: When it was made, in words.
    """
    style = resources.files(_PACKAGE).joinpath("templates/report.css").read_text(encoding="utf-8")
    environs = environment(_PACKAGE)
    environs.filters["count"] = count
    return (
        environs.get_template("report.html")
        .render(
            report=report,
            made=made,
            style=Markup(style),  # noqa: S704 - our own file
            policy=policy_of(style),
            sections=["Searches", "Candidates", "People looked for", "Access"],
            bars=plots.bars(report),
            bars_height=plots.BARS_HEIGHT,
            width=plots.WIDTH,
            parts=plots.parts(report),
            ranges=plots.ranges(report.comparison),
            verdict=VERDICTS[report.comparison.verdict],
            verdict_name=report.comparison.verdict.value,
        )
        .encode()
    )


def figures_csv(report: Report) -> bytes:
    """Return all figures as CSV, with a mark in front by which spreadsheets know UTF-8."""
    rows = [
        (one.section, one.name, one.value.replace("\u202f", ""), one.note) for one in report.figures
    ]
    rows += [("Purposes", purpose, str(number), "searches") for purpose, number in report.purposes]
    for one in plots.ranges(report.comparison):
        rows.append(("Wrong candidates", one.name, one.text, "appearances compared"))
    rows.append(("Wrong candidates", "promise", report.comparison.verdict.value, ""))
    for held in report.overdue:
        rows.append(("Retention", f"overdue: {held.name}", str(held.overdue_count), "a breach"))
    if not report.overdue:
        rows.append(("Retention", "past a deadline", "0", "when the report was made"))
    rows += [("Not covered", line, "", "") for line in report.missing]
    return _csv(("section", "figure", "value", "note"), rows)


def days_csv(report: Report) -> bytes:
    """Return what each day had, or each month of a year, as CSV."""
    rows = [
        (one.name, str(one.searches), f"{one.searched_hours:.2f}", str(one.appearances))
        for one in report.days
    ]
    name = "month" if report.period.yearly else "day"
    return _csv((name, "searches", "hours searched", "appearances compared"), rows)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_not_a_formula(clean(cell)) for cell in row])
    return text.getvalue().encode("utf-8-sig")


def _not_a_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
