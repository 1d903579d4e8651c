from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from homeward.cli.sizing import (
    CORE_SECONDS_BUSY,
    CORE_SECONDS_QUIET,
    CORES_PER_SCANNER,
    HEADROOM,
    RESCAN_SHARE,
    Workload,
    plan,
)

ONE_DAY = Workload(
    cameras=10,
    hours_a_day=24,
    days=1,
    busy=0.1,
    deadline=timedelta(hours=1),
    megabits=4,
    subjects=100,
    photos=3,
    sightings=700,
    searched_before=False,
)


def test_work_grows_with_the_time_in_which_somebody_is_in_view() -> None:
    quiet, busy = plan(replace(ONE_DAY, busy=0)), plan(replace(ONE_DAY, busy=1))

    seconds = 10 * 24 * 3600
    assert quiet.core_seconds == pytest.approx(seconds * CORE_SECONDS_QUIET)
    assert busy.core_seconds == pytest.approx(seconds * CORE_SECONDS_BUSY)


def test_half_the_time_takes_twice_the_cores() -> None:
    hour = plan(ONE_DAY)
    half = plan(replace(ONE_DAY, deadline=timedelta(minutes=30)))

    assert hour.cores == pytest.approx(HEADROOM * hour.core_seconds / 3600, abs=1)
    assert half.cores == pytest.approx(2 * hour.cores, abs=1)
    assert half.scanners == -(-half.cores // CORES_PER_SCANNER)


def test_footage_that_was_searched_before_takes_less() -> None:
    first, again = plan(ONE_DAY), plan(replace(ONE_DAY, searched_before=True))

    assert again.core_seconds == pytest.approx(RESCAN_SHARE * first.core_seconds)


def test_storage_is_that_of_a_month_whatever_a_search_goes_back() -> None:
    assert plan(ONE_DAY).storage_bytes == plan(replace(ONE_DAY, days=31)).storage_bytes
    assert plan(ONE_DAY).storage_bytes == 10 * 31 * 86400 * 4e6 / 8


EACH = 128 * 4 * 1.5 + 1024
"""Bytes of a template and its payload."""


def test_qdrant_holds_photographs_the_mean_of_each_subject_and_sightings() -> None:
    empty = replace(ONE_DAY, subjects=0, sightings=0)
    held = plan(replace(ONE_DAY, sightings=0)).qdrant_bytes - plan(empty).qdrant_bytes

    assert held == 2 * 100 * (3 + 1) * EACH  # twice, while they are copied


def test_qdrant_holds_the_larger_collection_twice_while_it_is_rebuilt() -> None:
    few, more, many = (
        plan(replace(ONE_DAY, sightings=sightings)).qdrant_bytes for sightings in (300, 400, 1400)
    )

    assert more - few == 100 * EACH  # as many as of references: those are copied
    assert many - more == 1000 * 2 * EACH


def test_the_smallest_workload_takes_one_core() -> None:
    least = replace(ONE_DAY, cameras=1, hours_a_day=0.01, busy=0, deadline=timedelta(days=1))

    assert (plan(least).cores, plan(least).scanners) == (1, 1)
