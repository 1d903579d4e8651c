"""Where in a recording somebody was in view: a search for somebody else need not look again.

There is no picture in it, no landmark and no template.
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
    """Somebody who was in view: when and where, and nothing that tells who."""

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
    """What a search of a piece of a recording found, but for who it was."""

    version: str
    """What it was made with; another detector, or other settings, would find other faces."""
    stretch: Stretch
    """Holds everybody who comes into view in it."""
    people: tuple[PresentPerson, ...]
    coverage: Coverage
