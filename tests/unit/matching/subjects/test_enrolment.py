from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from matching_values import MODEL, policy_file

from homeward.core.policy import PolicyFile, write_policy
from homeward.matching.gallery.model import Box, PhotoAnalysis, Template
from homeward.matching.policies.catalogue import Policies
from homeward.matching.subjects.model import SubjectDetails
from homeward.matching.subjects.second_look import (
    MOST_ALIKE,
    Enrolment,
    EnrolmentWarning,
    WarningKind,
)
from homeward.servicekit.errors import InvalidArgumentError, Reason
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

THRESHOLD = 0.5
UNLIKE, LIKE = WarningKind.UNLIKE_OWN, WarningKind.LIKE_ANOTHER


class Clerk:
    """Enrols people whose photographs say who is on them: `b"3 0.8 x"`.

    That is person 3, as alike to `b"3 1 y"` as 0.8, and unlike anybody else. `b"3 0.8 +2"` has two
    other faces.
    """

    def __init__(self, matching: Any, details: SubjectDetails, *, approved: bool) -> None:
        self.matching = matching
        self.details = details
        matching.faces.analyze = self.analyze
        policy: PolicyFile = policy_file()
        self.policies = Policies(
            store=InMemoryKeyValueStore(),
            shipped=[write_policy(replace(policy, threshold=THRESHOLD, model_digest=MODEL))],
            faces=matching.faces,
            count_enrolled=self.count,
            clock=matching.clock,
            evaluation=approved,
        )
        self.enrolment = self.replica()

    def replica(self) -> Enrolment:
        matching = self.matching
        return Enrolment(
            matching.subjects,
            matching.gallery,
            self.policies,
            matching.completeness,
        )

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        person, likeness, rest = photo.split()
        others = int(rest) if rest.startswith(b"+") else 0
        values = np.zeros(16, np.float32)
        values[int(person)] = float(likeness)
        values[15] = np.sqrt(1 - float(likeness) ** 2)
        template = Template(values, MODEL)
        return PhotoAnalysis((), Box(1, 2, 3, 4), 0.8, template, other_faces=others)

    async def count(self) -> int:
        return 1

    async def enrol(self, *photos: bytes, case: str = "") -> str:
        details = replace(self.details, case_reference=case or f"MP-{photos}")
        created, _ = await self.enrolment.create(details, request_id="")
        for photo in photos:
            await self.add(created.value.subject_id, photo)
        return created.value.subject_id

    async def add(self, subject_id: str, photo: bytes, *, only: bool = False) -> Any:
        return await self.enrolment.add_photo(subject_id, photo, only_without_warnings=only)

    async def warnings(self, subject_id: str, photo: bytes) -> list[tuple[Any, ...]]:
        added = await self.add(subject_id, photo)
        assert all(one.policy.threshold == THRESHOLD for one in added.warnings)
        return [(one.kind, one.subject_id, round(one.score, 3)) for one in added.warnings]


@pytest.fixture
def clerk(matching: Any, details: SubjectDetails) -> Clerk:
    return Clerk(matching, details, approved=True)


async def test_another_photograph_of_the_same_person_is_no_matter(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")

    assert await clerk.warnings(anna, b"1 0.8 b") == []


async def test_the_first_photograph_has_nothing_to_be_compared_with(clerk: Clerk) -> None:
    anna = await clerk.enrol()

    assert await clerk.warnings(anna, b"1 1 a") == []


async def test_a_photograph_of_somebody_else_among_a_subjects_is_told(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")

    assert await clerk.warnings(anna, b"2 1 b") == [(UNLIKE, anna, 0.0)]
    assert await clerk.warnings(anna, b"3 1 c") == [(UNLIKE, anna, 0.0)]


@pytest.mark.parametrize(("likeness", "count"), [(0.51, 0), (0.49, 1)])
async def test_the_policys_threshold_is_the_measure_within_a_subject(
    clerk: Clerk, likeness: float, count: int
) -> None:
    anna = await clerk.enrol(b"1 1 a")

    assert len(await clerk.warnings(anna, b"1 %f b" % likeness)) == count


@pytest.mark.parametrize(("likeness", "count"), [(0.51, 1), (0.49, 0)])
async def test_the_policys_threshold_is_the_measure_between_subjects(
    clerk: Clerk, likeness: float, count: int
) -> None:
    await clerk.enrol(b"1 1 a")
    other = await clerk.enrol()

    assert len(await clerk.warnings(other, b"1 %f b" % likeness)) == count


async def test_a_person_who_is_enrolled_already_is_told(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")
    again = await clerk.enrol()

    assert await clerk.warnings(again, b"1 0.8 b") == [(LIKE, anna, 0.8)]


async def test_a_file_that_another_subject_has_is_told_as_that(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")
    again = await clerk.enrol()

    assert await clerk.warnings(again, b"1 1 a") == [(WarningKind.SAME_FILE, anna, 1.0)]


async def test_both_mistakes_of_one_photograph_are_told(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")
    bert = await clerk.enrol(b"2 1 b")

    assert await clerk.warnings(bert, b"1 0.9 c") == [(UNLIKE, bert, 0.0), (LIKE, anna, 0.9)]


@pytest.mark.parametrize("approved", [True, False])
async def test_other_faces_on_a_photograph_are_told_with_and_without_a_policy(
    matching: Any, details: SubjectDetails, *, approved: bool
) -> None:
    clerk = Clerk(matching, details, approved=approved)
    anna = await clerk.enrol()

    left_out = await clerk.add(anna, b"1 1 +2", only=True)

    told = EnrolmentWarning(WarningKind.OTHER_FACES, anna, other_faces=2)
    assert (left_out.photo_id, left_out.warnings) == ("", (told,))


async def test_somebody_who_was_closed_is_told_no_more(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")
    again = await clerk.enrol()
    # As a close that has only begun: the template is still there.
    entry = await clerk.matching.records.get(f"open.{anna}")
    await clerk.matching.records.put(f"closed.{anna}", entry.value.replace(b'"open"', b'"closed"'))

    assert await clerk.warnings(again, b"1 0.8 b") == []


async def test_the_most_alike_are_told_when_there_are_many(clerk: Clerk) -> None:
    known = [
        await clerk.enrol(b"1 %f a" % (0.9 - number / 100)) for number in range(MOST_ALIKE + 1)
    ]
    again = await clerk.enrol(b"1 0.99 b")

    told = await clerk.warnings(again, b"1 1 c")

    assert [name for _, name, _ in told] == known[:MOST_ALIKE]


async def test_a_warned_photograph_is_enrolled_all_the_same(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")

    added = await clerk.add(anna, b"2 1 b")

    assert [one.photo_id for one in added.subject.value.photos][-1] == added.photo_id
    assert (await clerk.matching.everything())["gallery"] == 2


async def test_a_warned_photograph_counts_nowhere_if_asked_for(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")
    before = await clerk.matching.everything()

    left_out = await clerk.add(anna, b"2 1 b", only=True)

    assert (left_out.photo_id, len(left_out.subject.value.photos)) == ("", 1)
    assert [one.kind for one in left_out.warnings] == [UNLIKE]
    assert await clerk.matching.everything() == before


async def test_a_photograph_without_warnings_is_added_if_asked_for(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a")

    added = await clerk.add(anna, b"1 0.9 b", only=True)

    assert len(added.subject.value.photos) == 2
    assert added.warnings == ()


async def test_without_a_policy_nobody_is_compared_and_that_is_told(
    matching: Any, details: SubjectDetails
) -> None:
    clerk = Clerk(matching, details, approved=False)
    anna = await clerk.enrol(b"1 1 a")

    added = await clerk.add(anna, b"2 1 b", only=True)

    assert len(added.subject.value.photos) == 2
    assert added.warnings == ()
    assert "no threshold policy is active" in added.not_compared


async def test_a_photograph_that_is_held_is_not_compared_again(clerk: Clerk) -> None:
    anna = await clerk.enrol(b"1 1 a", b"2 1 b")

    again = await clerk.add(anna, b"2 1 b")

    assert (again.already_held, again.warnings, again.not_compared) == (True, (), "")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("MP-26-0412", "MP-26-0412", True),
        ("MP-26-0412", "mp-26- 0412", True),
        ("MP-26-0412", "MP-26-0413", False),
    ],
)
async def test_the_same_case_twice_is_told(
    clerk: Clerk, details: SubjectDetails, first: str, second: str, *, same: bool
) -> None:
    anna = await clerk.enrol(case=first)

    _, warnings = await clerk.enrolment.create(
        replace(details, case_reference=second), request_id=""
    )

    assert warnings == ((EnrolmentWarning(WarningKind.SAME_CASE, anna),) if same else ())


async def test_the_same_case_is_not_told_of_the_subject_itself_or_of_one_that_was_closed(
    clerk: Clerk, details: SubjectDetails
) -> None:
    closed, _ = await clerk.enrolment.create(details, request_id="first")
    await clerk.matching.closing.close(closed.value.subject_id)
    await clerk.enrolment.create(details, request_id="second")

    _, warnings = await clerk.enrolment.create(details, request_id="second")

    assert warnings == ()


async def test_a_case_that_is_not_the_subjects_any_more_is_not_told(
    clerk: Clerk, details: SubjectDetails
) -> None:
    first = await clerk.enrol(case="one")
    await clerk.matching.subjects.update(
        first, lambda held: replace(held, case_reference="two"), etag=""
    )

    told = [
        (await clerk.enrolment.create(replace(details, case_reference=case), request_id=""))[1]
        for case in ("one", "two")
    ]

    assert told == [(), (EnrolmentWarning(WarningKind.SAME_CASE, first),)]


async def test_what_another_replica_enrolled_is_told_at_once(
    clerk: Clerk, details: SubjectDetails
) -> None:
    here = clerk.enrolment
    await here.create(replace(details, case_reference="another"), request_id="")
    theirs, _ = await clerk.replica().create(details, request_id="")

    _, warnings = await here.create(details, request_id="")

    assert warnings == (EnrolmentWarning(WarningKind.SAME_CASE, theirs.value.subject_id),)


async def test_many_are_enrolled_without_reading_again_those_that_there_are(
    clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    entries = clerk.matching.records.entries

    async def counted(pattern: str = ">", *, since: int = 0) -> Any:
        read = await entries(pattern, since=since)
        reads.append(len(read))
        return read

    monkeypatch.setattr(clerk.matching.records, "entries", counted)
    for number in range(5):
        await clerk.enrol(case=f"case {number}")

    assert reads == [1] * 5


async def test_a_request_id_of_another_subject_is_refused_as_before(
    clerk: Clerk, details: SubjectDetails
) -> None:
    await clerk.enrolment.create(details, request_id="first")

    later = replace(details, review_time=details.review_time + timedelta(days=1))

    with pytest.raises(InvalidArgumentError) as refused:
        await clerk.enrolment.create(later, request_id="first")

    assert refused.value.reason is Reason.REQUEST_ID_REUSED
