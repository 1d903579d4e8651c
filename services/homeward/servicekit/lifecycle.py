"""Lifecycle rules of a bucket, read as S3 means them, and those that Homeward sets.

A rule may be for a prefix, for objects with a tag or of a size, or for several of these at once.
The SDK knows no sizes and refuses such a rule, so the XML is read here, one rule at a time: what
cannot be read is told with the rule's name, and does not hide the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

BACKSTOP = "homeward-backstop"
"""Id of the rule that removes what no sweep has removed."""

UNTIL = "homeward-until"
"""Tag of an object that goes by the age of something else, with the day on which it goes. The id of
the rule for a day begins so too."""

DAYS_AHEAD = 31
"""Days for which there are rules at any time: objects are tagged with at most 29 days from now
(`inventory.BACKSTOP_DAYS` and one), and a service that did not come to it for a day is in time."""

DAYS_BEHIND = 2
"""Days after theirs for which rules stay, for a store that was away. Not more: for each such rule
Ceph reads the tags of every object."""

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CONDITIONS = frozenset({"Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"})
_HARMLESS = (
    frozenset(  # of versions and of uploads that broke off; Homeward's buckets have no versions
        {
            "AbortIncompleteMultipartUpload",
            "DelMarkerExpiration",
            "NoncurrentVersionExpiration",
            "NoncurrentVersionTransition",
        }
    )
)
_KNOWN = _HARMLESS | {"Expiration", "Filter", "ID", "Prefix", "Status", "Transition"}
_NO_DAYS = frozenset({"ExpiredObjectDeleteMarker", "ExpiredObjectAllVersions"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?=T00:00:00)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A lifecycle rule that is enabled, or one that cannot be read."""

    name: str
    """Its id, or its number where it has none."""
    prefix: str = ""
    tag: tuple[str, str] | None = None
    """What it is for, where that is one tag and nothing else but the prefix."""
    conditional: bool = False
    """Whether it is for some of the objects under its prefix: by tags or size."""
    days: int | None = None
    """Age in days at which it removes an object."""
    day: date | None = None
    """Day from which on it removes all objects."""
    moves_to: str | None = None
    """The storage class that it moves objects to."""
    problem: str | None = None
    """Why it cannot be read."""

    def touches(self, prefix: str) -> bool:
        """Whether it is for any object whose key may begin so."""
        return prefix.startswith(self.prefix) or self.prefix.startswith(prefix)

    def covers(self, prefix: str) -> bool:
        """Whether it is for every object whose key begins so."""
        return prefix.startswith(self.prefix) and not self.conditional


@dataclass(frozen=True, slots=True)
class LifecycleSpan:
    """After how many days the store itself removes objects."""

    prefix: str
    shortest_days: int
    """Those that go first; 0 when none goes by its age."""
    longest_days: int
    """All of them; 0 when some never go."""


class Lifecycle:
    """The lifecycle of a bucket.

    Args:
        xml: As the store tells it; None when there is none.

    Attributes:
        rules: Those in force, and those that cannot be read.
    """

    def __init__(self, xml: bytes | None) -> None:
        self._elements: list[ET.Element] = []
        try:
            root = ET.fromstring(xml) if xml else ()  # noqa: S314 - of our own store, as the SDK reads it
        except ET.ParseError as error:
            self.rules: Sequence[Rule] = [Rule("(all of them)", problem=f"no XML: {error}")]
            return
        self._elements += _named(root, "Rule")
        read = [_read(one, f"number {number}") for number, one in enumerate(self._elements, 1)]
        self.rules = [rule for rule in read if rule is not None]

    def span(self, prefix: str) -> LifecycleSpan:
        """Return after how many days objects whose keys begin with `prefix` go.

        Days of a rule that names a day are not counted.
        """
        any_of = [rule.days for rule in self.rules if rule.days and rule.touches(prefix)]
        all_of = [rule.days for rule in self.rules if rule.days and rule.covers(prefix)]
        return LifecycleSpan(prefix, min(any_of, default=0), min(all_of, default=0))

    def problems(self, prefix: str, days: int) -> Iterator[str]:
        """Yield what keeps objects whose keys begin with `prefix` longer than `days`, or elsewhere.

        What is removed earlier is no problem, but on a day that somebody set: that would remove
        all, and everything that comes later at once.
        """
        for rule in self.rules:
            if rule.problem:
                yield (
                    f"lifecycle rule {rule.name} cannot be read: {rule.problem}; remove that rule"
                )
            elif rule.moves_to and rule.touches(prefix):
                yield (
                    f"lifecycle rule {rule.name} moves objects to {rule.moves_to}, where Homeward"
                    " cannot see whether they are removed; remove that rule"
                )
            elif rule.day and not _is_dated(rule) and rule.touches(prefix):
                yield (
                    f"lifecycle rule {rule.name} removes everything on {rule.day} and from then on"
                    " at once; remove that rule"
                )
        longest = self.span(prefix).longest_days
        if not 0 < longest <= days:
            yield (
                f"no lifecycle rule removes {prefix or 'all its'} objects after {days} days or"
                f" fewer; restart Homeward, which sets its rule {BACKSTOP}"
            )

    def missing_days(self, now: datetime) -> list[date]:
        """Return the days from today on for which there is no rule and objects may be tagged."""
        there = {rule.day for rule in self.rules if _is_dated(rule)}
        last = DAYS_AHEAD - 2
        days = [now.astimezone(UTC).date() + timedelta(days=ahead) for ahead in range(last + 1)]
        return [day for day in days if day not in there]

    def with_ours(self, prefix: str, days: int, now: datetime, *, dated: bool) -> bytes | None:
        """Return the lifecycle with Homeward's rules as they are to be; None if they are.

        Rules under other ids are somebody else's, and stay as they are.

        Args:
            prefix: That the rule `BACKSTOP` is for.
            days: After which it removes objects.
            now: Rules for single days begin shortly before.
            dated: Whether there are rules for single days.
        """
        ours = {BACKSTOP: _rule(BACKSTOP, _filter(prefix), f"<Days>{days}</Days>")}
        today = now.astimezone(UTC).date()
        for ahead in range(-DAYS_BEHIND, DAYS_AHEAD + 1) if dated else ():
            day = today + timedelta(days=ahead)
            name = f"{UNTIL}-{day}"
            condition = f"<Filter><Tag><Key>{UNTIL}</Key><Value>{day}</Value></Tag></Filter>"
            ours[name] = _rule(name, condition, f"<Date>{day}T00:00:00Z</Date>")
        wanted = {name: _read(ET.fromstring(text), name) for name, text in ours.items()}  # noqa: S314 - made above
        there = {rule.name: rule for rule in self.rules if _is_ours(rule.name)}
        if there == wanted:
            return None
        root = ET.Element(f"{{{_NAMESPACE}}}LifecycleConfiguration")
        for number, element in enumerate(self._elements, 1):
            if not _is_ours(_name(element, f"number {number}")):
                root.append(_qualified(element))
        root.extend(_qualified(ET.fromstring(text)) for text in ours.values())  # noqa: S314 - made above
        return ET.tostring(root, default_namespace=_NAMESPACE)


def removal_day(instant: datetime) -> date:
    """Return the first day that begins at an instant or after it, by UTC."""
    utc = instant.astimezone(UTC)
    return (utc + timedelta(days=1) - timedelta(microseconds=1)).date()


def _read(element: ET.Element, number: str) -> Rule | None:
    """Return a rule that is in force; None for one that is not, or that does nothing of concern."""
    name = _name(element, number)
    try:
        return _read_strictly(element, name)
    except ValueError as error:
        return Rule(name, problem=str(error))


def _read_strictly(element: ET.Element, name: str) -> Rule | None:
    status = _text(element, "Status")
    if status == "Disabled":
        return None
    if status != "Enabled":
        raise ValueError(f"its Status is {status!r}")
    unknown = sorted({_local(one) for one in element} - _KNOWN)
    if unknown:
        raise ValueError(f"Homeward does not know what {', '.join(unknown)} means")
    prefix, tag, conditional = _filtered(element)
    days, day = _expiration(element)
    transition = _child(element, "Transition")
    moves_to = None
    if transition is not None:
        moves_to = _text(transition, "StorageClass") or "another storage class"
    return Rule(
        name,
        prefix=prefix,
        tag=tag,
        conditional=conditional,
        days=days,
        day=day,
        moves_to=moves_to,
    )


def _filtered(element: ET.Element) -> tuple[str, tuple[str, str] | None, bool]:
    """Return prefix, tag and whether the rule is for some of the objects under the prefix alone."""
    parts = [one for one in element if _local(one) == "Prefix"]  # as rules were written before 2016
    for one in element:
        if _local(one) == "Filter":
            parts += one
    for one in list(parts):
        if _local(one) == "And":
            parts.remove(one)
            parts += one
    unknown = sorted({_local(one) for one in parts} - _CONDITIONS - {"Prefix"})
    if unknown:
        raise ValueError(f"Homeward does not know what its filter {', '.join(unknown)} means")
    prefix = max(
        ((one.text or "") for one in parts if _local(one) == "Prefix"), default="", key=len
    )
    conditions = [one for one in parts if _local(one) in _CONDITIONS]
    tag = None
    if len(conditions) == 1 and _local(conditions[0]) == "Tag":
        tag = (_text(conditions[0], "Key"), _text(conditions[0], "Value"))
    return prefix, tag, bool(conditions)


def _expiration(element: ET.Element) -> tuple[int | None, date | None]:
    expiration = _child(element, "Expiration")
    if expiration is None:
        return None, None
    days, day = _text(expiration, "Days"), _text(expiration, "Date")
    if days:
        if not days.isascii() or not days.isdigit():
            raise ValueError(f"its Days are {days!r}")
        return int(days), None
    if day:
        match = _DAY.match(day)
        if match is None:
            raise ValueError(f"its Date {day!r} is no midnight")
        return None, date.fromisoformat(match[0])
    unknown = sorted({_local(one) for one in expiration} - _NO_DAYS - {"Days", "Date"})
    if unknown:
        raise ValueError(f"Homeward does not know when {', '.join(unknown)} removes")
    return None, None


def _is_ours(name: str) -> bool:
    return name == BACKSTOP or name.startswith(f"{UNTIL}-")


def _is_dated(rule: Rule) -> bool:
    """Whether it removes the objects that are tagged with its day, and no other."""
    return rule.tag == (UNTIL, str(rule.day)) and rule.prefix == ""


def _rule(name: str, condition: str, expiration: str) -> str:
    return (
        f"<Rule><ID>{name}</ID>{condition}<Status>Enabled</Status>"
        f"<Expiration>{expiration}</Expiration></Rule>"
    )


def _filter(prefix: str) -> str:
    return f"<Filter><Prefix>{prefix}</Prefix></Filter>"


def _qualified(element: ET.Element) -> ET.Element:
    """Return a copy whose names are S3's: some stores leave the namespace out."""
    copy = ET.Element(f"{{{_NAMESPACE}}}{_local(element)}")
    copy.text = element.text
    copy.extend(_qualified(one) for one in element)
    return copy


def _name(element: ET.Element, number: str) -> str:
    return _text(element, "ID") or number


def _child(element: ET.Element, name: str) -> ET.Element | None:
    return next(_named(element, name), None)


def _named(element: Iterable[ET.Element], name: str) -> Iterator[ET.Element]:
    return (one for one in element if _local(one) == name)


def _text(element: ET.Element, name: str) -> str:
    found = _child(element, name)
    return ((found.text if found is not None else None) or "").strip()


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
