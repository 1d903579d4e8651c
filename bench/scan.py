"""How fast the scan is: footage seconds per wall second, beside PyAV that decodes and does nothing.

    make bench                                        # on the demo's street
    python bench/scan.py --footage f.mp4 --photo p.jpg

Machines are noisy: compare the ratio, not the seconds. Runs the real services on a stack of its own
in a temporary folder, and prints one table.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from homeward.embedded import demo, demo_footage

START = "2026-03-04T10:00:00Z"


def cli(data: Path, *arguments: str) -> object:
    """Run a command on the stack and return what it prints."""
    command = [sys.executable, "-m", "homeward.cli", *arguments, "--output", "json"]
    environment = {**os.environ, "HOMEWARD_DATA": str(data)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def decode_everything(footage: Path) -> tuple[float, float]:
    """Return the seconds that footage plays, and that decoding all of it takes."""
    began = time.perf_counter()
    with av.open(str(footage)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = sum(1 for _ in container.decode(stream))
        plays = frames / float(stream.average_rate or 25)
    return plays, time.perf_counter() - began


def make_street(folder: Path, embedding: str) -> tuple[Path, Path]:
    """Write the demo's street and a portrait of one of its people."""
    photo = demo.group_photo()
    boxes = demo.faces(photo, embedding)
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    pixels = np.asarray(picture, np.uint8)
    footage, portrait = folder / "street.mp4", folder / "portrait.png"
    cv2.imwrite(str(portrait), demo_footage.reference_photo(pixels, boxes[demo.ENROLLED]))
    demo_footage.write_footage(footage, [demo_footage.cut_head(pixels, box) for box in boxes])
    return footage, portrait


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        command = [sys.executable, "-m", "homeward.cli", "up", "--data", str(data)]
        up = subprocess.Popen(
            [*command, "--output", "json"], stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            assert up.stdout is not None
            addresses = json.loads(up.stdout.readline())
            footage, photo = options.footage, options.photo
            if footage is None or photo is None:
                footage, photo = make_street(folder, addresses["embedding"])
            cli(data, "subject", "add", "--case", "BENCH", str(photo))
            cli(data, "camera", "add", "bench")
            cli(data, "footage", "add", str(footage), "--camera", "bench", "--start", START)
            print("\n run  plays s  decode s  scan s  x real  scan/decode")
            for run in range(1, options.runs + 1):
                plays, decoding = decode_everything(footage)
                began = time.perf_counter()
                cli(data, "search")
                scanning = time.perf_counter() - began
                print(
                    f"{run:>4} {plays:>8.1f} {decoding:>9.2f} {scanning:>7.2f}"
                    f" {plays / scanning:>7.2f} {scanning / decoding:>12.2f}"
                )
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)


if __name__ == "__main__":
    main()
