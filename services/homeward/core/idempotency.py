"""Which calls a client may repeat, as the protos state it (`idempotency_level`), and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

RETRY_POLICY: Mapping[str, Any] = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 3,
    # A server that shuts down drops calls that it has not begun with CANCELLED.
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
"""How gRPC repeats a call that got no answer."""


def idempotent_calls(*files: FileDescriptor, streams: bool) -> tuple[str, ...]:
    """Return the calls that do the same when they come twice, such as `package.Service/Method`.

    Args:
        files: Have the services whose calls are meant.
        streams: Whether calls that stream on either side are among them. gRPC repeats such a call
            only until its first answer.
    """
    return tuple(
        f"{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
        if _idempotent(method) and (streams or not _streams(method))
    )


def retries(calls: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return what a service config says of calls that may be repeated, under `methodConfig`.

    Args:
        calls: Their names, as `idempotent_calls` gives them; a service's name alone is all of its
            calls. None: no call is repeated.
    """
    if not calls:
        return []
    names = []
    for call in calls:
        service, _, method = call.partition("/")
        names.append({"service": service} | ({"method": method} if method else {}))
    return [{"name": names, "retryPolicy": RETRY_POLICY}]


def _idempotent(method: MethodDescriptor) -> bool:
    level = method.GetOptions().idempotency_level
    return bool(level != MethodOptions.IDEMPOTENCY_UNKNOWN)


def _streams(method: MethodDescriptor) -> bool:
    return bool(method.client_streaming or method.server_streaming)
