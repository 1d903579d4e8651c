"""Spans of time, in seconds since 1970, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[float, float]
"""Begin and end; the end is not before the begin."""


def merged(spans: Iterable[Span], *, apart: float = 0.0) -> list[Span]:
    """Return spans in order, those as one that are no more than `apart` seconds apart."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1] + apart:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return what is in `spans` and in none of `others`; nothing of no length."""
    left: list[Span] = []
    cut = merged(others)
    for begin, end in merged(spans):
        at = begin
        for first, last in cut:
            if last <= at or first >= end:
                continue
            if first > at:
                left.append((at, first))
            at = max(at, last)
        if at < end:
            left.append((at, end))
    return left


def within(spans: Iterable[Span], bound: Span) -> list[Span]:
    """Return the part of `spans` in `bound`; nothing of no length."""
    cut = ((max(begin, bound[0]), min(end, bound[1])) for begin, end in spans)
    return [(begin, end) for begin, end in cut if begin < end]


def total(spans: Sequence[Span]) -> float:
    """Return how long spans are together, counting what overlaps once."""
    return sum(end - begin for begin, end in merged(spans))
