from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1 import policy_pb2, types_pb2
from homeward.api.matching.v1 import sighting_pb2
from homeward.common import convert as common_convert
from homeward.core.policy import MOST_AGE_GROUPS, AgeFigures, Ages, Basis, PolicyFigures, Rate
from homeward.servicekit import wire
from homeward.servicekit.errors import InvalidArgumentError, Reason

NOON = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOO_FAR = Timestamp(seconds=2**62)


def at_fault(refused: pytest.ExceptionInfo[InvalidArgumentError]) -> list[str]:
    assert refused.value.reason is Reason.FIELD_INVALID
    return [violation.field for violation in refused.value.violations]


def with_interval(**ends: Timestamp) -> sighting_pb2.Sighting:
    return sighting_pb2.Sighting(interval=types_pb2.TimeInterval(**ends))


def test_an_instant_is_the_same_on_the_other_side() -> None:
    assert wire.from_timestamp(wire.to_timestamp(NOON), "at") == NOON


def test_an_instant_is_in_utc_on_the_other_side() -> None:
    assert wire.from_timestamp(wire.to_timestamp(NOON), "at").tzinfo is UTC


def test_an_instant_of_no_year_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_timestamp(TOO_FAR, "review_time")

    assert at_fault(refused) == ["review_time"]


@pytest.mark.parametrize("span", [timedelta(0), HOUR, -HOUR, timedelta(microseconds=1)])
def test_a_span_is_the_same_on_the_other_side(span: timedelta) -> None:
    assert wire.from_duration(wire.to_duration(span), "span") == span


def test_a_span_of_too_many_years_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_duration(Duration(seconds=2**62), "start_offset")

    assert at_fault(refused) == ["start_offset"]


@pytest.mark.parametrize(
    ("start", "end"), [(NOON, NOON + HOUR), (None, NOON), (NOON, None), (None, None)]
)
def test_an_interval_is_the_same_on_the_other_side(
    start: datetime | None, end: datetime | None
) -> None:
    message = sighting_pb2.Sighting(interval=wire.to_interval(start, end))

    assert wire.from_interval(message, "interval") == (start, end)


def test_an_absent_interval_has_no_bounds() -> None:
    assert wire.from_interval(sighting_pb2.Sighting(), "interval") == (None, None)


@pytest.mark.parametrize("end", [NOON, NOON - HOUR])
def test_an_interval_ends_later_than_it_starts(end: datetime) -> None:
    message = sighting_pb2.Sighting(interval=wire.to_interval(NOON, end))

    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_interval(message, "interval")

    assert at_fault(refused) == ["interval.end_time"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (with_interval(end_time=wire.to_timestamp(NOON)), "interval.start_time"),
        (with_interval(start_time=wire.to_timestamp(NOON)), "interval.end_time"),
        (sighting_pb2.Sighting(), "interval.start_time"),
    ],
)
def test_a_required_interval_has_both_ends(message: Any, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_interval(message, "interval", required=True)

    assert at_fault(refused) == [field]


def test_an_interval_of_no_year_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_interval(with_interval(start_time=TOO_FAR), "interval")

    assert at_fault(refused) == ["interval.start_time"]


def test_an_interval_further_in_is_named_by_its_path() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.from_interval(
            sighting_pb2.Sighting(), "interval", required=True, within="findings[2].sighting."
        )

    assert at_fault(refused) == ["findings[2].sighting.interval.start_time"]


def test_a_required_message_is_named_when_it_is_absent() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.require(sighting_pb2.Sighting(), "delete_time", "sighting.delete_time")

    assert at_fault(refused) == ["sighting.delete_time"]


@pytest.mark.parametrize(
    ("value", "taken"), [("a", "a"), (" a b ", "a b"), ("x" * 10, "x" * 10), ("\tx\n", "x")]
)
def test_a_text_comes_without_spaces_around_it(value: str, taken: str) -> None:
    assert wire.text(value, "label", least=1, most=10) == taken


def test_a_text_may_be_empty_unless_it_is_required() -> None:
    assert wire.text("  ", "label", most=10) == ""


@pytest.mark.parametrize("value", ["", "   ", "x" * 11])
def test_a_text_that_is_too_short_or_too_long_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.text(value, "label", least=1, most=10)

    assert at_fault(refused) == ["label"]


@pytest.mark.parametrize(
    "value",
    ["0B0D7F3A-54A7-5D3E-8B1E-5E1D7D9A4C02", "0b0d7f3a54a75d3e8b1e5e1d7d9a4c02"],
)
def test_an_id_comes_in_its_usual_writing(value: str) -> None:
    assert wire.uuid_text(value, "subject_id") == "0b0d7f3a-54a7-5d3e-8b1e-5e1d7d9a4c02"


@pytest.mark.parametrize("value", ["", "7", "../etc", "*", ">"])
def test_what_is_no_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.uuid_text(value, "subject_id")

    assert at_fault(refused) == ["subject_id"]


@pytest.mark.parametrize(
    "value", ["", "0", "0b0d7f3a", "0b0d7f3a-54a7-", "0b0d7f3a-54a7-5d3e-8b1e-5e1d7d9a4c02"]
)
def test_the_beginning_of_an_id_is_taken_as_it_is(value: str) -> None:
    assert wire.uuid_prefix(value, "id_prefix") == value


@pytest.mark.parametrize(
    "value", ["*", "0B", "0b0d7f3a5", "-", "0b0d7f3a-54a7-5d3e-8b1e-5e1d7d9a4c02a", "0b/"]
)
def test_what_no_id_begins_with_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.uuid_prefix(value, "id_prefix")

    assert at_fault(refused) == ["id_prefix"]


@pytest.mark.parametrize("value", ["", "a", "A-Z_09", "x" * 64])
def test_a_request_id_is_taken_as_it_is(value: str) -> None:
    assert wire.request_id(value, "request_id") == value


@pytest.mark.parametrize("value", ["a b", "x" * 65, "a.b", "a\n", "\N{SNOWMAN}"])
def test_a_request_id_of_other_characters_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.request_id(value, "request_id")

    assert at_fault(refused) == ["request_id"]


def test_a_required_request_id_is_not_empty() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.request_id("", "request_id", required=True)

    assert at_fault(refused) == ["request_id"]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_number_in_its_range_is_taken(value: float) -> None:
    assert wire.number_between(value, "score", least=0, most=1) == value


@pytest.mark.parametrize("value", [-0.001, 1.001, float("nan"), float("inf")])
def test_a_number_out_of_its_range_is_refused(value: float) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.number_between(value, "score", least=0, most=1)

    assert at_fault(refused) == ["score"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_count_in_its_range_is_taken(count: int) -> None:
    assert wire.count_between(count, "probes", least=1, most=3) == count


@pytest.mark.parametrize("count", [0, 4])
def test_a_count_out_of_its_range_is_refused(count: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.count_between(count, "probes", least=1, most=3)

    assert at_fault(refused) == ["probes"]


def test_a_mask_names_what_to_change() -> None:
    mask = FieldMask(paths=["label", "age_group"])

    assert wire.mask_paths(mask, "update_mask", {"label", "age_group"}) == ("label", "age_group")


@pytest.mark.parametrize("paths", [[], ["subject_id"], ["label", "*"]])
def test_a_mask_of_nothing_or_of_what_may_not_change_is_refused(paths: list[str]) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        wire.mask_paths(FieldMask(paths=paths), "update_mask", {"label"})

    assert at_fault(refused) == ["update_mask"]


RATE = Rate(0.25, 0.125, 0.5, trials=8)


def figures(*ages: AgeFigures) -> PolicyFigures:
    return PolicyFigures(
        approved=True,
        gallery_size=1,
        expected_fpir=RATE,
        fnir=RATE,
        measured_gallery_size=9,
        ages=ages,
    )


def of_age(youngest: int, oldest: int | None) -> AgeFigures:
    return AgeFigures(Ages(youngest, oldest), RATE, 20, Basis.FOOTAGE)


def test_figures_are_the_same_on_the_other_side() -> None:
    told = figures(of_age(0, 0), of_age(6, 12), of_age(18, None))

    assert common_convert.figures_from(common_convert.to_figures(told), "figures") == told


def test_figures_of_more_groups_of_age_than_a_policy_has_are_refused() -> None:
    most = [of_age(age, age) for age in range(MOST_AGE_GROUPS)]
    common_convert.figures_from(common_convert.to_figures(figures(*most)), "figures")

    with pytest.raises(InvalidArgumentError) as refused:
        common_convert.figures_from(
            common_convert.to_figures(figures(*most, of_age(99, 99))), "figures"
        )

    assert at_fault(refused) == ["figures.age_figures"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ages": policy_pb2.AgeRange(youngest_years=9, oldest_years=8)}, "ages"),
        ({"ages": policy_pb2.AgeRange(youngest_years=-1)}, "ages"),
        ({"basis": policy_pb2.MEASUREMENT_BASIS_UNSPECIFIED}, "basis"),
        ({"fnir": policy_pb2.ErrorRate(value=2)}, "fnir"),
        ({"identity_count": -1}, "identity_count"),
    ],
)
def test_figures_of_no_age_are_refused_with_their_place(change: Any, field: str) -> None:
    values = {
        "ages": policy_pb2.AgeRange(youngest_years=6, oldest_years=12),
        "basis": policy_pb2.MEASUREMENT_BASIS_FOOTAGE,
        "fnir": common_convert.to_rate(RATE),
        "identity_count": 20,
    }
    message = common_convert.to_figures(figures())
    message.age_figures.append(policy_pb2.AgeFigures(**values | change))

    with pytest.raises(InvalidArgumentError) as refused:
        common_convert.figures_from(message, "figures")

    assert at_fault(refused) == [f"figures.age_figures[0].{field}"]
