"""Recordings of every kind that recorders export, through the command line.

What is right of a kind is in `kinds/catalogue.py`, which is also the table in `docs/footage.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from homeward.embedded import demo
from kinds.catalogue import CONTROL, KINDS, Kind, Refused, Searched
from kinds.scene import PEOPLE, SECONDS, Scene, write_scene
from kinds.tracks import Studio

if TYPE_CHECKING:
    from .conftest import Done, LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CORES = 2
CAMERA = "recorder"
COMMAND_SECONDS = 500.0
"""Of a command that does dozens of recordings, on cores that others use as well."""

BEGAN = datetime(2025, 1, 1, 10, tzinfo=UTC)
WALKERS = (2, 4)
"""Which of the photograph's six people walk by, from its left."""

SEARCHED = [kind for kind in KINDS if isinstance(kind.right, Searched)]
REFUSED = [kind for kind in KINDS if isinstance(kind.right, Refused)]

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Footage:
    """A recording that was added, and what `footage add` has said of it."""

    began: datetime
    code: int
    """Exit code of the command that added it, and others perhaps."""
    told: str
    """What went to stderr."""
    footage_id: str
    """Empty when it was refused."""
    seconds: float
    """How long the services say that it plays."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search has told of a recording, in seconds from its first picture."""

    seen: Mapping[int, Span]
    """By the number of the walker."""
    gaps: Sequence[Span]
    seconds: float
    """Searched."""


@pytest.fixture(scope="module")
def formats_stack(new_module_stack: Callable[..., LiveStack]) -> LiveStack:
    return new_module_stack("formats")


@pytest.fixture(scope="module")
def scene(formats_stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    photo = demo.group_photo()
    with formats_stack.channel("embedding", as_service=True) as embedding:
        boxes = demo.faces(photo, embedding)
    return write_scene(
        tmp_path_factory.mktemp("scene"), photo, [boxes[number] for number in WALKERS]
    )


@pytest.fixture(scope="module")
def subjects(formats_stack: LiveStack, scene: Scene) -> Mapping[str, int]:
    """The ids of the two walkers, who are enrolled, and their numbers."""
    added = [
        formats_stack.run(
            "subject", "add", "--case", f"WALKER-{number}", str(portrait), "--output", "json"
        ).json
        for number, portrait in enumerate(scene.portraits)
    ]
    return {one["subject"]["subjectId"]: number for number, one in enumerate(added)}


@pytest.fixture(scope="module")
def files(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A recording of each kind, by its name."""
    folder, studio = tmp_path_factory.mktemp("kinds"), Studio(scene)

    def write(kind: Kind) -> Path:
        file = folder / f"{kind.name}.{kind.suffix}"
        file.write_bytes(kind.make(studio))
        return file

    with ThreadPoolExecutor(CORES) as threads:
        written = list(threads.map(write, KINDS))
    return dict(zip((kind.name for kind in KINDS), written, strict=True))


@pytest.fixture(scope="module")
def footage(formats_stack: LiveStack, files: Mapping[str, Path]) -> Mapping[str, Footage]:
    """What was added, by the names of the kinds."""
    formats_stack.run("camera", "add", CAMERA)

    def add(batch: Sequence[tuple[int, Kind]]) -> dict[str, Footage]:
        """Add recordings of one camera, a day between them, by one command."""
        began = {kind.name: BEGAN + timedelta(days=number) for number, kind in batch}
        starts = [part for at in began.values() for part in ("--start", at.isoformat())]
        done = formats_stack.run(
            "footage", "add", *(str(files[name]) for name in began), *starts,
            "--camera", CAMERA, "--output", "json",
            code=None, seconds=COMMAND_SECONDS,
        )  # fmt: skip
        held = {one["fileName"]: one for one in (done.json["footage"] if done.out else [])}
        return {
            name: footage_of(held.get(files[name].name, {}), began[name], done) for name in began
        }

    numbered = list(enumerate(KINDS))
    accepted = [one for one in numbered if one[1] in SEARCHED]
    batches = [accepted[at::CORES] for at in range(CORES)]
    batches += [[one] for one in numbered if one[1] in REFUSED]
    with ThreadPoolExecutor(CORES) as threads:
        return {name: one for added in threads.map(add, batches) for name, one in added.items()}


@pytest.fixture(scope="module")
def answers(
    formats_stack: LiveStack, subjects: Mapping[str, int], footage: Mapping[str, Footage]
) -> Mapping[str, Answer]:
    """What a search has told of each kind that was taken in."""
    told = formats_stack.run("search", "--output", "json", seconds=COMMAND_SECONDS).json
    by_id = {one.footage_id: name for name, one in footage.items() if one.footage_id}
    seen: dict[str, dict[int, Span]] = {name: {} for name in by_id.values()}
    gaps: dict[str, list[Span]] = {name: [] for name in by_id.values()}
    for candidate in told.get("candidates", []):
        name = by_id[candidate["footageId"]]
        walker = subjects[candidate["subjectId"]]
        start, end = span_of(candidate, footage[name].began)
        before = seen[name].get(walker, (start, end))
        seen[name][walker] = (min(start, before[0]), max(end, before[1]))
    for gap in told["scan"]["coverage"].get("gaps", []):
        name = by_id[gap["footageId"]]
        gaps[name].append(span_of(gap, footage[name].began))
    return {
        name: Answer(
            seen[name],
            sorted(gaps[name]),
            footage[name].seconds - unsearched(gaps[name], footage[name].seconds),
        )
        for name in by_id.values()
    }


def footage_of(held: Mapping[str, Any], began: datetime, done: Done) -> Footage:
    """Return what a command has said of a recording; `held` is empty when that was refused."""
    seconds = float(held.get("duration", "0s").removesuffix("s"))
    return Footage(began, done.code, done.err, held.get("footageId", ""), seconds)


def span_of(told: Mapping[str, Any], began: datetime) -> Span:
    times = (told["interval"][name] for name in ("startTime", "endTime"))
    start, end = ((datetime.fromisoformat(at) - began).total_seconds() for at in times)
    return start, end


def unsearched(gaps: Sequence[Span], seconds: float) -> float:
    """Return how much of a recording gaps are; of one that was cut off they may reach further."""
    return sum(max(0.0, min(end, seconds) - start) for start, end in gaps)


def expected_spans(right: Searched, control: Answer) -> dict[int, Any]:
    """Return when each walker is seen, of those who are seen as long as in the control."""
    return {
        number: pytest.approx(
            tuple(at + right.late[number] for at in control.seen[number]), abs=right.slack
        )
        for number in range(PEOPLE)
        if number not in (*right.partly, *right.absent)
    }


def expected_gaps(right: Searched, answer: Answer) -> list[Any]:
    gaps = answer.gaps if right.gaps is None else right.gaps
    return [pytest.approx(gap, abs=right.slack) for gap in gaps]


@pytest.mark.parametrize("kind", SEARCHED, ids=lambda kind: kind.name)
def test_a_recording_is_searched_as_the_control_is(
    kind: Kind, footage: Mapping[str, Footage], answers: Mapping[str, Answer]
) -> None:
    right = kind.right
    assert isinstance(right, Searched)
    assert footage[kind.name].footage_id, footage[kind.name].told
    answer = answers[kind.name]
    whole = expected_spans(right, answers[CONTROL])

    assert set(answer.seen) == set(range(PEOPLE)) - set(right.absent), answer
    assert {number: answer.seen[number] for number in whole} == whole, answer
    assert list(answer.gaps) == expected_gaps(right, answer), answer
    assert right.seconds[0] - right.slack <= answer.seconds <= right.seconds[1] + right.slack, (
        answer
    )


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_a_recording_that_cannot_be_searched_is_refused_when_it_is_added(
    kind: Kind, footage: Mapping[str, Footage]
) -> None:
    right, refused = kind.right, footage[kind.name]
    assert isinstance(right, Refused)

    assert refused.code == 4, refused
    assert [word for word in ("FOOTAGE_UNREADABLE", *right.says) if word not in refused.told] == []


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("name", ["ts-joined", "ts-steps-back"])
def test_a_sighting_after_a_clock_was_set_says_that_its_time_is_uncertain(
    formats_stack: LiveStack,
    subjects: Mapping[str, int],
    footage: Mapping[str, Footage],
    name: str,
) -> None:
    recording = ("--footage", footage[name].footage_id)
    listed = formats_stack.run("sighting", "list", *recording, "--output", "json").json["sightings"]
    told = {subjects[one["subjectId"]]: one for one in listed}
    shown = {
        number: formats_stack.run("sighting", "show", one["sightingId"]).out
        for number, one in told.items()
    }

    assert {number: one["timeUncertain"] for number, one in told.items()} == {0: False, 1: True}
    assert {number: "* This time is uncertain" in out for number, out in shown.items()} == {
        0: False,
        1: True,
    }
    assert formats_stack.run("sighting", "list", *recording).out.count("*\t") == 1


def test_the_control_shows_both_walkers_for_as_long_as_they_walk(
    answers: Mapping[str, Answer],
) -> None:
    control = answers[CONTROL]

    assert control.seconds == pytest.approx(SECONDS, abs=0.1)
    assert control.seen[0] == pytest.approx((0.5, 5.5), abs=0.5)
    assert control.seen[1] == pytest.approx((6.5, SECONDS), abs=0.5)
