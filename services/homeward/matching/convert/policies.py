"""Policies on the wire."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from homeward.api.matching.v1 import (
    policy_pb2,
    policy_service_pb2,
)
from homeward.common import convert as common_convert
from homeward.core.policy import MOST_BYTES, Measurement, PolicyError, PolicyFile, read_policy
from homeward.matching.policies.model import Approval, Policy, PolicyState, ThresholdPolicy
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_APPROVAL = timedelta(days=366)
"""A measurement ages with cameras, models and people: somebody must look at it once a year."""
_POLICY_ID = re.compile(r"(?=.{3,200}$)[A-Za-z0-9][A-Za-z0-9._:-]*/[A-Za-z0-9][A-Za-z0-9._:-]*")

_POLICY_STATES = {
    PolicyState.UNAPPROVED: policy_pb2.Policy.STATE_UNAPPROVED,
    PolicyState.APPROVED: policy_pb2.Policy.STATE_APPROVED,
    PolicyState.EXPIRED: policy_pb2.Policy.STATE_EXPIRED,
}


def to_policy(policy: ThresholdPolicy) -> policy_pb2.ThresholdPolicy:
    """Return a policy as protobuf has it."""
    return policy_pb2.ThresholdPolicy(
        policy_id=policy.policy_id,
        model_digest=policy.model_digest,
        threshold=policy.threshold,
        figures=common_convert.to_figures(policy.figures),
        measurement=to_measurement(policy.measurement, cohorts=False),
        approver=policy.approval.approver if policy.approval else "",
        valid_until_time=wire.to_timestamp(policy.approval.valid_until)
        if policy.approval
        else None,
        evaluation=policy.evaluation,
    )


def to_measurement(measured: Measurement, *, cohorts: bool) -> policy_pb2.PolicyMeasurement:
    """Return a measurement as protobuf has it, with its cohorts when wanted."""
    return policy_pb2.PolicyMeasurement(
        gallery_size=measured.gallery_size,
        fpir=common_convert.to_rate(measured.fpir),
        fnir=common_convert.to_rate(measured.fnir),
        dataset=measured.dataset,
        dataset_digest=measured.dataset_digest,
        identity_count=measured.identities,
        photograph_count=measured.photographs,
        limits=measured.limits,
        make_time=wire.to_timestamp(measured.make_time),
        cohorts=[
            policy_pb2.PolicyCohort(
                name=cohort.name,
                identity_count=cohort.identities,
                fpir=common_convert.to_rate(cohort.fpir) if cohort.fpir else None,
                fnir=common_convert.to_rate(cohort.fnir) if cohort.fnir else None,
                attribute=cohort.attribute,
                ages=common_convert.to_ages(cohort.ages) if cohort.ages else None,
                basis=common_convert.BASES[cohort.basis],
                fpir_identity_count=cohort.fpir_identities,
                fnir_identity_count=cohort.fnir_identities,
            )
            for cohort in (measured.cohorts if cohorts else ())
        ],
    )


def to_stated_policy(policy: Policy, *, now: datetime) -> policy_pb2.Policy:
    """Return a policy, and where it is in its life, as protobuf has it."""
    return policy_pb2.Policy(
        policy_id=policy.file.policy_id,
        state=_POLICY_STATES[policy.state_at(now)],
        active=policy.active,
        shipped=policy.shipped,
        model_name=policy.file.model_name,
        model_digest=policy.file.model_digest,
        threshold=policy.file.threshold,
        measurement=to_measurement(policy.file.measurement, cohorts=True),
        approval=_to_approval(policy.approval) if policy.approval else None,
        sha256=policy.sha256,
    )


def _to_approval(approval: Approval) -> policy_pb2.PolicyApproval:
    return policy_pb2.PolicyApproval(
        approver=approval.approver,
        note=approval.note,
        approve_time=wire.to_timestamp(approval.approve_time),
        valid_until_time=wire.to_timestamp(approval.valid_until),
        expire_time=wire.to_timestamp(approval.expire_time) if approval.expire_time else None,
        expire_reason=approval.expire_reason,
    )


def policy_file_from(data: bytes) -> PolicyFile:
    """Return what is in a policy file."""
    if not data:
        raise invalid_field("file", f"is empty; send a policy file of at most {MOST_BYTES} bytes")
    try:
        file = read_policy(data)
    except PolicyError as error:
        raise invalid_field("file", str(error)) from error
    if not _POLICY_ID.fullmatch(file.policy_id):
        raise invalid_field(
            "file", "its policy_id is not like yunet-sface/1: a name, / and a version"
        )
    if file.measurement.gallery_size < 1:
        raise invalid_field("file", "its gallery_size is not at least 1")
    return file


def policy_id_from(value: str) -> str:
    """Return the id of a policy."""
    return wire.text(value, "policy_id", least=1, most=200)


def valid_until_from(
    request: policy_service_pb2.ApprovePolicyRequest, *, now: datetime
) -> datetime:
    """Return when an approval is to end."""
    wire.require(request, "valid_until_time", "valid_until_time")
    end = wire.from_timestamp(request.valid_until_time, "valid_until_time")
    if not now < end <= now + MAX_APPROVAL:
        raise invalid_field("valid_until_time", "must be in the future, within 366 days")
    return end
