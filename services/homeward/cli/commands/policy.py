"""`homeward policy`: which threshold candidates are chosen by, and who approved it."""

from __future__ import annotations

from datetime import datetime

import click
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1.policy_pb2 import ErrorRate, MeasurementBasis
from homeward.api.matching.v1 import policy_pb2, policy_service_pb2
from homeward.api.matching.v1.policy_service_pb2_grpc import PolicyServiceStub
from homeward.cli import completing, people, policy_figures, terminal, times
from homeward.cli.files import existing_file
from homeward.cli.ids import full_policy_id
from homeward.cli.options import Group, Session, confirm, connected
from homeward.cli.paging import all_pages
from homeward.cli.render import enum_word

_LEAST_GROUP = 20
"""Fewer people tell nothing of their group; as `PolicyCohort.fnir_identity_count` says."""


@click.group(cls=Group)
def policy() -> None:
    """Approve the thresholds that candidates are chosen by, and say which is in use.

    Nobody is compared with anybody until a policy is approved and active, unless Homeward runs in
    evaluation mode.
    """


@policy.command("list", examples=["homeward policy list"])
@connected
def list_policies(session: Session) -> None:
    """List the policies: those that came with Homeward, and those that were added."""
    policies = all_pages(
        _stub(session).ListPolicies,
        policy_service_pb2.ListPoliciesRequest(),
        lambda page: page.policies,
    )
    if session.view.json:
        session.view.document({"policies": policies})
        return
    if not policies:
        session.view.say("No policies. Add one with `homeward policy add`.")
        return
    session.view.table(
        ("policy", "state", "active", "threshold", "wrongly listed", "missed", "people", "until"),
        [
            (
                each.policy_id,
                _state(each),
                "yes" if each.active else "",
                f"{each.threshold:.3f}",
                policy_figures.percent(each.measurement.fpir),
                policy_figures.percent(each.measurement.fnir),
                str(each.measurement.gallery_size),
                times.shown(_end(each.approval)),
            )
            for each in policies
        ],
        optional=("people", "threshold", "until"),
    )


@policy.command("show", examples=["homeward policy show yunet-sface/4"])
@connected
@click.argument("policy_id", metavar="ID", shell_complete=completing.policies)
def show(session: Session, *, policy_id: str) -> None:
    """Show a policy: what was measured, on whom, and who approved it."""
    request = policy_service_pb2.GetPolicyRequest(policy_id=full_policy_id(session, policy_id))
    _tell(session, _stub(session).GetPolicy(request).policy)


@policy.command("add", examples=["homeward policy add yunet-sface-2.json"])
@connected
@click.argument("file", metavar="FILE.json")
def add(session: Session, *, file: str) -> None:
    """Add a policy that `homeward evaluate` has written. It waits for approval."""
    request = policy_service_pb2.AddPolicyRequest(file=existing_file(file).read_bytes())
    _tell(session, _stub(session).AddPolicy(request).policy)


@policy.command(
    "approve",
    examples=[
        "homeward policy approve yunet-sface/4 --by 'Supt A. Example' --until 2027-03-31 \\",
        "    --note 'for the pilot only' --activate",
    ],
)
@connected
@click.argument("policy_id", metavar="ID", shell_complete=completing.policies)
@click.option(
    "--by", "approver", required=True, metavar="NAME", help="The named person who approves it."
)
@click.option(
    "--until",
    "valid_until",
    type=times.parse_day,
    required=True,
    metavar="DATE",
    help="When the approval ends; within 366 days.",
)
@click.option("--note", default="", metavar="TEXT", help="Why, or under what conditions.")
@click.option("--activate", is_flag=True, help="Choose candidates by it from now on.")
def approve(
    session: Session,
    *,
    policy_id: str,
    approver: str,
    valid_until: datetime,
    note: str,
    activate: bool,
) -> None:
    """Approve a policy for a limited time; again before that ends, to renew it."""
    stub, full = _stub(session), full_policy_id(session, policy_id)
    policy = stub.ApprovePolicy(
        policy_service_pb2.ApprovePolicyRequest(
            policy_id=full,
            approver=approver,
            valid_until_time=times.to_timestamp(valid_until),
            note=note,
        )
    ).policy
    if activate:
        request = policy_service_pb2.ActivatePolicyRequest(policy_id=full)
        policy = stub.ActivatePolicy(request).policy
    _tell(session, policy)
    if note := people.record_note(policy.approval.approver, approver):
        terminal.tell(note, err=True)


@policy.command("activate", examples=["homeward policy activate yunet-sface/4"])
@connected
@click.argument("policy_id", metavar="ID", shell_complete=completing.policies)
def activate_policy(session: Session, *, policy_id: str) -> None:
    """Choose candidates by an approved policy from now on, instead of by the one before."""
    request = policy_service_pb2.ActivatePolicyRequest(policy_id=full_policy_id(session, policy_id))
    _tell(session, _stub(session).ActivatePolicy(request).policy)


@policy.command(
    "expire",
    examples=["homeward policy expire yunet-sface/4 --reason 'measured on a flawed data set'"],
)
@connected
@click.argument("policy_id", metavar="ID", shell_complete=completing.policies)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def expire(session: Session, *, policy_id: str, reason: str, yes: bool) -> None:
    """End the approval of a policy at once. While it is active, searches are then refused."""
    full = full_policy_id(session, policy_id)
    confirm(f"End the approval of {full}? Searches by it stop at once.", yes=yes)
    request = policy_service_pb2.ExpirePolicyRequest(policy_id=full, reason=reason)
    _tell(session, _stub(session).ExpirePolicy(request).policy)


def _stub(session: Session) -> PolicyServiceStub:
    return PolicyServiceStub(session.connections.channel("matching"))


def _state(policy: policy_pb2.Policy) -> str:
    return enum_word(policy_pb2.Policy.State.Name(policy.state), "STATE_")


def _end(approval: policy_pb2.PolicyApproval) -> Timestamp:
    ended = approval.HasField("expire_time")
    return approval.expire_time if ended else approval.valid_until_time


def _tell(session: Session, policy: policy_pb2.Policy) -> None:
    if session.view.json:
        session.view.document({"policy": policy})
        return
    measured, approval = policy.measurement, policy.approval
    session.view.details(
        [
            ("id", policy.policy_id),
            ("state", _state(policy)),
            ("active", "yes" if policy.active else "no"),
            ("approved by", approval.approver),
            ("approved", times.shown(approval.approve_time)),
            ("note", approval.note),
            ("valid until", times.shown(approval.valid_until_time)),
            ("ended early", times.shown(approval.expire_time)),
            ("because", approval.expire_reason),
            ("model pack", f"{policy.model_name} ({policy.model_digest[:12]})"),
            ("threshold", f"{policy.threshold:.3f}"),
            ("people enrolled", str(measured.gallery_size)),
            ("strangers listed (FPIR)", _counted(measured.fpir)),
            ("people missed (FNIR)", _counted(measured.fnir)),
            ("measured", times.shown(measured.make_time)),
            ("data", measured.dataset),
            ("people in it", str(measured.identity_count)),
            ("photographs in it", str(measured.photograph_count)),
            ("its digest", measured.dataset_digest),
            ("limits", measured.limits),
            ("file", f"sha256 {policy.sha256}{', came with Homeward' if policy.shipped else ''}"),
        ]
    )
    if measured.cohorts:
        session.view.table(
            ("group", "people", "wrongly listed", "missed", "missed, of people", "counted on"),
            [
                (
                    " ".join(filter(None, (cohort.attribute, cohort.name))),
                    str(cohort.identity_count),
                    _counted(cohort.fpir) if cohort.HasField("fpir") else "",
                    _counted(cohort.fnir) if cohort.HasField("fnir") else "",
                    _few(cohort),
                    _basis(cohort),
                )
                for cohort in measured.cohorts
            ],
            optional=("counted on",),
        )
    else:
        session.view.say(
            "No groups of people were told apart: nothing is known of how often children, or any"
            " other group, are missed or listed wrongly."
        )


def _few(cohort: policy_pb2.PolicyCohort) -> str:
    count = cohort.fnir_identity_count
    return f"{count}{', too few to tell' if count < _LEAST_GROUP else ''}"


def _basis(cohort: policy_pb2.PolicyCohort) -> str:
    return enum_word(MeasurementBasis.Name(cohort.basis), "MEASUREMENT_BASIS_")


def _counted(rate: ErrorRate) -> str:
    return f"{policy_figures.percent(rate)} in {rate.trial_count} searches"
