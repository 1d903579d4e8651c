from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_values import BEN, NOON, identity, keyed_collection, qdrant_collection, sighting
from qdrant_stand_in import QdrantStandIn

from homeward.matching.adapters.engine import QdrantEngine
from homeward.matching.adapters.points import Point
from homeward.matching.adapters.qdrant import APPEARANCE, QdrantSightingIndex
from homeward.matching.sightings.model import Decision, Review, SightingState
from homeward.matching.sightings.order import in_order
from homeward.matching.sightings.ports import SightingCursor, SightingFilter, SightingIndex
from homeward.matching.sightings.queue import ReviewQueue
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

HOUR = timedelta(hours=1)

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
