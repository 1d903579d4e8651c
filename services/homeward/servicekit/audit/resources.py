"""Which resources a message is about: the ids in it, found by the names of their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

MOST_RESOURCES = 4096
"""That an event names: a page of 1000 sightings with their subjects, scans, recordings and cameras.
They take 400 kB at most, of the 1 MB that NATS takes in one message."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
KINDS = {
    "subject": _UUID,
    "sighting": _UUID,
    "scan": _UUID,
    "photo": _UUID,
    "footage": _SLUG,
    "camera": _SLUG,
}
"""By kind, the form of its ids. What has another form is no id of ours, may be anything, a name
among it, and is not written down."""

PEOPLE = frozenset({"subject", "sighting", "photo"})
PLACES = frozenset({"footage", "camera"})
"""Kinds that an event does not name beside one of `PEOPLE`: together they would tell for years
where somebody was whose data is erased. A recording's id has its camera and its time in it."""

_RANK = {kind: rank for rank, kind in enumerate(("subject", "sighting", "scan", "photo"))}
"""Which kinds an event names first, where it cannot name all."""

_FIELD = re.compile(r"(?:\w+_)?(subject|sighting|scan|photo|footage|camera)_ids?")


def resources_in(*messages: Message | None) -> list[str]:
    """Return what messages name, as `KIND/ID`, in order and once each; of people without places."""
    found: set[tuple[str, str]] = set()
    for message in messages:
        if message is not None:
            found.update(_named(message))
    if any(kind in PEOPLE for kind, _ in found):
        found = {(kind, name) for kind, name in found if kind not in PLACES}
    return sorted(f"{kind}/{name}" for kind, name in found)


def named_first(resources: Sequence[str]) -> tuple[str, ...]:
    """Return as many of some resources as an event names, in order: people before what they are in.

    Who asks who has looked at somebody finds the events by the subject.
    """
    if len(resources) <= MOST_RESOURCES:
        return tuple(resources)
    ranked = sorted(resources, key=lambda one: (_RANK.get(one.partition("/")[0], len(_RANK)), one))
    return tuple(sorted(ranked[:MOST_RESOURCES]))


def is_resource(text: str) -> bool:
    """Tell whether text is a kind and an id of the form that its ids have."""
    kind, _, name = text.partition("/")
    return kind in KINDS and KINDS[kind].fullmatch(name) is not None


def kind_of(field: str) -> str | None:
    """Return of what a field with this name holds the id, or None."""
    match = _FIELD.fullmatch(field)
    return match[1] if match else None


def _named(message: Message) -> Iterator[tuple[str, str]]:
    for field in _leading(message.DESCRIPTOR):
        kind = kind_of(field.name)
        value = getattr(message, field.name)
        values: Iterable[object] = value if field.is_repeated else [value]
        if field.message_type is None:
            assert kind is not None, "of the others none is returned"
            for one in values:
                if KINDS[kind].fullmatch(str(one)):
                    yield kind, str(one)
        elif field.is_repeated or message.HasField(field.name):
            for one in values:
                assert isinstance(one, Message), "as its descriptor says"
                yield from _named(one)


@cache
def _leading(message: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields that hold ids, or messages in which there may be some."""
    return tuple(
        field
        for field in message.fields
        if (field.message_type is None and kind_of(field.name) and _is_text(field))
        or (field.message_type is not None and _may_name(field.message_type, frozenset()))
    )


def _may_name(message: Descriptor, above: frozenset[str]) -> bool:
    if message.full_name in above or message.GetOptions().map_entry:
        return False
    return any(
        (kind_of(field.name) and _is_text(field))
        if field.message_type is None
        else _may_name(field.message_type, above | {message.full_name})
        for field in message.fields
    )


def _is_text(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING
