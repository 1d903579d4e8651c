from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from index_values import ANNA, BEN, MODEL, NOON, Open, identity, reference, sighting, vector
from qdrant_client import QdrantClient

from homeward.matching.adapters.points import Point
from homeward.matching.adapters.qdrant import PHOTO, QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.gallery.model import PhotoKey, Template
from homeward.matching.gallery.ports import GalleryContents
from homeward.matching.sightings.model import SightingState
from homeward.matching.sightings.ports import SightingFilter
from homeward.servicekit.errors import UnavailableError


async def test_a_write_that_breaks_off_hides_no_point_of_the_local_mode(
    open_collection: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1), photo=1))
        client = points.access.engine.client
        upsert = client.upsert

        def then_breaks_off(*args: Any, **kwargs: Any) -> None:
            upsert(*args, **kwargs)
            raise OSError("no space left on device")

        with monkeypatch.context() as full:
            full.setattr(client, "upsert", then_breaks_off)
            with pytest.raises(OSError, match="no space"):
                await points.upsert(
                    *[
                        Point(
                            identity(2),
                            PHOTO,
                            Template(vector(2), MODEL),
                            PhotoKey(BEN, identity(2)),
                        )
                    ]
                )

        assert (await index.remove_subject(BEN)).count == 1
        assert await index.contents() == GalleryContents(
            frozenset({PhotoKey(ANNA, identity(1))}), frozenset({PhotoKey(ANNA, identity(1))})
        )


async def test_the_local_mode_goes_through_its_points_once_and_not_for_every_list(
    open_collection: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_collection("sightings") as points:
        await QdrantSightingIndex(points).put(sighting(1), None)
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        assert await index.count() == 1
        for slow in ("scroll", "count"):
            monkeypatch.delattr(QdrantClient, slow)
        await index.put(sighting(2), None)
        unsure = SightingFilter(states=[SightingState.INCONCLUSIVE], unexpired_at=NOON)

        await index.update(replace(sighting(1), state=SightingState.INCONCLUSIVE))

        found = await index.page(unsure, size=1, after=None)
        assert [one.sighting_id for one in found] == [identity(1)]
        assert len(await index.find(SightingFilter())) == await index.count() == 2
        await index.remove([identity(1)])
        assert await index.find(unsure) == []


async def test_a_look_that_breaks_off_hides_no_point_of_the_local_mode(
    open_collection: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_collection("subjects") as points:
        await QdrantSubjectIndex(points).put(reference(vector(1), photo=1))
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        client = points.access.engine.client

        def breaks_off(*_: Any, **__: Any) -> None:
            raise MemoryError

        with monkeypatch.context() as short:
            short.setattr(client, "scroll", breaks_off)
            with pytest.raises(MemoryError):
                await index.remove_subject(ANNA)

        assert (await index.remove_subject(ANNA)).count == 1


@pytest.mark.parametrize(
    ("problem", "told"),
    [("database or disk is full", "no room left"), ("disk I/O error", "disk I/O error")],
)
async def test_files_of_the_local_mode_that_fail_are_an_engine_that_does(
    open_collection: Open, monkeypatch: pytest.MonkeyPatch, problem: str, told: str
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1), photo=1))

        def fails(*_: Any, **__: Any) -> None:
            raise sqlite3.OperationalError(problem)

        monkeypatch.setattr(points.access.engine.client, "delete", fails)
        with pytest.raises(UnavailableError, match=told):
            await index.remove_subject(ANNA)
