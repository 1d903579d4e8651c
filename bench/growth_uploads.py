"""What uploads cost beside `cp` and `sha256sum`, what slow ones hold, what an idle stack takes."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import growth_calls as calls
import psutil
from growth_stack import FIRST_DAY, CountedStack

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.embedded import demo
from homeward.embedded.running import RunningStack

HELD_BYTES = 7_500_000
"""That each slow client has sent: less than a part, so that it is in ingestion's memory."""
SETTLED_SECONDS = 10.0
FREED_SECONDS = 20.0
AT_REST_SECONDS = 80.0
"""After a start: a minute after it, and then every hour, the store frees deleted bytes."""

Row = dict[str, Any]


def measure_uploads(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure uploads of so many MB over gRPC, beside `cp` and `sha256sum` of the same file."""
    with CountedStack(folder) as stack:
        calls.register_cameras(stack, 1)
        assert stack.services is not None, "it runs"
        with stack.channel("embedding", as_service=True) as embedding:
            street = demo.street(folder, embedding).footage
        for number, size in enumerate(sizes):
            data = padded(street.read_bytes(), size * 1_000_000)
            file = folder / "padded.mp4"
            file.write_bytes(data)
            plain = _copied(file)
            own = time.process_time()
            start = FIRST_DAY + timedelta(days=number)
            row = calls.tried(
                stack, lambda data=data, start=start: calls.upload(stack, data, start)
            )  # type: ignore[misc]
            own = time.process_time() - own
            spent = row["services"] + row["engines"]
            yield {
                "part": "uploads",
                "size": size,
                "what": "upload",
                **row,
                "client": own,
                "cp + sha256": plain,
                "times that": (spent + own) / plain,
                "times that without the client": spent / plain,
            }


def padded(video: bytes, size: int) -> bytes:
    """Return an MP4 of that size: a box that players skip, with random bytes, is put behind."""
    free = size - len(video)
    return video + free.to_bytes(4) + b"free" + os.urandom(free - 8)


def _copied(file: Path) -> float:
    """Return the processor time of copying a file and digesting it, seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    copy = file.with_suffix(".copy")
    subprocess.run(["cp", str(file), str(copy)], check=True)
    subprocess.run(["sha256sum", str(file)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    copy.unlink()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_slow_clients(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure what ingestion holds for clients that have sent something and send no more."""
    for size in sizes:
        with CountedStack(folder / str(size)) as stack:
            calls.register_cameras(stack, 1)
            process = stack.processes("homeward.ingestion")[0]
            row: Row = {"part": "slow", "size": size, "what": "ingestion's memory"}
            row["MB before"] = process.memory_info().rss / 1e6
            peak, ends = _held_open(stack, process, size)
            row["MB at most"] = peak / 1e6
            time.sleep(FREED_SECONDS)  # what is given back is given back by then
            row["MB afterwards"] = process.memory_info().rss / 1e6
            yield row | {f"ended {code}": count for code, count in sorted(ends.items())}


def _held_open(
    stack: CountedStack, process: psutil.Process, clients: int
) -> tuple[int, Counter[str]]:
    """Hold uploads open; return the most memory meanwhile, and how the calls ended."""
    leave = threading.Event()
    ends: Counter[str] = Counter()

    def slow(number: int) -> None:
        data = number.to_bytes(8) + bytes(HELD_BYTES)
        header = calls.header_of(data + b"more", FIRST_DAY, name=f"slow-{number}.mp4")

        def messages() -> Iterator[footage_service_pb2.UploadFootageRequest]:
            yield footage_service_pb2.UploadFootageRequest(header=header)
            for at in range(0, len(data), calls.CHUNK_BYTES):
                chunk = data[at : at + calls.CHUNK_BYTES]
                yield footage_service_pb2.UploadFootageRequest(chunk=chunk)
            leave.wait()

        with stack.channel("ingestion") as channel:
            call = FootageServiceStub(channel).UploadFootage.future(messages())
            finished = threading.Event()
            call.add_done_callback(lambda _: finished.set())
            while not leave.wait(0.1) and not finished.is_set():
                pass
            call.cancel()
            ends[call.code().name] += 1

    threads = [threading.Thread(target=slow, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    peak, last, until = 0, 0, time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < until:
        held = process.memory_info().rss
        if held > last + 1_000_000:  # it still grows
            last, until = held, time.monotonic() + SETTLED_SECONDS
        peak = max(peak, held)
        time.sleep(0.1)
    leave.set()
    for thread in threads:
        thread.join()
    return peak, ends


def measure_idle(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Measure a whole `homeward up` that nobody calls, for so many seconds, and how it starts."""
    folder.mkdir(parents=True)
    for size in sizes:
        for what in ("first start", "second start"):
            began = time.monotonic()
            stack = RunningStack(folder / f"up-{size}", {}, log=subprocess.DEVNULL)
            yield {
                "part": "idle",
                "size": size,
                "what": what,
                "seconds": time.monotonic() - began,
                "load": os.getloadavg()[0],
            }
            if what == "first start":
                stack.stop()
        try:
            time.sleep(AT_REST_SECONDS)
            yield from _idle(stack, size)
        finally:
            stack.stop()


def _idle(stack: RunningStack, seconds: int) -> Iterator[Row]:
    root = psutil.Process(stack.up.pid)
    everything = [root, *root.children(recursive=True)]
    before = [sum(one.cpu_times()[:2]) for one in everything]
    began = time.monotonic()
    time.sleep(seconds)
    span = time.monotonic() - began
    spent = [sum(one.cpu_times()[:2]) - was for one, was in zip(everything, before, strict=True)]
    row: Row = {"part": "idle", "size": seconds}
    groups: dict[str, list[int]] = {}
    for number, one in enumerate(everything):
        groups.setdefault(_named(one), []).append(number)
    memory = [one.memory_full_info() for one in everything]
    for name, members in groups.items():
        yield row | {
            "what": name,
            "% of a core": 100 * sum(spent[one] for one in members) / span,
            "MB": sum(memory[one].pss for one in members) / 1e6,
        }
    yield row | {
        "what": "all",
        "% of a core": 100 * sum(spent) / span,
        "MB": _held_once(everything) / 1e6,
        "MB resident, pages that are shared counted for each": sum(one.rss for one in memory) / 1e6,
    }


def _held_once(processes: Sequence[psutil.Process]) -> int:
    """Return the memory of processes, bytes, where pages that they share count once.

    A page of a file counts in full, even if processes of somebody else have it too.
    """
    anonymous, files = 0, dict[str, int]()
    for process in processes:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        line = next(line for line in rollup if line.startswith("Pss_Anon:"))
        anonymous += 1024 * int(line.split()[1])
        for part in process.memory_maps():
            if part.path.startswith("/"):
                pages = max(0, part.rss - part.anonymous)
                files[part.path] = max(files.get(part.path, 0), pages)
    return anonymous + sum(files.values())


def _named(process: psutil.Process) -> str:
    words = process.cmdline()
    if "weed" in Path(words[0]).name:
        return "seaweedfs"
    if "nats-server" in Path(words[0]).name:
        return "nats"
    return next((word for word in words if word.startswith("homeward.")), "cages")
