"""An evaluation as a page to read: HTML with the curves in it, and nothing from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from homeward.core.policy import Rate
from homeward.evaluation import curves
from homeward.evaluation.cohorts import remark
from homeward.evaluation.report import Report


def render(report: Report, limits: str) -> str:
    """Return the page.

    Args:
        report: What was found.
        limits: How far the data are from what the policy is for, in plain words.
    """
    environment = Environment(
        loader=PackageLoader("homeward.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"rate": _rate, "percent": _percent, "remark": remark}
    return environment.get_template("page.html").render(
        report=report,
        chosen=report.chosen,
        pairs=report.pairs,
        footage=report.footage,
        enrolment=report.enrolment,
        limits=limits,
        plots={
            "identification": curves.identification(report),
            "scores": curves.scores(report),
            "conditions": curves.conditions(report),
            "footage": curves.footage(report.footage, report.fpir_asked) if report.footage else "",
        },
    )


def _rate(rate: Rate) -> str:
    return f"{_percent(rate.value)} [{_percent(rate.low)}, {_percent(rate.high)}]"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
