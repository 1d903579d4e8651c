from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from index_values import (
    ANNA,
    ENGINES,
    MODEL,
    SIZE,
    Open,
    bytes_in,
    cosine_of_mean,
    filled,
    found_of,
    identity,
    person,
    reference,
    replica_of,
    search,
    sighting,
    values_in,
    vector,
    yes,
)
from qdrant_client import models

from homeward.matching.adapters.qdrant import PHOTO, QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import Template
from homeward.matching.gallery.ports import NOT_REBUILT, SubjectIndex
from homeward.matching.gallery.register import CollectionRecord, new_name, with_successor
from homeward.matching.sightings.model import SightingState
from homeward.matching.sightings.ports import SightingFilter, SightingIndex
from homeward.servicekit import records
from homeward.servicekit.keyvalue import InMemoryKeyValueStore


async def test_a_rebuild_keeps_all_but_what_was_removed(subjects: SubjectIndex) -> None:
    await filled(subjects)
    removed = await subjects.remove_subject(person(7))
    assert await subjects.holds_erased()

    assert await subjects.rebuild(yes)

    assert not await subjects.holds_erased()
    assert [await subjects.remains(place) for place in removed.places] == [""]
    assert await found_of(subjects) == set(range(40)) - {7}


async def test_what_was_removed_is_not_gone_before_the_rebuild(subjects: SubjectIndex) -> None:
    await filled(subjects, 3)

    removed = await subjects.remove_subject(person(1))

    assert removed.count == 1
    assert [await subjects.remains(place) for place in removed.places] == [NOT_REBUILT]


async def test_a_rebuild_may_be_put_off(subjects: SubjectIndex) -> None:
    await filled(subjects)
    await subjects.remove_subject(person(7))

    async def no() -> bool:
        return False

    assert not await subjects.rebuild(no)
    assert await subjects.holds_erased()
    assert await found_of(subjects) == set(range(40)) - {7}


async def test_sightings_keep_their_templates_over_a_rebuild(sightings: SightingIndex) -> None:
    for number in range(3):
        await sightings.put(sighting(number), Template(vector(number), MODEL))
    await sightings.remove([identity(1)])

    await sightings.rebuild(yes)

    assert {one.sighting_id for one in await sightings.find(SightingFilter())} == {
        identity(0),
        identity(2),
    }
    np.testing.assert_allclose((await sightings.template(identity(2))).values, vector(2), atol=1e-6)


async def test_a_rebuild_leaves_no_value_of_what_was_removed_in_any_file(
    open_collection: Open, tmp_path: Path
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index)
        before = (await points.access.collections.open()).current.matrix
        gone, kept = (keying.keyed(vector(n)[None], before)[0] for n in (7, 8))
        await index.remove_subject(person(7))
        assert values_in(tmp_path, kept) == SIZE

        await index.rebuild(yes)

        after = (await points.access.collections.open()).current.matrix
        assert values_in(tmp_path, gone) == values_in(tmp_path, kept) == 0
        assert values_in(tmp_path, keying.keyed(vector(7)[None], after)[0]) == 0
        stored = bytes_in(tmp_path)
        assert [identity(n).encode() in stored for n in (7, 8)] == [False, True]


async def test_a_rebuild_changes_the_salt_and_forgets_the_old_one(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index, 3)
        (before,) = await register.entries()
        await index.remove_subject(person(1))

        await index.rebuild(yes)

        (after,) = await register.entries()
        salt = records.decode(before.value, CollectionRecord).salt
        assert salt.encode() not in after.value


async def test_a_subject_that_gets_a_photograph_during_a_rebuild_keeps_the_others(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        for number in range(40):
            await index.put(reference(vector(number), subject=person(number % 4), photo=number))
        await index.remove_photo(person(0), identity(0))
        rounds = 0

        async def meanwhile() -> bool:
            nonlocal rounds
            subject, photo = person(rounds % 4), 100 + rounds
            await index.put(reference(vector(photo), subject=subject, photo=photo))
            rounds += 1
            return True

        assert await index.rebuild(meanwhile)

        assert rounds >= 3
        for number in range(4):
            photos = [n for n in (*range(1, 40), *range(100, 100 + rounds)) if n % 4 == number]
            ((found,),) = await search(index, vector(999), subjects=frozenset({person(number)}))
            expected = cosine_of_mean(vector(999), *(vector(n) for n in photos))
            assert found.score == pytest.approx(expected, abs=1e-5)
        assert await index.mend() == 0


async def test_nothing_that_happens_during_a_rebuild_is_lost_or_comes_back(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index)
        await index.remove_subject(person(39))
        # What a replica does that has seen nothing of the rebuild yet.
        other = QdrantSubjectIndex(replica_of(points))
        assert await found_of(other) == set(range(39))
        rounds = 0

        async def meanwhile() -> bool:
            nonlocal rounds
            rounds += 1
            await other.remove_subject(person(rounds))  # of a batch before, or after this one
            await other.remove_subject(person(30 + rounds))
            await index.put(
                reference(vector(100 + rounds), subject=person(100 + rounds), photo=100 + rounds)
            )
            assert await found_of(index) == await found_of(other)
            return True

        assert await index.rebuild(meanwhile)

        gone = {39, *range(1, rounds + 1), *range(31, 31 + rounds)}
        assert rounds >= 3
        for replica in (index, other):
            assert await found_of(replica) == set(range(40)) - gone
            assert await replica.count() == 40 - len(gone) + rounds
        assert await index.holds_erased()  # of what was removed meanwhile, in the new one


async def test_a_rebuild_ends_although_a_sighting_is_reviewed_meanwhile(
    open_collection: Open,
) -> None:
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        for number in range(3):
            await index.put(sighting(number), Template(vector(number), MODEL))
        await index.remove([identity(2)])
        reviewed = replace(sighting(1), state=SightingState.INCONCLUSIVE)

        async def meanwhile() -> bool:
            await index.update(reviewed)
            return True

        async with asyncio.timeout(10):
            assert await index.rebuild(meanwhile)

        assert await index.get(identity(1)) == reviewed


@pytest.mark.parametrize("batches", range(4))
async def test_a_rebuild_that_was_killed_is_done_by_the_next(
    open_collection: Open, tmp_path: Path, batches: int
) -> None:
    class Killed(BaseException):
        pass

    left = batches

    async def dies() -> bool:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return True

    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index)
        gone = keying.keyed(
            vector(7)[None], (await points.access.collections.open()).current.matrix
        )[0]
        await index.remove_subject(person(7))
        if batches < 3:
            with pytest.raises(Killed):
                await index.rebuild(dies)
        else:  # just before the old collection is dropped

            async def killed(_: str) -> None:
                raise Killed

            points.access.collections.drop = killed  # type: ignore[method-assign]
            with pytest.raises(Killed):
                await index.rebuild(yes)
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        assert await found_of(index) == set(range(40)) - {7}

        assert await index.rebuild(yes)

        assert await found_of(index) == set(range(40)) - {7}
        names = await points.access.engine.run(points.access.engine.client.get_collections)
        assert len(names.collections) == 1
    assert values_in(tmp_path, gone) == 0


@pytest.mark.parametrize("subjects", ENGINES[1:], indirect=True)
async def test_collections_that_came_back_are_known_and_left(
    subjects: QdrantSubjectIndex,
) -> None:
    """An older state of the engine is restored, with what was replaced and dropped since."""
    points = subjects._points
    client = points.access.engine.client
    await subjects.put(reference(vector(1)))
    old = (await subjects.edition()).name.partition("/")[0]
    before = await subjects.unknown()  # of other tests, on a server
    assert old not in before
    await subjects.remove_photo(ANNA, identity(1))
    assert await subjects.rebuild(yes)
    params = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    others = ["sightings-0a1b2c3d", "subjects-of-somebody-else"]
    for name in (old, *others):
        client.create_collection(name, vectors_config={PHOTO: params})

    assert set(await subjects.unknown()) == {old, *before}

    assert await subjects.rebuild(yes)
    assert client.collection_exists(old)
    following = replace(new_name("subjects"), collection=old)
    await points.access.register.change(partial(with_successor, following))
    assert await subjects.unknown() == before
    for name in (old, *others):
        client.delete_collection(name)


async def test_a_collection_that_is_retired_during_a_rebuild_is_not_forgotten(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    """As another replica retires it, between two looks at the record."""
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index, 3)
        await index.remove_subject(person(1))
        drop = points.access.collections.drop

        async def meanwhile(collection: str) -> None:
            await points.access.register.change(
                lambda record: replace(record, retired=(*record.retired, "x"))
            )
            await drop(collection)

        points.access.collections.drop = meanwhile  # type: ignore[method-assign]
        await index.rebuild(yes)
        points.access.collections.drop = drop  # type: ignore[method-assign]

        (entry,) = await register.entries()
        assert records.decode(entry.value, CollectionRecord).retired == ("x",)
        assert await index.holds_erased()
