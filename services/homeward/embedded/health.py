"""Whether a gRPC service serves, and whether an engine that runs elsewhere is there."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from homeward.api.matching.v1 import matching_service_pb2, matching_service_pb2_grpc
from homeward.cli.errors import advise
from homeward.core.rpc_errors import error_info
from homeward.embedded.errors import StackError
from homeward.embedded.ports import address, is_listening
from homeward.embedded.spec import Check

_CHECK_SECONDS = 1.0
_CONNECT_SECONDS = 5.0
_DEFAULT_PORTS = {"http": 80, "https": 443, "nats": 4222, "tls": 4222}


def serving(port: int, credentials: grpc.ChannelCredentials | None = None) -> Check:
    """Return a check that passes when `grpc.health.v1` says SERVING.

    Args:
        port: On loopback.
        credentials: What to call it with; None for plain text.
    """

    def ready() -> str | None:
        # Asked first: a channel that is refused once would wait for longer than the start takes.
        if not is_listening(port):
            return "to accept connections"
        with _channel(port, credentials) as channel:
            try:
                stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs lack the methods
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_CHECK_SECONDS)
            except grpc.RpcError:
                return "to answer"
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return "to find its engines and serve"
        return None

    return ready


def refusal(port: int, credentials: grpc.ChannelCredentials) -> str | None:
    """Return why matching would refuse a search for want of a policy, and what to do about it.

    None when it would not.
    """
    with _channel(port, credentials) as channel:
        stub = matching_service_pb2_grpc.MatchingServiceStub(channel)
        request = matching_service_pb2.GetThresholdPolicyRequest()
        try:
            stub.GetThresholdPolicy(request, timeout=_CONNECT_SECONDS)
        except grpc.RpcError as error:
            # Anything else is no reason to say something: the next search will tell.
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                return None
            info = error_info(error)
            advice = advise(info.reason, info.metadata) if info else ""
            return f"{error.details()}; {advice}" if advice else error.details()
    return None


def require_reachable(name: str, url: str, variable: str) -> None:
    """Refuse to start on an engine that nobody listens for.

    Raises:
        StackError: Which one, where, and what to do about it.
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = parts.hostname or ""
    try:
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:  # ValueError: the port is no number
        # Without the user part, which may be a token.
        where = parts.netloc.rpartition("@")[2]
        raise StackError(
            f"{name} does not answer at {where}: start it, or correct or unset {variable}"
        ) from error


def _channel(port: int, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    if credentials is None:
        return grpc.insecure_channel(address(port))
    return grpc.secure_channel(address(port), credentials)
