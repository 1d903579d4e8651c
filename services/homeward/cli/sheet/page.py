"""A contact sheet as one HTML file, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from datetime import tzinfo
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from homeward.cli import pages, times
from homeward.cli.sheet import chart, timeline, worth
from homeward.cli.sheet.facts import Sheet

_PACKAGE = "homeward.cli.sheet"


def render(sheet: Sheet, zone: tzinfo | None) -> bytes:
    """Return the page.

    What others wrote stands in it as text: escaped, without letters that turn the direction of
    writing, each for itself. The page may load nothing and run nothing, whatever stands in it: its
    Content-Security-Policy allows this style and pictures inside the file, and nothing else.
    """
    style = resources.files(_PACKAGE).joinpath("templates/sheet.css").read_text(encoding="utf-8")
    panels, left_out = timeline.panels(sheet, zone)
    return (
        environment(_PACKAGE)
        .get_template("sheet.html")
        .render(
            sheet=sheet,
            style=Markup(style),  # noqa: S704 - our own file
            policy=policy_of(style),
            panels=panels,
            panels_left_out=left_out,
            panel_width=timeline.WIDTH,
            panel_left=timeline.LEFT,
            chart=chart.chart(sheet),
            chart_width=chart.WIDTH,
            chart_height=chart.HEIGHT,
            score_note=worth.SCORE,
            nothing_note=worth.NOTHING,
        )
        .encode()
    )


def environment(package: str) -> Environment:
    """Return an environment whose every text is cleaned as for a terminal, and escaped."""
    made = pages.environment(package)
    made.filters |= {"data": _data, "span": times.span, "n": _number}
    return made


def policy_of(style: str) -> str:
    """Return the Content-Security-Policy of a page with this style."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'"
    )


def _data(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _number(value: float) -> str:
    """Return a coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")
