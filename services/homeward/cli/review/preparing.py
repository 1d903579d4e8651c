"""Making a candidate ready to be shown, before the reviewer comes to it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from PIL import Image

from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import reviews
from homeward.cli.review import card, keyboard
from homeward.cli.review.evidence import Evidence, Reader
from homeward.cli.review.graphics import Cell, Drawing, Protocol, detected, drawn
from homeward.cli.review.pictures import Studio
from homeward.cli.review.supply import Prepared


def drawing(how: str) -> Drawing:
    """Return how the terminal draws pictures.

    Args:
        how: `auto` asks the terminal; the name of a protocol, or of another way to show pictures.
    """
    if how != "auto" and how not in list(Protocol):
        return Drawing(None, Cell())
    found = detected(os.environ, keyboard.answer)
    return found if how == "auto" else Drawing(Protocol(how), found.cell)


@dataclass(frozen=True, slots=True)
class Preparing:
    """Reads candidates and draws them.

    Args:
        reader: Reads what a candidate is judged by.
        drawing: How the terminal draws pictures.
        answered: Sightings as they are since something was decided on them here, by their ids:
            what is read ahead is older.
    """

    reader: Reader
    drawing: Drawing
    answered: Mapping[str, sighting_pb2.Sighting] = field(default_factory=dict)
    studio: Studio = field(default_factory=Studio)

    def prepare(self, listed: sighting_pb2.Sighting) -> Prepared:
        """Return a candidate that is ready to be shown in the terminal as large as it is now.

        Raises:
            CallError: It cannot be read.
        """
        evidence = self.reader.read(listed)
        columns, lines = shutil.get_terminal_size()

        def told(width: int, reason: str) -> list[str]:
            return card.lines(
                evidence, self.reader.name_of, self._state_of, width=width, reason=reason
            )

        rows = card.rows_left(told(columns, ""), columns=columns, lines=lines)
        cell = self.drawing.cell
        shape = (columns * cell.width, rows * cell.height)
        picture = self.studio.draw(evidence, shape=shape)
        ready = {(columns, rows): self._drawn(picture, columns, rows)}

        def in_rows(rows: int) -> str:
            size = (shutil.get_terminal_size().columns, rows)
            return ready[size] if size in ready else self._drawn(picture, *size)

        return Prepared(evidence.sighting, told, in_rows, partial(self._file, evidence))

    def _state_of(self, other: sighting_pb2.Sighting) -> str:
        return reviews.state(self.answered.get(other.sighting_id, other))

    def _file(self, evidence: Evidence) -> bytes:
        file = io.BytesIO()
        self.studio.draw(evidence).save(file, "PNG")
        return file.getvalue()

    def _drawn(self, picture: Image.Image, columns: int, rows: int) -> str:
        return drawn(picture, self.drawing, columns=columns, rows=rows)
