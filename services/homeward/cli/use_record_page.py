"""A use record as a page to read, print or file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from homeward.core.use_record import VerifiedRecord

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Use record of scan {scan}</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100%; margin-bottom: 1.5rem }}
th, td {{ border: 1px solid #bbb; padding: .3rem .5rem; text-align: left; vertical-align: top }}
td, code {{ overflow-wrap: anywhere }}
@media print {{ body {{ font-size: 10px; margin: 0 }} }}
</style></head><body>
<h1>Use record of scan <code>{scan}</code></h1>
<p>A candidate is a lead for a human reviewer, not an identification.</p>
{body}
<h2>Signature</h2>
<p>SHA-256 of the record: <code>{sha256}</code><br>Key: <code>{key}</code></p>
<p>This page is made of the file beside it, which is what was signed.</p>
</body></html>
"""

_SECTIONS = (
    ("gallery", "Who was looked for"),
    ("footage", "Recordings"),
    ("policies", "Thresholds"),
    ("findings", "What was found, and who decided on it"),
    ("disclosures", "What was given out"),
    ("audit", "In the audit trail"),
)


def record_page(verified: VerifiedRecord) -> str:
    """Return a record as HTML."""
    record = verified.record
    scan = dict(record.get("scan", {}))
    footage, coverage = scan.pop("footage", []), dict(scan.pop("coverage", {}))
    gaps = coverage.pop("gaps", [])
    parts = [_details({**scan, "made": record.get("make_time", "")}), "<h2>Coverage</h2>"]
    parts += [_details(coverage), _table("Not searched", gaps)]
    for name, title in _SECTIONS:
        parts.append(_table(title, footage if name == "footage" else record.get(name, [])))
    return _PAGE.format(
        scan=escape(str(scan.get("scan_id", ""))),
        body="\n".join(parts),
        sha256=escape(verified.sha256),
        key=escape(verified.verifier_key),
    )


def _details(content: Mapping[str, Any]) -> str:
    rows = (
        f"<tr><th>{escape(_words(name))}</th><td>{_cell(value)}</td></tr>"
        for name, value in content.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heading = f"<h2>{escape(title)}</h2>"
    if not rows:
        return f"{heading}<p>None.</p>"
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(_words(name))}</th>" for name in columns)
    lines = (
        "<tr>" + "".join(f"<td>{_cell(row.get(name, ''))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return f"{heading}<table><tr>{head}</tr>{''.join(lines)}</table>"


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return "<br>".join(_pairs(value.items()))
    if isinstance(value, list):
        return "<br>".join(map(_cell, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape("" if value is None else str(value))


def _pairs(items: Iterable[tuple[str, object]]) -> Iterable[str]:
    return (f"{escape(_words(name))}: {_cell(value)}" for name, value in items)


def _words(name: str) -> str:
    return name.replace("_", " ")
