"""`homeward retention`."""

from __future__ import annotations

import pytest

from cli_services import Homeward
from cli_values import BEGIN, FOOTAGE
from homeward.cli.__main__ import run


def test_overdue_footage_has_an_exit_code_of_its_own(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["retention"]) == 0
    homeward.footage.report.overdue_footage_ids.append(FOOTAGE)
    homeward.footage.report.held.add(name="footage", count=1, overdue_count=1)
    assert run(["retention"]) == 3
    assert FOOTAGE in capsys.readouterr().err


def test_what_is_lost_and_what_came_back_has_the_exit_code_of_a_breach(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.retention.report.lost_sighting_count = 4
    assert run(["retention"]) == 3
    assert "recorded and are lost: 4" in capsys.readouterr().err
    homeward.retention.report.lost_sighting_count = 0
    homeward.retention.report.unknown_collections.append("sightings-0a1b2c3d")

    assert run(["retention"]) == 3

    told = " ".join(capsys.readouterr().err.split())
    assert "collections that no record names: sightings-0a1b2c3d" in told
    assert "an older state of Qdrant was restored" in told


@pytest.mark.parametrize(
    ("shortest", "longest", "told"),
    [
        (28, 28, "removes after 28 days"),
        (3, 28, "removes after 28 days, some after 3"),
        (0, 0, "never removes all of them"),
        (3, 0, "never removes all of them; some after 3 days"),
    ],
)
def test_retention_tells_which_rules_are_set_in_the_store(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], shortest: int, longest: int, told: str
) -> None:
    span = homeward.footage.report.lifecycle
    span.shortest_days, span.longest_days = shortest, longest
    homeward.retention.report.lifecycle.longest_days = 7

    assert run(["retention"]) == 0

    lines = capsys.readouterr().out.splitlines()
    rules = [line for line in lines if line.startswith("rule set in the store for ")]
    assert [line.endswith(told) for line in rules if "footage" in line] == [True]
    assert any("stills" in line and "removes after 7 days" in line for line in rules)
    assert "removes footage" not in "".join(lines)  # whether the store executes it, nobody knows


def test_retention_tells_the_encryption_of_each_bucket(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.encryption.add(bucket="homeward-footage", algorithm="AES256")
    homeward.retention.report.encryption.add(bucket="homeward-subjects")
    homeward.retention.report.encryption.add(bucket="homeward-evidence", algorithm="AES256")

    assert run(["retention"]) == 0

    told = " ".join(capsys.readouterr().out.split())
    assert "AES256: homeward-footage, homeward-evidence" in told
    assert "the store reports none: homeward-subjects" in told


def test_retention_tells_what_the_store_removed_by_itself(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    for by_store in (True, False):
        homeward.footage.report.erasures.add(
            footage_id=FOOTAGE, erase_time=BEGIN, by_store=by_store
        )

    assert run(["retention"]) == 0

    assert "2 (of which by the store itself: 1); being removed now: 0" in capsys.readouterr().out


def test_retention_counts_removals_that_are_too_many_to_be_listed(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.erasures.add(footage_id=FOOTAGE, erase_time=BEGIN)
    homeward.footage.report.erasures.add(footage_id=FOOTAGE, begin_time=BEGIN)
    homeward.footage.report.erased_count = 12_000
    homeward.footage.report.erased_by_store_count = 3

    assert run(["retention"]) == 0

    assert (
        "12000 (of which by the store itself: 3); being removed now: 1" in capsys.readouterr().out
    )


def test_retention_tells_since_when_recordings_are_counted(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.count_time.CopyFrom(BEGIN)
    homeward.footage.report.uncounted_days = 7

    assert run(["retention"]) == 0

    told = " ".join(capsys.readouterr().out.split())
    assert "or later; of 7 days of cameras more has come or gone since" in told


def test_sightings_past_their_deadline_are_a_breach_too(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.retention.report.held.add(name="sightings", count=5, overdue_count=2)
    assert run(["retention"]) == 3
    assert "2 of sightings past the deadline" in capsys.readouterr().err


def test_a_store_that_would_keep_is_told_with_its_remedy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.store_problems.append("bucket b: versioning is on; suspend it")
    assert run(["retention"]) == 3
    assert "versioning is on; suspend it" in capsys.readouterr().err
