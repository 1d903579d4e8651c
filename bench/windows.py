"""Whether a search of a window gives the same answer whatever was searched before.

    python bench/windows.py --shared ../shared

Each clip is in two stacks: in one all of it was searched before, so that there is a presence index;
the other has none and has searched nothing. The same windows are then searched in both, for people
who were enrolled before and for somebody who came later, and the answers compared: who, from when
to when, how alike, what was searched and what not.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from footage import speed_clips
from scan import CACHE, START, Figures, Stack, add, stack

WINDOWS = 20
SEGMENT_SECONDS = "10"
"""Short, so that people are in view across the borders of segments."""

SCORE_DIGITS = 3


def answer(running: Stack, window: tuple[float, float], names: Sequence[str]) -> Figures:
    """Search a window for some subjects; return what there is to compare."""
    times = [(START + timedelta(seconds=at)).isoformat() for at in window]
    subjects = {label: name for name, label in running.labels().items()}
    chosen = [word for name in names for word in ("--subject", subjects[name])]
    found = running.cli("search", "--from", times[0], "--to", times[1], *chosen)
    labels = running.labels()
    coverage = found["scan"]["coverage"]
    return {
        "candidates": sorted(
            (
                labels[one["subjectId"]],
                one["interval"]["startTime"],
                one["interval"]["endTime"],
                round(one["score"], SCORE_DIGITS),
            )
            for one in found["candidates"]
        ),
        "searched": coverage.get("searchedDuration"),
        "gaps": [gap["interval"] for gap in coverage.get("gaps", [])],
    }


def compare(footage: Path, subjects: dict[str, list[str]], length: float, seed: int) -> Figures:
    """Compare the answers on a clip; return how many there were, and those that differ."""
    rng = random.Random(seed)
    windows = [
        (begin, min(length, begin + rng.uniform(0.5, length / 3)))
        for begin in (rng.uniform(0, length - 0.5) for _ in range(WINDOWS))
    ]
    different: list[Figures] = []
    candidates = 0
    with (
        stack(HOMEWARD_SEGMENT_SECONDS=SEGMENT_SECONDS) as indexed,
        stack(HOMEWARD_SEGMENT_SECONDS=SEGMENT_SECONDS, HOMEWARD_PRESENCE_INDEX="false") as fresh,
    ):
        *old, new = subjects
        for running in (indexed, fresh):
            enrolled = [name for name in old if running.enrol(name, subjects[name])]
            add(running, footage, "bench")
        indexed.cli("search")
        for running in (indexed, fresh):
            running.enrol(new, subjects[new])
        for window in windows:
            for whom in (enrolled, [new]):
                with_index, without = (answer(one, window, whom) for one in (indexed, fresh))
                candidates += len(without["candidates"])
                if with_index != without:
                    different.append({"window": window, "index": with_index, "none": without})
    return {"answers": 2 * len(windows), "candidates": candidates, "different": different}


def main() -> int:
    """Compare on four clips, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/ and tools/")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    data, tool = given.shared / "data", given.shared / "tools" / "make_footage.py"
    people = {
        folder.name: sorted(str(photo) for photo in folder.iterdir() if photo.suffix != ".txt")
        for folder in sorted((data / "videos" / "stage-people").iterdir())
    }
    clips: list[tuple[str, Path, dict[str, list[str]], float]] = [
        ("stage", data / "videos" / "stage.mp4", people, 9.1)
    ]
    for clip in speed_clips([21, 22]):
        if clip.name == "busy10" or clip.seed == 21:  # noqa: PLR2004 - three of four
            made, truth = clip.make(tool, data / "faces", CACHE)
            clips.append((f"{clip.name}-{clip.seed}", made, truth["subjects"], 120.0))
    wrong = 0
    for name, footage, subjects, length in clips:
        found = compare(footage, subjects, length, given.seed)
        wrong += len(found["different"])
        print(
            f"{name}: {found['answers']} answers with {found['candidates']} candidates,"
            f" {len(found['different'])} differ",
            flush=True,
        )
        for one in found["different"]:
            print("  ", one, flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
