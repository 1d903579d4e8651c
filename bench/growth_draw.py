"""Draw what `growth.py` has measured of two versions, against size.

python bench/growth_draw.py before.json after.json growth.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

PANELS = {
    "recordings": ("recordings held", "processor time"),
    "sweeps": ("recordings held", "processor time"),
    "scans": ("recordings of an hour in the scan", "processor time"),
    "subjects": ("subjects enrolled", "processor time"),
    "sightings": ("open candidates", "processor time"),
    "requests": ("recordings held", "requests to the object store"),
}
"""By what is drawn: the axes."""

Row = dict[str, Any]


def drawn(axes: Any, panel: str, rows: list[Row], style: str) -> None:  # noqa: ANN401 - matplotlib's
    """Draw each kind of call as a line; those of both versions have the same colour."""
    part = "recordings" if panel == "requests" else panel
    here = [row for row in rows if row["part"] == part and "services" in row]
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for number, what in enumerate(sorted({row["what"] for row in here})):
        line = sorted((row["size"], value(row, panel)) for row in here if row["what"] == what)
        axes.plot(
            *zip(*line, strict=True),
            style,
            color=colours[number % len(colours)],
            label=what if style == "o-" else None,
        )


def value(row: Row, panel: str) -> float:
    """Return what is drawn of a row; both axes are logarithmic."""
    least = 0.001
    if panel == "requests":
        return max(least, float(row["s3_requests"]))
    return max(least, float(row["services"] + row["engines"]))


def main() -> None:
    """Draw the version before with dashes and the one after with lines."""
    before, after = (json.loads(Path(name).read_text())["rows"] for name in sys.argv[1:3])
    figure, grid = plt.subplots(
        1, len(PANELS), figsize=(6 * len(PANELS), 6), layout="constrained", squeeze=False
    )
    for axes, (panel, (across, up)) in zip(grid[0], PANELS.items(), strict=True):
        drawn(axes, panel, before, "x--")
        drawn(axes, panel, after, "o-")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(across)
        axes.set_ylabel(f"{up}, seconds" if panel != "requests" else up)
        axes.set_title(panel)
        axes.legend(fontsize=8)
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.suptitle("dashes: the version before; lines: this one")
    figure.savefig(sys.argv[3], dpi=100)


if __name__ == "__main__":
    main()
