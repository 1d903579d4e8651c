"""`homeward status`: whether the services answer, with which model and threshold."""

from __future__ import annotations

import click
from grpc_health.v1 import health_pb2

from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.embedding.v1.model_pb2 import Model
from homeward.api.matching.v1 import matching_service_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.api.matching.v1.policy_pb2 import ThresholdPolicy
from homeward.cli.connect import SERVICES
from homeward.cli.errors import CallError, ExitCode
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import enum_word

_PATIENCE_SECONDS = 5.0
_SERVING = health_pb2.HealthCheckResponse.SERVING


@click.command(
    "status", cls=Command, examples=["homeward status", "homeward status --data ~/homeward"]
)
@connected
def status(session: Session) -> ExitCode:
    """Show whether each service answers, and the model and threshold in force.

    Exit code 8 when one of them does not serve.
    """
    states = {service: _state(session, service) for service in SERVICES}
    serving = enum_word(health_pb2.HealthCheckResponse.ServingStatus.Name(_SERVING), "")
    model = policy = None
    if states["embedding"] == serving:
        model = _model(session)
    if states["matching"] == serving:
        policy = _policy(session)
    if session.view.json:
        _document(session, states, model, policy)
    else:
        _text(session, states, model, policy)
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


def _policy(session: Session) -> ThresholdPolicy:
    stub = MatchingServiceStub(session.connections.channel("matching"))
    return stub.GetThresholdPolicy(matching_service_pb2.GetThresholdPolicyRequest()).policy


def _address(session: Session, service: str) -> str:
    return session.connections.places.find(service).address


def _document(
    session: Session,
    states: dict[str, str],
    model: Model | None,
    policy: ThresholdPolicy | None,
) -> None:
    services = [
        {"name": service, "address": _address(session, service), "state": state}
        for service, state in states.items()
    ]
    told = {"model": model, "thresholdPolicy": policy}
    session.view.document(
        {"services": services, **{key: value for key, value in told.items() if value is not None}}
    )


def _text(
    session: Session,
    states: dict[str, str],
    model: Model | None,
    policy: ThresholdPolicy | None,
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
        measured = "measured" if policy.measured else "NOT measured for this installation"
        session.view.say(
            f"Threshold: {policy.threshold:.3f} ({policy.policy_id}, {measured}): {policy.basis}"
        )
