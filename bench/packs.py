"""Run the same scans with two model packs: what they find, how long they take and what memory.

    make .venv-insightface/.done
    .venv-insightface/bin/python bench/packs.py --shared ../shared --policy policy.json

The packs are yunet-sface and the InsightFace pack of the shared folder, whose policy
`homeward evaluate` has made. Four people are enrolled; three of them are in the first video.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from scan import Figures, add, memory_of, peer, stack

VIDEOS = {
    "stage.mp4": "four people enrolled, three in it",
    "arcade-1080p.mp4": "nobody known",
    "corridor.mp4": "nobody known",
}
LICENCE = "non-commercial research: measures the software, searches for nobody"


def measure(shared: Path, settings: Mapping[str, str], policy: Path | None) -> Iterator[Figures]:
    """Enrol and search with one pack; yield the figures of each video."""
    videos = shared / "data" / "videos"
    with stack(**settings) as running:
        if policy is not None:
            running.cli("policy", "add", str(policy))
            running.cli("policy", "activate", json.loads(policy.read_text())["policy_id"])
        for person in sorted((videos / "stage-people").iterdir()):
            photos = sorted(map(str, person.iterdir()))
            for chosen in (photos, *([photo] for photo in photos)):
                if running.enrol(person.name, chosen):
                    break
        for name in VIDEOS:
            camera = name.partition(".")[0]
            add(running, videos / name, camera)
            with memory_of(running.process("homeward.embedding")) as memory:
                found = running.search("--camera", camera)
            names = running.labels()
            yield {
                "video": name,
                "seconds": found["seconds"],
                "cpu": found["cpu"],
                "scanner_mb": found["peak_mb"],
                "embedding_mb": max(memory),
                "faces": found["scan"]["progress"],
                "threshold": {one["threshold"] for one in found["candidates"]},
                "candidates": Counter(names[one["subjectId"]] for one in found["candidates"]),
                "scores": [
                    (names[one["subjectId"]], round(one["score"], 3)) for one in found["candidates"]
                ],
            }


def main() -> None:
    """Measure both packs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--policy", type=Path, required=True, help="of the InsightFace pack")
    asked = parser.parse_args()
    pack = (asked.shared / "data" / "models" / "insightface-testpack").resolve()
    packs = {
        "yunet-sface": ({}, None),
        "insightface": (
            {
                "HOMEWARD_MODEL_PACK": f"insightface:{pack}",
                "HOMEWARD_MODEL_LICENCE": LICENCE,
            },
            asked.policy,
        ),
    }
    decoding = {
        name: peer("decode", asked.shared / "data" / "videos" / name)["seconds"] for name in VIDEOS
    }
    for name, (settings, policy) in packs.items():
        for row in measure(asked.shared, settings, policy):
            row |= {"pack": name, "decode": decoding[row["video"]]}
            print(row, flush=True)
            print(
                f"| {row['video']} | {name} | {dict(row['candidates'])} | {row['seconds']:.1f} s"
                f" | {row['decode']:.1f} s | {row['cpu']:.1f} s | {row['scanner_mb']:.0f} MB"
                f" | {row['embedding_mb']:.0f} MB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
