"""What calls cost with many recordings, segments, subjects, candidates or uploads; and at rest.

    python bench/growth.py --out before.json     # these files beside the code of the version before
    python bench/growth.py --out after.json --before before.json --picture growth.png

Each part has stacks of its own in a temporary folder, or those of recordings one that is kept
(`--folder`), as filling it takes longest. Recordings are written straight into the
object store (`growth_stack.py`), all else goes through the services. Beside the time, which depends
on what else the machine does, it takes the processor time of services and engines and counts the
requests to the object store and the messages of NATS. It uses the API and the layout of the keys
alone, so that the same file measures the versions before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import growth_calls as calls
from growth_sightings import measure_sightings
from growth_stack import CAMERAS, FIRST_DAY, CountedStack, Recordings, commit, measured
from growth_uploads import measure_idle, measure_slow_clients, measure_uploads

ROOT = Path(__file__).resolve().parent
SWEEP_SECONDS = 5.0
"""Between two sweeps, where sweeps are measured."""
NEVER = {"HOMEWARD_SWEEP_INTERVAL_SECONDS": "3600"}
POLL_SECONDS = 0.1
FIND_SECONDS = 3600.0

Row = dict[str, Any]
"""`part`, `size` and `what` name what was measured; the rest are figures."""


@contextmanager
def filled_stack(
    folder: Path, settings: dict[str, str]
) -> Iterator[tuple[CountedStack, Recordings]]:
    """Run a stack with cameras, one subject and one recording, which is the model of others."""
    with CountedStack(folder, settings) as stack:
        model = folder / "model"
        if not model.exists():
            calls.register_cameras(stack, CAMERAS)
            calls.enrol_somebody(stack)
            model.write_text(calls.upload_model(stack, folder))
        yield stack, Recordings(stack, model.read_text())


def fill_only(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure how long filling takes: for a folder that is kept."""
    with filled_stack(folder, NEVER) as (stack, recordings):
        for size in sizes:
            before = recordings.count
            row = {"part": "fill", "size": size, "what": "recordings written"}
            yield row | calls.tried(stack, lambda size=size: recordings.fill(size))  # type: ignore[misc]
            asyncio.run(recordings.remember(range(before, size)))


def measure_recordings(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure what looks recordings up, at growing sizes of one store; nothing sweeps meanwhile."""
    with filled_stack(folder, NEVER) as (stack, recordings):
        await_sweep(stack, 0.0)  # the one of the start
        for size in sizes:
            recordings.fill(size)
            yield from recordings_at(stack, recordings, size)


def recordings_at(stack: CountedStack, recordings: Recordings, size: int) -> Iterator[Row]:
    """Measure what looks recordings up, among so many."""
    camera, start = recordings.place(size // 2)
    hour = (start, start + timedelta(hours=1))
    day = (FIRST_DAY, FIRST_DAY + timedelta(days=1))
    asked: dict[str, Callable[[], object]] = {
        "ListFootage, first page": lambda: calls.list_footage(stack),
        "ListFootage, first page of a camera": lambda: calls.list_footage(stack, camera),
        "ListFootage, a camera's hour": lambda: calls.list_footage(stack, camera, hour),
        "ListFootage, first page of a day": lambda: calls.list_footage(stack, None, day),
        "GetFootage": lambda: calls.get_footage(stack, recordings.footage_id(size // 2)),
        "GetRetentionReport": lambda: calls.report(stack),
    }
    for what, call in asked.items():
        yield {"part": "recordings", "size": size, "what": what, **measured(stack, call)}
    made: list[str] = []
    with stack.suspended("homeward.ingestion.scanner"):
        found = measured(stack, lambda: made.append(calls.create_scan(stack, camera, hour)))
        for scan in made:
            calls.cancel_scan(stack, scan)
    yield {"part": "recordings", "size": size, "what": "CreateScan, a camera's hour", **found}


def measure_sweeps(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure sweeps that find nothing to remove, with the count of what is held beside them."""
    settings = {"HOMEWARD_SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS)}
    with filled_stack(folder, NEVER) as (stack, recordings):
        for size in sizes:
            stack.stop()
            before = recordings.count
            recordings.fill(size)
            asyncio.run(recordings.remember(range(before, recordings.count)))
            stack.start(settings)
            await_sweep(stack, 0.0)  # the first one reads all manifests
            for what in ("second sweep", "third sweep"):
                row = {"part": "sweeps", "size": size, "what": what}
                yield row | await_sweep(
                    stack, stack.metric("homeward_sweep_success_timestamp_seconds")
                )


def await_sweep(stack: CountedStack, last: float) -> Row:
    """Return what one more sweep costs, when it has ended.

    Args:
        stack: Sweeps.
        last: When the sweep before ended, by its own metric.
    """
    began = stack.counters()
    ended = last
    while ended == last:
        time.sleep(POLL_SECONDS)  # the metric is all that tells
        ended = stack.metric("homeward_sweep_success_timestamp_seconds")
        if time.monotonic() - began.seconds > FIND_SECONDS:
            return {"failed": "TIMEOUT"}
    spent = stack.counters() - began
    return {
        "seconds": ended - last - SWEEP_SECONDS if last else spent.seconds,
        "services": spent.services,
        "engines": spent.engines,
        "s3_requests": spent.s3_requests,
        "nats_messages": spent.nats_messages,
    }


def measure_scans(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure a scan of everything, by its segments; the scanner stands still where it can."""
    with filled_stack(folder, NEVER) as (stack, recordings):
        for size in sizes:
            recordings.fill(size)
            yield from scan_at(stack, size)


def scan_at(stack: CountedStack, size: int) -> Iterator[Row]:
    """Measure one scan of so many recordings of an hour, from its creation to its cancellation."""
    told: Row = {"part": "scans", "size": size}
    made: list[str] = []

    def create() -> None:
        made.append(calls.create_scan(stack, None, None))

    once = {**told, "what": "CreateScan, everything"}
    with stack.suspended("homeward.ingestion.scanner"):
        began = stack.counters()
        yield once | calls.tried(stack, create)
        if not made:
            return
        scan = made[-1]
        planned, segments = calls.await_plan(stack, scan)
        row = {**told, "what": "until it is planned", "segments": segments}
        yield row | calls.spent_since(stack, began) | ({} if planned else {"failed": "TIMEOUT"})
        yield {**told, "what": "GetScan"} | measured(stack, lambda: calls.get_scan(stack, scan))
        yield {**told, "what": "ListScans"} | measured(stack, lambda: calls.list_scans(stack))
        watched, cancelled = calls.cancel_watched(stack, scan)
        yield {**told, "what": "CancelScan, watched", "segments": segments} | cancelled
        yield {**told, "what": "WatchScan, until then", "segments": segments} | watched


def measure_subjects(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure enrolment and comparison among growing numbers of subjects."""
    with CountedStack(folder, NEVER) as stack:
        people = calls.People(stack)
        for size in sizes:
            people.fill(size)
            told: Row = {"part": "subjects", "size": size}
            one = people.subjects[size // 2]
            yield {**told, "what": "enrolment"} | measured(stack, people.enrol)
            yield {**told, "what": "Match, everybody"} | measured(stack, lambda: people.match([]))
            yield {**told, "what": "Match, one subject"} | measured(
                stack,
                lambda one=one: people.match([one]),  # type: ignore[misc]
            )
            yield {**told, "what": "ListSubjects, first page"} | measured(stack, people.listed)
            yield {**told, "what": "GetSubject"} | measured(
                stack,
                lambda one=one: people.get(one),  # type: ignore[misc]
            )


FILL = "fill"
KEPT = ("fill", "recordings", "sweeps", "scans")
"""Parts that a kept folder serves."""

PARTS: dict[str, tuple[Callable[[Path, Sequence[int]], Iterator[Row]], str, str]] = {
    FILL: (fill_only, "100", "recordings"),
    "recordings": (measure_recordings, "100,500,2000", "recordings"),
    "sweeps": (measure_sweeps, "100,500,2000", "recordings"),
    "scans": (measure_scans, "2,10,34", "recordings of an hour"),
    "subjects": (measure_subjects, "50,200,600", "subjects"),
    "sightings": (measure_sightings, "200,2000,20000", "candidates"),
    "uploads": (measure_uploads, "64,256", "MB"),
    "slow": (measure_slow_clients, "60", "clients"),
    "idle": (measure_idle, "60", "seconds"),
}
"""By name: what measures, its sizes, and what these count."""


def table(before: Sequence[Row], after: Sequence[Row]) -> str:
    """Return Markdown, a table for each part."""
    lines: list[str] = []
    for part, (_, _, unit) in PARTS.items():
        rows = [row for row in (*before, *after) if row["part"] == part]
        if not rows:
            continue
        lines += ["", f"### {part}", ""]
        lines += [f"| | {unit} | before | after |", "|---|---|---|---|"]
        names = dict.fromkeys((row["what"], row["size"]) for row in rows)
        order = list(dict.fromkeys(what for what, _ in names))
        for what, size in sorted(names, key=lambda name: (order.index(name[0]), name[1])):
            cells = [_cell(one, what, size) for one in (before, after)]
            lines.append(f"| {what} | {size:,} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _cell(rows: Sequence[Row], what: str, size: int) -> str:
    row = next((row for row in rows if (row["what"], row["size"]) == (what, size)), None)
    if row is None:
        return ""
    told = [f"**{row['failed']}** after {row['seconds']:.0f} s"] if "failed" in row else []
    if "seconds" in row and not told:
        told.append(_time(row["seconds"]))
    if "services" in row:
        told.append(f"processor {_time(row['services'] + row['engines'])}")
    if "matching" in row:
        told.append(f"of matching {_time(row['matching'])}")
    if "s3_requests" in row:
        told += [f"{row['s3_requests']:.0f} S3", f"{row['nats_messages']:.0f} NATS"]
    told += [f"{key} {value:,.4g}" for key, value in row.items() if key not in _KNOWN]
    return ", ".join(told)


_KNOWN = {
    *("part", "size", "what", "failed"),
    *("seconds", "services", "engines", "s3_requests", "nats_messages"),
    "matching",
}


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def main() -> int:
    """Measure the parts that are asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="one or several; else all")
    parser.add_argument("--sizes", help="of all parts asked for, instead of their own: 100,1000")
    parser.add_argument("--out", type=Path, help="JSON file that the figures are added to")
    parser.add_argument("--before", type=Path, help="JSON file of the version before")
    parser.add_argument("--picture", type=Path, help="PNG file to draw both in")
    parser.add_argument("--folder", type=Path, help="keep the recordings there, for the next run")
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    given = parser.parse_args()
    rows = json.loads(given.out.read_text())["rows"] if given.out and given.out.exists() else []
    every = [part for part in PARTS if part != FILL]
    for part in [] if given.only_table else given.part or every:
        measure, sizes, _ = PARTS[part]
        counts = sorted(int(size) for size in (given.sizes or sizes).split(","))
        rows = [row for row in rows if row["part"] != part or row["size"] not in counts]
        with tempfile.TemporaryDirectory(prefix="homeward-growth-") as folder:
            kept = given.folder if part in KEPT and given.folder else Path(folder) / part
            for row in measure(kept, counts):
                print(json.dumps(row | {"load": round(os.getloadavg()[0], 1)}), file=sys.stderr)
                rows.append(row)
                if given.out:
                    given.out.write_text(json.dumps({"commit": commit(), "rows": rows}, indent=1))
    before = json.loads(given.before.read_text())["rows"] if given.before else []
    print(table(before or rows, rows if before else []))
    if given.picture:
        drawing = [str(ROOT / "growth_draw.py"), str(given.before), str(given.out)]
        subprocess.run([sys.executable, *drawing, str(given.picture)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
