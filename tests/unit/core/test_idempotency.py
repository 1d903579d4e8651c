from __future__ import annotations

from homeward.api.ingestion.v1 import footage_service_pb2, scan_service_pb2
from homeward.core.idempotency import RETRY_POLICY, idempotent_calls, retries

SCANS = "homeward.api.ingestion.v1.ScanService"


def test_calls_that_do_the_same_when_they_come_twice_may_be_repeated() -> None:
    found = idempotent_calls(scan_service_pb2.DESCRIPTOR, streams=False)

    assert set(found) == {
        f"{SCANS}/CreateScan",
        f"{SCANS}/GetScan",
        f"{SCANS}/ListScans",
        f"{SCANS}/ListIncomparableStretches",
        f"{SCANS}/AuthoriseScan",
        f"{SCANS}/RefuseScan",
        f"{SCANS}/GetUseRecord",
    }


def test_streams_may_be_repeated_where_they_are_asked_for() -> None:
    without = idempotent_calls(scan_service_pb2.DESCRIPTOR, streams=False)
    found = idempotent_calls(scan_service_pb2.DESCRIPTOR, streams=True)

    assert set(found) - set(without) == {f"{SCANS}/WatchScan"}


def test_calls_of_several_files_are_found() -> None:
    found = idempotent_calls(
        scan_service_pb2.DESCRIPTOR, footage_service_pb2.DESCRIPTOR, streams=False
    )

    assert {f"{SCANS}/GetScan", "homeward.api.ingestion.v1.FootageService/GetFootage"} <= set(found)


def test_gRPC_is_told_which_calls_to_repeat() -> None:  # noqa: N802 - its name
    assert retries(["p.Service/Method", "p.Other"]) == [
        {
            "name": [{"service": "p.Service", "method": "Method"}, {"service": "p.Other"}],
            "retryPolicy": RETRY_POLICY,
        }
    ]


def test_without_calls_none_is_repeated() -> None:
    assert retries(()) == []  # an empty list of names would be refused by gRPC
