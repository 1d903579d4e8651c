"""When a scan is targeted, and what is asked of one that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homeward.ingestion.scan.authorisation import Justification, ScanRules
from homeward.ingestion.scan.model import ScanScope
from homeward.ingestion.scan.targeting import missing_targets, require_justified
from homeward.servicekit.errors import InvalidArgumentError, Reason

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
TARGETED = ScanScope(subject_ids=("s",), camera_ids=("gate",), start_time=START)
BY_FOOTAGE = ScanScope(subject_ids=("s",), footage_ids=("f",))
RULES = ScanRules(targeted=True)
EVERYTHING = Justification(everything=True, everything_reason="nobody knows where they went")


@pytest.mark.parametrize(
    "scope",
    [
        TARGETED,
        replace(TARGETED, end_time=START + timedelta(hours=4)),
        BY_FOOTAGE,
        replace(BY_FOOTAGE, start_time=START),
    ],
)
def test_who_says_whom_where_and_from_when_on_is_targeted(scope: ScanScope) -> None:
    require_justified(scope, Justification(), RULES)


@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        (replace(TARGETED, subject_ids=()), "subject_ids"),
        (replace(TARGETED, camera_ids=()), "camera_ids|footage_ids"),
        (replace(TARGETED, start_time=None), "interval.start_time|footage_ids"),
        (
            replace(TARGETED, start_time=None, end_time=START),
            "interval.start_time|footage_ids",
        ),
        (replace(BY_FOOTAGE, subject_ids=()), "subject_ids"),
        (ScanScope(), "subject_ids,camera_ids|footage_ids,interval.start_time|footage_ids"),
    ],
)
def test_who_leaves_one_of_them_out_is_refused_with_what_is_missing(
    scope: ScanScope, missing: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        require_justified(scope, Justification(necessity="she is eight"), RULES)

    assert refused.value.reason is Reason.SCAN_NOT_TARGETED
    assert refused.value.metadata == {"missing": missing}
    assert ",".join(missing_targets(scope)) == missing


def test_who_says_why_may_search_everything() -> None:
    require_justified(ScanScope(), EVERYTHING, RULES)


def test_where_it_is_not_asked_for_nobody_has_to_say_why() -> None:
    require_justified(ScanScope(), Justification(), ScanRules())


def test_a_scan_that_must_be_authorised_says_why_it_is_necessary() -> None:
    rules = ScanRules(authorised_within=timedelta(hours=48))

    with pytest.raises(InvalidArgumentError) as refused:
        require_justified(TARGETED, EVERYTHING, rules)
    require_justified(TARGETED, Justification(necessity="she is eight"), rules)

    assert [one.field for one in refused.value.violations] == ["justification.necessity"]
