"""Records as JSON: how dataclasses are written to key-value stores and object stores."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(record: object) -> bytes:
    """Write a record of dataclasses, enums, times and plain values as JSON."""
    return msgspec.json.encode(record)


def decode(data: bytes, kind: type[T]) -> T:
    """Read a record that `encode` wrote.

    Raises:
        msgspec.DecodeError: The bytes are no such record.
    """
    return msgspec.json.decode(data, type=kind)


def to_plain(record: object) -> dict[str, Any]:
    """Return a record as JSON's own types, as payloads take them."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def from_plain(plain: object, kind: type[T]) -> T:
    """Return the record that `to_plain` was given."""
    return msgspec.convert(plain, type=kind)
