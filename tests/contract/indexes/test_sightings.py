from __future__ import annotations

from dataclasses import replace

import pytest
from index_values import (
    ANNA,
    BEN,
    MODEL,
    NOON,
    OTHER_MODEL,
    SIZE,
    Open,
    identity,
    sighting,
    vector,
    yes,
)
from qdrant_client import models

from homeward.matching.adapters import keyed
from homeward.matching.adapters.qdrant import QdrantSightingIndex
from homeward.matching.gallery.model import Template
from homeward.matching.sightings.model import Decision, Review, Sighting, SightingState
from homeward.matching.sightings.ports import SightingFilter, SightingIndex
from homeward.servicekit import records
from homeward.servicekit.errors import FailedPreconditionError, Reason


async def test_a_sighting_reads_as_it_was_written(sightings: SightingIndex) -> None:
    written = replace(
        sighting(1),
        state=SightingState.CONFIRMED,
        best_shot_score=0.5,
        rival_score=0.4,
        time_uncertain=True,
        review=Review(Decision.CONFIRM, "the same scar", "J. Doe", NOON),
    )
    await sightings.put(written, Template(vector(1), MODEL))

    assert await sightings.get(identity(1)) == written


def test_of_a_sighting_that_an_earlier_version_wrote_nobody_knows_whether_its_time_is_certain() -> (
    None
):
    written = records.to_plain(replace(sighting(1), time_uncertain=False))
    del written["time_uncertain"]

    assert records.from_plain(written, Sighting).time_uncertain is None


async def test_a_sighting_that_was_never_written_is_none(sightings: SightingIndex) -> None:
    assert await sightings.get(identity(1)) is None


async def test_a_sighting_keeps_its_template(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), Template(vector(1), MODEL))

    template = await sightings.template(identity(1))

    assert template.model_digest == MODEL
    assert template.values == pytest.approx(vector(1), abs=1e-6)


async def test_put_overwrites_sighting_and_template(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), Template(vector(1), MODEL))
    better = replace(sighting(1), score=0.75)

    await sightings.put(better, Template(vector(2), MODEL))

    assert await sightings.get(identity(1)) == better
    assert (await sightings.template(identity(1))).values == pytest.approx(vector(2), abs=1e-6)
    assert await sightings.count() == 1


async def test_update_leaves_the_template(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), Template(vector(1), MODEL))
    reviewed = replace(sighting(1), state=SightingState.INCONCLUSIVE)

    await sightings.update(reviewed)

    assert await sightings.get(identity(1)) == reviewed
    assert (await sightings.template(identity(1))).values == pytest.approx(vector(1), abs=1e-6)


@pytest.mark.parametrize(
    ("of_subjects", "in_footage", "numbers"),
    [
        ([], [], {1, 2, 3}),
        ([ANNA], [], {1, 2}),
        ([], ["footage-2"], {2, 3}),
        ([ANNA], ["footage-2"], {2}),
        ([ANNA, BEN], ["footage-1", "footage-2"], {1, 2, 3}),
        ([BEN], ["footage-1"], set()),
    ],
)
async def test_find_gives_the_sightings_of_the_subjects_in_the_footage(
    sightings: SightingIndex, of_subjects: list[str], in_footage: list[str], numbers: set[int]
) -> None:
    template = Template(vector(1), MODEL)
    await sightings.put(sighting(1, subject=ANNA, footage="footage-1"), template)
    await sightings.put(sighting(2, subject=ANNA, footage="footage-2"), template)
    await sightings.put(sighting(3, subject=BEN, footage="footage-2"), template)

    found = await sightings.find(SightingFilter(subject_ids=of_subjects, footage_ids=in_footage))

    assert {one.sighting_id for one in found} == {identity(number) for number in numbers}


async def test_those_of_many_sightings_are_named_that_are_there(sightings: SightingIndex) -> None:
    for number in (1, 2):
        await sightings.put(sighting(number), Template(vector(number), MODEL))

    there = await sightings.holding([identity(number) for number in range(1, 600)])

    assert there == {identity(1), identity(2)}
    assert await sightings.holding([]) == frozenset()


async def test_removed_sightings_are_gone(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), Template(vector(1), MODEL))
    await sightings.put(sighting(2), Template(vector(2), MODEL))

    await sightings.remove([identity(1), identity(7)])

    assert await sightings.get(identity(1)) is None
    assert await sightings.find(SightingFilter()) == [sighting(2)]
    assert await sightings.count() == 1


async def test_sightings_refuse_a_template_of_another_model(sightings: SightingIndex) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await sightings.put(sighting(1), Template(vector(1), OTHER_MODEL))

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    assert await sightings.count() == 0


async def test_qdrant_finds_more_than_one_scroll_gives(
    open_collection: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed, "SCROLL_BATCH", 1)
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        await index.put(sighting(1), Template(vector(1), MODEL))
        await index.put(sighting(2), Template(vector(2), MODEL))
        await index.put(sighting(3), Template(vector(3), MODEL))

        assert len(await index.find(SightingFilter())) == 3


async def test_a_sighting_may_be_written_without_a_template(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), None)

    assert await sightings.get(identity(1)) == sighting(1)
    assert await sightings.template(identity(1)) is None


async def test_zeros_that_an_earlier_version_wrote_are_no_template(open_collection: Open) -> None:
    async with open_collection("sightings") as points:
        index = QdrantSightingIndex(points)
        await index.put(sighting(1), Template(vector(1), MODEL))
        opened = await points.access.collections.open()
        zeros = models.PointVectors(id=identity(1), vector={"appearance": [0.0] * SIZE})
        await points.access.engine.run(
            points.access.engine.client.update_vectors,
            opened.current.collection,
            points=[zeros],
        )

        assert await index.template(identity(1)) is None
        await index.remove([identity(2)])
        assert await index.rebuild(yes)
        assert await index.get(identity(1)) == sighting(1)
        assert await index.template(identity(1)) is None


async def test_that_a_still_is_gone_is_noted_beside_all_else(sightings: SightingIndex) -> None:
    template = Template(vector(1), MODEL)
    await sightings.put(sighting(1), template)

    await sightings.mark_still_gone(identity(1))
    await sightings.mark_still_gone(identity(2))
    await sightings.update(sighting(2))

    held = await sightings.template(identity(1))
    assert await sightings.find(SightingFilter()) == [replace(sighting(1), still_gone=True)]
    assert held is not None
    assert held.values == pytest.approx(template.values, abs=1e-5)
