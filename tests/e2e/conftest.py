"""A whole stack, driven as a user drives it: through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import psutil
import pytest

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from homeward.api.ingestion.v1 import scan_service_pb2, scan_service_pb2_grpc
from homeward.embedded import demo_footage

START = "2026-03-04T10:00:00Z"
STOP_SECONDS = 40.0
COMMAND_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class LiveStack:
    """`homeward up` on a folder, with the commands that find it there."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        self.data = data
        self.environment = {
            **os.environ,
            **settings,
            "HOMEWARD_DATA": str(data),
            # Four segments in the street's 37 seconds, so that appearances cross their borders.
            "HOMEWARD_SEGMENT_SECONDS": "10",
        }
        self.addresses: dict[str, str] = {}
        self.up: subprocess.Popen[str] | None = None

    def start(self) -> None:
        log = (self.data.parent / f"{self.data.name}.log").open("a")
        self.up = subprocess.Popen(
            [*command("up"), "--data", str(self.data), "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.environment,
        )
        log.close()
        assert self.up.stdout is not None
        line = self.up.stdout.readline()
        assert line, Path(log.name).read_text()
        self.addresses = json.loads(line)

    def stop(self) -> int:
        assert self.up is not None
        assert self.up.stdout is not None
        self.up.send_signal(signal.SIGTERM)
        code = self.up.wait(STOP_SECONDS)
        self.up.stdout.close()
        return code

    def wait_for_its_end(self) -> int:
        assert self.up is not None
        assert self.up.stdout is not None
        code = self.up.wait(STOP_SECONDS)
        self.up.stdout.close()
        return code

    def kill(self, part: str) -> None:
        assert self.up is not None
        children = psutil.Process(self.up.pid).children(recursive=True)
        next(child for child in children if part in [*child.cmdline()[-1:], child.name()]).kill()

    def run(self, *arguments: str, code: int | None = 0) -> Done:
        """Run a command, which must end with `code`; None for any."""
        done = subprocess.run(
            command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def channel(self, service: str) -> grpc.Channel:
        return grpc.insecure_channel(self.addresses[service])

    def wait_until_it_scans(self, scan_id: str) -> None:
        """Return when a scanner has looked at a picture of the scan."""
        with self.channel("ingestion") as channel:
            stub = scan_service_pb2_grpc.ScanServiceStub(channel)
            request = scan_service_pb2.WatchScanRequest(scan_id=scan_id)
            updates = stub.WatchScan(request, timeout=COMMAND_SECONDS)
            next(update for update in updates if update.scan.progress.frame_count > 0)
            updates.cancel()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "homeward.cli", *arguments]


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveStack]]:
    """Starts a stack on a new folder; it is stopped at the end of the session at the latest.

    Its first argument names the folder, the others are settings: `HOMEWARD_GATE="false"`.
    """
    started: list[LiveStack] = []

    def start(name: str, **settings: str) -> LiveStack:
        stack = LiveStack(tmp_path_factory.mktemp(name) / "data", settings)
        stack.start()
        started.append(stack)
        return stack

    yield start
    for stack in started:
        if stack.up is not None and stack.up.poll() is None:
            stack.stop()


@pytest.fixture(scope="session")
def stack(new_stack: Callable[[str], LiveStack]) -> LiveStack:
    """The stack that most tests share."""
    return new_stack("shared")


@dataclass(frozen=True, slots=True)
class Street:
    """Footage in which six people walk by, and a portrait of each."""

    footage: Path
    portraits: list[Path]


@pytest.fixture(scope="session")
def street(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Street:
    folder = tmp_path_factory.mktemp("street")
    files = metadata.files("insightface") or []
    file = next(file for file in files if file.as_posix().endswith("data/images/t1.jpg"))
    photo = Path(str(file.locate())).read_bytes()
    with stack.channel("embedding") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        request = embedding_service_pb2.AnalyzePhotoRequest(photo=photo)
        faces = sorted(stub.AnalyzePhoto(request, timeout=30).faces, key=lambda face: face.box.x)
    boxes = [demo_footage.FaceBox(f.box.x, f.box.y, f.box.width, f.box.height) for f in faces]
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    pixels = np.asarray(picture, np.uint8)
    portraits = []
    for number, box in enumerate(boxes):
        portraits.append(folder / f"portrait-{number}.png")
        cv2.imwrite(str(portraits[-1]), demo_footage.reference_photo(pixels, box))
    footage = folder / "street.mp4"
    demo_footage.write_footage(footage, [demo_footage.cut_head(pixels, box) for box in boxes])
    return Street(footage, portraits)
