"""Verifying a trail: does each event follow from the one before it, and is it all there?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from homeward.core.audit.checkpoints import Checkpoint, Span
from homeward.core.audit.events import FIRST_PREVIOUS, AuditEvent

MOST_PROBLEMS = 100
"""That are kept; one damaged line may break each that follows it."""


class Fault(StrEnum):
    """What is wrong at one place."""

    CHANGED = "changed"
    """The event does not have the digest that is stated of it, or is no event."""
    MISSING = "missing"
    """Events before it are missing."""
    UNEXPECTED = "unexpected"
    """It stands where another one was before: inserted, repeated or out of order."""
    UNLINKED = "unlinked"
    """It does not follow from the event before it: one of the two was changed or replaced."""
    TRUNCATED = "truncated"
    """The chain ends before an event that the checkpoint has."""
    FORKED = "forked"
    """Another event stands where the checkpoint has one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One place at which a trail does not hold."""

    fault: Fault
    writer: str
    sequence: int
    """Of the event; 0 if that is not known."""
    description: str


class TrailCheck:
    """Takes the events of a trail, each writer's in order, and finds what is wrong.

    Args:
        checkpoints: What was kept of the trail, by a name for each, such as a file's.
    """

    def __init__(self, checkpoints: Mapping[str, Checkpoint] | None = None) -> None:
        self._expected: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._spans: list[tuple[str, str, Span]] = []
        for source, checkpoint in (checkpoints or {}).items():
            for writer, span in checkpoint.writers.items():
                self._spans.append((source, writer, span))
                self._expected.setdefault((writer, span.last), []).append((source, span.digest))
        self._chains: dict[str, Span] = {}
        self.problems: list[Problem] = []
        self.count = 0

    @property
    def intact(self) -> bool:
        """Whether nothing wrong was found so far."""
        return not self.problems

    def add(self, event: AuditEvent) -> None:
        """Take the next event of its writer."""
        self.count += 1
        held = self._chains.get(event.writer)
        if held is None:
            if event.sequence == 1 and event.previous_digest != FIRST_PREVIOUS:
                self._tell(Fault.UNLINKED, event, "is the first, and names an event before it")
            first = Span(event.sequence, event.previous_digest, event.sequence, event.digest)
            self._chains[event.writer] = first
        else:
            self._compare(held, event)
            reached = max(held.last, event.sequence)
            self._chains[event.writer] = Span(
                held.first, held.previous_digest, reached, event.digest
            )
        for source, digest in self._expected.get((event.writer, event.sequence), ()):
            if digest != event.digest:
                self._tell(Fault.FORKED, event, f"is another than in {source}")

    def damaged(self, description: str, *, writer: str = "", sequence: int = 0) -> None:
        """Take note of something that is no event, or none that holds."""
        self.count += 1
        self._keep(Problem(Fault.CHANGED, writer, sequence, description))

    def tell(self, fault: Fault, description: str) -> None:
        """Take note of something that is wrong with the trail, and with no event of it."""
        self._keep(Problem(fault, "", 0, description))

    def finish(self, end: Checkpoint | None = None) -> None:
        """Compare where the chains begin and end with what was kept.

        Args:
            end: The checkpoint that was made with this trail, which it must have no more and no
                less than. None: it may go on after the checkpoints that were kept.
        """
        for source, writer, span in self._spans:
            held = self._chains.get(writer)
            if held is None or held.last < span.last:
                last = held.last if held else 0
                self._keep(
                    Problem(
                        Fault.TRUNCATED,
                        writer,
                        last,
                        f"ends after {last}; {source} has {span.last}",
                    )
                )
            elif span.last == held.first - 1 and span.digest != held.previous_digest:
                text = f"does not follow from what {source} has last"
                self._keep(Problem(Fault.FORKED, writer, held.first, text))
        if end is not None:
            self._require_whole(end)

    def spans(self) -> Mapping[str, Span]:
        """Return what was taken of each writer's chain."""
        return self._chains

    def _require_whole(self, end: Checkpoint) -> None:
        for writer in sorted({*self._chains, *end.writers}):
            held, signed = self._chains.get(writer), end.writers.get(writer)
            if signed is None:
                text = "is of a writer that the checkpoint of this trail does not name"
                self._keep(Problem(Fault.UNEXPECTED, writer, held.first if held else 0, text))
            elif held is None or held.last < signed.last:
                last = held.last if held else 0
                text = f"ends after {last}; its checkpoint has {signed.last}"
                self._keep(Problem(Fault.TRUNCATED, writer, last, text))
            elif held.last > signed.last:
                text = f"goes on after {signed.last}, where its checkpoint ends"
                self._keep(Problem(Fault.UNEXPECTED, writer, held.last, text))
            elif held != signed:
                fault = Fault.MISSING if held.first > signed.first else Fault.FORKED
                text = "does not begin, or end, as its checkpoint says"
                self._keep(Problem(fault, writer, held.first, text))

    def _compare(self, held: Span, event: AuditEvent) -> None:
        if event.sequence > held.last + 1:
            count = event.sequence - held.last - 1
            self._tell(Fault.MISSING, event, f"follows {held.last}: {count} are missing")
        elif event.sequence <= held.last:
            self._tell(Fault.UNEXPECTED, event, f"comes after {held.last}")
        elif event.previous_digest != held.digest:
            self._tell(Fault.UNLINKED, event, f"does not follow from {held.last}")

    def _tell(self, fault: Fault, event: AuditEvent, description: str) -> None:
        self._keep(Problem(fault, event.writer, event.sequence, description))

    def _keep(self, problem: Problem) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
