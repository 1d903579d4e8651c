"""An evaluation as a page to read: HTML with the curves in it, and nothing from elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from homeward.core.policy import Rate
from homeward.evaluation.cohorts import remark
from homeward.evaluation.report import Report, Series, Suspect

mpl.rcParams["svg.hashsalt"] = "homeward"  # the same file from the same figures
mpl.rcParams["svg.fonttype"] = "none"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border-bottom: 1px solid #ccc; padding: .3rem .8rem .3rem 0; text-align: left; }
th { font-weight: 600; }
svg { max-width: 100%; height: auto; }
.lead { font-size: 1.15rem; }
.note { color: #555; }
"""


def render(report: Report, limits: str) -> str:
    """Return the page.

    Args:
        report: What was found.
        limits: How far the data are from what the policy is for, in plain words.
    """
    chosen = report.chosen
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>Evaluation of {escape(report.model_name)}</title><style>{_STYLE}</style>",
        f"<h1>Evaluation of {escape(report.model_name)}</h1>",
        (
            f"<p class=lead>At a cosine similarity of {report.threshold:.3f}, chosen on"
            f" {report.threshold_from} for an FPIR of {report.fpir_asked:g}: of people who are not"
            f" enrolled, {_rate(chosen.fpir_at_threshold)} are listed as a candidate of somebody"
            f" in a gallery of {report.gallery_size}; of people who are,"
            f" {_rate(chosen.fnir_at_threshold)} are not listed (photographs).</p>"
        ),
    ]
    if report.footage:
        parts.append(
            f"<p class=lead>In footage, at the same similarity:"
            f" {_rate(report.footage.fpir_at_threshold)} of the appearances of strangers are"
            f" listed, and {_rate(report.footage.fnir_at_threshold)} of the appearances of"
            f" enrolled people are not.</p>"
        )
    parts += [
        f"<p>{escape(limits)}</p>",
        _table(
            ("", ""),
            [
                ("model pack", f"{report.model_name}, {report.model_digest[:16]}…"),
                ("run by", ", ".join(report.runtimes)),
                (
                    "data",
                    (
                        f"{report.dataset}: {report.photographs} photographs of"
                        f" {report.identities} people, {report.dataset_digest[:16]}…"
                    ),
                ),
                ("left out by hand", ", ".join(report.left_out) or "nobody"),
                ("draws, seed", f"{report.draws}, {report.seed}"),
                ("made", f"{report.make_time:%Y-%m-%d %H:%M} UTC"),
            ],
        ),
        *_identification(report),
        *_pairs(report),
        *_conditions(report),
        *_footage(report),
        *_cohorts(report),
        *_enrolment(report),
        *_suspects(report),
        "</html>\n",
    ]
    return "\n".join(parts)


def _identification(report: Report) -> list[str]:
    def det(axes: Axes) -> None:
        for one in report.identification:
            axes.plot(one.fpir.value, one.fnir.value, label=f"gallery of {one.gallery_size}")
            if one.gallery_size == report.gallery_size:
                axes.fill_between(one.fpir.value, one.fnir.low, one.fnir.high, alpha=0.15)
        axes.set(xscale="log", yscale="log", xlim=(5e-4, 1), ylim=(3e-3, 1))
        axes.set(xlabel="FPIR", ylabel="FNIR", title="Detection error trade-off")

    def cmc(axes: Axes) -> None:
        for one in report.identification:
            axes.plot(one.cmc.at, one.cmc.value, marker=".", label=f"gallery of {one.gallery_size}")
        axes.set(xlabel="rank", ylabel="share found within it", title="Closed set (CMC)")

    return [
        "<h2>Identification</h2>",
        _plots(det, cmc),
        _table(
            ("gallery", "FPIR", "foretold", "FNIR", "found at rank 1"),
            [
                (
                    str(one.gallery_size),
                    _rate(one.fpir_at_threshold),
                    _percent(one.fpir_foretold),
                    _rate(one.fnir_at_threshold),
                    _percent(one.cmc.value[0]),
                )
                for one in report.identification
            ],
        ),
        (
            "<p class=note>In brackets: 95 % intervals, people drawn again with replacement."
            " Foretold: 1 - (1 - FPIR)^(N / gallery), from the gallery that the threshold was"
            " chosen for.</p>"
        ),
    ]


def _pairs(report: Report) -> list[str]:
    pairs = report.pairs
    chosen = report.chosen

    def scores(axes: Axes) -> None:
        axes.stairs(pairs.impostor_density, pairs.edges, fill=True, alpha=0.4, label="two people")
        axes.stairs(pairs.genuine_density, pairs.edges, fill=True, alpha=0.4, label="one person")
        axes.axvline(report.threshold, color="black", linewidth=1, label="threshold")
        axes.set(xlabel="cosine similarity", ylabel="density", title="Scores of two photographs")

    def rates(axes: Axes) -> None:
        _band(axes, chosen.fpir, "FPIR")
        _band(axes, chosen.fnir, "FNIR")
        axes.axvline(report.threshold, color="black", linewidth=1)
        axes.set(xlim=(0.1, 0.8), xlabel="threshold", ylabel="rate")
        axes.set(title=f"Gallery of {chosen.gallery_size}")

    return [
        "<h2>Scores</h2>",
        _plots(scores, rates),
        _table(
            ("", "mean", "deviation", "pairs"),
            [
                (
                    "one person",
                    f"{pairs.genuine_mean:.3f}",
                    f"{pairs.genuine_deviation:.3f}",
                    str(pairs.genuine_count),
                ),
                (
                    "two people",
                    f"{pairs.impostor_mean:.3f}",
                    f"{pairs.impostor_deviation:.3f}",
                    str(pairs.impostor_count),
                ),
            ],
        ),
        _table(
            ("false match rate", "threshold", "false non-match rate"),
            [(f"{fmr:g}", f"{at:.3f}", _rate(rate)) for fmr, at, rate in pairs.at_fmr],
        ),
        (
            f"<p>Verification over ten folds: {_percent(pairs.fold_accuracy)} ±"
            f" {_percent(pairs.fold_accuracy_error)} right.</p>"
        ),
    ]


def _conditions(report: Report) -> list[str]:
    names = list(dict.fromkeys(one.way.name for one in report.conditions))

    def plot(name: str) -> Callable[[Axes], None]:
        rows = [one for one in report.conditions if one.way.name == name]

        def draw(axes: Axes) -> None:
            at = [one.way.value for one in rows]
            values = [one.fnmr.value for one in rows]
            spread = [
                [one.fnmr.value - one.fnmr.low for one in rows],
                [one.fnmr.high - one.fnmr.value for one in rows],
            ]
            axes.errorbar(at, values, yerr=spread, marker="o", capsize=3, label="not matched")
            axes.plot(at, [one.no_face.value for one in rows], marker="x", label="no face found")
            axes.set(xlabel=f"{name}, {rows[0].way.unit}", ylabel="rate", title=name, ylim=(0, 1))

        return draw

    return [
        "<h2>Poor pictures</h2>",
        _plots(*(plot(name) for name in names)),
        _table(
            ("", "", "no face found", "not matched (no face included)"),
            [
                (
                    one.way.name,
                    f"{one.way.value:g} {one.way.unit}",
                    _rate(one.no_face),
                    _rate(one.fnmr),
                )
                for one in report.conditions
            ],
        ),
        (
            "<p class=note>Photographs made worse, compared with other, good photographs of the"
            " same person, one picture at a time.</p>"
        ),
    ]


def _footage(report: Report) -> list[str]:
    footage = report.footage
    if footage is None:
        return []

    def det(axes: Axes) -> None:
        for curve in footage.curves:
            axes.plot(curve.fpir.value, curve.fnir.value, label=curve.scored)
        axes.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1))
        axes.set(xlabel="FPIR", ylabel="FNIR", title="Appearances in footage")

    def bands(axes: Axes) -> None:
        for curve in footage.curves:
            rates = [dict(band.fnir)[curve.scored] for band in footage.bands]
            middle = [(band.least_px + min(band.most_px, 200)) / 2 for band in footage.bands]
            spread = [[r.value - r.low for r in rates], [r.high - r.value for r in rates]]
            axes.errorbar(
                middle,
                [r.value for r in rates],
                yerr=spread,
                marker="o",
                capsize=3,
                label=curve.scored,
            )
        axes.set(xlabel="height of the head, px", ylabel="FNIR", ylim=(0, 1))
        axes.set(title=f"At FPIR {report.fpir_asked:g}")

    return [
        "<h2>Footage</h2>",
        (
            f"<p>{footage.recordings} recordings; {footage.enrolled_appearances} appearances of"
            f" enrolled people, {footage.strangers_appearances} of strangers; galleries of"
            f" {footage.gallery_size} people and more.</p>"
        ),
        _plots(det, bands),
        _table(
            ("scored", "threshold", "FPIR", "FNIR"),
            [
                (
                    curve.scored,
                    f"{curve.threshold:.3f}",
                    _rate(curve.fpir_there),
                    _rate(curve.fnir_there),
                )
                for curve in footage.curves
            ],
        ),
        _table(
            ("head, px", *(f"FNIR, {curve.scored}" for curve in footage.curves), "appearances"),
            [
                (
                    f"{band.least_px:g} to {band.most_px:g}",
                    *(_rate(rate) for _, rate in band.fnir),
                    str(band.fnir[0][1].trials),
                )
                for band in footage.bands
            ],
        ),
    ]


def _cohorts(report: Report) -> list[str]:
    if not report.cohorts:
        return [
            (
                "<h2>Groups of people</h2><p>The data set has no <code>cohorts.csv</code>: nothing"
                " is known of whether errors fall on some groups more than on others, nor of how"
                " well children are found.</p>"
            )
        ]
    parts = ["<h2>Groups of people</h2>"]
    for attribute, rows in report.cohorts:
        parts += [
            f"<h3>{escape(attribute)}, on {rows[0].basis}</h3>",
            _table(
                (attribute, "people", "FNIR", "of people", "FPIR", "of people", ""),
                [
                    (
                        one.name,
                        str(one.identities),
                        _rate(one.fnir) if one.fnir else "no search",
                        str(one.fnir_identities),
                        _rate(one.fpir) if one.fpir else "no search",
                        str(one.fpir_identities),
                        remark(one),
                    )
                    for one in rows
                ],
            ),
        ]
    return parts


def _enrolment(report: Report) -> list[str]:
    found = report.enrolment
    return [
        "<h2>Enrolment</h2>",
        _table(
            ("", ""),
            [
                ("photographs", str(found.photographs)),
                ("without a face that is found", _rate(found.no_face)),
                ("refused as references", _rate(found.refused)),
                *((f"of these: {reason}", str(count)) for reason, count in found.reasons),
                ("people who cannot be enrolled", str(found.people_without)),
                (
                    "good photographs not matched with accepted ones",
                    _rate(found.fnmr_of_accepted) if found.fnmr_of_accepted else "none",
                ),
                (
                    "good photographs not matched with refused ones",
                    _rate(found.fnmr_of_refused) if found.fnmr_of_refused else "none",
                ),
            ],
        ),
    ]


def _suspects(report: Report) -> list[str]:
    if not (report.suspects or report.doubtful):
        return []
    return [
        (
            "<h2>Look at these</h2><p>Photographs whose labels may be wrong. Mend the data set, or"
            " leave a name out (<code>--leave-out</code>): one wrong label can decide the"
            " threshold.</p>"
        ),
        *_labels("Two names, very alike: one person?", report.suspects),
        *_labels("One name, unlike: two people, or somebody else's face?", report.doubtful),
    ]


def _labels(title: str, found: Sequence[Suspect]) -> list[str]:
    if not found:
        return []
    rows = [(one.first, one.second, f"{one.score:.3f}") for one in found]
    return [f"<h3>{title}</h3>", _table(("", "", "similarity"), rows)]


def _band(axes: Axes, series: Series, label: str) -> None:
    axes.plot(series.at, series.value, label=label)
    axes.fill_between(series.at, series.low, series.high, alpha=0.2)


def _plots(*draws: Callable[[Axes], None]) -> str:
    figure = Figure(figsize=(5.2 * len(draws), 3.8), layout="constrained")
    for number, draw in enumerate(draws, 1):
        axes = figure.add_subplot(1, len(draws), number)
        draw(axes)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    drawn = io.StringIO()
    metadata: dict[str, Any] = {"Date": None}
    figure.savefig(drawn, format="svg", metadata=metadata)
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = line(heads, "th") if any(heads) else ""
    return f"<table>{head}{''.join(line(row, 'td') for row in rows)}</table>"


def _rate(rate: Rate) -> str:
    return f"{_percent(rate.value)} [{_percent(rate.low)}, {_percent(rate.high)}]"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
