"""`homeward review` in a pseudo-terminal: time from a key to the next picture, and what is lost.

    python bench/review.py [--candidates 60] [--look 0.7] [--keep FOLDER]

Starts a stack of its own and records candidates with made-up stills straight through
`RecordSightings`. Then:

1. one reviewer, who looks at each candidate for a while: time from the key to the next picture;
2. the same without looking, as fast as pictures come;
3. one reviewer whose program gets Ctrl-C and SIGKILL, while it waits and while a decision is under
   way, whose matching is stopped for some seconds, and whose connection is cut;
4. two reviewers at once.

After 3 and 4 each candidate must have been decided once, and what was answered must be recorded.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageFilter
from review_terminal import RECORDED, Line, Seat, Terminal

from homeward.api.common.v1 import policy_pb2, types_pb2
from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli.times import to_duration, to_timestamp
from homeward.core.tls import VARIABLES
from homeward.embedded import demo
from homeward.embedded.demo_footage import Picture, cut_head, pixels, reference_photo
from homeward.embedded.running import RunningStack, command

CAMERAS = ("gate", "door", "platform-2", "bus-stop")
FIGURES = policy_pb2.PolicyFigures(
    approved=True,
    gallery_size=12,
    measured_gallery_size=500,
    expected_fpir=policy_pb2.ErrorRate(value=0.00024, low=0.0001, high=0.0005, trial_count=1000),
    fnir=policy_pb2.ErrorRate(value=0.042, low=0.028, high=0.063, trial_count=500),
)
AS_MANY = 10
STILLS = 6
"""Findings of a call at most."""
AWAY_SECONDS = 4.0
Figures = dict[str, Any]


@dataclass
class Bench:
    """A stack with somebody to look for, and reviewers."""

    stack: RunningStack
    folder: Path
    subject_id: str = ""
    photo_id: str = ""
    hour: int = 0
    line: Line | None = None
    pictures: list[Path] = field(default_factory=list)

    def enrol(self) -> None:
        """Enrol two of the demo's people, and cameras."""
        group = demo.group_photo()
        with self.stack.channel("embedding", as_service=True) as channel:
            boxes = demo.faces(group, channel)[:2]
        photos = [jpeg(reference_photo(pixels(group), box)) for box in boxes]
        with self.stack.channel("matching") as channel:
            stub = SubjectServiceStub(channel)
            for number, photo in enumerate(photos):
                subject = subject_pb2.Subject(
                    case_reference=f"MP-26-{412 + number:04}",
                    label=("Ellen", "Grace")[number],
                    age_group=subject_pb2.AGE_GROUP_ADULT,
                    legal_basis="a bench",
                    authorised_by="a bench",
                    review_time=to_timestamp(datetime.now(UTC) + timedelta(days=20)),
                )
                made = stub.CreateSubject(
                    subject_service_pb2.CreateSubjectRequest(subject=subject)
                ).subject
                for picture in (photo, jpeg(cut_head(pixels(group), boxes[number]))):
                    added = stub.AddReferencePhoto(
                        subject_service_pb2.AddReferencePhotoRequest(
                            subject_id=made.subject_id, photo=picture
                        )
                    )
                if not self.subject_id:
                    self.subject_id = made.subject_id
                    self.photo_id = added.reference_photo.photo_id
        with self.stack.channel("ingestion") as channel:
            for name in CAMERAS:
                camera = camera_pb2.Camera(
                    camera_id=name, place=f"{name.title()}, Market Street", authority="bench"
                )
                CameraServiceStub(channel).CreateCamera(
                    camera_service_pb2.CreateCameraRequest(camera=camera)
                )
        self.line = Line(self.stack.addresses["matching"])

    def record(self, count: int) -> set[str]:
        """Record candidates in an hour of their own; return their ids."""
        with self.stack.channel("embedding", as_service=True) as channel:
            model = EmbeddingServiceStub(channel).GetModel(embedding_service_pb2.GetModelRequest())
        self.hour += 1
        rng = np.random.default_rng(self.hour)
        findings = [
            self._finding(number, rng, model.model.digest, model.model.template_size)
            for number in range(count)
        ]
        ids: set[str] = set()
        with self.stack.channel("matching", as_service=True) as channel:
            for at in range(0, count, AS_MANY):
                request = sighting_service_pb2.RecordSightingsRequest(
                    findings=findings[at : at + AS_MANY]
                )
                answer = SightingServiceStub(channel).RecordSightings(request, timeout=120)
                ids.update(one.sighting.sighting_id for one in answer.results)
        assert len(ids) == count
        return ids

    def _finding(
        self, number: int, rng: np.random.Generator, digest: str, size: int
    ) -> sighting_service_pb2.SightingFinding:
        camera = CAMERAS[number % len(CAMERAS)]
        start = datetime.now(UTC) - timedelta(hours=20 - self.hour)
        offset = timedelta(seconds=12 * number)
        begin, score = start + offset, float(rng.uniform(0.45, 0.8))
        values = rng.normal(size=size)
        moments = [timedelta(seconds=second) for second in range(STILLS)]
        pictures = [still(number, rng) for _ in moments]
        rival = {"rival_score": score - 0.08} if number % 7 == 0 else {}
        return sighting_service_pb2.SightingFinding(
            sighting=sighting_pb2.Sighting(
                subject_id=self.subject_id,
                photo_id=self.photo_id,
                footage_id=f"{camera}-{start:%Y%m%dt%H}0000000000z-0123456789abcdef",
                camera_id=camera,
                scan_id="00000000-0000-4000-8000-00000000ffff",
                interval=types_pb2.TimeInterval(
                    start_time=to_timestamp(begin),
                    end_time=to_timestamp(begin + timedelta(seconds=6)),
                ),
                best_shot_time=to_timestamp(begin + timedelta(seconds=2)),
                start_offset=to_duration(offset),
                end_offset=to_duration(offset + timedelta(seconds=6)),
                best_shot_offset=to_duration(offset + timedelta(seconds=2)),
                score=score,
                threshold=0.45,
                policy_id="yunet-sface/bench",
                figures=FIGURES,
                delete_time=to_timestamp(datetime.now(UTC) + timedelta(days=20)),
                face_height_px=float(rng.integers(30, 120)),
                time_uncertain=False,
                stills=[
                    sighting_pb2.SightingStill(
                        offset=to_duration(offset + moment),
                        time=to_timestamp(begin + moment),
                        score=score - 0.02 * abs(moment.seconds - 2),
                        face_height_px=60,
                        quality=0.6,
                    )
                    for moment in moments
                ],
                **rival,
            ),
            template=types_pb2.Template(
                values=(values / np.linalg.norm(values)).tolist(), model_digest=digest
            ),
            still=pictures[2],
            stills=pictures,
        )

    def token(self, name: str) -> Path:
        """Issue a token to a reviewer."""
        path = self.folder / f"{name}.token"
        self.stack.environment["HOMEWARD_DATA"] = str(self.stack.data.absolute())
        subprocess.run(
            command("token", "create", "reviewer", "--for", name, "--save", str(path)),
            env=self.stack.environment,
            check=True,
            capture_output=True,
        )
        return path

    def reviewer(self, token: Path, *arguments: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        """Begin a review."""
        access = Path(json.loads((self.stack.data / "stack.json").read_text())["access"])
        files = (access / name for name in ("client.crt", "client.key", "ca.crt"))
        assert self.line is not None
        environment = {
            **self.stack.environment,
            **dict(zip(VARIABLES, map(str, files), strict=True)),
            "HOMEWARD_TOKEN_FILE": str(token),
            "HOMEWARD_MATCHING_TARGET": self.line.address,
            "HOMEWARD_INGESTION_TARGET": self.stack.addresses["ingestion"],
        }
        return Terminal(command("review", *arguments), environment, size)

    def matching(self) -> psutil.Process:
        """Return the process of matching."""
        children = psutil.Process(self.stack.up.pid).children(recursive=True)
        return next(one for one in children if "homeward.matching" in " ".join(one.cmdline()))

    def decided(self, ids: set[str]) -> Counter[str]:
        """Return how many of some candidates were decided how often; rejected ones count once."""
        counts: Counter[str] = Counter()
        with self.stack.channel("matching") as channel:
            stub = SightingServiceStub(channel)
            held = listed(stub)
            rejected = {
                one.sighting_id
                for one in stub.ListRejections(
                    sighting_service_pb2.ListRejectionsRequest(page_size=1000)
                ).rejections
            }
        for name in ids:
            if name in rejected:
                counts["rejected"] += 1
            elif name not in held:
                counts["lost"] += 1
            else:
                state = sighting_pb2.Sighting.State.Name(held[name].state)
                counts[f"{state.removeprefix('STATE_').lower()} x{len(held[name].reviews)}"] += 1
        return counts


def listed(stub: SightingServiceStub) -> dict[str, sighting_pb2.Sighting]:
    """Return all sightings by id."""
    request = sighting_service_pb2.ListSightingsRequest(page_size=1000)
    return {one.sighting_id: one for one in stub.ListSightings(request).sightings}


def jpeg(picture: Picture) -> bytes:
    """Return a picture, as OpenCV has it, as a JPEG file."""
    coded, data = cv2.imencode(".jpg", picture)
    assert coded
    return bytes(data)


def still(number: int, rng: np.random.Generator) -> bytes:
    """Return a made-up still: a drawn street with a figure that has no face of anybody."""
    noise = rng.integers(60, 110, size=(90, 160, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize((640, 360), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    x = 220 + int(rng.integers(0, 160))
    draw.rectangle((x - 70, 210, x + 70, 360), fill=tuple(map(int, rng.integers(30, 200, 3))))
    draw.ellipse((x - 48, 90, x + 48, 215), fill=(196, 160, 132))
    draw.text((20, 20), f"made-up still {number}", fill="white", font_size=28)
    file = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1.2)).save(file, "JPEG", quality=88)
    return file.getvalue()


def walked(bench: Bench, count: int, *, look: float, keep: str) -> Figures:
    """Review all candidates as one person; return the times."""
    ids = bench.record(count)
    terminal = bench.reviewer(bench.token("anna"))
    seat = Seat(terminal, look)
    assert seat.next(), terminal.text()
    keys = "ccicrcci"
    while seat.decide(keys[len(seat.seen) % len(keys)]):
        pass
    terminal.press("q")
    code = terminal.end()
    keep_pictures(bench, terminal, keep)
    return {
        "candidates": count,
        "shown": len(set(seat.seen)),
        "recorded": len(set(seat.recorded)),
        "exit code": code,
        "look s": look,
        "key to next picture ms": spread(seat.times),
        "of these, until it is recorded ms": spread(seat.answers),
        "state": dict(bench.decided(ids)),
    }


def interrupted(bench: Bench, count: int) -> Figures:
    """Review all candidates as one person whose program and connection fail now and then."""
    ids, token = bench.record(count), bench.token("anna")
    recorded: list[str] = []
    seen: list[str] = []
    codes: list[int] = []
    step = count // 6
    faults = ("ctrl-c", "kill", "kill at a key", "matching stopped", "line cut", "")
    slow: dict[str, float] = {}
    for fault in faults:
        seat = Seat(bench.reviewer(token), 0.1)
        going = seat.next()
        while going and (len(seat.seen) <= step or not fault):
            going = seat.decide("c")
        if going:
            slow |= strike(bench, seat, fault)
        else:
            seat.terminal.press("q")
        with suppress(OSError):
            if fault in ("matching stopped", "line cut"):
                seat.terminal.press("q")
        codes.append(seat.terminal.end())
        last = [one.decode() for one in RECORDED.findall(bytes(seat.terminal.output))]
        recorded += last
        seen += seat.seen
    states = bench.decided(ids)
    return {
        "candidates": count,
        "faults": list(faults[:-1]),
        "exit codes": codes,
        "answered as recorded": len(set(recorded)),
        "shown twice": sum(number > 1 for number in Counter(seen).values()),
        "key to next picture, over the fault, s": {
            name: round(value, 2) for name, value in slow.items()
        },
        "state": dict(states),
        "nothing lost": states == Counter({"confirmed x1": count}),
    }


def strike(bench: Bench, seat: Seat, fault: str) -> dict[str, float]:
    """Let something fail while a candidate is shown."""
    terminal = seat.terminal
    if fault == "ctrl-c":
        terminal.press("\x03")
    elif fault == "kill":
        terminal.process.kill()
    elif fault == "kill at a key":
        terminal.press("c")
        time.sleep(0.005)
        terminal.process.kill()
    elif fault == "matching stopped":
        matching = bench.matching()
        matching.send_signal(signal.SIGSTOP)
        threading.Timer(AWAY_SECONDS, matching.send_signal, [signal.SIGCONT]).start()
        assert seat.decide("c")
        return {fault: seat.times[-1]}
    elif fault == "line cut":
        assert bench.line is not None
        bench.line.cut()
        threading.Timer(AWAY_SECONDS, bench.line.mend).start()
        assert seat.decide("c")
        return {fault: seat.times[-1]}
    return {}


def together(bench: Bench, count: int) -> Figures:
    """Review all candidates as two people at once."""
    ids = bench.record(count)
    seats = [Seat(bench.reviewer(bench.token(name)), 0.15) for name in ("anna", "ben")]

    def work(seat: Seat) -> None:
        going = seat.next()
        while going:
            going = seat.decide("c")
            while not going and b"a look again" in seat.terminal.output[-400:]:
                if b"other reviewers now" not in seat.terminal.output[-600:]:
                    break
                time.sleep(0.5)
                going = seat.next(seat.terminal.press("a"))
        seat.terminal.press("q")

    threads = [threading.Thread(target=work, args=(seat,)) for seat in seats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [seat.terminal.end() for seat in seats]
    first, second = (set(seat.seen) for seat in seats)
    states = bench.decided(ids)
    return {
        "candidates": count,
        "shown to each": [len(first), len(second)],
        "shown to both": len(first & second),
        "shown to nobody": count - len(first | second),
        "exit codes": codes,
        "key to next picture ms": [spread(seat.times) for seat in seats],
        "state": dict(states),
        "each decided once": states == Counter({"confirmed x1": count}),
    }


def spread(times: Sequence[float]) -> Figures:
    """Return median, 95th percentile and worst, in milliseconds."""
    if not times:
        return {}
    millis = sorted(1000 * one for one in times)
    return {
        "median": round(statistics.median(millis)),
        "p95": round(millis[int(0.95 * (len(millis) - 1))]),
        "worst": round(millis[-1]),
        "count": len(millis),
    }


def keep_pictures(bench: Bench, terminal: Terminal, name: str) -> None:
    """Keep what was printed, and the last picture, to be looked at."""
    (bench.folder / f"{name}.txt").write_text(terminal.text())
    for picture in terminal.pictures()[-1:]:
        picture.save(bench.folder / f"{name}.png")


@contextmanager
def started(folder: Path) -> Iterator[Bench]:
    """Start a stack and enrol somebody."""
    with (folder / "stack.log").open("w") as log, RunningStack(folder / "stack", {}, log=log) as up:
        bench = Bench(up, folder)
        bench.enrol()
        yield bench


def main() -> None:
    """Run the four parts and print what was measured."""
    parser = argparse.ArgumentParser(description="Measure and disturb `homeward review`.")
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--look", type=float, default=0.7, help="seconds at each candidate")
    parser.add_argument("--keep", type=Path, help="folder for the stack, texts and pictures")
    parser.add_argument("--parts", default="1234")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="homeward-review-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    count = given.candidates
    with started(folder) as bench:
        parts = {
            "1": ("one reviewer", lambda: walked(bench, count, look=given.look, keep="one")),
            "2": ("without looking", lambda: walked(bench, count, look=0.0, keep="fast")),
            "3": ("disturbed", lambda: interrupted(bench, count)),
            "4": ("two at once", lambda: together(bench, count)),
        }
        for number in given.parts:
            title, part = parts[number]
            print(json.dumps({title: part(), "load": os.getloadavg()[0]}, indent=1), flush=True)
    print(f"texts and pictures: {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
