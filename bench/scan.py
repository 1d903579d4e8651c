"""How fast the scan is, what it finds and what its gate loses, beside what users would do instead.

    make bench                     # the street of the demo, if there is no data beside the project
    make bench SHARED=../shared    # all of it: with labelled photographs and a footage maker

Runs the real services on stacks of its own in a temporary folder, and the peers on the same files
in the same run: machines are noisy, so that only ratios of one run mean something. Writes a table,
the figures as JSON and a picture to `bench/results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import groups
import msgspec
import numpy as np
import psutil
from footage import SECONDS, Clip, Walk, clip_4k, gate_clips, looped, speed_clips

from homeward.embedded import demo
from homeward.embedded.running import RunningStack, object_store
from homeward.embedding.adapters.yunet_sface import SFACE, YUNET, read_file
from homeward.ingestion.scan.presence import Presence

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
CACHE = ROOT / ".footage"
PEERS_PYTHON = ROOT.parent / ".venv-peers" / "bin" / "python"
START = datetime.fromisoformat("2026-03-04T10:00:00+00:00")
NEAR_SECONDS = 1.0
"""A row of a reviewer's list is right if its subject is in view within this time of it."""

Figures = dict[str, Any]


class Stack(RunningStack):
    """A running `homeward up` on a folder of its own, and what it costs."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        super().__init__(data, settings, log=subprocess.DEVNULL)

    def children(self) -> list[psutil.Process]:
        """Return its processes."""
        return psutil.Process(self.up.pid).children(recursive=True)

    def process(self, module: str) -> psutil.Process:
        """Return the process that runs a module."""
        return next(child for child in self.children() if module in child.cmdline())

    def scanner(self) -> psutil.Process:
        """Return the scanner's process."""
        return self.process("homeward.ingestion.scanner")

    def search(self, *arguments: str) -> Figures:
        """Search, and return what it found and what it took."""
        before = self._cpu()
        with memory_of(self.scanner()) as memory:
            found = self.cli("search", *arguments)
        spent = self._cpu() - before
        scan = found["scan"]
        took = datetime.fromisoformat(scan["endTime"]) - datetime.fromisoformat(scan["createTime"])
        return {
            "seconds": took.total_seconds(),
            "cpu": spent,
            "peak_mb": max(memory),
            "quarters_mb": [float(np.median(part)) for part in np.array_split(memory, 4)],
            "scan": scan,
            "candidates": found["candidates"],
        }

    def _cpu(self) -> float:
        times = [child.cpu_times() for child in self.children()]
        return sum(each.user + each.system for each in times)

    def presence(self, camera: str) -> list[Presence]:
        """Return where the scan found faces: boxes and times."""
        client = object_store(self.data)
        bucket = "homeward-footage"
        keys = [
            str(item.object_name)
            for item in client.list_objects(bucket, f"footage/{camera}/", recursive=True)
            if "/presence/" in str(item.object_name)
        ]
        return [
            msgspec.json.decode(client.get_object(bucket, key).read(), type=Presence)
            for key in keys
        ]

    def enrol(self, label: str, photos: Sequence[str]) -> bool:
        """Enrol a subject; tell whether a photograph could serve.

        Does what a refusal asks for: those with several people are cut to the one person, who is
        in the middle of each of these photographs.
        """
        with tempfile.TemporaryDirectory() as folder:
            for used in (photos, [cut_to_middle(Path(photo), Path(folder)) for photo in photos]):
                with suppress(subprocess.CalledProcessError):
                    self.cli("subject", "add", "--case", "BENCH", "--label", label, *used)
                    return True
        return False

    def sightings(self) -> list[Figures]:
        """Return what there is to review."""
        found: list[Figures] = self.cli("sighting", "list")["sightings"]
        return found

    def labels(self) -> dict[str, str]:
        """Return the labels of the subjects, by their ids."""
        return {one["subjectId"]: one["label"] for one in self.cli("subject", "list")["subjects"]}


@contextmanager
def memory_of(process: psutil.Process) -> Iterator[list[float]]:
    """Watch a process; the list gets the memory that it holds, MB, twenty times a second."""
    samples: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            with suppress(psutil.Error):
                samples.append(process.memory_info().rss / 1e6)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield samples
    finally:
        done.set()
        watching.join()


@contextmanager
def stack(**settings: str) -> Iterator[Stack]:
    """Run a stack for a while."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder) / "data", settings) as running,
    ):
        yield running


def cut_to_middle(photo: Path, folder: Path) -> str:
    """Write the middle of a photograph, half as wide and high, to a folder; return its path."""
    picture = cv2.imread(str(photo))
    height, width = picture.shape[:2]
    cut = picture[height // 4 : -height // 4, width // 4 : -width // 4]
    cv2.imwrite(str(folder / f"{photo.stem}.png"), cut)
    return str(folder / f"{photo.stem}.png")


def add(running: Stack, footage: Path, camera: str) -> None:
    """Register a camera and upload its recording."""
    running.cli("camera", "add", camera)
    start = START.strftime("%Y-%m-%dT%H:%M:%SZ")
    running.cli("footage", "add", str(footage), "--camera", camera, "--start", start)


def peer(loop: str, footage: Path, *arguments: str) -> Figures:
    """Run a loop that users would write, in a process of its own."""
    python = sys.executable if loop in ("decode", "keys") else str(PEERS_PYTHON)
    done = subprocess.run(
        [python, str(ROOT / "peers.py"), loop, str(footage), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    answer: Figures = json.loads(done.stdout.splitlines()[-1])
    return answer


def seen_by(presence: Sequence[Presence], people: Sequence[Walk]) -> set[int]:
    """Return which people an appearance shows: whose head a face of it was on."""
    found = set()
    for person in (one for part in presence for one in part.people):
        for shot in person.shots:
            at = shot.offset.total_seconds()
            x, y = shot.box.centre
            for number, walk in enumerate(people):
                if walk.first - NEAR_SECONDS <= at <= walk.last + NEAR_SECONDS:
                    head_x, head_y, size = walk.head(at)
                    if abs(x - head_x) < 0.4 * size and abs(y - head_y) < 0.4 * size:
                        found.add(number)
    return found


def judged(rows: Sequence[tuple[float, float, str]], people: Sequence[Walk]) -> Figures:
    """Count the rows of a reviewer's list: from, to, whom."""
    right, wrong = set(), 0
    for start, end, name in rows:
        if any(
            walk.identity == name
            and walk.first - NEAR_SECONDS <= end
            and start <= walk.last + NEAR_SECONDS
            for walk in people
        ):
            right.add(name)
        else:
            wrong += 1
    return {"found": sorted(right), "wrong": wrong, "rows": len(rows)}


def own_rows(
    candidates: Sequence[Figures], labels: Mapping[str, str]
) -> list[tuple[float, float, str]]:
    """Return candidates as rows."""
    return [
        (
            *(
                (datetime.fromisoformat(one["interval"][end]) - START).total_seconds()
                for end in ("startTime", "endTime")
            ),
            labels[one["subjectId"]],
        )
        for one in candidates
    ]


def measure_speed(clips: Sequence[Clip], shared: Path, folder: Path) -> list[Figures]:
    """Measure scans and peers on the same clips."""
    tool, faces = shared / "tools" / "make_footage.py", shared / "data" / "faces"
    models = folder / "models"
    models.mkdir()
    for file in (YUNET, SFACE):
        (models / file.name).write_bytes(read_file(file))
    pack = shared / "data" / "models" / "insightface-testpack"
    results = []
    for clip in clips:
        footage, truth = clip.make(tool, faces, CACHE)
        people = clip.people(tool, faces)
        references = folder / "references.json"
        references.write_text(json.dumps(truth["subjects"]))
        row: Figures = {"clip": clip.name, "seed": clip.seed, "subjects": len(truth["subjects"])}
        row["a"], row["b"] = peer("decode", footage), peer("keys", footage)
        with stack() as running:
            *first, last = truth["subjects"].items()
            for name, photos in first:
                running.enrol(name, photos)
            add(running, footage, "bench")
            row["scan"] = running.search()
            # Somebody who is reported missing only now: the footage has been searched before.
            running.enrol(*last)
            row["rescan"] = running.search()
            # What there is to review after both: a search for somebody else takes nothing back.
            row["scan"] |= judged(own_rows(running.sightings(), running.labels()), people)
        with stack(HOMEWARD_GATE="false") as running:
            for name, photos in truth["subjects"].items():
                running.enrol(name, photos)
            add(running, footage, "bench")
            row["e"] = running.search()
            row["e"] |= judged(own_rows(row["e"]["candidates"], running.labels()), people)
        given = ("--references", str(references))
        zoo = ("--detector", str(models / YUNET.name), "--recogniser", str(models / SFACE.name))
        row["c"] = peer("cv2", footage, *given, *zoo)
        row["d"] = peer("insightface", footage, *given, "--pack", str(pack))
        for loop in ("c", "d"):
            row[loop] |= judged([(at, at, name) for at, name, _ in row[loop]["rows"]], people)
        results.append(row)
        print(speed_line(row), flush=True)
    return results


def measure_gate(clips: Sequence[Clip], shared: Path) -> list[Figures]:
    """Count the people whom the gate loses: seen when everything is decoded, and not with it."""
    tool, faces = shared / "tools" / "make_footage.py", shared / "data" / "faces"
    results = []
    with stack() as gated, stack(HOMEWARD_GATE="false") as everything:
        for running in (gated, everything):
            first = min(faces.iterdir())
            running.enrol("somebody", [str(photo) for photo in sorted(first.glob("*.jpg"))])
        for clip in clips:
            footage, _ = clip.make(tool, faces, CACHE)
            people = clip.people(tool, faces)
            row: Figures = {"clip": clip.name, "seed": clip.seed, "people": len(people)}
            row["heads"] = [
                max(walk.head(walk.first)[2], walk.head(walk.last)[2]) for walk in people
            ]
            for name, running in (("gated", gated), ("everything", everything)):
                camera = f"{clip.name}-{clip.seed}"
                add(running, footage, camera)
                row[name] = running.search("--camera", camera)
                row[name]["seen"] = sorted(seen_by(running.presence(camera), people))
            lost = set(row["everything"]["seen"]) - set(row["gated"]["seen"])
            row["lost"] = [people[number].identity for number in sorted(lost)]
            row["gained"] = len(set(row["gated"]["seen"]) - set(row["everything"]["seen"]))
            results.append(row)
            print(gate_line(row), flush=True)
    return results


def pin(process: psutil.Process, cores: Sequence[int]) -> None:
    """Keep a process to some cores, with all the threads that it has."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, cores)


def measure_scanners(clip: Clip, shared: Path) -> Figures:
    """Measure one scanner on a core, then two on a core each, beside what two decoders gain.

    On ten minutes, in ten segments: a scanner that has no more segment waits for the other.
    """
    tool, faces = shared / "tools" / "make_footage.py", shared / "data" / "faces"
    made, truth = clip.make(tool, faces, CACHE)
    footage = looped(made, 5)
    settings = {
        "HOMEWARD_DECODERS": "1",
        "HOMEWARD_PRESENCE_INDEX": "false",
    }
    figures: Figures = {}
    with stack(**settings) as running:
        for name, photos in truth["subjects"].items():
            running.enrol(name, photos)
        add(running, footage, "bench")
        one = running.scanner()
        for child in running.children():
            pin(child, [0])
        figures["one"] = running.search()["seconds"]
        for child in running.children():
            pin(child, [0, 1])
        # Without the address of its metrics, which the first one has.
        its = {name: value for name, value in one.environ().items() if "METRICS" not in name}
        second = subprocess.Popen(one.cmdline(), env=its, stderr=subprocess.PIPE)
        try:
            assert second.stderr is not None
            ready = any(b'"ready"' in line for line in second.stderr)
            assert ready, "the second scanner ended before it was ready"
            pin(one, [0])
            pin(psutil.Process(second.pid), [1])
            figures["two"] = running.search()["seconds"]
        finally:
            second.send_signal(signal.SIGINT)
            second.wait(30)
    figures["decoders"] = two_decoders(made)
    return figures


def measure_memory(clip: Clip, uhd: Clip, shared: Path) -> Figures:
    """Measure a scanner's memory over two hours, and on 4K."""
    tool, faces = shared / "tools" / "make_footage.py", shared / "data" / "faces"
    figures: Figures = {}
    for name, one, times in (("two hours", clip, 60), ("4K", uhd, 4)):
        made, truth = one.make(tool, faces, CACHE)
        with stack() as running:
            for label, photos in truth["subjects"].items():
                running.enrol(label, photos)
            add(running, looped(made, times), "bench")
            found = running.search()
        figures[name] = {key: found[key] for key in ("seconds", "peak_mb", "quarters_mb")}
        print(name, figures[name], flush=True)
    return figures


def two_decoders(footage: Path) -> float:
    """Return what two decoders, each on its core, do in the time of one: the machine's limit."""

    def run(cores: Sequence[int]) -> float:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import peers, av\n"
        code += f"c = av.open({str(footage)!r}); s = c.streams.video[0]\n"
        code += "s.thread_type = 'NONE'; s.codec_context.thread_count = 1\n"
        code += "print(sum(1 for _, f in zip(range(1000), c.decode(s))))"
        began = time.perf_counter()
        running = []
        for core in cores:
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
            psutil.Process(process.pid).cpu_affinity([core])
            running.append(process)
        for process in running:
            process.wait()
        return time.perf_counter() - began

    return 2 * run([0]) / run([0, 1])


def measure_demo(folder: Path) -> list[Figures]:
    """Measure the scan alone, on the demo's street: what can be done without any data."""
    with stack() as running:
        with running.channel("embedding", as_service=True) as embedding:
            street = demo.street(folder, embedding)
        footage = street.footage
        running.enrol("one", [str(street.portraits[demo.ENROLLED])])
        add(running, footage, "bench")
        row: Figures = {"clip": "demo", "seed": 0, "a": peer("decode", footage)}
        row["b"], row["scan"], row["rescan"] = (
            peer("keys", footage),
            running.search(),
            running.search(),
        )
        duration = timedelta(
            seconds=float(row["scan"]["scan"]["progress"]["totalDuration"].rstrip("s"))
        )
        row["plays"] = duration.total_seconds()
        return [row]


def speed_line(row: Figures) -> str:
    """Return the figures of a clip in a line."""
    a = row["a"]["seconds"]
    parts = [f"{row['clip']:>7}-{row['seed']:<3}"]
    for name in ("a", "b", "scan", "rescan", "e", "c", "d"):
        if name in row:
            figures = row[name]
            parts.append(f"{name} {figures['seconds']:.2f} s ({figures['seconds'] / a:.2f})")
    for name in ("scan", "e", "c", "d"):
        if "found" in row.get(name, {}):
            found = f"{len(row[name]['found'])}/{row['subjects']}"
            parts.append(f"{name}: {found}, {row[name]['wrong']} wrong, {row[name]['rows']} rows")
    return "  ".join(parts)


def gate_line(row: Figures) -> str:
    """Return what the gate did to a clip in a line."""
    effort = row["gated"]["scan"]["coverage"]["footageEfforts"][0]
    way = ", ".join(effort["thoroughness"]).replace("THOROUGHNESS_", "").lower()
    return (
        f"{row['clip']:>6}-{row['seed']}  people {row['people']}  seen when all is decoded"
        f" {len(row['everything']['seen'])}, with the gate {len(row['gated']['seen'])}, lost"
        f" {len(row['lost'])}, gained {row['gained']};  decoded {effort['decodedDuration']}"
        f" ({way});  {row['everything']['seconds']:.1f} s, {row['gated']['seconds']:.1f} s"
    )


def table(speed: Sequence[Figures], gate: Sequence[Figures]) -> str:
    """Return everything measured as Markdown."""
    names = {
        "a": "(a) PyAV decodes everything, nothing else",
        "b": "(b) PyAV decodes key pictures",
        "scan": "**first scan**",
        "rescan": "**scan for a new subject** (presence index)",
        "e": "(e) our scan, gate off",
        "c": "(c) cv2 loop, every 5th frame",
        "d": "(d) insightface loop, every 5th frame",
    }
    lines = []
    for kind in dict.fromkeys(row["clip"] for row in speed):
        rows = [row for row in speed if row["clip"] == kind]
        plays = [row.get("plays", SECONDS) for row in rows]
        lines += [
            f"### {kind}: {len(rows)} clips",
            "",
            "| | x real time | time / (a) | footage s per CPU s | peak MB | found | wrong | rows |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, title in names.items():
            held = [row[name] for row in rows if name in row]
            if not held:
                continue
            speeds = [p / one["seconds"] for p, one in zip(plays, held, strict=True)]
            ratios = [
                one["seconds"] / row["a"]["seconds"] for one, row in zip(held, rows, strict=True)
            ]
            per_cpu = [p / one["cpu"] for p, one in zip(plays, held, strict=True)]
            peak = max(one["peak_mb"] for one in held)
            seen = [one for one in held if "found" in one]
            found = sum(len(one["found"]) for one in seen)
            counted = (
                f"{found} of {sum(row['subjects'] for row in rows)} |"
                f" {sum(one['wrong'] for one in seen)} | {sum(one['rows'] for one in seen)}"
                if seen
                else "| |"
            )
            lines.append(
                f"| {title} | {statistics.median(speeds):.1f} |"
                f" {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
                f" {statistics.median(per_cpu):.1f} | {peak:.0f} | {counted} |"
            )
        lines.append("")
    if gate:
        seen = sum(len(row["everything"]["seen"]) for row in gate)
        lost = sum(len(row["lost"]) for row in gate)
        lines += ["### What the gate loses", "", "```"]
        lines += [gate_line(row) for row in gate]
        lines += [
            (
                f"all: {seen} people seen when everything is decoded, {lost} of them lost"
                f" ({100 * lost / seen:.2f} %), {sum(row['gained'] for row in gate)} others gained"
            ),
            "```",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, help="folder with data/ and tools/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23])
    parser.add_argument("--only", choices=["speed", "gate", "groups", "scanners", "memory"])
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    speed: list[Figures] = []
    gate: list[Figures] = []
    crowds: list[Figures] = []
    scanners: Figures = {}
    memory: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        if options.shared is None or not (options.shared / "data" / "faces").is_dir():
            print("no labelled photographs (SHARED=...): the demo's street alone is measured")
            speed = measure_demo(Path(name))
            print(speed_line(speed[0]))
        else:
            if options.only in (None, "speed"):
                speed = measure_speed(speed_clips(options.seeds), options.shared, Path(name))
            if options.only in (None, "gate"):
                gate = measure_gate(gate_clips(), options.shared)
            if options.only in (None, "groups"):
                crowds = groups.told(options.shared / "data" / "faces")
            if options.only in (None, "scanners"):
                scanners = measure_scanners(speed_clips([21])[1], options.shared)
                print(scanners)
            if options.only in (None, "memory"):
                memory = measure_memory(speed_clips([21])[1], clip_4k(), options.shared)
    text = table(speed, gate)
    (RESULTS / "bench.md").write_text(text)
    figures = {
        "speed": speed,
        "gate": gate,
        "groups": crowds,
        "scanners": scanners,
        "memory": memory,
    }
    (RESULTS / "bench.json").write_text(json.dumps(figures, indent=1))
    print("\n" + text)
    if PEERS_PYTHON.exists():
        drawn = RESULTS / "bench.png"
        subprocess.run(
            [str(PEERS_PYTHON), str(ROOT / "draw.py"), str(RESULTS / "bench.json"), str(drawn)],
            check=True,
        )
        if drawn.exists():
            print(f"picture: {drawn}")


if __name__ == "__main__":
    main()
