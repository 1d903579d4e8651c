"""What a checkpoint says: where each writer's chain began and ended at one moment.

The text of a signed note, see `notes`. Lines: `homeward-audit/1`, the instant, and for each writer
in the order of their names its name, the sequence of its first event that is held, the digest
before that, and sequence and digest of its last event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

HEADER = "homeward-audit/1"
_HEAD = re.compile(
    r"([a-z]{1,32}-[1-9]\d{0,5}) (\d{1,18}) ([0-9a-f]{64}) (\d{1,18}) ([0-9a-f]{64})"
)


class CheckpointError(ValueError):
    """A text is no checkpoint."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is held of one writer's chain."""

    first: int
    """Sequence of the first event that is held."""
    previous_digest: str
    """The digest before it."""
    last: int
    """Sequence of the last one."""
    digest: str
    """Its digest."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the chains ended at one moment."""

    time: str
    writers: Mapping[str, Span] = field(default_factory=dict)

    def text(self) -> str:
        """Return the text that is signed."""
        lines = [HEADER, self.time]
        for name in sorted(self.writers):
            span = self.writers[name]
            lines.append(f"{name} {span.first} {span.previous_digest} {span.last} {span.digest}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read such a text.

        Raises:
            CheckpointError: It is none.
        """
        header, _, rest = text.partition("\n")
        time, _, rest = rest.partition("\n")
        if header != HEADER:
            raise CheckpointError(f"does not begin with {HEADER}")
        writers: dict[str, Span] = {}
        for line in rest.splitlines():
            match = _HEAD.fullmatch(line)
            if match is None:
                raise CheckpointError("has a line that names no writer's chain")
            name, first, previous, last, digest = match.groups()
            writers[name] = Span(int(first), previous, int(last), digest)
        read = cls(time, writers)
        if read.text() != text:
            raise CheckpointError("is not written as checkpoints are")
        return read
