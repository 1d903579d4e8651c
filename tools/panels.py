#!/usr/bin/env python3
"""Ask a Prometheus for what each panel of the dashboards shows now, as a Markdown table.

    panels.py http://127.0.0.1:9090 deploy/k8s/components/monitoring/dashboards/*.json

A panel without a value may be right: nobody has been rejected yet. One that stays empty is not.
"""

from __future__ import annotations

import json
import math
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INTERVAL = "2m"
"""In the place of Grafana's `$__rate_interval`."""
_MOST = 4
"""Values shown of one panel."""


def rows(server: str, dashboard: dict[str, Any]) -> Iterator[str]:
    """Yield a row for each panel of a dashboard, largest values first."""
    for panel in dashboard["panels"]:
        told = [
            _told(target["legendFormat"], *one)
            for target in panel["targets"]
            for one in values(server, target["expr"].replace("$__rate_interval", INTERVAL))
        ]
        more = [f"and {len(told) - _MOST} more"] if len(told) > _MOST else []
        yield f"| {panel['title']} | {'; '.join(told[:_MOST] + more) or 'none'} |"


def values(server: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Return what an expression is now, largest first; a quantile of no calls is none."""
    url = f"{server}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - of the caller
        result = json.load(answer)["data"]["result"]
    found = [(one["metric"], float(one["value"][1])) for one in result]
    return sorted((one for one in found if not math.isnan(one[1])), key=lambda one: -one[1])


def _told(legend: str, labels: dict[str, str], value: float) -> str:
    name = legend or " ".join(f"{k}={v[:20]}" for k, v in labels.items())
    for key, text in labels.items():
        name = name.replace(f"{{{{{key}}}}}", text.removeprefix("homeward.api."))
    return f"{name} {value:.4g}".strip()


if __name__ == "__main__":
    for path in sys.argv[2:]:
        read = json.loads(Path(path).read_text(encoding="utf-8"))
        print(f"\n{read['title']}\n\n| panel | values |\n|---|---|")
        for row in rows(sys.argv[1].rstrip("/"), read):
            print(row)
