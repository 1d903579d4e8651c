"""What the services of `cli_services` answer, and what the command line makes of it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click
import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

from homeward.api.common.v1.policy_pb2 import (
    MEASUREMENT_BASIS_FOOTAGE,
    AgeFigures,
    AgeRange,
    ErrorRate,
    PolicyFigures,
)
from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.cli import enrolment

ANNA = "3f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10"
PHOTO = "6a1d0f5e-7c0b-5b3e-8f5d-0c2b6a9e4d11"


SCAN = "8c41f7d2-0f3a-4b52-8f63-5a1f0a0d2b11"


SIGHTING = "91b5e0c4-2d7e-5f10-a3a4-6f3f6f1f7c22"


FOOTAGE = "gate-20261120t100000000000z-5d0c77aa6b1d5c3f"


BEGIN = Timestamp(seconds=1_795_168_800)  # 2026-11-20 10:00:00Z


LATER = Timestamp(seconds=1_795_168_812)


IN_VIEW = TimeInterval(start_time=BEGIN, end_time=LATER)


@dataclass(frozen=True)
class Refusal:
    """What a fake answers instead."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "no"
    metadata: dict[str, str] = field(default_factory=dict)

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = any_pb2.Any()
        info.Pack(
            error_details_pb2.ErrorInfo(
                reason=self.reason, domain="homeward", metadata=self.metadata
            )
        )
        status.details.append(info)
        if self.reason:
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
        context.abort(self.code, self.message)


CHILDREN = AgeFigures(
    ages=AgeRange(youngest_years=0, oldest_years=17),
    fnir=ErrorRate(value=0.5, low=0.4, high=0.6, trial_count=80),
    identity_count=40,
    basis=MEASUREMENT_BASIS_FOOTAGE,
)


def worth(
    *, approved: bool = True, enrolled: int = 12, ages: Iterable[AgeFigures] = ()
) -> PolicyFigures:
    return PolicyFigures(
        age_figures=ages,
        approved=approved,
        gallery_size=enrolled,
        expected_fpir=ErrorRate(value=0.00024, low=0.0001, high=0.0005, trial_count=1000),
        fnir=ErrorRate(value=0.042, low=0.028, high=0.063, trial_count=500),
        measured_gallery_size=500,
    )


LOST = Refusal(grpc.StatusCode.UNAVAILABLE, message="connection reset")


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(file, "JPEG")
    return file.getvalue()


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def written(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def effort(*ways: int, looked_at: int = 60, passed_over: int = 540) -> scan_pb2.FootageEffort:
    return scan_pb2.FootageEffort(
        footage_id=FOOTAGE,
        decoded_duration=Duration(seconds=looked_at),
        passed_over_duration=Duration(seconds=passed_over),
        thoroughness=ways,
    )


def ended(
    *,
    searched: int = 600,
    passed_over: int = 0,
    gaps: Iterable[scan_pb2.CoverageGap] = (),
    incomparable: int = 0,
    efforts: Iterable[scan_pb2.FootageEffort] = (),
    subject_ids: Iterable[str] = (),
    sizes: scan_pb2.FaceSizes | None = None,
    cameras: Iterable[scan_pb2.CameraFaceSizes] = (),
    state: Any = scan_pb2.Scan.STATE_SUCCEEDED,
) -> Any:
    return scan_service_pb2.WatchScanResponse(
        scan=scan_pb2.Scan(
            scan_id=SCAN,
            scope=scan_pb2.ScanScope(subject_ids=subject_ids),
            state=state,
            coverage=scan_pb2.ScanCoverage(
                requested_duration=Duration(seconds=600),
                searched_duration=Duration(seconds=searched),
                looked_at_duration=Duration(seconds=searched - passed_over),
                passed_over_duration=Duration(seconds=passed_over),
                gaps=gaps,
                incomparable_appearance_count=incomparable,
                footage_efforts=efforts,
                face_sizes=sizes,
                camera_face_sizes=cameras,
            ),
        )
    )


EXPECTATION = (
    "with 12 people looked for, about 1 in 4200 strangers (1 in 10000 to 1 in 2000) becomes a"
    " candidate by mistake. Of the people who are looked for and pass a camera, about 4.2 % (2.8 to"
    " 6.3) are missed."
)


UNAPPROVED = "EVALUATION ONLY: policy yunet-sface/1 has not been approved by anybody"


NOT_APPROVED = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION, "POLICY_NOT_APPROVED", "approve one", {"policy_id": ""}
)


CHILD_WARNING = (
    "WARNING: enrolled as a child (under 18): Anna. Policy yunet-sface/1 does not say that it was"
    " measured on children. Children are found far less often than adults"
)


CHILD_MEASURED = "Children missed, by age, as measured: 0 to 17: 50.0 % (40.0 to 60.0) in footage."


ADD_SUBJECT = ("subject", "add", "--case", "MP-1", "--label", "Anna")


ADD_FOOTAGE = ("footage", "add", "--camera", "gate", "--start", "2026-11-20T10:00:00Z")


def face_sizes(
    people: int, *, too_small: int = 0, unclear: int = 0, median: int = 17
) -> scan_pb2.FaceSizes:
    return scan_pb2.FaceSizes(
        least_width_px=24,
        appearance_count=people,
        too_small_appearance_count=too_small,
        unclear_appearance_count=unclear,
        median_width_px=median,
    )


SIZES = face_sizes(50, too_small=31, unclear=2)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *answers: bool | type[Exception]) -> list[str]:
    """Let somebody be there who answers; return what is asked."""
    asked: list[str] = []
    left = iter(answers)

    def confirm(question: str, **_: Any) -> bool:
        asked.append(question)
        answer = next(left)
        if isinstance(answer, type):
            raise answer
        return answer

    monkeypatch.setattr(enrolment, "somebody_is_there", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    return asked
