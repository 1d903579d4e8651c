"""What a failed call says of itself beyond its code, as `google.rpc` details."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.rpc import error_details_pb2
from grpc_status import rpc_status

DOMAIN = "homeward"
"""Of the `ErrorInfo` of Homeward's own errors."""


def error_info(error: Any) -> error_details_pb2.ErrorInfo | None:  # noqa: ANN401 - of grpc or of grpc.aio, which share no type
    """Return the reason that Homeward gave for a failed call, or None.

    Args:
        error: The `grpc.RpcError` or `grpc.aio.AioRpcError`.
    """
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None


def retry_seconds(error: Any) -> float | None:  # noqa: ANN401 - as above
    """Return after how long the same call may work, as the service says; None if it does not."""
    for detail in _details(error):
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            delay: timedelta = info.retry_delay.ToTimedelta()
            return delay.total_seconds()
    return None


def _details(error: Any) -> Sequence[Any]:  # noqa: ANN401 - as above, and messages of any type
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return ()  # a proxy changed code or message on the way: the details are of another error
    return status.details if status else ()
