from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from index_values import (
    ANNA,
    BEN,
    Open,
    cosine_of_mean,
    filled,
    identity,
    reference,
    replica_of,
    search,
    vector,
    yes,
)

from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import QdrantSubjectIndex
from homeward.matching.gallery.ports import SubjectIndex


async def test_photographs_that_replicas_add_at_once_are_all_in_the_mean(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        other = QdrantSubjectIndex(replica_of(points))

        await asyncio.gather(
            *(
                replica.put(reference(vector(number), photo=number))
                for number, replica in enumerate([index, other] * 4)
            )
        )

        ((found,),) = await search(index, vector(9))
    expected = cosine_of_mean(vector(9), *(vector(number) for number in range(8)))
    assert found.score == pytest.approx(expected, abs=1e-5)


def before_the_mean_is_written(
    points: KeyedCollection, happens: Callable[[], Awaitable[Any]]
) -> None:
    """Have something happen once between the look at the photographs and the write."""
    engine = points.access.engine
    upsert = engine.upsert

    async def late(collection: str, written: Any) -> None:
        if "subject" in written[0].vector:
            engine.upsert = upsert  # type: ignore[method-assign]
            await happens()
        await upsert(collection, written)

    engine.upsert = late  # type: ignore[method-assign]


async def test_a_photograph_that_comes_while_the_mean_is_written_is_in_it(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        other = QdrantSubjectIndex(replica_of(points))
        before_the_mean_is_written(points, lambda: other.put(reference(vector(2), photo=2)))
        await index.put(reference(vector(1), photo=1))

        ((found,),) = await search(index, vector(9))
    expected = cosine_of_mean(vector(9), vector(1), vector(2))
    assert found.score == pytest.approx(expected, abs=1e-5)


async def test_nothing_is_left_of_a_subject_that_is_removed_while_a_photograph_is_added(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        other = QdrantSubjectIndex(replica_of(points))
        await index.put(reference(vector(1), photo=1))
        before_the_mean_is_written(points, lambda: other.remove_subject(ANNA))
        await index.put(reference(vector(2), photo=2))

        assert await search(index, vector(1)) == [[]]
        assert await points.count() == 0
        assert await index.holds_erased()


async def test_a_photograph_that_comes_while_the_mean_is_removed_has_one(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        other = QdrantSubjectIndex(replica_of(points))
        await index.put(reference(vector(1), photo=1))
        delete = points.access.engine.delete

        async def late(collection: str, which: Any) -> None:
            if which == [ANNA]:
                points.access.engine.delete = delete  # type: ignore[method-assign]
                await other.put(reference(vector(2), photo=2))
            await delete(collection, which)

        points.access.engine.delete = late  # type: ignore[method-assign]
        await index.remove_photo(ANNA, identity(1))

        ((found,),) = await search(index, vector(2))
    assert found.score == pytest.approx(1.0, abs=1e-5)


async def test_a_mean_that_is_removed_after_a_rebuild_makes_another_due(
    open_collection: Open,
) -> None:
    """As when another replica rebuilds between the removal of a photograph and of the mean."""
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1), photo=1))
        put_made = points.put_made

        async def late(*args: Any, **kwargs: Any) -> None:
            assert await index.rebuild(yes)
            assert not await index.holds_erased()
            await put_made(*args, **kwargs)

        points.put_made = late  # type: ignore[method-assign]
        await index.remove_photo(ANNA, identity(1))

        assert await points.count() == 0
        assert await index.holds_erased()


@pytest.mark.parametrize("act", ["put", "remove_photo"])
async def test_a_subject_that_was_not_fused_when_it_broke_off_is_mended(
    open_collection: Open, act: str
) -> None:
    class Killed(BaseException):
        pass

    async def killed(*_: Any, **__: Any) -> None:
        raise Killed

    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1), photo=1))
        await index.put(reference(vector(2), photo=2))
        await index.put(reference(vector(4), subject=BEN, photo=4))
        points.put_made = killed  # type: ignore[method-assign]
        with pytest.raises(Killed):
            await {
                "put": lambda: index.put(reference(vector(3), photo=3)),
                "remove_photo": lambda: index.remove_photo(ANNA, identity(2)),
            }[act]()
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)

        assert await index.mend() == 1

        assert await index.mend() == 0
        ((found,),) = await search(index, vector(9), subjects=frozenset({ANNA}))
    there = {"put": (1, 2, 3), "remove_photo": (1,)}[act]
    expected = cosine_of_mean(vector(9), *(vector(number) for number in there))
    assert found.score == pytest.approx(expected, abs=1e-5)


async def test_a_gallery_that_is_in_order_is_not_mended(subjects: SubjectIndex) -> None:
    await filled(subjects, 3)

    assert await subjects.mend() == 0
