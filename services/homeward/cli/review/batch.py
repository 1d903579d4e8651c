"""Decisions from a file, for programs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeward.cli import reviews, terminal
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.cli.ids import full_sighting_id
from homeward.cli.options import Session
from homeward.cli.review.deciding import Desk

_COLUMNS = ("sighting", "decision", "reason")
_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A decision in a file."""

    line: int
    sighting: str
    """An id, or its beginning."""
    decision: str
    reason: str


def read(path: Path) -> list[Row]:
    """Return the decisions in a CSV file with the columns sighting, decision and reason.

    Raises:
        CliError: It is no such file, or a row has no sighting or another decision; the message
            says which.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CliError(f"{path} is not CSV in UTF-8: {error}") from error
    if not rows:
        raise CliError(f"{path} has no decisions", advice=_advice())
    if len(rows) > _MOST_ROWS:
        raise CliError(f"{path} has {len(rows)} decisions: give at most {_MOST_ROWS} at a time")
    return rows


def send(session: Session, desk: Desk, rows: Sequence[Row]) -> ExitCode:
    """Send decisions in their order and print what became of each.

    A refused one does not keep the others. Repeating the same file changes nothing more: a decision
    that is recorded is answered again.
    """
    results: list[dict[str, Any]] = []
    for row in rows:
        result = _sent(session, desk, row)
        results.append(result)
        if not session.view.json:
            state = result.get("state") or f"refused: {result['error']}"
            terminal.tell_rows([(result["sighting"], row.decision, state)])
    refused = sum("error" in one for one in results)
    if session.view.json:
        session.view.document({"results": results})
    else:
        terminal.tell(f"{len(results) - refused} recorded, {refused} refused", err=True)
    return ExitCode.PARTIAL if refused else ExitCode.OK


def _sent(session: Session, desk: Desk, row: Row) -> dict[str, Any]:
    stated = {"line": row.line, "sighting": row.sighting, "decision": row.decision}
    try:
        sighting_id = full_sighting_id(session, row.sighting)
        decided = desk.send(sighting_id, row.decision, row.reason)
    except CliError as refusal:
        if refusal.passing or (isinstance(refusal, CallError) and _of_the_caller(refusal)):
            raise
        return {**stated, "error": refusal.message, "reason": refusal.reason}
    return {**stated, "sighting": sighting_id, "state": reviews.state(decided.sighting)}


def _of_the_caller(refusal: CallError) -> bool:
    """Whether every decision would be refused: who calls is not known, or may not review."""
    return refusal.status == "UNAUTHENTICATED" or refusal.reason == "ROLE_MISSING"


def _rows(path: Path, file: Any) -> Iterator[Row]:  # noqa: ANN401 - what csv reads
    reader = csv.DictReader(file, strict=True)
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    missing = [name for name in _COLUMNS[:2] if name not in columns]
    if missing:
        raise CliError(f"{path} has no column {' and no column '.join(missing)}", advice=_advice())
    for row in reader:
        given = {name: (row.get(name) or "").strip() for name in _COLUMNS}
        where = f"{path}, line {reader.line_num}"
        if not given["sighting"]:
            raise CliError(f"{where}: names no sighting")
        if given["decision"] not in reviews.DECISIONS:
            known = ", ".join(reviews.DECISIONS)
            raise CliError(f"{where}: {given['decision']!r} is no decision; known are {known}")
        yield Row(reader.line_num, given["sighting"], given["decision"], given["reason"])


def _advice() -> str:
    return f"write a line `{','.join(_COLUMNS)}`, then a line for each decision"
