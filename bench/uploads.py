"""Measure what an upload costs in CPU, and what slow uploads cost in memory.

    python bench/uploads.py cpu [--mib 256] [--via-url]
    python bench/uploads.py slow [--clients 60]

`cpu` adds one recording through a stack of its own, and prints the CPU seconds (user and system)
of the client, of ingestion and of the object store, for a gigabyte and as a multiple of `cp` and
`sha256sum` of the same file. `slow` opens uploads that send 7.5 MB each and then wait, and prints
the memory (RSS) of ingestion before, during and after them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import secrets
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import av
import grpc
import numpy as np
import psutil
from google.protobuf import timestamp_pb2

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.embedded.running import RunningStack, channel_credentials

MIB = 1024 * 1024
START = "2026-03-04T10:00:00Z"
START_SECONDS = 1_772_618_400
HELD_BYTES = 7_500_000
"""Of each slow client: less than a part, so that all of it is in memory."""

CHUNK_BYTES = 256 * 1024
SETTLED_SECONDS = 3.0


def write_recording(path: Path, size: int) -> None:
    """Write a recording of at least `size` bytes that no compression makes smaller.

    Its pictures are noise, each a JPEG of its own; at 25 a second.
    """
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height = 1280, 720
        stream.pix_fmt = "yuvj420p"
        stream.options = {"qmin": "1", "qmax": "1", "flags": "+qscale", "global_quality": "118"}
        shapes = rng.integers(0, 256, (4, 720, 1280, 3), dtype=np.uint8)
        number = 0
        while not path.exists() or path.stat().st_size < size:
            picture = av.VideoFrame.from_ndarray(shapes[number % 4], format="rgb24")
            file.mux(stream.encode(picture))
            number += 1
        file.mux(stream.encode())


def children_seconds() -> float:
    """Return the CPU seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of(command: Sequence[str]) -> float:
    """Run a command and return its CPU seconds."""
    before = children_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return children_seconds() - before


def part_of(process: psutil.Process) -> str:
    """Return what a process of the stack is."""
    words = process.cmdline()
    module = next((word for word in words if word.startswith("homeward.")), "")
    return module.removeprefix("homeward.") or Path(words[0]).name


def stack_seconds(stack: RunningStack) -> Counter[str]:
    """Return the CPU seconds of each part of a stack, its ended children included."""
    found: Counter[str] = Counter()
    for process in psutil.Process(stack.up.pid).children(recursive=True):
        times = process.cpu_times()
        found[part_of(process)] += (
            times.user + times.system + times.children_user + times.children_system
        )
    return found


def ingestion_rss(stack: RunningStack) -> float:
    """Return the memory of the ingestion service, in MB."""
    for process in psutil.Process(stack.up.pid).children(recursive=True):
        if process.cmdline()[-1:] == ["homeward.ingestion"]:
            return process.memory_info().rss / 1e6
    raise RuntimeError("the stack has no ingestion")


def measure_cpu(stack: RunningStack, folder: Path, *, mib: int, via_url: bool) -> None:
    """Add one recording and print what that cost."""
    path = folder / "noise.mp4"
    write_recording(path, mib * MIB)
    gigabytes = path.stat().st_size / 1e9
    copied = seconds_of(["cp", str(path), str(folder / "copy")])
    copied += seconds_of(["sha256sum", str(path)])
    time.sleep(SETTLED_SECONDS)
    idle = stack_seconds(stack)
    time.sleep(SETTLED_SECONDS)
    before = stack_seconds(stack)
    started = time.monotonic()
    option = ["--via-url"] if via_url else []
    client = seconds_of_cli(stack, "footage", "add", str(path), *option)
    took = time.monotonic() - started
    used = stack_seconds(stack) - before
    rest = {name: (before - idle)[name] * took / SETTLED_SECONDS for name in used}
    used = Counter({name: used[name] - rest[name] for name in used})
    used["client"] = client
    print(f"{gigabytes:.3f} GB in {took:.1f} s; cp and sha256sum: {copied / gigabytes:.2f} s/GB")
    for name, seconds in used.most_common(5):
        print(f"  {name:12} {seconds / gigabytes:6.2f} s/GB  {seconds / copied:5.1f} x")
    total = sum(used[name] for name in ("client", "ingestion", "weed"))
    print(f"  {'together':12} {total / gigabytes:6.2f} s/GB  {total / copied:5.1f} x")


def seconds_of_cli(stack: RunningStack, *arguments: str) -> float:
    """Add footage by the command line; return its CPU seconds, those to start left out."""
    before = children_seconds()
    stack.cli("camera", "list")
    start = children_seconds() - before
    stack.cli(*arguments, "--camera", "street", "--start", START)
    return children_seconds() - before - 2 * start


class SlowClient:
    """An upload that sends less than a part, waits until `go_on` is set, and leaves.

    Args:
        stub: Of the service.
        go_on: Ends it.
    """

    def __init__(self, stub: FootageServiceStub, go_on: asyncio.Event) -> None:
        self._stub = stub
        self._go_on = go_on
        self.sent = asyncio.Event()
        """Set when all was sent, or the call has ended before."""

    async def run(self) -> str:
        """Return the status that the call ended with."""
        try:
            await self._stub.UploadFootage(self._messages())
        except grpc.aio.AioRpcError as error:
            return error.code().name
        finally:
            self.sent.set()
        return "OK"

    async def _messages(self) -> AsyncIterator[footage_service_pb2.UploadFootageRequest]:
        data = secrets.token_bytes(HELD_BYTES)
        header = footage_service_pb2.UploadHeader(
            request_id=f"slow-{secrets.token_hex(8)}",
            camera_id="street",
            file_name="slow.mkv",
            start_time=timestamp_pb2.Timestamp(seconds=START_SECONDS),
            size_bytes=20_000_000,
            sha256=hashlib.sha256(data).hexdigest(),
        )
        yield footage_service_pb2.UploadFootageRequest(header=header)
        for offset in range(0, len(data), CHUNK_BYTES):
            chunk = data[offset : offset + CHUNK_BYTES]
            yield footage_service_pb2.UploadFootageRequest(chunk=chunk)
        self.sent.set()
        await self._go_on.wait()


async def measure_slow(stack: RunningStack, count: int) -> None:
    """Print the memory of ingestion before, during and after slow uploads."""
    print(f"before: {ingestion_rss(stack):.0f} MB")
    credentials = channel_credentials(stack.data)
    async with grpc.aio.secure_channel(stack.addresses["ingestion"], credentials) as channel:
        go_on = asyncio.Event()
        clients = [SlowClient(FootageServiceStub(channel), go_on) for _ in range(count)]
        calls = [asyncio.create_task(client.run()) for client in clients]
        await asyncio.gather(*(client.sent.wait() for client in clients))
        await asyncio.sleep(SETTLED_SECONDS)
        held = sum(not call.done() for call in calls)
        print(f"during: {ingestion_rss(stack):.0f} MB; {held} are under way")
        go_on.set()
        print(f"ended with {dict(Counter(await asyncio.gather(*calls)))}")
    await asyncio.sleep(5 * SETTLED_SECONDS)
    print(f"after: {ingestion_rss(stack):.0f} MB")


def main() -> None:
    """Measure what is asked for, on a stack of its own."""
    parser = argparse.ArgumentParser(description="See the module.")
    parser.add_argument("what", choices=["cpu", "slow"])
    parser.add_argument("--mib", type=int, default=256, help="of the recording")
    parser.add_argument("--via-url", action="store_true")
    parser.add_argument("--clients", type=int, default=60)
    options = parser.parse_args()
    print("load:", " ".join(f"{load:.1f}" for load in os.getloadavg()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with RunningStack(folder / "data", {}, log=subprocess.DEVNULL) as stack:
            stack.cli("camera", "add", "street")
            if options.what == "cpu":
                measure_cpu(stack, folder, mib=options.mib, via_url=options.via_url)
            else:
                asyncio.run(measure_slow(stack, options.clients))


if __name__ == "__main__":
    main()
