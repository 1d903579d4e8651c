from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec
import pytest

from homeward.servicekit import records


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    at: datetime
    span: timedelta


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    colour: Colour
    inner: tuple[Inner, ...]
    score: float
    missing: str | None = None
    added_later: tuple[str, ...] = field(default_factory=tuple)


RECORD = Outer(
    name="\N{SNOWMAN} a",
    colour=Colour.RED,
    inner=(
        Inner(datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC), timedelta(microseconds=1)),
        Inner(datetime(2026, 3, 4, 12, tzinfo=UTC), timedelta(days=400, microseconds=-1)),
    ),
    score=0.1 + 0.2,
)


def test_a_record_reads_as_it_was_written() -> None:
    assert records.decode(records.encode(RECORD), Outer) == RECORD


def test_a_record_is_the_same_out_of_plain_values() -> None:
    assert records.from_plain(records.to_plain(RECORD), Outer) == RECORD


def test_a_record_is_json() -> None:
    assert records.encode(RECORD).startswith(b'{"name":"')


def test_a_record_of_an_older_version_gets_the_defaults_of_new_fields() -> None:
    old = b'{"name":"a","colour":"red","inner":[],"score":1.0}'

    assert records.decode(old, Outer) == Outer("a", Colour.RED, (), 1.0)


def test_a_record_of_a_newer_version_is_read_without_its_new_fields() -> None:
    new = b'{"name":"a","colour":"red","inner":[],"score":1.0,"newer":true}'

    assert records.decode(new, Outer) == Outer("a", Colour.RED, (), 1.0)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"name":1}', b"\xff"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        records.decode(data, Outer)
