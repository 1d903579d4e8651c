"""Street footage with known truth, made by a tool outside of the project; each is made once.

The tool is `make_footage.py` of the data folder: people who cross a noisy street, each one once.
Where everybody is at each moment follows from its arguments and seed; `Clip.people` tells it.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import av

SIZE = (1920, 1080)
SIZE_4K = (3840, 2160)
SECONDS = 120.0


@dataclass(frozen=True)
class Walk:
    """One person who crosses the picture once."""

    identity: str
    first: float
    """When all of the head is in the picture, seconds."""
    last: float
    head: Callable[[float], tuple[float, float, float]]
    """By the time in seconds: x and y of the head's middle, and its height; pixels."""


@dataclass(frozen=True)
class Clip:
    """A piece of footage, made when it is first asked for."""

    name: str
    seed: int
    arguments: dict[str, str] = field(default_factory=dict)
    crossing: tuple[float, float] | None = None
    """Seconds that people take to cross the picture; None for 5 to 9."""

    def make(self, tool: Path, faces: Path, cache: Path) -> tuple[Path, dict[str, Any]]:
        """Return the file, and its truth."""
        cache.mkdir(parents=True, exist_ok=True)
        out, truth = cache / f"{self.name}-{self.seed}.mp4", cache / f"{self.name}-{self.seed}.json"
        if not truth.exists():
            print(f"making {out.name}", file=sys.stderr)
            run(_loaded(tool, self.crossing), self._argv(faces, out, truth))
        return out, json.loads(truth.read_text())

    def people(self, tool: Path, faces: Path) -> list[Walk]:
        """Return everybody who is in the footage, without making it."""
        module = _loaded(tool, self.crossing)
        walkers: list[Any] = []

        class Known(module.Walker):  # type: ignore[name-defined,misc]
            def __init__(self, *given: Any) -> None:  # noqa: ANN401 - as the tool has it
                super().__init__(*given)
                walkers.append(self)

        class Enough(Exception):  # noqa: N818 - not an error: all is known
            pass

        def stop(*_: object) -> None:
            raise Enough

        module.Walker, module.scene = Known, stop
        try:
            run(module, self._argv(faces, Path("-"), Path("-")))
        except Enough:
            seconds = float(self.arguments.get("seconds", SECONDS))
            walks = (_walk(walker, seconds) for walker in walkers)
            return [walk for walk in walks if walk is not None]
        message = "the tool made footage without a scene"
        raise RuntimeError(message)

    def _argv(self, faces: Path, out: Path, truth: Path) -> list[str]:
        settings = {
            "faces": str(faces),
            "out": str(out),
            "truth": str(truth),
            "size": f"{SIZE[0]}x{SIZE[1]}",
            "seconds": f"{SECONDS:g}",
            "seed": str(self.seed),
            **self.arguments,
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]


def speed_clips(seeds: Sequence[int]) -> list[Clip]:
    """Return clips to measure speed on: 20 people, in view 10 % and 40 % of the time."""
    people = {"subjects": "5", "bystanders": "15", "heads": "70-200"}
    return [
        Clip(f"busy{busy}", seed, {**people, "busy": f"{busy / 100:g}"})
        for busy in (10, 40)
        for seed in seeds
    ]


def gate_clips() -> list[Clip]:
    """Return clips that are hard for the gate: 400 people."""
    crowd = {"subjects": "10", "bystanders": "30", "busy": "0.7", "heads": "50-160"}
    small = {**crowd, "heads": "36-80", "busy": "0.5"}
    return [
        *(Clip("small", seed, small) for seed in (31, 32, 33)),
        *(Clip("fast", seed, crowd, crossing=(1.2, 1.9)) for seed in (41, 42)),
        *(Clip("gop10", seed, {**crowd, "gop": "10"}, crossing=(1.5, 8)) for seed in (51, 52)),
        Clip("cbr", 61, {**crowd, "bitrate": "4000"}),
        Clip("cbr", 62, {**crowd, "bitrate": "4000"}, crossing=(1.5, 8)),
        Clip("night", 71, {**crowd, "busy": "0.5", "light": "0.4", "noise": "12"}),
    ]


def looped(clip: Path, times: int) -> Path:
    """Return a recording that shows a clip again and again; nothing is encoded anew."""
    out = clip.with_name(f"{clip.stem}-x{times}.mp4")
    if not out.exists():
        print(f"making {out.name}", file=sys.stderr)
        part = out.with_suffix(".part.mp4")
        with av.open(str(clip)) as source, av.open(str(part), "w") as made:
            video = source.streams.video[0]
            track = made.add_stream_from_template(video)
            packets = [packet for packet in source.demux(video) if packet.pts is not None]
            span = max(packet.pts + packet.duration for packet in packets)
            times_of = [(packet.pts, packet.dts) for packet in packets]
            for turn in range(times):
                for packet, (pts, dts) in zip(packets, times_of, strict=True):
                    packet.pts, packet.dts = pts + turn * span, dts + turn * span
                    packet.stream = track
                    made.mux(packet)
        part.replace(out)
    return out


def clip_4k() -> Clip:
    """Return a clip in 4K, of half a minute: crowded, with heads twice as large."""
    return Clip(
        "uhd",
        81,
        {
            "subjects": "5",
            "bystanders": "10",
            "heads": "140-400",
            "busy": "0.7",
            "seconds": "30",
            "size": f"{SIZE_4K[0]}x{SIZE_4K[1]}",
        },
    )


def run(module: ModuleType, argv: Sequence[str]) -> None:
    """Run the tool's `main` with these arguments."""
    before, sys.argv = sys.argv, ["make_footage", *argv]
    try:
        module.main()
    finally:
        sys.argv = before


def _loaded(tool: Path, crossing: tuple[float, float] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_footage", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_footage"] = module
    spec.loader.exec_module(module)
    if crossing is not None:

        class Hurried(module.Walker):  # type: ignore[name-defined,misc]
            def __init__(
                self, identity: str, photo: Path, rng: random.Random, *rest: object
            ) -> None:
                super().__init__(identity, photo, rng, *rest)
                self.seconds = rng.uniform(*crossing)

        module.Walker = Hurried
    return module


def _walk(walker: Any, seconds: float) -> Walk | None:  # noqa: ANN401 - the tool's own class
    def head(at: float) -> tuple[float, float, float]:
        part = (at - walker.start) / walker.seconds
        size = walker.size0 + (walker.size1 - walker.size0) * part
        span = walker.width + 2 * size
        x = (part if walker.left_to_right else 1 - part) * span - size
        return x, walker.y, size

    ticks = [
        tick / 25
        for tick in range(int(walker.start * 25), int((walker.start + walker.seconds) * 25) + 1)
        if tick / 25 < seconds
    ]
    seen = [
        at for at in ticks for x, _, size in [head(at)] if size / 2 <= x <= walker.width - size / 2
    ]
    return Walk(walker.identity, seen[0], seen[-1], head) if seen else None


def recognition_clips(seeds: Sequence[int], *, light: float = 1.0) -> list[Clip]:
    """Return clips to measure recognition on: small heads, some with people to find, some without.

    Args:
        seeds: Each makes one of 50 people with references, and one of 50 strangers (100 more).
        light: Brightness of the scene, in (0, 1].
    """
    small = {"size": "1280x720", "heads": "24-80", "busy": "0.9"}
    name = ""
    if light < 1:
        small |= {"light": f"{light:g}"}
        name = "dark-"
    found = {**small, "subjects": "50", "bystanders": "6", "seconds": "240"}
    nobody = {**small, "subjects": "0", "bystanders": "50", "seconds": "160"}
    return [
        clip
        for seed in seeds
        for clip in (
            Clip(f"{name}enrolled", seed, found),
            Clip(f"{name}strangers", seed + 100, nobody),
        )
    ]
