#!/usr/bin/env python3
"""Write the table of all metrics into the docs, from what each process registers when it is loaded.

    render_metrics.py docs/observability.md

A test compares: edit the metric where it is made, not the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marked import between

BEGIN = "<!-- metrics: written by tools/render_metrics.py -->\n"
END = "<!-- end of metrics -->\n"
PROCESSES: Mapping[str, str] = {
    "ingestion": "homeward.ingestion.__main__",
    "scanner": "homeward.ingestion.scanner",
    "embedding": "homeward.embedding.__main__",
    "matching": "homeward.matching.__main__",
}


@dataclass(frozen=True)
class Metric:
    """A metric of a process."""

    name: str
    """As it is scraped; of a histogram without `_bucket`, `_sum` and `_count`."""
    kind: str
    labels: tuple[str, ...]
    says: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names that a query may ask for."""
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))


def loaded() -> list[Metric]:
    """Return what is registered in this process."""
    from prometheus_client import REGISTRY  # noqa: PLC0415 - for the child process

    registered = REGISTRY._collector_to_names  # noqa: SLF001 - no public way tells the labels
    return [
        Metric(
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            tuple(getattr(collector, "_labelnames", ())),
            family.documentation,
        )
        for collector in registered
        for family in collector.collect()
    ]


def exported(process: str) -> list[Metric]:
    """Return what a process registers; a process of its own, which has loaded nothing else."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import json, dataclasses;"
        f"import {PROCESSES[process]}, render_metrics;"
        "print(json.dumps([dataclasses.asdict(one) for one in render_metrics.loaded()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603
    return [Metric(**{**one, "labels": tuple(one["labels"])}) for one in json.loads(done.stdout)]


def table(metrics: Mapping[str, list[Metric]]) -> str:
    """Return Homeward's own metrics as a Markdown table; `metrics` is by process."""
    lines = ["| metric | kind | labels | from | what |", "|---|---|---|---|---|"]
    own = {one.name: one for found in metrics.values() for one in found}
    for name in sorted(name for name in own if name.startswith("homeward_")):
        one = own[name]
        processes = [process for process, found in metrics.items() if one in found]
        told = "all" if len(processes) == len(PROCESSES) else ", ".join(processes)
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{name}` | {one.kind} | {labels} | {told} | {one.says} |")
    return "\n".join(lines) + "\n"


def rendered(text: str, metrics: Mapping[str, list[Metric]]) -> str:
    """Return a document with the table of today between its marks."""
    return between(text, BEGIN, END, table(metrics))


if __name__ == "__main__":
    document = Path(sys.argv[1])
    found = {process: exported(process) for process in PROCESSES}
    document.write_text(rendered(document.read_text(encoding="utf-8"), found), encoding="utf-8")
