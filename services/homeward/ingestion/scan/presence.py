"""Presence: when and where in a recording somebody was in view.

With it, a later search need not detect the same faces again. A presence holds no picture, no
landmark and no template.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.coverage import Coverage
from homeward.ingestion.scan.faces import Box


@dataclass(frozen=True, slots=True)
class PresentShot:
    """A picture in which an appearance shows well."""

    offset: timedelta
    """From the recording's first picture."""
    box: Box
    """Of the face, pixels of the picture as shown."""
    others: tuple[Box, ...]
    """Of the other faces in the picture."""
    quality: float
    """How well it serves recognition, in [0, 1]; higher is better."""


@dataclass(frozen=True, slots=True)
class PresentPerson:
    """Time and place at which somebody was in view, and nothing that says who."""

    start: timedelta
    end: timedelta
    sights: int
    """Pictures of the piece in which a face of theirs was found."""
    widest: float
    """Width of the face where it was widest, pixels of the picture as shown."""
    shots: tuple[PresentShot, ...]
    """Best first; none of somebody whose face is too small or too poor to compare."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Result of searching a piece of a recording, without who was in view."""

    version: str
    """Detector and settings that it was made with; others would find other faces."""
    stretch: Stretch
    """The piece: everybody who comes into view in it is listed."""
    people: tuple[PresentPerson, ...]
    coverage: Coverage
