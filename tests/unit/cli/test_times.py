from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.cli import times


def test_a_time_with_a_zone_is_read_as_utc() -> None:
    assert times.parse_instant("2026-11-20T11:00:00+01:00") == datetime(
        2026, 11, 20, 10, tzinfo=UTC
    )


def test_a_time_without_a_zone_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOMEWARD_TIMEZONE")
    with pytest.raises(ValueError, match="--timezone Europe/London, or write 2026-11-20T10:00:00Z"):
        times.parse_instant("2026-11-20 10:00")


def test_a_time_without_a_zone_is_of_the_zone_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOMEWARD_TIMEZONE", "Europe/London")
    assert times.parse_instant("2026-07-01 10:00") == datetime(2026, 7, 1, 9, tzinfo=UTC)


def test_a_time_that_clocks_show_twice_is_refused_with_both_in_utc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOMEWARD_TIMEZONE", "Europe/London")
    with pytest.raises(ValueError, match="2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"):
        times.parse_instant("2026-10-25 01:30")


def test_a_day_begins_and_ends_by_the_zone_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEWARD_TIMEZONE", "Europe/London")
    assert times.parse_from("2026-07-01") == datetime(2026, 6, 30, 23, tzinfo=UTC)
    assert times.parse_to("2026-07-01") == datetime(2026, 7, 1, 23, tzinfo=UTC)


def test_a_day_is_no_start_of_a_recording() -> None:
    with pytest.raises(ValueError, match="is a day; give the time too"):
        times.parse_instant("2026-11-20")


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="2026-11-20T10:00:00Z"):
        times.parse_instant("yesterday")


def test_a_day_means_its_end() -> None:
    assert times.parse_day("2026-12-18") == datetime(2026, 12, 18, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tomorrow", "'tomorrow' is not a day; write it like 2026-11-20$"),
        ("2026-13-01", "write it like 2026-11-20$"),
        ("2026-12-18T10:99:00", "is not a time"),
    ],
)
def test_what_is_no_day_is_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        times.parse_day(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("2.5s", timedelta(seconds=2.5)),
        ("-1m30s", timedelta(seconds=-90)),
        ("+2h", timedelta(hours=2)),
        ("0s", timedelta()),
    ],
)
def test_a_span_is_read_with_its_sign_and_units(text: str, span: timedelta) -> None:
    assert times.parse_span(text) == span


@pytest.mark.parametrize("text", ["", "-", "2.5", "s", "1s2m", "2,5s"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 2\.5s"):
        times.parse_span(text)


def test_a_start_is_found_anywhere_in_a_name() -> None:
    start = times.start_from_name("gate_20261120T100000.mp4", "%Y%m%dT%H%M%S", UTC)
    assert start == datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_a_start_in_a_name_is_of_the_zone_given() -> None:
    zone = ZoneInfo("Europe/London")
    start = times.start_from_name("20260701T100000.mp4", "%Y%m%dT%H%M%S", zone)
    assert start == datetime(2026, 7, 1, 9, tzinfo=UTC)


def test_a_zone_in_the_name_counts_more() -> None:
    zone = ZoneInfo("Europe/London")
    start = times.start_from_name("20260701T100000+0200.mp4", "%Y%m%dT%H%M%S%z", zone)
    assert start == datetime(2026, 7, 1, 8, tzinfo=UTC)


def test_a_start_that_the_clock_showed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="clocks of Europe/London change"):
        times.start_from_name("20261025T013000.mp4", "%Y%m%dT%H%M%S", ZoneInfo("Europe/London"))


def test_a_name_without_the_time_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time like %Y%m%d"):
        times.start_from_name("gate.mp4", "%Y%m%d", UTC)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "2026-07-01 09:00:12 UTC"),
        ("Europe/London", "2026-07-01 10:00:12 BST"),
        ("Asia/Kathmandu", "2026-07-01 14:45:12 UTC+0545"),
    ],
)
def test_a_time_is_shown_with_its_zone(
    zone: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWARD_TIMEZONE", zone)
    stamp = times.to_timestamp(datetime(2026, 7, 1, 9, 0, 12, tzinfo=UTC))
    assert times.shown(stamp) == told


def test_an_absent_time_is_told_as_nothing() -> None:
    assert times.shown(Timestamp()) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5s"), (-90.0, "-1m30s"), (3723.0, "1h02m03s"), (0.0, "0.0s"), (59.97, "1m00s")],
)
def test_spans_are_told_in_seconds_or_as_a_clock(seconds: float, text: str) -> None:
    assert times.span(seconds) == text
    assert times.span(times.to_duration(timedelta(seconds=seconds))) == text


def test_a_span_survives_the_wire() -> None:
    assert times.to_duration(timedelta(seconds=-2.5)) == Duration(seconds=-2, nanos=-500_000_000)
