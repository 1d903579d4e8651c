from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from homeward.common.retaining import measure_retention
from homeward.core.inventory import HeldData
from homeward.servicekit import metrics

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Report:
    made: datetime
    held: tuple[HeldData, ...]
    deviations: tuple[str, ...] = ()


def read(port: int | None) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


async def test_what_is_held_and_overdue_can_be_scraped() -> None:
    async def report() -> Report:
        footage = HeldData("footage", count=3, oldest=NOW - timedelta(days=2), overdue=1)
        return Report(NOW, (footage, HeldData("subjects", count=7)), ("versioning is on",))

    with metrics.served("127.0.0.1:0") as port:
        await measure_retention(report)
        found = read(port)

    assert found['homeward_held{data="footage"}'] == 3
    assert found['homeward_held{data="subjects"}'] == 7
    assert found['homeward_overdue{data="footage"}'] == 1
    assert found["homeward_footage_oldest_age_seconds"] == 2 * 86400
    assert found["homeward_store_problems"] == 1


async def test_no_footage_has_no_age() -> None:
    async def report() -> Report:
        return Report(NOW, (HeldData("footage", count=0),))

    with metrics.served("127.0.0.1:0") as port:
        await measure_retention(report)

        assert read(port)["homeward_footage_oldest_age_seconds"] == 0


def test_nothing_is_served_without_an_address() -> None:
    with metrics.served(None) as port:
        assert port is None


def test_the_address_is_free_again_afterwards() -> None:
    with metrics.served("127.0.0.1:0") as first:
        pass
    with metrics.served(f"127.0.0.1:{first}") as second:
        assert second == first


def test_an_address_in_use_is_an_error() -> None:
    with (
        metrics.served("127.0.0.1:0") as port,
        pytest.raises(OSError, match="in use"),
        metrics.served(f"127.0.0.1:{port}"),
    ):
        pass
