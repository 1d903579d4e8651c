"""Whom a search has looked for."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli_values import ANNA
from homeward.api.ingestion.v1 import scan_pb2
from homeward.api.matching.v1 import subject_pb2
from homeward.cli.looked_for import left_out, was_for


def photo(second: int, *, unusable: bool = False) -> subject_pb2.ReferencePhoto:
    return subject_pb2.ReferencePhoto(create_time=Timestamp(seconds=second), unusable=unusable)


def anna(*photos: subject_pb2.ReferencePhoto, enrolled: int = 10) -> subject_pb2.Subject:
    return subject_pb2.Subject(
        subject_id=ANNA,
        label="Anna",
        state=subject_pb2.Subject.STATE_OPEN,
        create_time=Timestamp(seconds=enrolled),
        reference_photos=photos,
    )


def scan(*subject_ids: str, begun: int = 20, ended: int = 30) -> scan_pb2.Scan:
    return scan_pb2.Scan(
        scope=scan_pb2.ScanScope(subject_ids=subject_ids),
        create_time=Timestamp(seconds=begun),
        end_time=Timestamp(seconds=ended) if ended else None,
    )


@pytest.mark.parametrize(
    ("one", "subject", "expected"),
    [
        (scan(ANNA), anna(), True),
        (scan("somebody else"), anna(photo(10)), False),
        (scan(), anna(photo(15)), True),
        (scan(), anna(), False),
        (scan(), anna(photo(25)), False),
        (scan(), anna(photo(10, unusable=True), photo(25)), False),
    ],
)
def test_a_scan_for_everybody_is_for_those_who_could_be_compared_when_it_began(
    one: scan_pb2.Scan, subject: subject_pb2.Subject, *, expected: bool
) -> None:
    assert was_for(one, subject) is expected


@pytest.mark.parametrize(
    ("one", "subject", "expected"),
    [
        (scan(), anna(), 1),
        (scan(), anna(photo(25)), 1),
        (scan(ended=0), anna(), 1),
        (scan(), anna(photo(15)), 0),
        (scan(), anna(enrolled=40), 0),
        (scan("somebody else"), anna(), 0),
    ],
)
def test_whoever_is_enrolled_and_not_looked_for_is_named(
    one: scan_pb2.Scan, subject: subject_pb2.Subject, expected: int
) -> None:
    lines = left_out(one, [subject])

    assert len(lines) == expected
    assert all("Anna" in line for line in lines)


def test_nobody_whose_subject_is_closed_is_named() -> None:
    closed = subject_pb2.Subject(subject_id=ANNA, state=subject_pb2.Subject.STATE_CLOSED)

    assert left_out(scan(), [closed]) == []
