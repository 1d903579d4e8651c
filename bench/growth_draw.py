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
    "sightings": ("open candidates", "processor time of matching"),
    "commands": ("open candidates", "processor time of matching"),
    "requests": ("recordings held", "requests to the object store"),
}
"""By what is drawn: the axes."""

Row = dict[str, Any]


def drawn(axes: Any, panel: str, rows: list[Row], style: str) -> None:  # noqa: ANN401 - matplotlib's
    """Draw each kind of call as a line; those of both versions have the same colour."""
    here = rows_of(panel, rows)
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for number, what in enumerate(sorted({row["what"] for row in here})):
        line = sorted((row["size"], value(row, panel)) for row in here if row["what"] == what)
        axes.plot(
            *zip(*line, strict=True),
            style,
            color=colours[number % len(colours)],
            label=what if style == "o-" else None,
        )


def rows_of(panel: str, rows: list[Row]) -> list[Row]:
    """Return what is drawn in a panel; of candidates, calls and all else have one each."""
    part = {"requests": "recordings", "commands": "sightings"}.get(panel, panel)
    here = [row for row in rows if row["part"] == part and "services" in row]
    if part != "sightings":
        return here
    calls = [row for row in here if row["what"].startswith(("Get", "List", "Lease"))]
    return calls if panel == "sightings" else [row for row in here if row not in calls]


def value(row: Row, panel: str) -> float:
    """Return what is drawn of a row; both axes are logarithmic."""
    least = 0.001
    if panel == "requests":
        return max(least, float(row["s3_requests"]))
    if "matching" in row:
        return max(least, float(row["matching"]))
    return max(least, float(row["services"] + row["engines"]))


def main() -> None:
    """Draw the version before with dashes and the one after with lines."""
    before, after = (json.loads(Path(name).read_text())["rows"] for name in sys.argv[1:3])
    panels = {name: axes for name, axes in PANELS.items() if rows_of(name, before + after)}
    figure, grid = plt.subplots(
        1, len(panels), figsize=(6 * len(panels), 7), layout="constrained", squeeze=False
    )
    for axes, (panel, (across, up)) in zip(grid[0], panels.items(), strict=True):
        drawn(axes, panel, before, "x--")
        drawn(axes, panel, after, "o-")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(across)
        axes.set_ylabel(f"{up}, seconds" if panel != "requests" else up)
        axes.set_title(panel)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.suptitle("dashes: the version before; lines: this one")
    figure.savefig(sys.argv[3], dpi=100)


if __name__ == "__main__":
    main()
