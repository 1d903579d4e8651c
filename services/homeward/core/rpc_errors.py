"""What a failed call says of itself beyond its code, as `google.rpc` details."""

from __future__ import annotations

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
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return None  # a proxy changed code or message on the way: the details are of another error
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None
