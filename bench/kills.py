"""Kill the services that sweep and rebuild, again and again, and count what is left in the end.

    python bench/kills.py [ROUNDS]

In each round a subject is enrolled and a recording added, whose deadline is in seconds; in each
second one another subject is erased. Then ingestion or matching is killed at a random moment, which
ends the stack, and all of it is started again. In the end nothing may be overdue, nobody lost and
nobody half erased.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from homeward.embedded import demo, demo_footage

KEPT_SECONDS = 6
SETTLED_SECONDS = 90


class Shaken:
    """A stack on one folder that is started many times."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._environment = {
            **os.environ,
            "HOMEWARD_DATA": str(data),
            "HOMEWARD_FOOTAGE_KEEP_DAYS": str(KEPT_SECONDS / 86400),
            "HOMEWARD_SWEEP_INTERVAL_SECONDS": "0.3",
        }

    def start(self) -> dict[str, str]:
        """Start it; return the services' addresses."""
        self._up = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "homeward.cli",
                "up",
                "--data",
                str(self._data),
                "--output",
                "json",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,
        )
        assert self._up.stdout is not None
        addresses: dict[str, str] = json.loads(self._up.stdout.readline())
        return addresses

    def cli(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "homeward.cli", *arguments, "--output", "json"],
            env=self._environment,
            check=False,
            capture_output=True,
        )
        assert done.returncode in (0, 3), done.stderr.decode()
        return json.loads(done.stdout)

    def kill(self, module: str) -> None:
        """Kill a service, and wait for the end of the rest."""
        children = psutil.Process(self._up.pid).children(recursive=True)
        next(child for child in children if child.cmdline()[-1:] == [module]).kill()
        self._up.wait(60)

    def stop(self) -> None:
        """Stop it."""
        self._up.terminate()
        self._up.wait(60)


def held(shaken: Shaken) -> dict[str, tuple[int, int]]:
    """Return how much there is of each kind of data, and how much is overdue."""
    report = shaken.cli("retention")
    return {
        one["name"]: (int(one.get("count", 0)), int(one.get("overdueCount", 0)))
        for part in ("footage", "people")
        for one in report[part]["held"]
    }


def settled(shaken: Shaken) -> bool:
    """Tell whether all that was due has gone."""
    report = shaken.cli("retention")
    return held(shaken)["footage"][0] == 0 and not report["people"].get("rebuildDue")


def main() -> None:
    """Shake it, let it settle and count."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = random.Random(4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shaken = Shaken(folder / "data")
        addresses = shaken.start()
        photo = demo.group_photo()
        boxes = demo.faces(photo, addresses["embedding"])
        picture = np.asarray(
            cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR), np.uint8
        )
        footage = folder / "street.mp4"
        demo_footage.write_footage(footage, [demo_footage.cut_head(picture, boxes[0])])
        recorded = footage.read_bytes()
        shaken.cli("camera", "add", "street")
        subjects: list[str] = []
        erased: list[str] = []
        for number in range(rounds):
            portrait = demo_footage.reference_photo(picture, boxes[number % len(boxes)])
            portrait[number, 0] = number  # so that no photograph is another one
            path = folder / f"portrait-{number}.png"
            cv2.imwrite(str(path), portrait)
            added = shaken.cli("subject", "add", "--case", f"P-{number}", str(path))
            subjects.append(added["subject"]["subjectId"])
            footage.write_bytes(recorded + bytes([number]))
            start = f"2026-03-04T10:{number:02d}:00Z"
            shaken.cli("footage", "add", str(footage), "--camera", "street", "--start", start)
            if number % 2:
                erased.append(subjects[number // 2])
                shaken.cli("subject", "erase", erased[-1], "--yes")
            moment = rng.uniform(0, KEPT_SECONDS + 1)
            time.sleep(moment)
            killed = ["homeward.matching", "homeward.ingestion"][number % 2]
            shaken.kill(killed)
            print(f"round {number + 1}: {killed} killed after {moment:.2f} s", flush=True)
            shaken.start()
        until = time.monotonic() + SETTLED_SECONDS
        while not settled(shaken) and time.monotonic() < until:
            time.sleep(0.5)
        listed = {one["subjectId"] for one in shaken.cli("subject", "list")["subjects"]}
        certificates = [
            shaken.cli("subject", "certificate", one)["certificate"]["entries"] for one in erased
        ]
        templates = [
            next(each["outcome"] for each in entries if each["data"] == "reference templates")
            for entries in certificates
        ]
        count = held(shaken)
        expected = set(subjects) - set(erased)
        print(f"settled: {settled(shaken)};  held / overdue: {count}")
        print(f"subjects lost: {len(expected - listed)}, still there: {len(listed - expected)}")
        print(
            f"half erased: {abs(count['reference templates'][0] - len(expected))} templates,"
            f" {abs(count['reference photographs'][0] - len(expected))} photographs;"
            f"  certificates of templates: {sorted(set(templates))}"
        )
        shaken.stop()


if __name__ == "__main__":
    main()
