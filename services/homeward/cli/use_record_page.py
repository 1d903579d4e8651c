"""A use record as a page to read, print or file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeward.cli.pages import environment
from homeward.core.use_record import VerifiedRecord

_SECTIONS = (
    ("gallery", "Who was looked for"),
    ("footage", "Recordings"),
    ("policies", "Thresholds"),
    ("findings", "What was found, and who decided on it"),
    ("disclosures", "What was given out"),
    ("audit", "In the audit trail"),
)

_WIDEST = 7
"""Most columns of a table that can be read on paper; of more, each row is a table of its own."""


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def columns(self) -> list[str]:
        """Names of all that a row has, in the order in which they come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


def record_page(verified: VerifiedRecord) -> str:
    """Return a record as HTML."""
    record = verified.record
    scan = dict(record.get("scan", {}))
    footage, coverage = scan.pop("footage", []), dict(scan.pop("coverage", {}))
    tables = [_Table("Not searched", coverage.pop("gaps", []))]
    for name, title in _SECTIONS:
        tables.append(_Table(title, footage if name == "footage" else record.get(name, [])))
    return (
        environment()
        .get_template("use_record.html")
        .render(
            scan_id=scan.get("scan_id", ""),
            scan={**scan, "made": record.get("make_time", "")},
            coverage=coverage,
            tables=tables,
            widest=_WIDEST,
            sha256=verified.sha256,
            key=verified.verifier_key,
        )
    )
