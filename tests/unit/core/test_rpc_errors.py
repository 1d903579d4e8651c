from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from homeward.core.rpc_errors import error_info, retry_seconds


class Failed(grpc.RpcError):
    def __init__(
        self,
        details: Sequence[error_details_pb2.ErrorInfo],
        *,
        message: str = "no such scan",
        retry: error_details_pb2.RetryInfo | None = None,
    ) -> None:
        self._message = message
        status = status_pb2.Status(code=5, message="no such scan")
        status.details.add().Pack(retry or error_details_pb2.Help())
        for detail in details:
            status.details.add().Pack(detail)
        self._metadata = (("grpc-status-details-bin", status.SerializeToString()),)

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return self._metadata


OURS = error_details_pb2.ErrorInfo(reason="SCAN_NOT_FOUND", domain="homeward")
OTHER = error_details_pb2.ErrorInfo(reason="SCAN_NOT_FOUND", domain="example.com")


def test_the_reason_is_found_among_other_details() -> None:
    assert error_info(Failed([OTHER, OURS])) == OURS


def test_the_reason_of_somebody_else_is_none_of_ours() -> None:
    assert error_info(Failed([OTHER])) is None


def test_an_error_without_details_has_no_reason() -> None:
    error = Failed([OURS])
    error._metadata = ()

    assert error_info(error) is None


def test_details_that_belong_to_another_error_are_not_read() -> None:
    assert error_info(Failed([OURS], message="upstream connect error")) is None


def test_how_long_to_wait_is_read_in_seconds() -> None:
    delay = duration_pb2.Duration(seconds=5, nanos=500_000_000)

    assert (
        retry_seconds(Failed([OURS], retry=error_details_pb2.RetryInfo(retry_delay=delay))) == 5.5
    )


def test_an_error_that_says_nothing_of_a_wait_has_none() -> None:
    assert retry_seconds(Failed([OURS])) is None
