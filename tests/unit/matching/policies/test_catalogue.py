from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from matching_values import MADE, MODEL, SHIPPED, policy_file
from prometheus_client import REGISTRY

from homeward.core import policies as package
from homeward.core.policy import (
    LEAST_GROUP,
    MOST_AGE_GROUPS,
    Ages,
    Basis,
    Cohort,
    PolicyError,
    PolicyFigures,
    PolicyFile,
    Rate,
    figures_of,
    read_policy,
    write_policy,
)
from homeward.embedding.adapters.yunet_sface import CENTRES, SFACE, TEMPLATE_VERSIONS, YUNET
from homeward.embedding.model import pack_digest
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.metrics import measure_policy
from homeward.matching.policies.catalogue import COUNTED, FRESH, Policies
from homeward.matching.policies.model import Policy, PolicyState
from homeward.servicekit import errors, records
from homeward.servicekit.errors import Reason
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

OTHER_MODEL = "b" * 64
ADDED = "yunet-sface/2"
MONTH = timedelta(days=30)
PassTime = Callable[[timedelta], None]


@dataclass
class Office:
    """Makes `Policies`, as of several replicas, on one store."""

    clock: Any
    store: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    shipped: list[bytes] = field(default_factory=lambda: [write_policy(policy_file())])
    model_digest: str = MODEL
    down: bool = False
    enrolled: int = 12
    counts: int = 0

    def open(self, *, evaluation: bool = False) -> Policies:
        return Policies(
            store=self.store,
            shipped=self.shipped,
            faces=self,  # type: ignore[arg-type]  # all of it that is needed
            count_enrolled=self.count,
            clock=self.clock,
            evaluation=evaluation,
        )

    async def model(self) -> ModelInfo:
        if self.down:
            raise errors.unavailable("embedding", "e:1", "start it")
        return ModelInfo("yunet-sface", self.model_digest, 128)

    async def count(self) -> int:
        self.counts += 1
        return self.enrolled


@pytest.fixture
def office(clock: Any) -> Office:
    return Office(clock)


@pytest.fixture
def policies(office: Office) -> Policies:
    return office.open()


async def add(policies: Policies, file: PolicyFile) -> Policy:
    return await policies.add(file, write_policy(file))


async def approve(policies: Policies, policy_id: str = SHIPPED, **changes: Any) -> Policy:
    values = {
        "approver": "A. Prover",
        "valid_until": policies._clock.now() + MONTH,
        "note": "",
    }
    return await policies.approve(policy_id, **values | changes)


@pytest.fixture
async def in_use(policies: Policies) -> Policies:
    """With the shipped policy approved and active."""
    await approve(policies)
    await policies.activate(SHIPPED)
    return policies


async def refusal(call: Any) -> errors.DomainError:
    with pytest.raises(errors.DomainError) as refused:
        await call
    return refused.value


# what is measured of it


def measured() -> dict[str, float]:
    """Return the samples about the policy, by name and label values."""
    return {
        " ".join((sample.name.removeprefix("homeward_policy_"), *sample.labels.values())): (
            sample.value
        )
        for family in REGISTRY.collect()
        if family.name.startswith("homeward_policy_")
        for sample in family.samples
    }


async def test_without_a_policy_none_is_told_to_be_in_force(policies: Policies) -> None:
    await measure_policy(policies)

    assert measured() == {"in_force": 0}


async def test_a_policy_in_force_is_told_with_its_threshold_and_end(in_use: Policies) -> None:
    await measure_policy(in_use)

    assert measured() == {
        "in_force": 1,
        f"info {SHIPPED} {MODEL} true false": 1,
        f"threshold {SHIPPED}": 0.45,
        f"valid_until_timestamp_seconds {SHIPPED}": (in_use._clock.now() + MONTH).timestamp(),
    }


async def test_an_expired_policy_is_told_to_have_ended(
    in_use: Policies, pass_time: PassTime
) -> None:
    end = (in_use._clock.now() + MONTH).timestamp()
    pass_time(2 * MONTH)

    await measure_policy(in_use)

    assert measured() == {"in_force": 0, f"valid_until_timestamp_seconds {SHIPPED}": end}


async def test_a_policy_of_evaluation_mode_is_told_to_be_unapproved(office: Office) -> None:
    await measure_policy(office.open(evaluation=True))

    assert measured() == {
        "in_force": 1,
        f"info {SHIPPED} {MODEL} false true": 1,
        f"threshold {SHIPPED}": 0.45,
    }


# what there is


def test_what_is_shipped_can_be_read_and_names_its_policy_after_its_pack() -> None:
    files = [read_policy(data) for data in package.shipped()]

    assert len({one.policy_id for one in files}) == len(files) >= 1
    assert [one for one in files if not one.policy_id.startswith(f"{one.model_name}/")] == []


def test_a_policy_is_shipped_for_the_pack_that_comes_with_homeward() -> None:
    digests = {read_policy(data).model_digest for data in package.shipped()}

    assert pack_digest((YUNET, SFACE, CENTRES), TEMPLATE_VERSIONS) in digests


async def test_shipped_and_added_policies_are_listed_unapproved(
    office: Office, policies: Policies
) -> None:
    await add(policies, policy_file(ADDED))

    found = await policies.find()

    assert [(one.file.policy_id, one.shipped) for one in found] == [(SHIPPED, True), (ADDED, False)]
    assert {one.state_at(office.clock.now()) for one in found} == {PolicyState.UNAPPROVED}


async def test_the_same_file_again_changes_nothing(office: Office, policies: Policies) -> None:
    first = await add(policies, policy_file(ADDED))
    before = await office.store.entries()

    assert await add(policies, policy_file(ADDED)) == first
    assert await office.store.entries() == before


async def test_a_policy_says_which_bytes_it_is_made_of(policies: Policies) -> None:
    expected = hashlib.sha256(write_policy(policy_file())).hexdigest()

    assert (await policies.get(SHIPPED)).sha256 == expected


@pytest.mark.parametrize("policy_id", [SHIPPED, ADDED])
async def test_another_file_under_an_id_is_refused(policies: Policies, policy_id: str) -> None:
    await add(policies, policy_file(policy_id))

    refused = await refusal(add(policies, policy_file(policy_id, threshold=0.3)))

    assert refused.reason is Reason.POLICY_EXISTS
    assert (await policies.get(policy_id)).file.threshold == 0.45


@pytest.mark.parametrize("call", ["get", "activate", "approve", "expire"])
async def test_a_policy_that_is_not_there_is_not_found(policies: Policies, call: str) -> None:
    calls = {
        "approve": partial(approve, policies),
        "expire": partial(policies.expire, reason="x"),
    }

    refused = await refusal(calls.get(call, getattr(policies, call))("yunet-sface/9"))

    assert refused.reason is Reason.POLICY_NOT_FOUND


# approving and ending


async def test_an_approval_ends_by_itself_on_time(
    office: Office, policies: Policies, pass_time: PassTime
) -> None:
    policy = await approve(policies)
    before = policy.state_at(office.clock.now() + MONTH - timedelta(seconds=1))
    pass_time(MONTH)

    after = (await policies.get(SHIPPED)).state_at(office.clock.now())

    assert (before, after) == (PolicyState.APPROVED, PolicyState.EXPIRED)


async def test_the_same_approval_again_keeps_its_time(
    office: Office, policies: Policies, pass_time: PassTime
) -> None:
    until = office.clock.now() + MONTH
    first = await approve(policies, valid_until=until)
    pass_time(timedelta(hours=1))

    assert await approve(policies, valid_until=until) == first


async def test_another_approval_takes_the_place_of_the_one_before(
    office: Office, policies: Policies
) -> None:
    await approve(policies)

    renewed = await approve(policies, approver="B. Oss", valid_until=office.clock.now() + 2 * MONTH)

    assert renewed.approval is not None
    assert renewed.approval.approver == "B. Oss"
    assert renewed.approval.end == office.clock.now() + 2 * MONTH


async def test_an_approval_can_be_ended_at_once_with_a_reason(
    office: Office, policies: Policies
) -> None:
    await approve(policies)

    ended = await policies.expire(SHIPPED, reason="flawed data")

    assert ended.state_at(office.clock.now()) is PolicyState.EXPIRED
    assert ended.approval is not None
    assert ended.approval.expire_reason == "flawed data"


async def test_an_approval_that_has_ended_stays_as_it_ended(
    policies: Policies, pass_time: PassTime
) -> None:
    await approve(policies)
    first = await policies.expire(SHIPPED, reason="flawed data")
    pass_time(timedelta(hours=1))

    assert await policies.expire(SHIPPED, reason="another") == first


async def test_what_nobody_has_approved_cannot_end(policies: Policies) -> None:
    refused = await refusal(policies.expire(SHIPPED, reason="x"))

    assert refused.reason is Reason.POLICY_NOT_APPROVED


async def test_what_has_ended_can_be_approved_again(office: Office, policies: Policies) -> None:
    await approve(policies)
    await policies.expire(SHIPPED, reason="flawed data")

    again = await approve(policies)

    assert again.state_at(office.clock.now()) is PolicyState.APPROVED


async def test_an_approval_is_of_the_file_that_was_looked_at(
    office: Office, policies: Policies
) -> None:
    await approve(policies)
    office.shipped = [write_policy(policy_file(threshold=0.1))]  # the next version of Homeward

    policy = await office.open().get(SHIPPED)

    assert (policy.file.threshold, policy.shipped) == (0.45, False)


async def test_an_approved_policy_outlives_the_version_that_brought_it(
    office: Office, in_use: Policies
) -> None:
    office.shipped = []

    assert (await office.open().in_force()) == await in_use.in_force()


# activating


async def test_one_policy_is_active_at_a_time(policies: Policies, in_use: Policies) -> None:
    await add(in_use, policy_file(ADDED))
    await approve(in_use, ADDED)

    await in_use.activate(ADDED)

    assert [one.active for one in await policies.find()] == [False, True]
    assert (await in_use.in_force()).policy_id == ADDED


async def test_activating_again_changes_nothing(office: Office, in_use: Policies) -> None:
    before = await office.store.entries()

    await in_use.activate(SHIPPED)

    assert await office.store.entries() == before


async def test_an_unapproved_policy_cannot_be_activated(policies: Policies) -> None:
    refused = await refusal(policies.activate(SHIPPED))

    assert refused.reason is Reason.POLICY_NOT_APPROVED
    assert f"policy {SHIPPED} is not approved" in refused.message


async def test_an_expired_policy_cannot_be_activated(policies: Policies) -> None:
    await approve(policies)
    await policies.expire(SHIPPED, reason="x")

    assert (await refusal(policies.activate(SHIPPED))).reason is Reason.POLICY_EXPIRED


async def test_a_policy_of_another_pack_cannot_be_activated(policies: Policies) -> None:
    await add(policies, policy_file("other/1", model_digest=OTHER_MODEL))
    await approve(policies, "other/1")

    refused = await refusal(policies.activate("other/1"))

    assert refused.reason is Reason.POLICY_MODEL_MISMATCH
    assert (refused.metadata["expected"], refused.metadata["received"]) == (MODEL, OTHER_MODEL)


# in force


async def test_the_active_policy_is_in_force_with_its_approval(
    office: Office, in_use: Policies
) -> None:
    policy = await in_use.in_force()

    assert (policy.policy_id, policy.model_digest, policy.threshold) == (SHIPPED, MODEL, 0.45)
    assert policy.figures.approved
    assert not policy.evaluation
    assert policy.approval is not None
    assert policy.approval.valid_until == office.clock.now() + MONTH


async def test_without_an_active_policy_the_refusal_says_how_to_approve_the_shipped_one(
    policies: Policies,
) -> None:
    refused = await refusal(policies.in_force())

    assert refused.reason is Reason.POLICY_NOT_APPROVED
    assert refused.metadata == {"policy_id": SHIPPED}
    assert f"have policy {SHIPPED} approved" in refused.message


async def test_without_an_active_policy_the_refusal_names_one_that_is_approved(
    policies: Policies,
) -> None:
    await approve(policies)

    assert f"activate policy {SHIPPED}" in (await refusal(policies.in_force())).message


async def test_without_any_policy_of_the_pack_the_refusal_asks_for_one(office: Office) -> None:
    office.model_digest = OTHER_MODEL

    refused = await refusal(office.open().in_force())

    assert refused.reason is Reason.POLICY_NOT_APPROVED
    assert "add a policy that was measured with" in refused.message


async def test_an_approval_that_ends_by_itself_counts_at_once(
    in_use: Policies, pass_time: PassTime
) -> None:
    pass_time(MONTH - timedelta(seconds=1))
    await in_use.in_force()
    pass_time(timedelta(seconds=1))

    refused = await refusal(in_use.in_force())

    assert refused.reason is Reason.POLICY_EXPIRED
    assert f"the approval of policy {SHIPPED} ended at" in refused.message


async def test_an_approval_that_is_ended_here_counts_at_once(in_use: Policies) -> None:
    await in_use.in_force()
    await in_use.expire(SHIPPED, reason="x")

    assert (await refusal(in_use.in_force())).reason is Reason.POLICY_EXPIRED


async def test_the_active_policy_is_back_as_soon_as_it_is_approved_again(in_use: Policies) -> None:
    await in_use.expire(SHIPPED, reason="x")
    await approve(in_use)

    assert (await in_use.in_force()).policy_id == SHIPPED


async def test_what_another_replica_ends_counts_within_five_seconds(
    office: Office, in_use: Policies, pass_time: PassTime
) -> None:
    await in_use.in_force()
    await office.open().expire(SHIPPED, reason="x")
    pass_time(FRESH)

    assert timedelta(seconds=5) == FRESH
    assert (await refusal(in_use.in_force())).reason is Reason.POLICY_EXPIRED


async def test_a_comparison_reads_nothing_while_what_was_read_is_fresh(
    office: Office, in_use: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await in_use.in_force()
    monkeypatch.setattr(in_use, "_store", None)
    office.down = True

    assert await in_use.in_force() == first


async def test_a_policy_of_another_pack_than_the_one_in_use_is_refused(
    office: Office, in_use: Policies, pass_time: PassTime
) -> None:
    office.model_digest = OTHER_MODEL
    pass_time(FRESH)

    assert (await refusal(in_use.in_force())).reason is Reason.POLICY_MODEL_MISMATCH


async def test_the_policy_waits_for_a_model_that_is_not_told_yet(
    office: Office, policies: Policies
) -> None:
    office.down = True

    assert (await refusal(policies.in_force())).reason is Reason.COMPONENT_UNAVAILABLE


async def test_the_policy_outlives_a_restart_of_the_embedding_service(
    office: Office, in_use: Policies, pass_time: PassTime
) -> None:
    office.down = True
    pass_time(FRESH)

    assert (await in_use.in_force()).policy_id == SHIPPED


# evaluation mode


async def test_evaluation_uses_the_newest_shipped_policy_of_the_pack_though_unapproved(
    office: Office,
) -> None:
    newer = policy_file(ADDED, make_time=MADE + MONTH)
    others = policy_file("other/1", model_digest=OTHER_MODEL, make_time=MADE + 2 * MONTH)
    office.shipped = [write_policy(one) for one in (newer, policy_file(), others)]

    policy = await office.open(evaluation=True).in_force()

    assert policy.policy_id == ADDED
    assert (policy.figures.approved, policy.approval, policy.evaluation) == (False, None, True)


async def test_evaluation_uses_the_active_policy_though_it_has_expired(
    office: Office, policies: Policies
) -> None:
    await add(policies, policy_file(ADDED))
    await approve(policies, ADDED)
    await policies.activate(ADDED)
    await policies.expire(ADDED, reason="x")

    policy = await office.open(evaluation=True).in_force()

    assert (policy.policy_id, policy.figures.approved) == (ADDED, False)


@pytest.mark.usefixtures("in_use")
async def test_evaluation_says_so_even_of_an_approved_policy(office: Office) -> None:
    policy = await office.open(evaluation=True).in_force()

    assert (policy.figures.approved, policy.evaluation) == (True, True)


async def test_evaluation_can_activate_what_nobody_has_approved_and_leaving_it_refuses_that(
    office: Office,
) -> None:
    evaluating = office.open(evaluation=True)
    await add(evaluating, policy_file(ADDED, threshold=0.3))
    await evaluating.activate(ADDED)

    refused = await refusal(office.open().in_force())

    assert (await evaluating.in_force()).threshold == 0.3
    assert refused.reason is Reason.POLICY_NOT_APPROVED
    assert refused.metadata == {"policy_id": ADDED}


@pytest.mark.usefixtures("in_use")
async def test_evaluation_leaves_a_policy_of_another_pack_for_a_shipped_one(
    office: Office,
) -> None:
    fitting = policy_file("other/1", model_digest=OTHER_MODEL)
    office.shipped.append(write_policy(fitting))
    office.model_digest = OTHER_MODEL

    assert (await office.open(evaluation=True).in_force()).policy_id == "other/1"


@pytest.mark.usefixtures("in_use")
async def test_even_evaluation_compares_nothing_by_another_packs_threshold(office: Office) -> None:
    office.model_digest = OTHER_MODEL

    refused = await refusal(office.open(evaluation=True).in_force())

    assert refused.reason is Reason.POLICY_MODEL_MISMATCH


# figures


async def test_the_figures_are_scaled_to_the_people_who_are_enrolled(
    office: Office, in_use: Policies
) -> None:
    office.enrolled = 1000

    figures = (await in_use.in_force()).figures

    assert (figures.gallery_size, figures.measured_gallery_size) == (1000, 500)
    assert figures.expected_fpir.value == pytest.approx(1 - 0.99**2)
    assert figures.expected_fpir.low == pytest.approx(1 - 0.995**2)
    assert figures.expected_fpir.high == pytest.approx(1 - 0.98**2)
    assert figures.fnir == Rate(0.04, 0.03, 0.06, trials=500)


async def test_the_figures_of_a_search_for_some_are_scaled_to_them(
    office: Office, in_use: Policies
) -> None:
    figures = (await in_use.in_force(gallery_size=1)).figures

    assert figures.gallery_size == 1
    assert figures.expected_fpir.value == pytest.approx(1 - 0.99 ** (1 / 500))
    assert office.counts == 0


async def test_nobody_enrolled_is_nobody_listed(office: Office, in_use: Policies) -> None:
    office.enrolled = 0

    assert (await in_use.in_force()).figures.expected_fpir.high == 0


async def test_whoever_asks_for_the_policy_alone_has_the_enrolled_counted_anew(
    office: Office, in_use: Policies
) -> None:
    await in_use.in_force()
    office.enrolled = 13

    before = (await in_use.in_force()).figures.gallery_size
    anew = (await in_use.in_force(recount=True)).figures.gallery_size
    after = (await in_use.in_force()).figures.gallery_size

    assert (before, anew, after) == (12, 13, 13)


async def test_the_first_who_is_enrolled_counts_at_once(office: Office, in_use: Policies) -> None:
    office.enrolled = 0
    await in_use.in_force()
    office.enrolled = 1

    assert (await in_use.in_force()).figures.gallery_size == 1


async def test_the_enrolled_are_counted_once_a_minute(
    office: Office, in_use: Policies, pass_time: PassTime
) -> None:
    await in_use.in_force()
    pass_time(COUNTED - timedelta(seconds=1))
    await in_use.in_force()
    before = office.counts
    pass_time(timedelta(seconds=1))
    await in_use.in_force()

    assert (before, office.counts) == (1, 2)


# whom it was measured on


def of_ages(*ages: Ages) -> PolicyFile:
    rate = Rate(0.3, 0.2, 0.4, trials=50)
    groups = tuple(
        Cohort("", 30, rate, rate, "age", one, Basis.FOOTAGE, 28, LEAST_GROUP) for one in ages
    )
    return policy_file(measurement=replace(policy_file().measurement, cohorts=groups))


def test_a_policys_file_keeps_whom_it_was_measured_on() -> None:
    file = of_ages(Ages(0, 5), Ages(18))

    assert read_policy(write_policy(file)) == file


def test_a_candidates_record_keeps_the_ages_that_its_policy_was_measured_on() -> None:
    told = figures_of(of_ages(Ages(6, 12)).measurement, approved=True, gallery_size=1)

    assert [one.ages for one in told.ages] == [Ages(6, 12)]
    assert records.from_plain(records.to_plain(told), PolicyFigures) == told


def test_a_candidates_record_of_before_says_nothing_of_ages() -> None:
    told = figures_of(policy_file().measurement, approved=True, gallery_size=1)
    plain = records.to_plain(told)
    del plain["ages"]

    assert records.from_plain(plain, PolicyFigures) == told


def test_a_file_of_more_groups_of_age_than_travel_with_a_candidate_is_no_policy() -> None:
    most = [Ages(age, age) for age in range(MOST_AGE_GROUPS)]
    file = write_policy(of_ages(*most))
    group = read_policy(file).measurement.cohorts[0]
    too_many = file.replace(
        b'"cohorts": [',
        b'"cohorts": [' + records.encode(replace(group, ages=Ages(99, 99))) + b",",
    )
    with pytest.raises(PolicyError, match="more than 20 groups of age"):
        read_policy(too_many)
