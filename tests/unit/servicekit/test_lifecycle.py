from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from homeward.servicekit.lifecycle import (
    BACKSTOP,
    UNTIL,
    Lifecycle,
    LifecycleSpan,
    removal_day,
)

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
WEEK = "<Expiration><Days>7</Days></Expiration>"
ALL = "<Filter><Prefix></Prefix></Filter>"
TAG = "<Tag><Key>a</Key><Value>b</Value></Tag>"
SIZE = "<ObjectSizeLessThan>5</ObjectSizeLessThan>"


def lifecycle(*rules: str, namespace: str = "http://s3.amazonaws.com/doc/2006-03-01/") -> Lifecycle:
    space = f' xmlns="{namespace}"' if namespace else ""  # MinIO leaves it out
    text = f"<LifecycleConfiguration{space}>{''.join(rules)}</LifecycleConfiguration>"
    return Lifecycle(text.encode())


def rule(
    condition: str = ALL, action: str = WEEK, name: str = "theirs", status: str = "Enabled"
) -> str:
    return f"<Rule><ID>{name}</ID>{condition}<Status>{status}</Status>{action}</Rule>"


@pytest.mark.parametrize("namespace", ["", "http://s3.amazonaws.com/doc/2006-03-01/"])
@pytest.mark.parametrize(
    ("condition", "longest"),
    [
        (ALL, 7),
        ("", 7),
        ("<Filter></Filter>", 7),
        ("<Prefix>footage/</Prefix>", 7),
        ("<Filter><Prefix>footage/</Prefix></Filter>", 7),
        ("<Filter><And><Prefix>foot</Prefix></And></Filter>", 7),
        ("<Filter><Prefix>footage/cam-1/</Prefix></Filter>", 0),
        (f"<Filter>{TAG}</Filter>", 0),
        (f"<Filter>{SIZE}</Filter>", 0),
        (f"<Filter><And><Prefix>footage/</Prefix>{TAG}</And></Filter>", 0),
        (f"<Filter><And><Prefix>footage/</Prefix>{SIZE}</And></Filter>", 0),
        (f"<Filter><Prefix>footage/</Prefix>{TAG}</Filter>", 0),  # as Ceph tells it
    ],
)
def test_a_rule_is_for_all_objects_under_its_prefix_unless_it_names_a_tag_or_a_size(
    condition: str, longest: int, namespace: str
) -> None:
    span = lifecycle(rule(condition), namespace=namespace).span("footage/")

    assert span == LifecycleSpan("footage/", 7, longest)


def test_a_rule_for_other_objects_counts_for_nothing() -> None:
    tmp = rule("<Filter><Prefix>tmp/</Prefix></Filter>", "<Expiration><Days>3</Days></Expiration>")

    assert lifecycle(tmp, rule()).span("footage/") == LifecycleSpan("footage/", 7, 7)
    assert lifecycle(tmp).span("footage/") == LifecycleSpan("footage/", 0, 0)


def test_a_rule_that_is_switched_off_counts_for_nothing_whatever_it_says() -> None:
    off = lifecycle(rule(status="Disabled", action="<Nonsense/>"))

    assert off.span("footage/") == LifecycleSpan("footage/", 0, 0)
    assert len(list(off.problems("", 28))) == 1  # that no rule removes anything


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (rule(action="<Expiration><Days>soon</Days></Expiration>"), "its Days are 'soon'"),
        (rule(action="<Expiration><Date>2026</Date></Expiration>"), "its Date '2026' is no"),
        (rule(action="<Expiration><When>3</When></Expiration>"), "does not know when When removes"),
        (rule(action=f"{WEEK}<Archive/>"), "does not know what Archive means"),
        (rule("<Filter><Owner>x</Owner></Filter>"), "does not know what its filter Owner means"),
        (rule(status="Paused"), "its Status is 'Paused'"),
    ],
)
def test_a_rule_that_cannot_be_read_is_told_with_its_name_and_hides_no_other(
    text: str, why: str
) -> None:
    found = lifecycle(text, rule(name="other"))

    (told,) = found.problems("footage/", 28)

    assert told.startswith("lifecycle rule theirs cannot be read: ")
    assert why in told
    assert found.span("footage/").longest_days == 7


def test_a_rule_without_a_name_is_told_by_its_number() -> None:
    nameless = f"<Rule><Status>Paused</Status>{ALL}{WEEK}</Rule>"

    (told,) = lifecycle(rule(), nameless).problems("footage/", 28)

    assert told.startswith("lifecycle rule number 2 cannot be read")


def test_what_is_no_xml_is_told() -> None:
    told = list(Lifecycle(b"<html>").problems("footage/", 28))

    assert "cannot be read: no XML" in told[0]


def test_a_rule_that_moves_objects_is_told_where_it_touches_ours() -> None:
    moves = "<Transition><Days>3</Days><StorageClass>COLD</StorageClass></Transition>"
    (told,) = lifecycle(rule(action=moves), rule(name="r")).problems("footage/", 28)
    elsewhere = rule("<Filter><Prefix>tmp/</Prefix></Filter>", moves)

    assert "lifecycle rule theirs moves objects to COLD" in told
    assert list(lifecycle(elsewhere, rule(name="r")).problems("footage/", 28)) == []


def test_a_rule_for_a_day_is_told_for_it_removes_everything_from_then_on() -> None:
    on = "<Expiration><Date>2026-03-09T00:00:00Z</Date></Expiration>"

    (told,) = lifecycle(rule(action=on), rule(name="r")).problems("footage/", 28)

    assert "lifecycle rule theirs removes everything on 2026-03-09" in told


@pytest.mark.parametrize("days", [27, 28, 29])
def test_a_rule_in_time_is_no_problem(days: int) -> None:
    found = lifecycle(rule(action=f"<Expiration><Days>{days}</Days></Expiration>"))

    assert len(list(found.problems("footage/", 28))) == (days > 28)


def test_ours_are_set_once_and_are_as_they_were_set() -> None:
    body = Lifecycle(None).with_ours("pending/", 28, NOW, dated=True)
    found = Lifecycle(body)

    assert found.with_ours("pending/", 28, NOW, dated=True) is None
    assert list(found.problems("pending/", 28)) == []
    assert found.missing_days(NOW) == []
    assert found.span("pending/") == LifecycleSpan("pending/", 28, 28)
    assert found.span("confirmed/") == LifecycleSpan("confirmed/", 0, 0)


def test_theirs_stay_as_they_are_also_those_that_cannot_be_read() -> None:
    theirs = rule(f"<Filter>{SIZE}</Filter>", "<Expiration><Days>soon</Days></Expiration>", "odd")
    old = rule(action="<Expiration><Days>29</Days></Expiration>", name=BACKSTOP)

    body = lifecycle(theirs, old).with_ours("", 28, NOW, dated=True)

    assert body is not None
    text = body.decode()
    assert "<Days>soon</Days>" in text
    assert "<ObjectSizeLessThan>5</ObjectSizeLessThan>" in text
    assert "<Days>29</Days>" not in text
    assert {one.name for one in Lifecycle(body).rules if one.problem} == {"odd"}


def test_rules_for_days_go_on_with_the_days_and_old_ones_go() -> None:
    before = Lifecycle(Lifecycle(None).with_ours("", 28, NOW, dated=True))
    later = NOW + timedelta(days=3)

    after = Lifecycle(before.with_ours("", 28, later, dated=True))

    assert before.missing_days(NOW + timedelta(days=2)) == []
    assert before.missing_days(later) == [date(2026, 4, 5)]
    assert after.missing_days(later) == []
    assert (
        len(after.rules) == len(before.rules) == 35
    )  # 2 behind, today, 31 ahead, and the backstop


def test_a_rule_for_a_day_that_somebody_edited_is_missing() -> None:
    name = f"{UNTIL}-2026-03-05"
    other_day = "<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration>"
    tag = f"<Filter><Tag><Key>{UNTIL}</Key><Value>2026-03-05</Value></Tag></Filter>"
    body = Lifecycle(None).with_ours("", 28, NOW, dated=True) or b""
    before, _, after = body.decode().partition(f"<Rule><ID>{name}</ID>")
    edited = before + rule(tag, other_day, name) + after.partition("</Rule>")[2]

    found = Lifecycle(edited.encode())

    assert date(2026, 3, 5) in found.missing_days(NOW)
    assert found.with_ours("", 28, NOW, dated=True) is not None


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 3, 4, tzinfo=UTC), date(2026, 3, 4)),
        (datetime(2026, 3, 4, 0, 0, 0, 1, tzinfo=UTC), date(2026, 3, 5)),
        (datetime(2026, 3, 4, 23, 59, 59, 999_999, tzinfo=UTC), date(2026, 3, 5)),
    ],
)
def test_an_object_goes_on_the_first_day_that_begins_no_earlier(
    instant: datetime, day: date
) -> None:
    assert removal_day(instant) == day
