from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from index_values import (
    ANNA,
    MODEL,
    OTHER_MODEL,
    SIZE,
    Open,
    at_cosine,
    identity,
    keyed_collection,
    qdrant_collection,
    reference,
    search,
    sighting,
    values_in,
    vector,
)

from homeward.matching.adapters.qdrant import QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import Template
from homeward.matching.gallery.register import CollectionRecord
from homeward.servicekit import records
from homeward.servicekit.errors import FailedPreconditionError, Reason
from homeward.servicekit.keyvalue import InMemoryKeyValueStore


async def test_a_gallery_is_there_after_a_restart(open_collection: Open) -> None:
    async with open_collection("subjects") as points:
        await QdrantSubjectIndex(points).put(reference(at_cosine(0.5)))

    async with open_collection("subjects") as points:
        ((found,),) = await search(QdrantSubjectIndex(points), at_cosine(1.0))

    assert (found.subject_id, found.score) == (ANNA, pytest.approx(0.5, abs=1e-5))


async def test_a_template_is_itself_after_a_restart(open_collection: Open) -> None:
    async with open_collection("sightings") as points:
        await QdrantSightingIndex(points).put(sighting(1), Template(vector(1), MODEL))

    async with open_collection("sightings") as points:
        template = await QdrantSightingIndex(points).template(identity(1))

    assert template.values == pytest.approx(vector(1), abs=1e-6)


async def test_a_gallery_stays_with_its_model_after_a_restart(open_collection: Open) -> None:
    async with open_collection("subjects") as points:
        await QdrantSubjectIndex(points).put(reference(vector(1)))

    async with open_collection("subjects") as points:
        with pytest.raises(FailedPreconditionError) as refused:
            await search(QdrantSubjectIndex(points), vector(1), model=OTHER_MODEL)

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH


@pytest.mark.parametrize("seed", range(5))
async def test_keying_leaves_scores_as_they_are(open_collection: Open, seed: int) -> None:
    photo, probe = vector(seed), vector(seed + 100)
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(photo))

        ((found,),) = await search(index, probe)

    expected = float(photo.astype(np.float64) @ probe.astype(np.float64))
    assert found.score == pytest.approx(expected, abs=1e-5)


async def test_qdrant_is_never_given_a_template_as_it_is(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    async with open_collection("subjects") as points:
        await QdrantSubjectIndex(points).put(reference(vector(1)))
        (entry,) = await register.entries()
        record = records.decode(entry.value, CollectionRecord)
        (held,) = points.access.engine.client.retrieve(
            record.collection, ids=[identity(1)], with_vectors=True
        )

    assert abs(float(np.asarray(held.vector["photo"]) @ vector(1))) < 0.9


async def test_no_value_of_a_template_is_in_the_files_of_qdrant(
    open_collection: Open, tmp_path: Path
) -> None:
    async with open_collection("subjects") as points:
        await QdrantSubjectIndex(points).put(reference(vector(1)))
        matrix = (await points.access.collections.open()).current.matrix

    assert values_in(tmp_path, vector(1)) == 0
    assert values_in(tmp_path, keying.keyed(vector(1)[None], matrix)[0]) == SIZE


async def test_a_gallery_without_its_key_recognises_nobody(
    tmp_path: Path, register: InMemoryKeyValueStore
) -> None:
    async with qdrant_collection(tmp_path, register, "subjects") as points:
        await QdrantSubjectIndex(points).put(reference(vector(1)))

    async with qdrant_collection(tmp_path, register, "subjects", secret=bytes(32)) as points:
        ((found,),) = await search(QdrantSubjectIndex(points), vector(1))

    assert abs(found.score) < 0.9


async def test_each_collection_has_a_salt_of_its_own(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    async with open_collection("subjects") as points:
        await points.count()
    async with open_collection("sightings") as points:
        await points.count()

    salts = {
        records.decode(entry.value, CollectionRecord).salt for entry in await register.entries()
    }
    assert len(salts) == 2
    assert {len(bytes.fromhex(salt)) for salt in salts} == {32}


async def test_two_replicas_that_start_at_once_share_a_collection(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    class Meanwhile(InMemoryKeyValueStore):
        """Reads as empty once, as a store does that somebody else is about to write to."""

        async def get(self, _: str) -> None:
            self.get = register.get  # type: ignore[method-assign]

        async def create(self, key: str, value: bytes) -> int:
            return await register.create(key, value)

    async with open_collection("subjects") as first:
        await QdrantSubjectIndex(first).put(reference(vector(1)))
        second = keyed_collection(first.access.engine, Meanwhile())

        assert await QdrantSubjectIndex(second).count() == 1
