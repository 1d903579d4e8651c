"""`make fuzz`: tries every file, in a process that may crash, and counts.

    python -m fuzz [--seed NUMBER] [--keep FOLDER] [WORD ...]

With words, only files whose names have one of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import av

from file_server import serving
from fuzz.inputs import SEED, Input, photographs, recordings
from fuzz.running import Trial, try_photograph, try_recording

MIB = 2**20


@dataclass(slots=True)
class Counts:
    """What has become of the files."""

    files: int = 0
    accepted: int = 0
    refused: int = 0
    cages_ended: int = 0
    crashes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    caller_bytes: int = 0
    children_bytes: int = 0
    seconds: float = 0.0

    def add(self, name: str, trial: Trial) -> None:
        """Count a file."""
        self.files += 1
        self.accepted += trial.accepted
        self.refused += bool(trial.reason)
        self.cages_ended += trial.cage_ended
        self.faults += [f"{name}: {fault}" for fault in trial.faults]
        self.caller_bytes = max(self.caller_bytes, trial.caller_bytes)
        self.children_bytes = max(self.children_bytes, trial.children_bytes)
        self.seconds = max(self.seconds, trial.seconds)

    def tell(self) -> str:
        """Return the counts, as text."""
        return "\n".join(
            (
                f"files                {self.files}",
                f"accepted             {self.accepted}",
                f"refused              {self.refused}",
                f"cages ended          {self.cages_ended}",
                f"crashes of a service {len(self.crashes)}",
                f"other faults         {len(self.faults)}",
                f"peak memory          {self.caller_bytes // MIB} MiB more in the calling process",
                f"                     {self.children_bytes // MIB} MiB in its children",
                f"longest              {self.seconds:.1f} s",
            )
        )


def inputs(seed: int, words: Sequence[str]) -> list[tuple[str, Input]]:
    """Return the files to be tried, and what each is taken for."""
    every = [
        *(("recording", one) for one in recordings(seed)),
        *(("photograph", one) for one in photographs(seed)),
    ]
    return [pair for pair in every if not words or any(word in pair[1].name for word in words)]


def work(seed: int, words: Sequence[str], first: int) -> None:
    """Try files from a number on, and print what became of each: this process may crash."""
    av.logging.set_level(av.logging.PANIC)
    told = sys.stdout
    with (
        redirect_stdout(sys.stderr),
        serving() as server,
    ):  # the services' log is not for the parent
        for number, (kind, one) in enumerate(inputs(seed, words)):
            if number < first:
                continue
            content = one.make()
            print(json.dumps({"begun": number}), file=told, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                trial = (
                    try_recording(content, server, Path(folder))
                    if kind == "recording"
                    else try_photograph(content, Path(folder))
                )
            facts = {name: getattr(trial, name) for name in Trial.__slots__}
            print(json.dumps({"ended": number, "trial": facts}), file=told, flush=True)


def worked(arguments: Sequence[str], first: int) -> Iterator[dict[str, object]]:
    """Yield what a process of its own tells, until it ends or crashes."""
    program = (sys.executable, "-m", "fuzz", *arguments, "--work", str(first))
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None, "it is a pipe"
        yield from map(json.loads, process.stdout)
        process.wait()
        yield {"code": process.returncode}


def main() -> int:
    """Try every file; return 0 when nothing broke."""
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--keep", type=Path, help="leave what broke something in this folder")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.seed, options.words, options.work)
        return 0
    tried, counts, current, code = inputs(options.seed, options.words), Counts(), -1, None
    arguments = [*options.words, "--seed", str(options.seed)]
    while current + 1 < len(tried) and code != 0:
        for told in worked(arguments, current + 1):
            current = int(str(told.get("begun", current)))
            if "trial" in told:
                trial = Trial(**told["trial"])
                counts.add(tried[current][1].name, trial)
                print(
                    f"{tried[current][1].name:50} {trial.raised or trial.reason or 'accepted'}"[
                        :140
                    ],
                    flush=True,
                )
                if trial.faults:
                    _keep(options.keep, tried[current][1])
            code = told.get("code")
        if code:
            counts.crashes.append(f"{tried[current][1].name}: exit status {code}")
            counts.files += 1
            _keep(options.keep, tried[current][1])
    print(*counts.crashes, *counts.faults, counts.tell(), sep="\n")
    return bool(counts.crashes or counts.faults)


def _keep(folder: Path | None, one: Input) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / one.name.replace("/", "-")).write_bytes(one.make())


if __name__ == "__main__":
    sys.exit(main())
