"""`homeward status`: whether the services answer, with which model and threshold policy."""

from __future__ import annotations

import click
from grpc_health.v1 import health_pb2

from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.embedding.v1.model_pb2 import Model
from homeward.api.matching.v1 import matching_service_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.api.matching.v1.policy_pb2 import ThresholdPolicy
from homeward.cli import policy_figures, times
from homeward.cli.errors import CallError, ExitCode
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import enum_word
from homeward.cli.shared import SERVICES

_PATIENCE_SECONDS = 5.0
_SERVING = health_pb2.HealthCheckResponse.SERVING


@click.command(
    "status", cls=Command, examples=["homeward status", "homeward status --data ~/homeward"]
)
@connected
def status(session: Session) -> ExitCode:
    """Show whether each service answers, and the model and threshold policy in force.

    Exit code 8 when one of them does not serve. That no policy is in force, so that searches are
    refused, is told and is no error.
    """
    states = {service: _state(session, service) for service in SERVICES}
    serving = enum_word(health_pb2.HealthCheckResponse.ServingStatus.Name(_SERVING), "")
    model = policy = problem = None
    if states["embedding"] == serving:
        model = _model(session)
    if states["matching"] == serving:
        policy, problem = _policy(session)
    if session.view.json:
        _document(session, states, model, policy, problem)
    else:
        _text(session, states, model, policy, problem)
    return ExitCode.OK if set(states.values()) == {serving} else ExitCode.UNAVAILABLE


def _state(session: Session, service: str) -> str:
    # Not its stub, whose types name no calls.
    check = session.connections.channel(service).unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = check(health_pb2.HealthCheckRequest(), timeout=_PATIENCE_SECONDS)
    except CallError as error:
        return error.message
    return enum_word(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), "")


def _model(session: Session) -> Model:
    stub = EmbeddingServiceStub(session.connections.channel("embedding"))
    return stub.GetModel(embedding_service_pb2.GetModelRequest()).model


def _policy(session: Session) -> tuple[ThresholdPolicy | None, CallError | None]:
    stub = MatchingServiceStub(session.connections.channel("matching"))
    request = matching_service_pb2.GetThresholdPolicyRequest()
    try:
        return stub.GetThresholdPolicy(request).policy, None
    except CallError as error:
        if error.exit_code is not ExitCode.PRECONDITION:
            raise
        return None, error


def _address(session: Session, service: str) -> str:
    return session.connections.places.find(service).address


def _document(
    session: Session,
    states: dict[str, str],
    model: Model | None,
    policy: ThresholdPolicy | None,
    problem: CallError | None,
) -> None:
    services = [
        {"name": service, "address": _address(session, service), "state": state}
        for service, state in states.items()
    ]
    refusal = None
    if problem:
        refusal = {
            "reason": problem.reason,
            "message": problem.message,
            "advice": problem.advice,
        }
    answers = {"model": model, "thresholdPolicy": policy, "searchesRefused": refusal}
    session.view.document(
        {
            "services": services,
            **{key: value for key, value in answers.items() if value is not None},
        }
    )


def _text(
    session: Session,
    states: dict[str, str],
    model: Model | None,
    policy: ThresholdPolicy | None,
    problem: CallError | None,
) -> None:
    session.view.table(
        ("service", "address", "state"),
        [(service, _address(session, service), state) for service, state in states.items()],
    )
    if model is not None:
        session.view.say(
            f"Model: {model.name} ({model.digest[:12]}), detector on {model.detector_runtime}, "
            f"recogniser on {model.recogniser_runtime}"
        )
    if policy is not None:
        session.view.say(
            f"Threshold: {policy.threshold:.3f} ({policy.policy_id}, {_approval(policy)})"
        )
        for line in policy_figures.sentences(policy.policy_id, policy.figures):
            session.view.say(line)
        session.view.say(f"Measured on: {policy.measurement.dataset}. {policy.measurement.limits}")
    if problem is not None:
        session.view.say(f"SEARCHES ARE REFUSED: {problem.message}")
        if problem.advice:
            session.view.say(f"Advice: {problem.advice}")


def _approval(policy: ThresholdPolicy) -> str:
    mode = ", in evaluation mode" if policy.evaluation else ""
    if not policy.figures.approved:
        return f"NOT approved{mode}"
    return f"approved by {policy.approver} until {times.shown(policy.valid_until_time)}{mode}"
