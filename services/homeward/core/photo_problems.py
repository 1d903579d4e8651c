"""Why a photograph cannot serve as a reference, in words: for services and their clients."""

from __future__ import annotations

from collections.abc import Mapping

PHOTO_PROBLEMS: Mapping[str, str] = {
    "NO_FACE": "no face was found",
    "SEVERAL_FACES": "more than one face was found",
    "TOO_SMALL": "the face is too small",
    "BLURRED": "the face is blurred",
    "TURNED_AWAY": "the face is turned away",
    "NOT_UPRIGHT": "the face is upside down or on its side",
}
"""By the name of a `PhotoProblem`, without its prefix."""
