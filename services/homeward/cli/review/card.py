"""What is known of a candidate, on few lines of 80 characters."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import caveats, policy_figures, reviews, times
from homeward.cli.review.evidence import Evidence, is_rival
from homeward.cli.terminal import clean

_WIDEST = 100
_MOST_NEAR = 2
_SHORT_ID = 8
_LEAST_ROWS = 6
_KEYS = (
    *("c confirm", "r reject", "i inconclusive", "s skip", "u undo", "w reason", "? help"),
    "q quit",
)
_OF_PICTURES = "p picture alone  o open it"


def lines(
    evidence: Evidence,
    name_of: Callable[[str], str],
    state_of: Callable[[sighting_pb2.Sighting], str],
    *,
    width: int,
    reason: str = "",
) -> list[str]:
    """Return what to print below the picture of a candidate.

    Args:
        evidence: The candidate.
        name_of: Tells how a subject is called, by its id.
        state_of: Tells the state of another sighting, in words.
        width: Characters of a line.
        reason: The reason that is set for the decision.
    """
    sighting = evidence.sighting
    doubt = [_rival(sighting)] if policy_figures.doubtful(sighting) else []
    paragraphs = [
        [_who(evidence)],
        [f"{_place(evidence)}. {_when(sighting)}.", _quality(evidence), *_coverage(evidence)],
        [_worth(sighting)],
        *([one] for one in _warnings(evidence)),
        doubt,
        _near(evidence, name_of, state_of),
        _state(sighting),
        [f"Reason: {reason}"] if reason else [],
    ]
    return [part for one in paragraphs if one for part in wrapped(" ".join(one), width)]


def wrapped(text: str, width: int) -> list[str]:
    """Return text as lines that break between words; what follows the first is indented."""
    size = max(20, min(width, _WIDEST))
    return textwrap.wrap(clean(text), size, subsequent_indent="  ", break_on_hyphens=False) or [""]


def keys(width: int) -> list[str]:
    """Return what the keys do, on lines that keep each key beside what it does."""
    lines = [_KEYS[0]]
    for one in _KEYS[1:]:
        longer = f"{lines[-1]}  {one}"
        lines[-1:] = [longer] if len(longer) <= width else [lines[-1], one]
    return lines


def rows_left(told: Sequence[str], *, columns: int, lines: int) -> int:
    """Return how many lines a picture may have above a card and the keys, 6 at least."""
    return max(_LEAST_ROWS, lines - len(told) - len(keys(columns)) - 2)


def rule(text: str, width: int) -> str:
    """Return a line across the terminal with a text in it, and the keys for the picture."""
    size = min(width, _WIDEST)
    line = f"-- {clean(text)} ".ljust(size, "-")[:size]
    room = size - len(_OF_PICTURES) - 4
    return f"{line[:room]} {_OF_PICTURES} --" if len(clean(text)) + 4 <= room else line


def _who(evidence: Evidence) -> str:
    sighting, subject = evidence.sighting, evidence.subject
    name = subject.label or subject.case_reference if subject else sighting.subject_id[:_SHORT_ID]
    case = f" ({subject.case_reference})" if subject and subject.case_reference != name else ""
    return (
        f"{name}{case}: score {policy_figures.score(sighting)}, threshold {sighting.threshold:.3f};"
        f" sighting {sighting.sighting_id[:_SHORT_ID]}"
    )


def _place(evidence: Evidence) -> str:
    camera_id, camera = evidence.sighting.camera_id, evidence.camera
    return f"{camera.place} (camera {camera_id})" if camera and camera.place else camera_id


def _when(sighting: sighting_pb2.Sighting) -> str:
    begin = times.marked(sighting.interval.start_time, uncertain=sighting.time_uncertain)
    seconds = (
        sighting.interval.end_time.ToNanoseconds() - sighting.interval.start_time.ToNanoseconds()
    ) / 1e9
    at = times.position(sighting.best_shot_offset)
    return f"In view from {begin} for {times.span(seconds)}; best still at {at} in the file"


def _worth(sighting: sighting_pb2.Sighting) -> str:
    """Return what the threshold is worth."""
    if not sighting.HasField("figures"):
        return "What the threshold is worth is not known."
    return f"Threshold: {policy_figures.expectation(sighting.figures)}"


def _warnings(evidence: Evidence) -> list[str]:
    """Return for whom, or by whom, the threshold is worth less."""
    sighting = evidence.sighting
    if not sighting.HasField("figures"):
        return []
    known = {sighting.subject_id: evidence.subject} if evidence.subject else {}
    return [
        *policy_figures.warnings(sighting.policy_id, sighting.figures, found=True),
        *caveats.beside([sighting], known),
    ]


def _quality(evidence: Evidence) -> str:
    sighting, subject = evidence.sighting, evidence.subject
    held = subject.reference_photos if subject else []
    quality = [one.quality for one in held if one.photo_id == sighting.photo_id]
    reference = f"; quality of the reference {quality[0]:.2f} of 1" if quality else ""
    gone = "; its still is gone from the object store" if sighting.still_gone else ""
    return f"Face {sighting.face_height_px:.0f} pixels high in the recording{reference}{gone}."


def _rival(sighting: sighting_pb2.Sighting) -> str:
    return (
        f"LOOK TWICE: somebody else who is enrolled scores {sighting.rival_score:.3f}, as relatives"
        " do and many wrong candidates."
    )


def _near(
    evidence: Evidence,
    name_of: Callable[[str], str],
    state_of: Callable[[sighting_pb2.Sighting], str],
) -> list[str]:
    sighting = evidence.sighting
    others = sorted(
        evidence.near, key=lambda one: (not is_rival(one, sighting), _apart(one, sighting))
    )
    if not others:
        return []
    told = "; ".join(
        _other(one, sighting, name_of(one.subject_id), state_of(one)) for one in others[:_MOST_NEAR]
    )
    more = f"; and {len(others) - _MOST_NEAR} more" if len(others) > _MOST_NEAR else ""
    return [f"Within 10 minutes: {told}{more}."]


def _other(
    one: sighting_pb2.Sighting, sighting: sighting_pb2.Sighting, name: str, state: str
) -> str:
    if is_rival(one, sighting):
        return f"this face is a candidate for {name} too ({one.score:.3f}, {state})"
    whom = f" as {name}" if one.subject_id != sighting.subject_id else ""
    return f"{one.camera_id} {_after(one, sighting)}{whom} ({one.score:.3f}, {state})"


def _apart(one: sighting_pb2.Sighting, sighting: sighting_pb2.Sighting) -> float:
    began = (each.interval.start_time.ToNanoseconds() for each in (one, sighting))
    first, second = began
    return abs(first - second) / 1e9


def _after(one: sighting_pb2.Sighting, sighting: sighting_pb2.Sighting) -> str:
    before = one.interval.start_time.ToNanoseconds() < sighting.interval.start_time.ToNanoseconds()
    return f"{times.span(_apart(one, sighting))} {'before' if before else 'after'}"


def _coverage(evidence: Evidence) -> list[str]:
    """Return how much of what the scan was to search was searched."""
    if evidence.scan is None:
        return []
    coverage = evidence.scan.coverage
    requested = times.seconds(coverage.requested_duration)
    if not requested:
        return []
    share = times.seconds(coverage.searched_duration) / requested
    lacking = "" if share >= 1 else "; the rest was not, see `homeward scan show`"
    asked = f"the {times.span(requested)} of footage asked for"
    return [f"The search covered {100 * share:.0f} % of {asked}{lacking}."]


def _state(sighting: sighting_pb2.Sighting) -> Sequence[str]:
    if sighting.reviews_withheld:
        return ["Another person has judged it before you. What they said is told once you have."]
    told = reviews.summary(sighting)
    return [f"{reviews.state(sighting).capitalize()} {told}."] if told else []
