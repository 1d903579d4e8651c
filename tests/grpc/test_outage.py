"""Erasures that meet a Qdrant that does not answer, with galleries in its local mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.api.matching.v1 import subject_pb2
from homeward.servicekit.errors import UnavailableError, unavailable

from .test_reenrol import (  # noqa: F401 - fixtures
    OLD,
    Matching,
    World,
    finding,
    matching,
    world,
    yes,
)

FAILED = subject_pb2.ErasureEntry.OUTCOME_FAILED
REVIEW = datetime(2026, 6, 1, tzinfo=UTC)
GRACE = timedelta(days=7)


@contextmanager
def outage(world: World) -> Iterator[None]:  # noqa: F811
    """Have Qdrant answer nothing meanwhile."""

    async def refuse(*_: Any, **__: Any) -> Any:
        raise unavailable("Qdrant", "http://qdrant:6333", "start it")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.engine, "run", refuse)
        yield


@pytest.fixture
async def anna(matching: Matching) -> str:  # noqa: F811
    """Enrolled with two photographs, and seen once."""
    anna = await matching.enrol("anna", b"anna1", b"anna2")
    await matching.sightings.RecordSightings(finding(anna, OLD, score=0.6))
    return anna


async def overdue(replica: Matching) -> dict[str, int]:
    report = await replica.retention.report()
    return {one.name: one.overdue for one in report.held if one.overdue}


async def held(replica: Matching) -> dict[str, int]:
    report = await replica.retention.report()
    return {one.name: one.count for one in report.held if one.count}


async def test_a_close_in_an_outage_is_finished_afterwards(
    world: World,  # noqa: F811
    matching: Matching,  # noqa: F811
    anna: str,
) -> None:
    with outage(world):
        answer = await matching.close(anna)
    before = await overdue(matching)

    await matching.retention.sweep(yes)

    assert {one.data for one in answer.certificate.entries if one.outcome == FAILED} == {
        "reference templates",
        "sightings",
        "stills",
        "scans",
        "feed of sightings",
        "subjects",
    }
    assert before == {
        "subjects": 1,
        "reference templates": 2,
        "sightings": 1,
        "stills": 1,
        "spans": 1,
    }
    assert await overdue(matching) == await held(matching) == {}
    again = (await matching.close(anna)).certificate
    assert [one.data for one in again.entries if one.outcome == FAILED] == []


async def test_a_review_date_that_lapses_in_an_outage_is_kept_afterwards(
    world: World,  # noqa: F811
    matching: Matching,  # noqa: F811
    anna: str,
    pass_time: Any,
) -> None:
    pass_time(REVIEW + GRACE - world.clock.now())
    with outage(world), pytest.raises(UnavailableError):
        await matching.retention.sweep(yes)
    before = await overdue(matching)

    await matching.retention.sweep(yes)

    assert before["reference templates"] == 2
    assert await overdue(matching) == await held(matching) == {}
    assert (await matching.use.get(anna)).value.details is None


async def test_an_erasure_of_an_earlier_version_that_met_an_outage_is_finished(
    world: World,  # noqa: F811
    matching: Matching,  # noqa: F811
    anna: str,
) -> None:
    """Its record went first, and left nothing that told of the rest but the rest."""
    with outage(world):
        await matching.close(anna)
    await world.records.erase(f"open.{anna}")
    assert (await overdue(matching))["reference templates"] == 2

    await matching.retention.sweep(yes)

    assert await overdue(matching) == await held(matching) == {}
