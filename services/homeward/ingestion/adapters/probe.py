"""Finding out what a file is, in a process of its own under limits.

The file comes from outside: one that crashes or exhausts a decoder ends its probe, not the service.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import av
import av.error

from homeward.ingestion.adapters.containers import open_video
from homeward.ingestion.adapters.http_file import HttpBlocks, HttpFile
from homeward.ingestion.model import Examined, FootageProblem, PacketGroup, Probe, VideoTrack
from homeward.servicekit import errors, records
from homeward.servicekit.hardening import forbid_dumps

WALL_SECONDS = 300.0
CPU_SECONDS = 120
MEMORY_BYTES = 4 * 1024**3
MAX_PICTURES_TRIED = 500
"""Pictures that may fail to decode before a file counts as undecodable."""

MAX_UNSTEADY = 2.5
"""Most that one in a hundred gaps between pictures may be longer than most of them are."""

ANCHORS_AMONG = 100
"""First pictures of a recording, of which those are counted that are decoded without B pictures."""

MAX_GROUP_SECONDS = 48 * 3600
"""Longest time from a key picture to the next that packets are summed up over."""

MAX_AT_ONCE = 2
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SSL_CERT_FILE")

_STILLS = ("_pipe", "image2", "gif", "apng", "webp_pipe")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe prints: facts, or what is wrong."""

    problem: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    frames: int = 0
    key_frames: int = 0
    anchor_rate: float = 0.0
    steady: bool = False
    seconds: float = 0.0
    truncated: bool = False
    missing_seconds: float = 0.0
    packets: list[Any] = field(default_factory=list)
    """`PacketGroup`s as JSON has them."""


class SubprocessProber:
    """A `MediaProber` that runs this module as a process for each file, a few at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def probe(self, url: str) -> Examined:
        """Read the structure of the file at `url`, and decode its first picture."""
        async with self._places:
            return await self._probe(url)

    async def _probe(self, url: str) -> Examined:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "homeward.ingestion.adapters.probe",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # None of the service's secrets: a hostile file may take the decoder over.
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        try:
            # The URL carries a signature, so it goes by standard input and not by the command line.
            async with asyncio.timeout(WALL_SECONDS):
                output, _ = await process.communicate(url.encode())
        except TimeoutError:
            raise _unreadable("it takes too long to read") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise _unreadable("reading it broke the decoder")
        outcome = Outcome(**json.loads(output))
        if outcome.problem == _UNREACHABLE:
            raise errors.unavailable("S3", "the footage store", "try again when it answers")
        if outcome.problem:
            raise _unreadable(outcome.problem)
        probe = Probe(
            video=VideoTrack(
                codec=outcome.codec,
                width=outcome.width,
                height=outcome.height,
                average_frame_rate=outcome.frame_rate,
                frame_count=outcome.frames,
                key_frame_count=outcome.key_frames,
                anchor_rate=outcome.anchor_rate,
                steady=outcome.steady,
            ),
            duration=timedelta(seconds=outcome.seconds),
            problems=(FootageProblem.TRUNCATED,) if outcome.truncated else (),
            missing=timedelta(seconds=outcome.missing_seconds),
        )
        return Examined(probe, records.from_plain(outcome.packets, tuple[PacketGroup, ...]))


_UNREACHABLE = "unreachable"


def _unreadable(problem: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"the file cannot be searched: {problem}",
        reason=errors.Reason.FOOTAGE_UNREADABLE,
        metadata={"problem": problem},
    )


def examine(file: HttpFile) -> Outcome:
    """Read a file's structure to its end, and decode until the first picture."""
    try:
        opened = open_video(file)
    except av.error.FFmpegError:
        return Outcome(problem="it is not a video, or it was cut off before its index")
    try:
        with opened as (container, stream):
            if container.format.name.endswith(_STILLS):
                return Outcome(problem="it is a still picture, not a video")
            return _structure(container, stream)
    except LookupError:
        return Outcome(problem="it has no picture track, only sound")
    except av.error.FFmpegError:
        return Outcome(problem="its structure is damaged")


def _structure(container: Any, stream: Any) -> Outcome:  # noqa: ANN401 - PyAV's own types are wide
    seen: list[tuple[int, int, bool]] = []
    last_duration = tried = decoded = 0
    complete = cut_off = False
    stream.codec_context.skip_frame = "BIDIR"
    with suppress(av.error.InvalidDataError):  # damaged or cut off from here on
        for packet in container.demux(stream):
            if packet.pts is None or packet.size == 0:
                continue
            cut_off = packet.is_corrupt  # the file ends within the last packet
            seen.append((packet.pts, packet.size, packet.is_keyframe))
            last_duration = packet.duration or last_duration
            if tried < ANCHORS_AMONG or (not decoded and tried < MAX_PICTURES_TRIED):
                tried += 1
                with suppress(av.error.FFmpegError):
                    decoded += len(packet.decode())
        complete = True
    with suppress(av.error.FFmpegError):  # those that the decoder held back
        decoded += len(stream.codec_context.decode(None))
    if not seen:
        return Outcome(problem="it has no pictures")
    times = [pts for pts, _, _ in seen]
    if not decoded:
        return Outcome(problem="none of its pictures decodes")
    rate = float(stream.average_rate or 0)
    ticks = max(times) - min(times) + (last_duration or 0)
    seconds = float(ticks * stream.time_base) or (1 / rate if rate else 0.04)
    truncated = not complete or cut_off or len(times) < stream.frames
    declared = float((stream.duration or 0) * stream.time_base)
    return Outcome(
        codec=stream.codec_context.name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        frame_rate=len(times) / seconds,
        frames=len(times),
        key_frames=sum(key for _, _, key in seen),
        anchor_rate=len(times) / seconds * min(1.0, decoded / tried),
        steady=is_steady(times),
        seconds=seconds,
        truncated=truncated,
        missing_seconds=max(0.0, declared - seconds) if truncated else 0.0,
        packets=packet_groups(seen, float(stream.time_base)),
    )


def is_steady(times: Sequence[int]) -> bool:
    """Tell whether pictures come at one rate, but for a few that are missing.

    Args:
        times: Presentation times in any unit and order, at least one.
    """
    ordered = sorted(times)
    gaps = sorted(after - before for before, after in pairwise(ordered))
    if not gaps:
        return False
    return gaps[len(gaps) * 99 // 100] <= MAX_UNSTEADY * gaps[len(gaps) // 2]


def packet_groups(seen: Sequence[tuple[int, int, bool]], tick: float) -> list[PacketGroup]:
    """Sum the packets of a picture track up.

    Args:
        seen: Of each packet the presentation time in ticks, bytes, and whether it is a key picture.
        tick: Seconds.
    """
    groups: list[_Sums] = []
    first = min(pts for pts, _, _ in seen)
    for pts, size, key in sorted(seen):
        at = (pts - first) * tick
        if key or not groups:
            groups.append(_Sums(at, size))
            continue
        second = int(at - groups[-1].start)
        if second > MAX_GROUP_SECONDS:  # damaged time stamps
            return []
        sizes, pictures = groups[-1].sizes, groups[-1].pictures
        while len(sizes) <= second:
            sizes.append(0)
            pictures.append(0)
        sizes[second] += size
        pictures[second] += 1
    return [
        PacketGroup(
            round(group.start, 6), group.key_bytes, tuple(group.sizes), tuple(group.pictures)
        )
        for group in groups
    ]


@dataclass(slots=True)
class _Sums:
    start: float
    key_bytes: int
    sizes: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)


def main() -> None:
    """Probe the URL on standard input and print the outcome as JSON."""
    forbid_dumps()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    av.logging.set_level(av.logging.PANIC)
    try:
        with closing(HttpBlocks(sys.stdin.read())) as blocks, HttpFile(blocks) as file:
            outcome = examine(file)
    except errors.DomainError:
        outcome = Outcome(problem=_UNREACHABLE)
    print(json.dumps(asdict(outcome)))  # noqa: T201 - its answer
    sys.stdout.flush()
    os._exit(0)  # FFmpeg's threads have nothing left to say


if __name__ == "__main__":
    main()
