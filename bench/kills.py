"""Kill the services that sweep and rebuild, again and again, and count what is left in the end.

    python bench/kills.py [ROUNDS]

In each round a subject is enrolled and a recording added, whose deadline is in seconds; in each
second one another subject is erased. Then ingestion or matching is killed at a random moment, which
ends the stack, and all of it is started again. In the end nothing may be overdue, nobody lost and
nobody half erased.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import psutil

from homeward.embedded import demo, demo_footage
from homeward.embedded.running import RunningStack

KEPT_SECONDS = 6
SETTLED_SECONDS = 90


def started(data: Path) -> RunningStack:
    """Start a stack on a folder, which may have been used before."""
    settings = {
        "HOMEWARD_FOOTAGE_KEEP_DAYS": str(KEPT_SECONDS / 86400),
        "HOMEWARD_SWEEP_INTERVAL_SECONDS": "0.3",
    }
    return RunningStack(data, settings, log=subprocess.DEVNULL)


def kill(stack: RunningStack, module: str) -> None:
    """Kill a service, and wait for the end of the rest."""
    children = psutil.Process(stack.up.pid).children(recursive=True)
    next(child for child in children if child.cmdline()[-1:] == [module]).kill()
    stack.up.wait(60)


def retention(stack: RunningStack) -> tuple[dict[str, tuple[int, int]], bool]:
    """Return how much there is of each kind of data and how much is overdue, and if all settled."""
    report = stack.cli("retention", codes=(0, 3))
    held = {
        one["name"]: (int(one.get("count", 0)), int(one.get("overdueCount", 0)))
        for part in ("footage", "people")
        for one in report[part]["held"]
    }
    return held, held["footage"][0] == 0 and not report["people"].get("rebuildDue")


def main() -> None:
    """Shake it, let it settle and count."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = random.Random(4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = started(folder / "data")
        photo = demo.group_photo()
        with stack.channel("embedding", as_service=True) as embedding:
            boxes = demo.faces(photo, embedding)
        picture = demo_footage.pixels(photo)
        footage = folder / "street.mp4"
        demo_footage.write_footage(footage, [demo_footage.cut_head(picture, boxes[0])])
        recorded = footage.read_bytes()
        stack.cli("camera", "add", "street")
        subjects: list[str] = []
        erased: list[str] = []
        for number in range(rounds):
            portrait = demo_footage.reference_photo(picture, boxes[number % len(boxes)])
            portrait[number, 0] = number  # so that no photograph is another one
            path = folder / f"portrait-{number}.png"
            cv2.imwrite(str(path), portrait)
            added = stack.cli("subject", "add", "--case", f"P-{number}", str(path))
            subjects.append(added["subject"]["subjectId"])
            footage.write_bytes(recorded + bytes([number]))
            start = f"2026-03-04T10:{number:02d}:00Z"
            stack.cli("footage", "add", str(footage), "--camera", "street", "--start", start)
            if number % 2:
                erased.append(subjects[number // 2])
                stack.cli("subject", "erase", erased[-1], "--yes")
            moment = rng.uniform(0, KEPT_SECONDS + 1)
            time.sleep(moment)
            killed = ["homeward.matching", "homeward.ingestion"][number % 2]
            kill(stack, killed)
            print(f"round {number + 1}: {killed} killed after {moment:.2f} s", flush=True)
            stack = started(folder / "data")
        until = time.monotonic() + SETTLED_SECONDS
        while not (told := retention(stack))[1] and time.monotonic() < until:
            time.sleep(0.5)
        listed = {one["subjectId"] for one in stack.cli("subject", "list")["subjects"]}
        certificates = [
            stack.cli("subject", "certificate", one)["certificate"]["entries"] for one in erased
        ]
        templates = [
            next(each["outcome"] for each in entries if each["data"] == "reference templates")
            for entries in certificates
        ]
        count, settled = told
        expected = set(subjects) - set(erased)
        print(f"settled: {settled};  held / overdue: {count}")
        print(f"subjects lost: {len(expected - listed)}, still there: {len(listed - expected)}")
        print(
            f"half erased: {abs(count['reference templates'][0] - len(expected))} templates,"
            f" {abs(count['reference photographs'][0] - len(expected))} photographs;"
            f"  certificates of templates: {sorted(set(templates))}"
        )
        stack.stop()


if __name__ == "__main__":
    main()
