"""Draw what `scan.py` has measured. Runs in the environment of the peers, which has matplotlib.

draw.py bench.json bench.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

LABELS = {
    "c": "(c) cv2 loop",
    "d": "(d) insightface loop",
    "e": "(e) our scan, gate off",
    "a": "(a) decode everything, nothing else",
    "scan": "first scan",
    "b": "(b) decode key pictures",
    "rescan": "scan for a new subject",
}
BINS = [(36, 50), (50, 70), (70, 100), (100, 130), (130, 165)]


def draw_time(axes: Any, speed: list[dict[str, Any]]) -> None:  # noqa: ANN401 - matplotlib's
    """Draw seconds against busyness."""
    kinds = list(dict.fromkeys(row["clip"] for row in speed))
    for name, label in LABELS.items():
        held = {
            k: [r[name]["seconds"] for r in speed if r["clip"] == k and name in r] for k in kinds
        }
        points = [(number, value) for number, k in enumerate(kinds) for value in held[k]]
        if not points:
            continue
        means = [sum(held[k]) / len(held[k]) for k in kinds if held[k]]
        (line,) = axes.plot(range(len(means)), means, marker="o", label=label)
        axes.scatter(*zip(*points, strict=True), s=12, color=line.get_color(), alpha=0.5)
        axes.annotate(
            label,
            (len(means) - 1, means[-1]),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            fontsize=9,
        )
    axes.set_xlim(-0.1, len(kinds) - 0.3)  # with room for the names
    axes.set_xticks(range(len(kinds)), [f"{k.removeprefix('busy')} % busy" for k in kinds])
    axes.set_yscale("log")
    axes.set_ylabel("seconds for 120 s of 1080p25")
    axes.set_title("Time against busyness")
    axes.grid(visible=True, which="both", alpha=0.3)


def draw_recall(axes: Any, gate: list[dict[str, Any]]) -> None:  # noqa: ANN401 - matplotlib's
    """Draw the part of the people who were seen well enough to compare, against their size."""
    for name, label, style in (
        ("everything", "all is decoded", "o-"),
        ("gated", "with the gate", "x--"),
    ):
        values = []
        for low, high in BINS:
            people = [
                number in row[name]["seen"]
                for row in gate
                for number, head in enumerate(row["heads"])
                if low <= head < high
            ]
            values.append(100 * sum(people) / len(people) if people else None)
        axes.plot(range(len(BINS)), values, style, label=label)
    axes.set_xticks(range(len(BINS)), [f"{low} to {high}" for low, high in BINS])
    axes.set_xlabel("height of the head, pixels")
    axes.set_ylabel("% of people compared with the gallery")
    axes.set_ylim(0, 102)
    axes.set_title("Recall against size")
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)


def main() -> None:
    """Draw what there is side by side."""
    figures = json.loads(Path(sys.argv[1]).read_text())
    panels = [
        (draw, figures[part])
        for draw, part in ((draw_time, "speed"), (draw_recall, "gate"))
        if figures[part]
    ]
    if not panels:
        return
    size = (7 * len(panels), 5.5)
    drawn, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for (draw, rows), each in zip(panels, axes[0], strict=True):
        draw(each, rows)
    drawn.savefig(sys.argv[2], dpi=110)


if __name__ == "__main__":
    main()
