"""Make street footage from labelled photographs, with exact truth for every frame.

    python bench/street.py --faces ../shared/data/faces --set development
    python bench/street.py --faces ../shared/data/faces --set groups --without noise --without blur

People walk across the picture, towards the camera and away from it, alone and in groups that cross
and meet. Beside each recording are a truth file (.json), as `homeward evaluate --footage` reads it,
and everybody's boxes, landmarks and visibility in every frame (.npz, see `street_truth.Truth`).
The photograph that somebody walks with is never among his references.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from street_heads import head_of_file, with_cap
from street_scenes import Member, Optics, draw, in_view, labels_of, noise, people_of, scene
from street_truth import Person, Truth
from street_walks import Camera, Kind, Manner, Walk, plan

CACHE = Path(__file__).parent / ".footage"
VERSION = 4
"""Rises when the same street looks different; the name of the files has it."""
WRONG_LABELS = frozenset({"Hasan_Wirayuda", "Hassan_Wirajuda"})
"""One person under two names in Labeled Faces in the Wild: never walks."""


@dataclass(frozen=True)
class Street:
    """A recording to make. The same values make the same recording.

    A field that is named `lossless`, `still`, `noiseless`, `frontal`, `no_occlusion` or `bare`
    renders the same people and walks without one cause of misses.
    """

    name: str
    seed: int
    size: tuple[int, int] = (1280, 720)
    """Width and height, even."""
    seconds: float = 75.0
    fps: int = 15
    subjects: int = 6
    """People who have reference photographs."""
    strangers: int = 6
    half: int | None = None
    """Half of the identities that people are of, 0 or 1; None for all. Seeds to decide on show
    nobody that seeds to choose on show."""
    heads: tuple[float, float] = (24, 80)
    """Least and greatest head height, pixels; 58 is 250 pixels per metre, 29 is 125."""
    groups: tuple[int, int] = (1, 3)
    """Least and greatest number of people in one event; `cross` and `meet` part them in two."""
    kinds: tuple[Kind, ...] = ("across", "towards", "away", "cross", "meet", "towards")
    """What happens, in random order; `cross` and `meet` need two people."""
    manner: Manner = field(default_factory=Manner)
    caps: float = 0.1
    """Share of people who wear one."""
    umbrellas: float = 0.0
    shutter: float = 0.01
    """Seconds that each frame is exposed."""
    defocus: float = 0.0
    """Standard deviation of the blur of everybody's head, pixels."""
    noise: float = 4.0
    """Standard deviation, grey levels."""
    light: float = 1.0
    """Brightness of the scene, in (0, 1]."""
    crf: int = 25
    preset: str = "veryfast"
    gop: float = 2.0
    """Seconds between key frames."""
    lossless: bool = False
    """Nothing is lost in encoding but colour resolution; up to 0.5 MB a frame with noise."""
    still: bool = False
    """No motion blur."""
    noiseless: bool = False
    frontal: bool = False
    """Heads are as in the photographs."""
    no_occlusion: bool = False
    """Everybody walks when nobody else does; the recording is longer for it."""
    bare: bool = False
    """No caps and no umbrellas."""

    def make(
        self,
        faces: Path,
        cache: Path = CACHE,
        detector: Any = None,  # noqa: ANN401 - see below
    ) -> tuple[Path, Path, Path]:
        """Make the recording unless it is there; return it, its truth file and its .npz file.

        Args:
            faces: Photographs, `identity/*.jpg`.
            cache: Where the files are, or will be.
            detector: A `FaceDetector` that finds the faces in photographs; None loads the pack.

        Raises:
            SystemExit: There are too few people with usable photographs.
        """
        cache.mkdir(parents=True, exist_ok=True)
        stem = cache / f"{self.name}-{self.seed}-{self.digest(faces)}"
        video, told, table = (stem.with_name(stem.name + end) for end in (".mp4", ".json", ".npz"))
        if told.exists():
            return video, told, table
        begun = time.monotonic()
        cast = _cast(self, faces, detector or _pack_detector())
        walks = self.walks(len(cast))
        length = self.length(walks)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            parts = [Path(folder, path.name) for path in (video, table, told)]
            truth = _record(self, cast, walks, length, parts[0])
            truth.save(parts[1])
            parts[2].write_text(json.dumps(_told(self, cast, truth, length), indent=1))
            for part in parts:  # the truth file last: it tells that all is there
                part.replace(cache / part.name)
        took = time.monotonic() - begun
        print(f"made {video.name}: {length:.0f} s in {took:.0f} s", file=sys.stderr)
        return video, told, table

    def digest(self, faces: Path) -> str:
        """Return what tells this recording from others of its name and seed."""
        photos = sorted(f"{path.parent.name}/{path.name}" for path in faces.glob("*/*.jpg"))
        whole = json.dumps([VERSION, asdict(self), photos])
        return hashlib.sha256(whole.encode()).hexdigest()[:10]

    def walks(self, people: int) -> list[Walk]:
        """Return everybody's walk, by person."""
        rng = np.random.default_rng([self.seed, 1])
        kinds, sizes = _events(self, people, rng)
        umbrellas = [bool(one) for one in rng.random(people) < self.umbrellas]
        width, height = self.size
        walks = plan(
            sizes,
            kinds,
            camera=Camera(width, height, self.heads),
            manner=self.manner,
            seconds=self.seconds,
            umbrellas=umbrellas,
            rng=rng,
        )
        if self.frontal:
            walks = [replace(one, yaw=one.yaw * 0, pitch=one.pitch * 0) for one in walks]
        if self.bare:
            walks = [replace(one, low=one.low * 0) for one in walks]
        return _one_by_one(walks, width) if self.no_occlusion else walks

    def length(self, walks: Sequence[Walk]) -> float:
        """Return how long the recording is, seconds."""
        if not self.no_occlusion:
            return self.seconds
        return max((_in_view(one, self.size[0])[1] for one in walks), default=0.0) + 1

    def visible(self, truth: Truth) -> Callable[[int], dict[int, NDArray[np.bool_]]]:
        """Return what tells where each person is seen in a frame, with clothes, shape of the frame.

        Args:
            truth: Of this recording.
        """
        walks = self.walks(len(truth.identities))
        aspects = {}
        for row, person in enumerate(truth.person):
            _, _, width, height = truth.columns["head"][row]
            aspects.setdefault(int(person), float(width / height))

        def of_frame(number: int) -> dict[int, NDArray[np.bool_]]:
            seen = in_view(self.optics(), walks, number / self.fps)
            shapes = [aspects.get(one.person, 1.0) for one in seen]
            labels = labels_of(self.size, shapes, seen)
            return {one.person: labels == place for place, one in enumerate(seen, 1)}

        return of_frame

    def optics(self) -> Optics:
        """Return what the camera sees with."""
        return Optics(
            size=self.size,
            seed=self.seed,
            light=self.light,
            noise=0.0 if self.noiseless else self.noise,
            shutter=0.0 if self.still else self.shutter,
            defocus=self.defocus,
        )

    def encoding(self) -> dict[str, str]:
        """Return options of libx264, for an encoder like a camera's: it does not look ahead.

        With a look ahead (and with threads), x264 gives the same pictures other bytes now and then.
        """
        rate = {"qp": "0"} if self.lossless else {"crf": str(self.crf)}
        keys = {"g": str(int(self.fps * self.gop)), "sc_threshold": "0"}
        blind = {"threads": "1", "rc-lookahead": "0", "bf": "0"}
        return {**rate, **keys, **blind, "preset": "ultrafast" if self.lossless else self.preset}

    def without(self, *causes: str) -> Street:
        """Return the same walk without causes of misses, each a name of `CAUSES`.

        Raises:
            KeyError: There is no such cause.
        """
        switches = [CAUSES[cause] for cause in causes]
        return replace(self, **dict.fromkeys(switches, True))


CAUSES = {
    "codec": "lossless",
    "blur": "still",
    "noise": "noiseless",
    "pose": "frontal",
    "occlusion": "no_occlusion",
    "headwear": "bare",
}
"""Switch of `Street` by the cause that it removes."""


def _events(
    street: Street, people: int, rng: np.random.Generator
) -> tuple[list[Kind], list[list[int]]]:
    """Return what happens, and to groups of how many; the sizes sum up to the people."""
    kinds: list[Kind] = []
    sizes: list[list[int]] = []
    order = list(street.kinds)
    while people:
        if len(kinds) % len(order) == 0:
            rng.shuffle(order)
        kind = order[len(kinds) % len(order)]
        size = min(int(rng.integers(street.groups[0], street.groups[1] + 1)), people)
        event = [size]
        if kind in {"cross", "meet"}:
            size = min(max(size, 2), people)
            event = [part for part in (size - size // 2, size // 2) if part]
        people -= size
        kinds.append(kind)
        sizes.append(event)
    return kinds, sizes


def _in_view(walk: Walk, width: int) -> tuple[float, float]:
    seen = walk.times[(walk.x + walk.head > 0) & (walk.x - walk.head < width)]
    return (float(seen[0]), float(seen[-1])) if len(seen) else (0.0, 0.0)


def _one_by_one(walks: Sequence[Walk], width: int) -> list[Walk]:
    spans = [_in_view(walk, width) for walk in walks]
    at, moved = 1.0, list(walks)
    for one in sorted(range(len(walks)), key=lambda one: spans[one]):
        first, last = spans[one]
        moved[one] = walks[one].moved(at - first)
        at += last - first + 1
    return moved


def _pack_detector() -> Any:  # noqa: ANN401 - a port of the embedding service
    from homeward.embedding.adapters.pack import load_configured  # noqa: PLC0415 - slow
    from homeward.embedding.settings import EmbeddingSettings  # noqa: PLC0415 - slow

    return load_configured(EmbeddingSettings()).detector


def _cast(street: Street, faces: Path, detector: Any) -> list[Member]:  # noqa: ANN401
    """Return who walks, in random order."""
    rng = np.random.default_rng([street.seed, 0])
    known = {
        one.name: sorted(one.glob("*.jpg"))
        for one in sorted(faces.iterdir())
        if one.is_dir() and one.name not in WRONG_LABELS
    }
    if street.half is not None:
        known = {name: photos for name, photos in known.items() if _half(name) == street.half}
    names = [str(name) for name in rng.permutation(sorted(known))]
    cast: list[Member] = []
    taken: set[str] = set()
    for wanted, is_subject in ((street.subjects, True), (street.strangers, False)):
        left = wanted
        for name in names:
            if not left:
                break
            if name in taken or (is_subject and len(known[name]) == 1):
                continue
            member = _member(
                street, name, known[name], is_subject=is_subject, detector=detector, rng=rng
            )
            if member is not None:
                taken.add(name)
                cast.append(member)
                left -= 1
        if left:
            sys.exit(f"{faces}: too few people with usable photographs: {left} more are needed")
    return [cast[one] for one in rng.permutation(len(cast))]


def _half(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0] % 2


def _member(
    street: Street,
    name: str,
    photos: Sequence[Path],
    *,
    is_subject: bool,
    detector: Any,  # noqa: ANN401
    rng: np.random.Generator,
) -> Member | None:
    gain = float(rng.uniform(0.75, 1.1))
    colour, legs, cap = (tuple(int(one) for one in rng.integers(20, 190, 3)) for _ in range(3))
    wears = rng.random() < street.caps and not street.bare
    for chosen in rng.permutation(len(photos)):
        head = head_of_file(photos[chosen], detector)
        if head is not None:
            return Member(
                identity=name,
                is_subject=is_subject,
                photo=photos[chosen],
                references=tuple(photo for photo in photos if photo != photos[chosen]),
                head=with_cap(head, (cap[0], cap[1], cap[2])) if wears else head,
                gain=gain,
                colour=(colour[0], colour[1], colour[2]),
                legs=(legs[0], legs[1], legs[2]),
            )
    return None


def _record(
    street: Street, cast: Sequence[Member], walks: Sequence[Walk], length: float, out: Path
) -> Truth:
    optics = street.optics()
    people: list[tuple[int, Person]] = []
    ground, grain = scene(optics), noise(optics)
    width, height = street.size
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=street.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, street.fps)
        stream.options = street.encoding()
        for number in range(int(length * street.fps)):
            canvas = ground.copy()
            seen = in_view(optics, walks, number / street.fps)
            labels = draw(optics, canvas, cast, seen)
            rows = people_of(optics, cast, walks, seen, labels)
            people += [(number, one) for one in rows]
            planes = cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420)
            if grain is not None:
                cv2.add(planes[:height], next(grain), dst=planes[:height], dtype=cv2.CV_8U)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, street.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    parts = [
        (one.identity, one.is_subject, walk.group) for one, walk in zip(cast, walks, strict=True)
    ]
    return Truth.of(people, parts, fps=street.fps, size=street.size, shutter=optics.shutter)


def _told(street: Street, cast: Sequence[Member], truth: Truth, length: float) -> dict[str, Any]:
    """Return what the truth file says."""
    width, height = street.size
    appearances = []
    for person, member in enumerate(cast):
        rows = [
            (number, one)
            for number, one in truth.of_person(person)
            if one.head[0] >= 0
            and one.head[1] >= 0
            and one.head[0] + one.head[2] <= width
            and one.head[1] + one.head[3] <= height
        ]
        if not rows:
            continue
        heads = [one.head_px for _, one in rows]
        appearances.append(
            {
                "identity": member.identity,
                "is_subject": member.is_subject,
                "first": rows[0][0] / street.fps,
                "last": rows[-1][0] / street.fps,
                "head_px": [round(min(heads)), round(max(heads))],
                "person": person,
                "group": truth.groups[person],
                "open_seconds": sum(one.is_open() for _, one in rows) / street.fps,
            }
        )
    return {
        "fps": street.fps,
        "size": list(street.size),
        "seconds": length,
        "seed": street.seed,
        "street": asdict(street),
        "subjects": {
            one.identity: [str(path.resolve()) for path in one.references]
            for one in cast
            if one.is_subject
        },
        "appearances": sorted(appearances, key=lambda one: one["first"]),
    }


def _plain(seed: int, half: int) -> tuple[Street, ...]:
    """Return eight streets: heads of 24 to 200 px, with and without what makes them hard."""
    full, calm = (1920, 1080), Manner(turned=10, down=8)
    turned, bent = Manner(turned=35, down=15), Manner(turned=20, down=32)
    streets = (
        Street("small", 1, manner=calm, caps=0),
        Street("turned", 2, heads=(30, 100), manner=turned),
        Street("coarse", 3, heads=(24, 80), noise=7, crf=31, groups=(1, 4)),
        Street("large", 4, size=full, heads=(70, 200), groups=(1, 5), subjects=7, strangers=7),
        Street("bent", 5, size=full, heads=(40, 140), manner=bent, caps=0.4, umbrellas=0.3),
        Street("dark", 6, heads=(32, 110), light=0.35, noise=8, shutter=0.025),
        Street(
            "near", 7, size=full, heads=(24, 200), kinds=("towards", "away", "towards", "cross")
        ),
        Street("fast", 8, heads=(24, 90), shutter=0.02, defocus=0.6, groups=(1, 4)),
    )
    return tuple(replace(one, seed=seed + one.seed, half=half) for one in streets)


def _groups(seed: int) -> tuple[Street, ...]:
    """Return twelve streets of groups of two to eight; six of each half of the identities."""
    kinds: tuple[Kind, ...] = ("cross", "meet", "towards", "cross", "across", "away")
    sizes = ((2, 3), (2, 4), (3, 5), (4, 6), (5, 8), (2, 8))
    heads = ((24, 80), (70, 200), (40, 120), (30, 160), (48, 140), (60, 200))
    return tuple(
        Street(
            "group",
            seed + number + 1,
            size=(1280, 720) if high <= 120 else (1920, 1080),  # noqa: PLR2004 - they fit
            heads=(low, high),
            groups=sizes[number % 6],
            kinds=kinds,
            seconds=90,
            subjects=8,
            strangers=10,
            half=number // 6,
            manner=Manner(turned=(10, 25)[number % 2], pauses=0.4),
            umbrellas=(0.0, 0.15)[number // 6],
        )
        for number, (low, high) in enumerate(heads * 2)
    )


SETS = {
    "development": _plain(200, 0),
    "held_out": _plain(300, 1),
    "groups": _groups(400),
    "more_groups": _groups(500),
}
"""Streets by the name of the set. What is chosen on `development` (and seeds 401 to 406) is decided
on `held_out` (and seeds 407 to 412), which show other people. Nothing was chosen on `more_groups`
until stills were measured on it (2026-11-29)."""


def main() -> None:
    """Make the recordings of a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, required=True, help="photographs, identity/*.jpg")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for what is made")
    parser.add_argument("--set", choices=SETS, default="development", help="streets to make")
    parser.add_argument("--seed", type=int, action="append", help="only these of the set")
    parser.add_argument(
        "--without", choices=CAUSES, action="append", default=[], help="leave a cause of misses out"
    )
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    for street in SETS[asked.set]:
        if not asked.seed or street.seed in asked.seed:
            print(*street.without(*asked.without).make(asked.faces, asked.cache))


if __name__ == "__main__":
    main()
