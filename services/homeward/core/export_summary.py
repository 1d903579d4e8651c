"""The summary of a package, for whoever receives it: what it is, and how it is to be read."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 88
"""Characters of a line."""

_WARNING = (
    "A score is no probability: it says how alike two pictures of faces are, and nothing of how"
    " likely it is that they show one person. The reviewers named below took the person in the"
    " stills for the subject. Nothing here identifies anybody by itself."
)
_NOT_APPROVED = (
    "NOT FOR USE: nobody had approved the threshold that this was found by. It was found in"
    " evaluation mode, and nobody may act on it."
)
_HOW = (
    "Whoever has Homeward can check that nothing of this package was changed, with the key that the"
    " sender told you by another way than the package came. It needs no connection to anybody."
)


def summary_of(manifest: Mapping[str, Any]) -> str:
    """Return the summary of what a manifest says, but for its list of files."""
    sighting, subject = manifest["sighting"], manifest["subject"]
    lines = [
        "SIGHTING OF A MISSING PERSON, GIVEN OUT BY A POLICE FORCE",
        "",
        *([_NOT_APPROVED, ""] if not manifest["approved"] else []),
        f"Given to: {manifest['recipient']}",
        f"Given out: {_time(manifest['make_time'])}",
        *([f"By: {manifest['given_out_by']}"] if manifest["given_out_by"] else []),
        *([f"Purpose: {manifest['purpose']}"] if manifest["purpose"] else []),
        "",
        f"Case: {subject['case_reference']}",
        f"Subject: {subject['label'] or subject['subject_id']}",
        f"Sighting: {sighting['sighting_id']}",
        f"Camera: {sighting['camera_id']}",
        f"In view, true time: {_time(sighting['start_time'])} to {_time(sighting['end_time'])}"
        + (" (UNCERTAIN: the recorder's clock was set)" if sighting["time_uncertain"] else ""),
        "Stills, true time:",
        *[_still(one) for one in manifest["stills"]],
        f"In the recording: from {_clock(sighting['start_ms'])} to {_clock(sighting['end_ms'])}",
        f"Recording, SHA-256 of the file as it came: {sighting['footage_sha256'] or 'not known'}",
        "",
        _score(sighting),
        *[line for policy in manifest["policies"] for line in _figures(policy)],
        _WARNING,
        "",
        "Reviewed by:",
        *[
            f"  {one['reviewer']}: {one['decision']}, {_time(one['time'])}"
            for one in sighting["reviews"]
        ],
        "",
        _clip(manifest),
        "",
        _HOW,
    ]
    return "".join(f"{wrapped}\n" for line in lines for wrapped in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """Return a line as several of a length that can be read and printed."""
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ") or [""]


def _still(still: Mapping[str, Any]) -> str:
    best = "; the most alike one" if still["best"] else ""
    return (
        f"  {still['name']}: {_time(still['time'])}, at {_clock(still['recording_ms'])} in the"
        f" recording, face {still['face_height_px']} pixels high{best}"
    )


def _figures(policy: Mapping[str, Any]) -> list[str]:
    false, missed = policy["fpir"], policy["fnir"]
    worth = (
        f"Measured with {policy['gallery_size']} people enrolled: of people who are not enrolled"
        f" {_percent(false)} were taken for somebody who is; of those who are,"
        f" {_percent(missed)} were missed."
    )
    return [worth, f"Measured on: {policy['measured_on']}. {policy['limits']}"]


def _score(sighting: Mapping[str, Any]) -> str:
    return (
        f"Score {_short(sighting['score'])}, threshold {_short(sighting['threshold'])}"
        f" (policy {sighting['policy_id']})"
    )


def _percent(rate: Mapping[str, Any]) -> str:
    value, low, high = (100 * float(rate[name]) for name in ("value", "low", "high"))
    return f"{value:.2g} % ({low:.2g} to {high:.2g})"


def _clip(manifest: Mapping[str, Any]) -> str:
    clip = manifest["clip"]
    if clip is None:
        return f"No clip: {manifest['no_clip_reason'] or 'none was asked for'}."
    record = clip["record"]
    whom = (
        "all faces but the subject's are blurred"
        if record["subject_picture_count"]
        else "all faces are blurred, as none is the subject's for certain"
    )
    return (
        f"clip.mp4: {_time(record['start_time'])} to {_time(record['end_time'])}, true time;"
        f" {whom}, by a machine; {record['blurred_picture_count']} of {record['picture_count']}"
        " pictures are blurred as a whole."
    )


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}.{rest:03}"


def _time(instant: str) -> str:
    """Return an instant of the manifest, RFC 3339 in UTC, to read."""
    return f"{instant[:10]} {instant[11:19]} UTC"


def _short(score: str) -> str:
    return f"{float(score):.3f}"
