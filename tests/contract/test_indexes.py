"""`SubjectIndex` and `SightingIndex`: the fakes and Qdrant, held to the same rules.

Qdrant is its local mode, a server's interface over it (`qdrant_stand_in`) and, where
`HOMEWARD_TEST_QDRANT` names its program, a server.
"""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_stand_in import QdrantStandIn

import qdrant_program
from homeward.matching.adapters import keyed
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.adapters.points import Point
from homeward.matching.adapters.qdrant import (
    APPEARANCE,
    PHOTO,
    SIGHTING_LAYOUT,
    SUBJECT_LAYOUT,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import Candidate, ModelInfo, PhotoKey, Template
from homeward.matching.gallery.ports import NOT_REBUILT, GalleryContents, Reference, SubjectIndex
from homeward.matching.gallery.register import (
    CollectionRecord,
    Successor,
    new_name,
    with_successor,
)
from homeward.matching.sightings.model import Decision, Review, Sighting, SightingState
from homeward.matching.sightings.order import in_order
from homeward.matching.sightings.ports import SightingCursor, SightingFilter, SightingIndex
from homeward.matching.sightings.queue import ReviewQueue
from homeward.servicekit import records
from homeward.servicekit.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    Reason,
    UnavailableError,
)
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore, KeyValueStore

SIZE = 32
MODEL = "a" * 64
OTHER_MODEL = "b" * 64
SECRET = bytes(range(32))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def identity(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def person(number: int) -> str:
    """Return a subject's id, which comes before all photographs' in Qdrant's order."""
    return f"00000000-0000-4000-7000-{number:012d}"


def vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(SIZE)
    return (values / np.linalg.norm(values)).astype(np.float32)


def at_cosine(cosine: float) -> NDArray[np.float32]:
    """Return a vector at this cosine similarity to the first axis."""
    values = np.zeros(SIZE, dtype=np.float32)
    values[0], values[1] = cosine, np.sqrt(1 - cosine**2)
    return values


def reference(
    values: NDArray[np.float32], *, subject: str = ANNA, photo: int = 1, model: str = MODEL
) -> Reference:
    return Reference(subject, identity(photo), Template(values, model))


def sighting(number: int, *, subject: str = ANNA, footage: str = "footage-1") -> Sighting:
    return Sighting(
        sighting_id=identity(number),
        subject_id=subject,
        photo_id=identity(1),
        footage_id=footage,
        camera_id="camera-1",
        scan_id=identity(900),
        start_time=NOON,
        end_time=NOON + timedelta(seconds=4),
        best_shot_time=NOON + timedelta(seconds=1, microseconds=40),
        start_offset=timedelta(0),
        end_offset=timedelta(seconds=4),
        best_shot_offset=timedelta(seconds=1, microseconds=40),
        score=0.625,
        best_shot_score=None,
        threshold=0.45,
        policy_id="yunet-sface/provisional-0.45",
        model_digest=MODEL,
        face_height_px=64.0,
        create_time=NOON,
        delete_time=NOON + timedelta(days=30),
    )


async def search(
    index: SubjectIndex,
    *probes: NDArray[np.float32],
    model: str = MODEL,
    subjects: frozenset[str] = frozenset(),
    threshold: float = -1.0,
    limit: int = 5,
) -> list[list[Candidate]]:
    return await index.search(
        np.stack(probes),
        model_digest=model,
        subject_ids=subjects,
        threshold=threshold,
        limit=limit,
    )


async def the_model() -> ModelInfo:
    return ModelInfo("yunet-sface", MODEL, SIZE)


def keyed_collection(
    engine: QdrantEngine, register: KeyValueStore, name: str = "subjects", secret: bytes = SECRET
) -> KeyedCollection:
    layout = {"subjects": SUBJECT_LAYOUT, "sightings": SIGHTING_LAYOUT}[name]
    return KeyedCollection(CollectionAccess(engine, layout, register, secret, the_model))


def replica_of(points: KeyedCollection) -> KeyedCollection:
    """Return the gallery as another replica of matching has it."""
    return keyed_collection(points.access.engine, points.access.register._store)


@asynccontextmanager
async def qdrant_collection(
    folder: Path, register: KeyValueStore, name: str, secret: bytes = SECRET
) -> AsyncIterator[KeyedCollection]:
    async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
        client = connect(url=None, path=folder)
        engine = QdrantEngine(client, threads, "its local folder")
        yield keyed_collection(engine, register, name, secret)
        client.close()


Open = Callable[[str], AbstractAsyncContextManager[KeyedCollection]]


@pytest.fixture
def register() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def open_collection(tmp_path: Path, register: InMemoryKeyValueStore) -> Open:
    """Opens a collection, the same one again each time, as a restarted service does."""
    return lambda name: qdrant_collection(tmp_path, register, name)


@asynccontextmanager
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, register: KeyValueStore, name: str
) -> AsyncIterator[KeyedCollection | None]:
    """Open a collection on the engine that a fixture is for; None in memory."""
    if request.param == "memory":
        yield None
    elif request.param == "qdrant":
        async with qdrant_collection(tmp_path, register, name) as points:
            yield points
    else:
        async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
            stand_in = QdrantStandIn(strict=True)
            client = (
                connect(url=request.getfixturevalue("qdrant_url"), path=None)
                if request.param == "server"
                else stand_in.client()
            )
            engine = QdrantEngine(client, threads, "the server", server=True)
            yield keyed_collection(engine, register, name)
            client.close()
            stand_in.close()


ENGINES = ["memory", "qdrant", "stand-in", *(["server"] if qdrant_program.is_at_hand() else [])]


@pytest.fixture(params=ENGINES)
async def subjects(
    request: pytest.FixtureRequest, tmp_path: Path, register: InMemoryKeyValueStore
) -> AsyncIterator[SubjectIndex]:
    async with opened(request, tmp_path, register, "subjects") as points:
        yield QdrantSubjectIndex(points) if points else InMemorySubjectIndex(MODEL)


@pytest.fixture(params=ENGINES)
async def sightings(
    request: pytest.FixtureRequest, tmp_path: Path, register: InMemoryKeyValueStore
) -> AsyncIterator[SightingIndex]:
    async with opened(request, tmp_path, register, "sightings") as points:
        yield QdrantSightingIndex(points) if points else InMemorySightingIndex(MODEL)


async def test_a_search_ranks_subjects_most_alike_first(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.5), subject=ANNA, photo=1))
    await subjects.put(reference(at_cosine(0.75), subject=BEN, photo=2))

    (found,) = await search(subjects, at_cosine(1.0))

    assert [(one.subject_id, one.photo_id) for one in found] == [
        (BEN, identity(2)),
        (ANNA, identity(1)),
    ]
    assert [one.score for one in found] == pytest.approx([0.75, 0.5], abs=1e-5)


async def test_a_subject_comes_once_with_the_photograph_that_is_most_alike(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(at_cosine(0.5), photo=1))
    await subjects.put(reference(at_cosine(0.75), photo=2))
    await subjects.put(reference(at_cosine(0.25), photo=3))

    (found,) = await search(subjects, at_cosine(1.0))

    assert [one.photo_id for one in found] == [identity(2)]


def cosine_of_mean(probe: NDArray[np.float32], *templates: NDArray[np.float32]) -> float:
    """Return how alike a probe is to the mean of templates, another way than the code does."""
    total = np.sum(templates, axis=0, dtype=np.float64)
    return float(probe @ total / np.sqrt(total @ total))


async def test_a_subject_is_compared_with_the_mean_of_its_photographs(
    subjects: SubjectIndex,
) -> None:
    for number in range(3):
        await subjects.put(reference(vector(number), photo=number))

    ((found,),) = await search(subjects, vector(7))

    expected = cosine_of_mean(vector(7), vector(0), vector(1), vector(2))
    assert found.score == pytest.approx(expected, abs=1e-5)


async def test_the_photographs_of_others_do_not_count(subjects: SubjectIndex) -> None:
    await subjects.put(reference(vector(0), subject=ANNA, photo=0))
    await subjects.put(reference(vector(1), subject=BEN, photo=1))

    (found,) = await search(subjects, vector(7))

    assert {one.subject_id: one.score for one in found} == {
        ANNA: pytest.approx(cosine_of_mean(vector(7), vector(0)), abs=1e-5),
        BEN: pytest.approx(cosine_of_mean(vector(7), vector(1)), abs=1e-5),
    }


async def test_a_subject_has_as_many_templates_as_photographs(subjects: SubjectIndex) -> None:
    for number in range(3):
        await subjects.put(reference(vector(number), photo=number))

    assert await subjects.count() == 3


async def test_the_contents_of_a_gallery_are_every_photograph_that_has_a_template(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(vector(1), subject=ANNA, photo=1))
    await subjects.put(reference(vector(2), subject=ANNA, photo=2))
    await subjects.put(reference(vector(3), subject=BEN, photo=3))
    await subjects.remove_photo(ANNA, identity(2))

    contents = await subjects.contents()

    there = {PhotoKey(ANNA, identity(1)), PhotoKey(BEN, identity(3))}
    assert contents.photos == contents.compared == there
    assert contents.subject_ids == {ANNA, BEN}


async def test_a_subject_that_was_not_fused_yet_is_in_the_contents_and_not_compared(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        await index.put(reference(vector(1), photo=1))
        await points.upsert(
            Point(identity(2), PHOTO, Template(vector(2), MODEL), PhotoKey(ANNA, identity(2)))
        )

        contents = await index.contents()

    assert contents.photos - contents.compared == {PhotoKey(ANNA, identity(2))}


async def test_templates_that_are_added_together_are_as_those_added_one_by_one(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(vector(1), subject=ANNA, photo=1))

    await subjects.put_all(
        [
            reference(vector(2), subject=ANNA, photo=2),
            reference(vector(3), subject=BEN, photo=3),
            reference(vector(4), subject=BEN, photo=4),
        ]
    )

    (found,) = await search(subjects, vector(7))
    assert {one.subject_id: one.score for one in found} == {
        ANNA: pytest.approx(cosine_of_mean(vector(7), vector(1), vector(2)), abs=1e-5),
        BEN: pytest.approx(cosine_of_mean(vector(7), vector(3), vector(4)), abs=1e-5),
    }
    assert await subjects.count() == 4


async def test_a_gallery_refuses_templates_of_another_model_that_are_added_together(
    subjects: SubjectIndex,
) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await subjects.put_all([reference(vector(1), model=OTHER_MODEL)])

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    assert await subjects.count() == 0


async def test_an_edition_keeps_its_name_while_templates_come_and_go(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(vector(1), subject=ANNA, photo=1))
    before = await subjects.edition()
    await subjects.put(reference(vector(2), subject=BEN, photo=2))
    more = await subjects.edition()
    await subjects.remove_subject(BEN)
    less = await subjects.edition()

    assert before.name == more.name == less.name
    assert before.size == less.size < more.size


async def test_a_gallery_that_starts_over_is_another_edition(subjects: SubjectIndex) -> None:
    await filled(subjects, 2)
    before = await subjects.edition()

    await subjects.start_over(NEXT)

    after = await subjects.edition()
    assert (after.name != before.name, after.size) == (True, 0)


async def test_a_gallery_that_the_engine_has_lost_is_another_edition_for_every_replica(
    open_collection: Open,
) -> None:
    async with open_collection("subjects") as points:
        index = QdrantSubjectIndex(points)
        other = QdrantSubjectIndex(replica_of(points))
        await filled(index, 2)
        before = await other.edition()
        in_use = (await points.access.collections.open()).current.collection
        points.access.engine.client.delete_collection(in_use)

        # A replica that starts makes it anew, and the others hear of it at once.
        restarted = QdrantSubjectIndex(replica_of(points))
        assert await restarted.count() == 0

        assert (await other.edition()).name != before.name
        assert await search(other, vector(1)) == [[]]


def test_a_record_of_a_gallery_that_an_earlier_version_wrote_is_read() -> None:
    written = records.to_plain(CollectionRecord("subjects-1", "00", "yunet-sface", MODEL, SIZE))
    del written["made"]

    assert records.from_plain(written, CollectionRecord).made == 0


async def test_many_photographs_of_one_subject_hide_no_other(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.5), subject=BEN, photo=100))
    await subjects.put(reference(at_cosine(0.75), photo=1))
    await subjects.put(reference(at_cosine(0.74), photo=2))
    await subjects.put(reference(at_cosine(0.73), photo=3))

    (found,) = await search(subjects, at_cosine(1.0), limit=2)

    assert [one.subject_id for one in found] == [ANNA, BEN]


async def test_ties_keep_the_order_of_subjects(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.75), subject=BEN, photo=1))
    await subjects.put(reference(at_cosine(0.75), subject=ANNA, photo=2))

    (found,) = await search(subjects, at_cosine(1.0))

    assert [one.subject_id for one in found] == [ANNA, BEN]


async def test_a_search_leaves_out_what_is_below_the_threshold(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.46), subject=ANNA, photo=1))
    await subjects.put(reference(at_cosine(0.44), subject=BEN, photo=2))

    (found,) = await search(subjects, at_cosine(1.0), threshold=0.45)

    assert [one.subject_id for one in found] == [ANNA]


async def test_a_search_gives_no_more_than_the_limit(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.5), subject=ANNA, photo=1))
    await subjects.put(reference(at_cosine(0.75), subject=BEN, photo=2))

    (found,) = await search(subjects, at_cosine(1.0), limit=1)

    assert [one.subject_id for one in found] == [BEN]


async def test_a_search_compares_with_the_subjects_of_its_scope_alone(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(at_cosine(0.5), subject=ANNA, photo=1))
    await subjects.put(reference(at_cosine(0.75), subject=BEN, photo=2))

    (found,) = await search(subjects, at_cosine(1.0), subjects=frozenset({ANNA}))

    assert [one.subject_id for one in found] == [ANNA]


async def test_each_probe_gets_its_own_list_in_their_order(subjects: SubjectIndex) -> None:
    await subjects.put(reference(vector(1), subject=ANNA, photo=1))
    await subjects.put(reference(vector(2), subject=BEN, photo=2))

    results = await search(subjects, vector(2), vector(3), vector(1), threshold=0.9)

    assert [[one.subject_id for one in found] for found in results] == [[BEN], [], [ANNA]]


async def test_an_empty_gallery_answers_nobody(subjects: SubjectIndex) -> None:
    assert await search(subjects, vector(1), vector(2)) == [[], []]


@pytest.mark.parametrize("seed", range(8))
async def test_a_score_is_never_more_than_one(subjects: SubjectIndex, seed: int) -> None:
    await subjects.put(reference(vector(seed)))

    ((found,),) = await search(subjects, vector(seed))

    assert 1 - 1e-5 < found.score <= 1


async def test_the_same_photograph_again_replaces_its_own(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.75)))

    await subjects.put(reference(at_cosine(0.5)))

    ((found,),) = await search(subjects, at_cosine(1.0))
    assert found.score == pytest.approx(0.5, abs=1e-5)
    assert await subjects.count() == 1


async def test_removing_a_photograph_leaves_the_others(subjects: SubjectIndex) -> None:
    await subjects.put(reference(at_cosine(0.75), photo=1))
    await subjects.put(reference(at_cosine(0.5), photo=2))

    await subjects.remove_photo(ANNA, identity(1))

    ((found,),) = await search(subjects, at_cosine(1.0))
    assert (found.photo_id, found.score) == (identity(2), pytest.approx(0.5, abs=1e-5))


async def test_a_subject_whose_last_photograph_is_removed_is_not_found(
    subjects: SubjectIndex,
) -> None:
    await subjects.put(reference(vector(1), photo=1))

    await subjects.remove_photo(ANNA, identity(1))

    assert await search(subjects, vector(1)) == [[]]
    assert (await subjects.remove_subject(ANNA)).count == 0


async def test_removing_a_photograph_that_is_not_there_changes_nothing(
    subjects: SubjectIndex,
) -> None:
    await subjects.remove_photo(ANNA, identity(1))

    assert await subjects.count() == 0


async def test_removing_a_subject_tells_how_many_templates_it_had(subjects: SubjectIndex) -> None:
    await subjects.put(reference(vector(1), subject=ANNA, photo=1))
    await subjects.put(reference(vector(2), subject=ANNA, photo=2))
    await subjects.put(reference(vector(3), subject=BEN, photo=3))

    assert (await subjects.remove_subject(ANNA)).count == 2
    assert (await subjects.remove_subject(ANNA)).count == 0
    assert await subjects.count() == 1


async def test_a_gallery_refuses_a_template_of_another_model(subjects: SubjectIndex) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await subjects.put(reference(vector(1), model=OTHER_MODEL))

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH
    assert refused.value.metadata == {"expected": MODEL, "received": OTHER_MODEL}
    assert await subjects.count() == 0


async def test_a_gallery_refuses_a_template_of_another_size(subjects: SubjectIndex) -> None:
    await subjects.put(reference(vector(1)))

    with pytest.raises(InvalidArgumentError) as refused:
        await subjects.put(reference(np.ones(3, np.float32) / np.sqrt(np.float32(3)), photo=2))

    assert refused.value.reason is Reason.FIELD_INVALID
    assert await subjects.count() == 1


async def test_a_search_refuses_a_probe_of_another_model(subjects: SubjectIndex) -> None:
    await subjects.put(reference(vector(1)))

    with pytest.raises(FailedPreconditionError) as refused:
        await search(subjects, vector(1), model=OTHER_MODEL)

    assert refused.value.reason is Reason.EMBEDDING_MODEL_MISMATCH


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


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def values_in(folder: Path, values: NDArray[np.float32]) -> int:
    """Return how many of the values are in the files, as float32 or float64 of either order."""
    stored = bytes_in(folder)
    written = [struct.pack(f, value) for f in ("<f", ">f", "<d", ">d") for value in values]
    return sum(value in stored for value in written)


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


async def yes() -> bool:
    return True


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


async def filled(index: SubjectIndex, people: int = 40) -> None:
    for number in range(people):
        await index.put(reference(vector(number), subject=person(number), photo=number))


async def found_of(index: SubjectIndex, people: int = 40) -> set[int]:
    """Return which of the people are found by their own template."""
    answers = await search(index, *(vector(n) for n in range(people)), threshold=0.99)
    return {n for n, answer in enumerate(answers) if [c.subject_id for c in answer] == [person(n)]}


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


NEXT = ModelInfo("next-pack", OTHER_MODEL, 24)
"""Another model, with templates of another size."""


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


async def test_a_sighting_may_be_written_without_a_template(sightings: SightingIndex) -> None:
    await sightings.put(sighting(1), None)

    assert await sightings.get(identity(1)) == sighting(1)
    assert await sightings.template(identity(1)) is None


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


FILTERED = [
    replace(sighting(1), camera_id="gate", scan_id=identity(70), score=0.9),
    replace(sighting(2), camera_id="door", scan_id=identity(70), score=0.8),
    replace(sighting(3), camera_id="gate", scan_id=identity(71), score=0.7),
    replace(sighting(4), state=SightingState.CONFIRMED, score=0.6),
    replace(sighting(5), start_time=NOON + HOUR, end_time=NOON + HOUR, score=0.5),
    replace(sighting(6), delete_time=NOON, score=0.4),
    replace(sighting(7), delete_time=NOON, state=SightingState.CONFIRMED, score=0.3),
]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (SightingFilter(), [1, 2, 3, 4, 5, 6, 7]),
        (SightingFilter(camera_ids=["gate"]), [1, 3]),
        (SightingFilter(scan_ids=[identity(70)]), [1, 2]),
        (SightingFilter(scan_ids=[identity(70), identity(71)], camera_ids=["gate"]), [1, 3]),
        (SightingFilter(states=[SightingState.CONFIRMED]), [4, 7]),
        (SightingFilter(start=NOON + HOUR / 2), [5]),
        (SightingFilter(end=NOON + HOUR / 2), [1, 2, 3, 4, 6, 7]),
        (SightingFilter(unexpired_at=NOON), [1, 2, 3, 4, 5, 7]),
        (SightingFilter(expired_at=NOON), [6]),
        (SightingFilter(subject_ids=[BEN]), []),
    ],
)
async def test_a_page_has_the_sightings_that_fit_most_alike_first(
    sightings: SightingIndex, which: SightingFilter, numbers: list[int]
) -> None:
    for one in FILTERED:
        await sightings.put(one, None)

    page = await sightings.page(which, size=10, after=None)

    assert [one.sighting_id for one in page] == [identity(number) for number in numbers]
    assert {one.sighting_id for one in await sightings.find(which)} == set(map(identity, numbers))


async def test_a_sighting_that_one_of_two_has_confirmed_is_held_like_an_unreviewed_one(
    sightings: SightingIndex,
) -> None:
    review = Review(Decision.CONFIRM, "the scar", "anne@force", NOON)
    half = replace(
        sighting(1),
        state=SightingState.AWAITING_SECOND,
        review=review,
        reviews=(review, replace(review, decision=Decision.REJECT, reviewer="bob@force")),
        requesters=("cat@force", "dan@force"),
        delete_time=NOON,
    )
    await sightings.put(half, None)
    await sightings.put(sighting(2), None)
    awaiting = SightingFilter(states=[SightingState.AWAITING_SECOND])

    assert await sightings.get(half.sighting_id) == half
    assert await sightings.find(awaiting) == [half]
    assert await sightings.find(SightingFilter(expired_at=NOON)) == [half]
    assert half not in await sightings.find(SightingFilter(unexpired_at=NOON))


async def test_a_list_goes_on_after_its_cursor_where_scores_are_equal(
    sightings: SightingIndex,
) -> None:
    scores = {1: 0.9, 2: 0.5, 3: 0.5, 4: 0.5, 5: 0.1}
    for number, score in scores.items():
        await sightings.put(replace(sighting(number), score=score), None)
    first = await sightings.page(SightingFilter(), size=3, after=None)
    told = tuple(one.sighting_id for one in first if one.score == first[-1].score)

    second = await sightings.page(
        SightingFilter(), size=3, after=SightingCursor(first[-1].score, told)
    )

    assert first[0].sighting_id == identity(1)
    assert second[-1].sighting_id == identity(5)
    names = [one.sighting_id for one in (*first, *second)]
    assert sorted(names) == [identity(number) for number in scores]


async def test_sightings_are_told_apart_by_who_asked_for_them_and_who_decided(
    sightings: SightingIndex,
) -> None:
    anne, bob = Review(Decision.INCONCLUSIVE, "", "anne@force", NOON), "Bob@Force"
    asked = replace(sighting(1), requesters=("anne@force", bob))
    judged = replace(sighting(2), review=anne, reviews=(anne,), requesters=(bob,))
    for one in (asked, judged, sighting(3)):
        await sightings.put(one, None)

    assert await sightings.requesters() == {"anne@force", bob}
    assert await sightings.reviewers() == {"anne@force"}
    filters = {
        SightingFilter(requesters=("anne@force",)): {1},
        SightingFilter(but_requesters=("anne@force",)): {2, 3},
        SightingFilter(but_requesters=(bob,), but_reviewers=("anne@force",)): {3},
        SightingFilter(reviewers=("anne@force",), requesters=(bob,)): {2},
        SightingFilter(sighting_ids=(identity(1), identity(3))): {1, 3},
        SightingFilter(but_sighting_ids=(identity(1), identity(9))): {2, 3},
    }
    for which, numbers in filters.items():
        found = {one.sighting_id for one in await sightings.find(which)}
        assert found == set(map(identity, numbers))
        assert await sightings.count(which) == len(numbers)


async def test_a_sighting_that_has_a_name_twice_is_written_again(sightings: SightingIndex) -> None:
    anne = Review(Decision.INCONCLUSIVE, "", "anne@force", NOON)
    await sightings.put(replace(sighting(1), review=anne, reviews=(anne, anne)), None)

    await sightings.update(sighting(1))

    assert await sightings.reviewers() == frozenset()
    assert await sightings.find(SightingFilter(reviewers=("anne@force",))) == []


async def test_of_very_many_names_a_server_tells_those_that_most_sightings_have(
    register: InMemoryKeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeward.matching.adapters.engine.MOST_VALUES", 2)
    async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
        stand_in = QdrantStandIn(strict=True)
        engine = QdrantEngine(stand_in.client(), threads, "the server", server=True)
        index = QdrantSightingIndex(keyed_collection(engine, register, "sightings"))
        anne, bob, carl = "anne@force", "bob@force", "carl@force"
        for number, names in enumerate([(anne, carl), (bob, anne), (carl,)]):
            await index.put(replace(sighting(number), requesters=names), None)

        assert await index.requesters() == {anne, carl}
        stand_in.close()


async def test_what_is_written_after_the_first_read_is_told_apart_too(
    sightings: SightingIndex,
) -> None:
    assert await sightings.requesters() == frozenset()  # the local mode has read its fields
    anne = Review(Decision.INCONCLUSIVE, "", "anne@force", NOON)
    await sightings.put(replace(sighting(1), requesters=("anne@force",)), None)
    await sightings.put(replace(sighting(2), review=anne, reviews=(anne,)), None)

    assert await sightings.requesters() == await sightings.reviewers() == {"anne@force"}
    assert await sightings.count(SightingFilter(but_requesters=("anne@force",))) == 1
    assert await sightings.count(SightingFilter(reviewers=("anne@force",))) == 1


async def test_a_page_is_full_though_a_sighting_goes_while_it_is_read(
    tmp_path: Path, register: InMemoryKeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with qdrant_collection(tmp_path, register, "sightings") as points:
        index = QdrantSightingIndex(points)
        for number in range(1, 6):
            await index.put(replace(sighting(number), score=0.9 - number / 100), None)
        engine = points.access.engine
        run, going = engine.run, [identity(1)]

        async def then_one_goes(*args: Any, **kwargs: Any) -> Any:
            answer = await run(*args, **kwargs)
            if going:
                await index.remove([going.pop()])
            return answer

        monkeypatch.setattr(engine, "run", then_one_goes)

        page = await index.page(SightingFilter(), size=3, after=None)

    # Of a page that is not full, nothing is taken to follow.
    assert not going
    assert len(page) == 3


@pytest.mark.parametrize("seed", range(4))
async def test_the_queue_is_in_the_order_of_all_that_is_in_it(
    sightings: SightingIndex, seed: int
) -> None:
    random = np.random.default_rng(seed)
    held = []
    for number in range(120):
        start = NOON + timedelta(seconds=int(random.integers(0, 5400)))
        lasts = timedelta(seconds=int(random.choice([4, 40, 1200], p=[0.8, 0.18, 0.02])))
        one = replace(
            sighting(number),
            camera_id=str(random.choice(["door", "gate", "quay"], p=[0.7, 0.2, 0.1])),
            start_time=start,
            end_time=start + lasts,
            score=float(random.uniform(0.45, 0.8)),
            state=SightingState(random.choice(["unreviewed", "confirmed"], p=[0.9, 0.1])),
        )
        held.append(one)
        await sightings.put(one, None)
    fitting = [
        one
        for one in held
        if one.state is SightingState.UNREVIEWED and one.sighting_id[-1] not in "37"
    ]
    mine = fitting[:: int(random.integers(20, 40))]
    which = SightingFilter(states=[SightingState.UNREVIEWED])
    queue = ReviewQueue(sightings, which, lambda one: one.sighting_id[-1] not in "37")

    ordered = [one.sighting_id async for one in queue.ordered(mine)]

    names = {one.sighting_id for one in mine}
    expected = [one.sighting_id for one in in_order(fitting, begun=names)]
    assert ordered == sorted(expected, key=lambda name: name not in names)


@pytest.mark.parametrize("many", [100, 1000])
async def test_a_server_is_asked_as_often_for_the_next_candidates_however_many_there_are(
    register: InMemoryKeyValueStore, many: int
) -> None:
    async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
        stand_in = QdrantStandIn(strict=True)
        engine = QdrantEngine(stand_in.client(), threads, "the server", server=True)
        points = keyed_collection(engine, register, "sightings")
        index = QdrantSightingIndex(points)
        made = [
            replace(
                sighting(number),
                start_time=NOON + number * timedelta(minutes=2),
                end_time=NOON + number * timedelta(minutes=2) + timedelta(seconds=4),
                score=0.45 + 0.0001 * number,
            )
            for number in range(many)
        ]
        for first in range(0, many, 500):
            batch = made[first : first + 500]
            await points.upsert(*(Point(one.sighting_id, APPEARANCE, None, one) for one in batch))
        which = SightingFilter(states=[SightingState.UNREVIEWED], but_reviewers=["anne@force"])
        stand_in.requests.clear()

        assert await index.count(which) == many
        assert await index.reviewers() == frozenset()
        async with aclosing(ReviewQueue(index, which, lambda _: True).ordered([])) as ordered:
            for expected in reversed(made[-4:]):
                assert await anext(ordered) == expected

        read = [body["limit"] for _, path, body in stand_in.requests if path.endswith("/scroll")]
        assert read == [50, *[500] * 4]  # the best ones, then what is near each of the four
        assert len(stand_in.requests) == 7
        stand_in.close()


async def test_sightings_are_found_by_how_their_ids_begin(sightings: SightingIndex) -> None:
    names = [f"{number:08x}-0000-4000-8000-000000000000" for number in (0x10, 0x11, 0x12, 0x20)]
    for name in names:
        await sightings.put(replace(sighting(1), sighting_id=name), None)

    async def found(prefix: str, size: int = 10, after: str = "") -> list[str]:
        found = await sightings.with_prefix(prefix, SightingFilter(), size=size, after=after)
        return [one.sighting_id for one in found]

    assert await found("0000001") == names[:3]
    assert await found("00000011-0") == [names[1]]
    assert await found("0000001", 2) == names[:2]
    assert await found("0000001", 2, after=names[1]) == names[2:3]
    assert await found("0000001", 2, after=names[2]) == []
    assert await found("0000001", 1, after=f"{names[0][:-1]}1") == [names[1]]
    assert await found(names[3]) == [names[3]]
    assert await found("ffff") == []


async def test_of_sightings_that_begin_alike_those_are_returned_that_fit(
    sightings: SightingIndex,
) -> None:
    confirmed = replace(sighting(3), state=SightingState.CONFIRMED)
    for one in (sighting(1), sighting(2), confirmed, sighting(4)):
        late = NOON if one.sighting_id in (identity(1), identity(3)) else one.delete_time
        await sightings.put(replace(one, delete_time=late), None)

    found = await sightings.with_prefix("00000000", SightingFilter(unexpired_at=NOON), size=2)

    assert [one.sighting_id for one in found] == [identity(2), identity(3)]


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
