from __future__ import annotations

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
    at_cosine,
    cosine_of_mean,
    filled,
    identity,
    reference,
    replica_of,
    search,
    vector,
)

from homeward.matching.adapters.points import Point
from homeward.matching.adapters.qdrant import PHOTO, QdrantSubjectIndex
from homeward.matching.gallery.model import PhotoKey, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.gallery.register import CollectionRecord
from homeward.servicekit import records
from homeward.servicekit.errors import FailedPreconditionError, InvalidArgumentError, Reason


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
