"""The curves of an evaluation, as SVG that stands in a page."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from homeward.evaluation.report import FootageReport, Report, Series

mpl.rcParams["svg.hashsalt"] = "homeward"  # the same file from the same numbers
mpl.rcParams["svg.fonttype"] = "none"

_TALLEST_HEAD_PX = 200
"""Of the last band, which has no upper end to draw."""


def identification(report: Report) -> Markup:
    """Return the detection error trade-off and the cumulative match curve of each gallery."""

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

    return _plots(det, cmc)


def scores(report: Report) -> Markup:
    """Return how the scores of two photographs lie, and the rates over the threshold."""
    pairs, chosen = report.pairs, report.chosen

    def densities(axes: Axes) -> None:
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

    return _plots(densities, rates)


def conditions(report: Report) -> Markup:
    """Return how many photographs are not matched any more, for each way to make them worse."""
    names = list(dict.fromkeys(one.degradation.name for one in report.conditions))

    def plot(name: str) -> Callable[[Axes], None]:
        rows = [one for one in report.conditions if one.degradation.name == name]

        def draw(axes: Axes) -> None:
            at = [one.degradation.value for one in rows]
            values = [one.fnmr.value for one in rows]
            spread = [
                [one.fnmr.value - one.fnmr.low for one in rows],
                [one.fnmr.high - one.fnmr.value for one in rows],
            ]
            axes.errorbar(at, values, yerr=spread, marker="o", capsize=3, label="not matched")
            axes.plot(at, [one.no_face.value for one in rows], marker="x", label="no face found")
            axes.set(xlabel=f"{name}, {rows[0].degradation.unit}", ylabel="rate")
            axes.set(title=name, ylim=(0, 1))

        return draw

    return _plots(*(plot(name) for name in names))


def footage(report: FootageReport, fpir_asked: float) -> Markup:
    """Return the rates of appearances in footage, and those by the height of the head."""

    def det(axes: Axes) -> None:
        for curve in report.curves:
            axes.plot(curve.fpir.value, curve.fnir.value, label=curve.scored)
        axes.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1))
        axes.set(xlabel="FPIR", ylabel="FNIR", title="Appearances in footage")

    def bands(axes: Axes) -> None:
        middle = [
            (band.least_px + min(band.most_px, _TALLEST_HEAD_PX)) / 2 for band in report.bands
        ]
        for curve in report.curves:
            rates = [dict(band.fnir)[curve.scored] for band in report.bands]
            values = [rate.value for rate in rates]
            spread = [
                [rate.value - rate.low for rate in rates],
                [rate.high - rate.value for rate in rates],
            ]
            axes.errorbar(middle, values, yerr=spread, marker="o", capsize=3, label=curve.scored)
        axes.set(xlabel="height of the head, px", ylabel="FNIR", ylim=(0, 1))
        axes.set(title=f"At FPIR {fpir_asked:g}")

    return _plots(det, bands)


def _band(axes: Axes, series: Series, label: str) -> None:
    axes.plot(series.at, series.value, label=label)
    axes.fill_between(series.at, series.low, series.high, alpha=0.2)


def _plots(*draws: Callable[[Axes], None]) -> Markup:
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
    return Markup(text[text.index("<svg") :])  # noqa: S704 - matplotlib escapes what it draws
