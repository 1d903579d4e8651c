from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_values import (
    ANNA,
    BEN,
    MODEL,
    NEXT,
    OTHER_MODEL,
    SIZE,
    Open,
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
from numpy.typing import NDArray

from homeward.matching.adapters.qdrant import QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Reference, SubjectIndex
from homeward.matching.gallery.register import CollectionRecord, Successor, new_name, with_successor
from homeward.matching.sightings.model import SightingState
from homeward.matching.sightings.ports import SightingFilter, SightingIndex
from homeward.servicekit import records
from homeward.servicekit.errors import FailedPreconditionError, Reason
from homeward.servicekit.keyvalue import InMemoryKeyValueStore


def next_vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed + 1000).standard_normal(NEXT.template_size)
    return (values / np.linalg.norm(values)).astype(np.float32)


def next_reference(number: int) -> Reference:
    return Reference(person(number), identity(number), Template(next_vector(number), OTHER_MODEL))


async def test_a_gallery_that_starts_over_is_empty_and_of_the_other_model(
    subjects: SubjectIndex,
) -> None:
    await filled(subjects, 3)

    await subjects.start_over(NEXT)

    assert await subjects.model() == NEXT
    assert await subjects.count() == 0
    assert (await subjects.contents()).photos == frozenset()
    await subjects.put(next_reference(1))
    ((found,),) = await search(subjects, next_vector(1), model=OTHER_MODEL)
    assert found.subject_id == person(1)


async def test_a_gallery_of_the_model_that_it_is_to_start_over_with_keeps_everybody(
    subjects: SubjectIndex,
) -> None:
    await filled(subjects, 3)

    await subjects.start_over(await subjects.model())

    assert await found_of(subjects, 3) == {0, 1, 2}


@pytest.mark.parametrize("act", ["search", "put", "require_model"])
async def test_a_gallery_that_started_over_refuses_the_former_model(
    subjects: SubjectIndex, act: str
) -> None:
    await filled(subjects, 2)
    await subjects.start_over(NEXT)

    with pytest.raises(FailedPreconditionError) as refused:
        await {
            "search": lambda: search(subjects, vector(1)),
            "put": lambda: subjects.put(reference(vector(9), photo=9)),
            "require_model": lambda: subjects.require_model(MODEL),
        }[act]()

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    assert refused.value.metadata == {"expected": OTHER_MODEL, "received": MODEL}


async def test_the_files_of_a_former_model_go_with_the_next_rebuild(subjects: SubjectIndex) -> None:
    await filled(subjects, 2)
    removed = await subjects.remove_subject(person(1))
    await subjects.start_over(NEXT)

    assert await subjects.rebuild(yes)

    assert [await subjects.remains(place) for place in removed.places] == [""]
    assert not await subjects.holds_erased()


async def test_sightings_stay_when_their_model_changes(sightings: SightingIndex) -> None:
    for number in range(40):
        await sightings.put(sighting(number), Template(vector(number), MODEL))

    assert await sightings.change_model(NEXT, yes)

    assert await sightings.get(identity(7)) == sighting(7)
    assert (
        len(await sightings.find(SightingFilter(subject_ids=[ANNA])))
        == await sightings.count()
        == 40
    )
    assert await sightings.template(identity(7)) is None
    assert await sightings.model() == NEXT


async def test_sightings_of_a_former_model_are_reviewed_and_removed(
    sightings: SightingIndex,
) -> None:
    for number in range(2):
        await sightings.put(sighting(number), Template(vector(number), MODEL))
    await sightings.change_model(NEXT, yes)
    reviewed = replace(sighting(0), state=SightingState.CONFIRMED)

    await sightings.update(reviewed)
    await sightings.remove([identity(1)])

    assert await sightings.find(SightingFilter()) == [reviewed]


async def test_sightings_take_findings_of_the_other_model_and_refuse_the_former(
    sightings: SightingIndex,
) -> None:
    await sightings.put(sighting(1), Template(vector(1), MODEL))
    await sightings.change_model(NEXT, yes)
    found = replace(sighting(2), model_digest=OTHER_MODEL)

    await sightings.put(found, Template(next_vector(2), OTHER_MODEL))
    with pytest.raises(FailedPreconditionError) as refused:
        await sightings.put(sighting(3), Template(vector(3), MODEL))

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    template = await sightings.template(identity(2))
    assert template is not None
    assert template.values == pytest.approx(next_vector(2), abs=1e-6)
    assert await sightings.count() == 2


async def test_a_refusal_names_both_packs_and_what_to_do(open_collection: Open) -> None:
    async def the_next() -> ModelInfo:
        return NEXT

    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1)))
        points.access._model = the_next

        with pytest.raises(FailedPreconditionError) as refused:
            await search(index, next_vector(1), model=OTHER_MODEL)

    assert "the gallery holds templates of model pack yunet-sface (aaaaaaaaaaaa)" in str(
        refused.value
    )
    assert "next-pack (bbbbbbbbbbbb)" in str(refused.value)
    assert "have the kept photographs embedded again" in str(refused.value)


async def test_sightings_that_come_and_go_while_their_model_changes_are_right(
    open_collection: Open,
) -> None:
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        for number in range(40):
            await index.put(sighting(number), Template(vector(number), MODEL))
        rounds = 0

        async def meanwhile() -> bool:
            nonlocal rounds
            rounds += 1
            await index.remove([identity(rounds), identity(30 + rounds)])
            await index.put(sighting(100 + rounds), Template(vector(100 + rounds), MODEL))
            await index.update(replace(sighting(20), face_height_px=float(rounds)))
            return True

        assert await index.change_model(NEXT, meanwhile)

        gone = {*range(1, rounds + 1), *range(31, 31 + rounds)}
        came = set(range(101, 101 + rounds))
        left = {identity(number) for number in {*range(40)} - gone | came}
        assert rounds >= 3
        assert {one.sighting_id for one in await index.find(SightingFilter())} == left
        assert await index.get(identity(20)) == replace(sighting(20), face_height_px=float(rounds))


async def test_starting_over_leaves_no_value_of_a_former_template_in_any_file(
    open_collection: Open, tmp_path: Path
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index, 3)
        before = keying.keyed(
            vector(1)[None], (await points.access.collections.open()).current.matrix
        )[0]
        assert values_in(tmp_path, before) == SIZE

        await index.start_over(NEXT)
        assert await index.holds_erased()
        await index.rebuild(yes)

        assert values_in(tmp_path, before) == 0
        assert not await index.holds_erased()


async def test_a_write_of_the_former_model_that_meets_the_start_of_another_is_refused(
    open_collection: Open,
) -> None:
    """Another replica writes to what it believes is in use, and looks afterwards."""
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index, 1)
        engine = points.access.engine
        upsert = engine.upsert

        async def meanwhile(*args: Any) -> None:
            engine.upsert = upsert  # type: ignore[method-assign]
            await upsert(*args)
            await index.start_over(NEXT)

        engine.upsert = meanwhile  # type: ignore[method-assign]
        with pytest.raises(FailedPreconditionError) as refused:
            await QdrantSubjectIndex(replica_of(points)).put(
                reference(vector(5), subject=BEN, photo=5)
            )

        assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
        assert await index.count() == 0


async def test_a_gallery_that_an_earlier_version_had_prepared_goes_with_the_next_rebuild(
    open_collection: Open, register: InMemoryKeyValueStore
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await filled(index, 3)
        prepared = Successor("subjects-prepared", "0" * 64, model=NEXT)
        await points.access.register.change(lambda record: replace(record, next=prepared))
        assert await found_of(index, 3) == {0, 1, 2}

        assert await index.rebuild(yes)

        client = points.access.engine.client
        assert not await points.access.engine.run(client.collection_exists, "subjects-prepared")
        assert await found_of(index, 3) == {0, 1, 2}
        (entry,) = await register.entries()
        assert records.decode(entry.value, CollectionRecord).next is None


async def test_a_change_of_model_that_another_replica_undoes_is_not_said_to_be_done(
    open_collection: Open,
) -> None:
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        await index.put(sighting(1), Template(vector(1), MODEL))

        async def another_begins() -> bool:
            made = new_name("sightings")
            await points.access.register.change(partial(with_successor, made))
            return True

        done = await index.change_model(ModelInfo("other", OTHER_MODEL, SIZE), another_begins)

        assert not done
        assert (await index.model()).digest == MODEL
