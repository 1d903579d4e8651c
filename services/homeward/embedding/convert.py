"""Between messages and the domain; where the fields' rules are enforced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from homeward.api.common.v1 import types_pb2
from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import face_pb2, model_pb2
from homeward.core.vision.quality import FaceQuality
from homeward.embedding.model import (
    Face,
    Frame,
    FrameFaces,
    ModelPack,
    PhotoAnalysis,
    PhotoProblem,
    PixelFormat,
)
from homeward.embedding.usecases import DEFAULT_DETECTOR_SCORE
from homeward.servicekit.errors import invalid_field

MAX_FRAMES = 64
MAX_ALIGNED_FACES = 256
MAX_PHOTO_BYTES = 32 * 1024 * 1024
"""What phones of 108 megapixels make is 15 to 30 MB."""
MIN_SIDE_PX, MAX_SIDE_PX = 16, 4096
MIN_FACE_WIDTH_PX, MAX_FACE_WIDTH_PX = 1, 65_536
MIN_DETECTOR_SCORE = 0.1

_PIXEL_FORMATS = {
    wire.PIXEL_FORMAT_BGR24: PixelFormat.BGR24,
    wire.PIXEL_FORMAT_JPEG: PixelFormat.JPEG,
    wire.PIXEL_FORMAT_I420: PixelFormat.I420,
}
_PROBLEMS = {
    PhotoProblem.NO_FACE: face_pb2.PHOTO_PROBLEM_NO_FACE,
    PhotoProblem.SEVERAL_FACES: face_pb2.PHOTO_PROBLEM_SEVERAL_FACES,
    PhotoProblem.TOO_SMALL: face_pb2.PHOTO_PROBLEM_TOO_SMALL,
    PhotoProblem.BLURRED: face_pb2.PHOTO_PROBLEM_BLURRED,
    PhotoProblem.TURNED_AWAY: face_pb2.PHOTO_PROBLEM_TURNED_AWAY,
    PhotoProblem.NOT_UPRIGHT: face_pb2.PHOTO_PROBLEM_NOT_UPRIGHT,
}


def frames_from(request: wire.DetectFacesRequest) -> list[Frame]:
    """Return the frames of a batch.

    Raises:
        InvalidArgumentError: `FIELD_INVALID`.
    """
    if not 1 <= len(request.frames) <= MAX_FRAMES:
        raise invalid_field("frames", f"must be 1 to {MAX_FRAMES}, are {len(request.frames)}")
    return [_frame_from(frame, f"frames[{i}]") for i, frame in enumerate(request.frames)]


def _frame_from(frame: wire.Frame, path: str) -> Frame:
    pixel_format = _PIXEL_FORMATS.get(frame.pixel_format)
    if pixel_format is None:
        raise invalid_field(f"{path}.pixel_format", "must be BGR24, I420 or JPEG")
    for name, side in (("width", frame.width), ("height", frame.height)):
        if not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
            raise invalid_field(
                f"{path}.{name}", f"must be {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, is {side}"
            )
    if pixel_format is PixelFormat.I420 and (frame.width % 2 or frame.height % 2):
        raise invalid_field(f"{path}.width", "must be even, and the height too, for I420")
    # I420: brightness for each pixel, two colours for each four.
    expected, rule = {
        PixelFormat.BGR24: (frame.width * frame.height * 3, "width x height x 3"),
        PixelFormat.I420: (frame.width * frame.height * 3 // 2, "width x height x 3 / 2"),
        PixelFormat.JPEG: (len(frame.data), ""),
    }[pixel_format]
    if len(frame.data) != expected:
        raise invalid_field(
            f"{path}.data", f"must be {rule} = {expected} bytes, is {len(frame.data)}"
        )
    return Frame(frame.frame_id, pixel_format, frame.width, frame.height, frame.data)


def min_score_from(request: wire.DetectFacesRequest) -> float:
    """Return the detector score below which faces are left out.

    Raises:
        InvalidArgumentError: `FIELD_INVALID`.
    """
    score = request.min_detector_score or DEFAULT_DETECTOR_SCORE
    if not MIN_DETECTOR_SCORE <= score <= 1:
        raise invalid_field(
            "min_detector_score", f"must be 0 or from {MIN_DETECTOR_SCORE} to 1, is {score:g}"
        )
    return score


def aligned_faces_from(request: wire.EmbedFacesRequest, side: int) -> NDArray[np.uint8]:
    """Return aligned faces, BGR, shape (n, side, side, 3).

    Raises:
        InvalidArgumentError: `FIELD_INVALID`.
    """
    faces = request.aligned_faces
    if not 1 <= len(faces) <= MAX_ALIGNED_FACES:
        raise invalid_field("aligned_faces", f"must be 1 to {MAX_ALIGNED_FACES}, are {len(faces)}")
    expected = side * side * 3
    for i, face in enumerate(faces):
        if len(face) != expected:
            raise invalid_field(
                f"aligned_faces[{i}]",
                f"must be {side} x {side} x 3 = {expected} bytes, is {len(face)}",
            )
    return np.frombuffer(b"".join(faces), np.uint8).reshape(-1, side, side, 3)


def face_widths_from(request: wire.EmbedFacesRequest) -> NDArray[np.float32] | None:
    """Return how wide the faces were, pixels, shape (n,); None of photographs.

    Raises:
        InvalidArgumentError: `FIELD_INVALID`.
    """
    if not request.face_widths_px:
        return None
    if len(request.face_widths_px) != len(request.aligned_faces):
        raise invalid_field(
            "face_widths_px",
            f"must be none or as many as faces, {len(request.aligned_faces)}, are"
            f" {len(request.face_widths_px)}",
        )
    widths = np.array(request.face_widths_px, np.float32)
    for i, width in enumerate(widths):
        if not MIN_FACE_WIDTH_PX <= width <= MAX_FACE_WIDTH_PX:
            raise invalid_field(
                f"face_widths_px[{i}]",
                f"must be {MIN_FACE_WIDTH_PX} to {MAX_FACE_WIDTH_PX} pixels, is {width:g}",
            )
    return widths


def photo_from(request: wire.AnalyzePhotoRequest) -> bytes:
    """Return the photograph's file.

    Raises:
        InvalidArgumentError: `FIELD_INVALID`.
    """
    if not 1 <= len(request.photo) <= MAX_PHOTO_BYTES:
        raise invalid_field("photo", f"must be 1 byte to 32 MiB, is {len(request.photo)} bytes")
    return request.photo


def detect_response(frames: Iterable[FrameFaces]) -> wire.DetectFacesResponse:
    """Return the faces of a batch as a message."""
    return wire.DetectFacesResponse(
        frames=[
            wire.FrameFaces(frame_id=frame.frame_id, faces=map(_face_message, frame.faces))
            for frame in frames
        ]
    )


def embed_response(
    templates: Iterable[NDArray[np.float32]], model_digest: str
) -> wire.EmbedFacesResponse:
    """Return templates as a message."""
    return wire.EmbedFacesResponse(
        templates=[_template_message(template, model_digest) for template in templates]
    )


def analysis_response(analysis: PhotoAnalysis, model_digest: str) -> wire.AnalyzePhotoResponse:
    """Return the verdict on a photograph as a message."""
    return wire.AnalyzePhotoResponse(
        problems=[_PROBLEMS[problem] for problem in analysis.problems],
        faces=map(_face_message, analysis.faces),
        template=None
        if analysis.template is None
        else _template_message(analysis.template, model_digest),
        width=analysis.width,
        height=analysis.height,
    )


def model_response(pack: ModelPack) -> wire.GetModelResponse:
    """Return the model pack as a message."""
    return wire.GetModelResponse(
        model=model_pb2.Model(
            name=pack.name,
            digest=pack.digest,
            template_size=pack.template_size,
            aligned_side_px=pack.aligned_side_px,
            files=[
                model_pb2.ModelFile(
                    role=file.role,
                    name=file.name,
                    sha256=file.sha256,
                    licence=file.licence,
                    training_data=file.training_data,
                    training_data_source=file.training_data_source,
                )
                for file in pack.files
            ],
            detector_runtime=pack.detector_runtime,
            recogniser_runtime=pack.recogniser_runtime,
        )
    )


def _face_message(face: Face) -> face_pb2.Face:
    box, quality = face.detection.box, face.quality
    return face_pb2.Face(
        box=types_pb2.BoundingBox(x=box.x, y=box.y, width=box.width, height=box.height),
        landmarks=[types_pb2.Point(x=x, y=y) for x, y in face.detection.landmarks.tolist()],
        detector_score=face.detection.score,
        quality=_quality_message(quality) if quality else None,
    )


def _quality_message(quality: FaceQuality) -> face_pb2.FaceQuality:
    return face_pb2.FaceQuality(
        score=quality.score,
        eye_distance_px=quality.eye_distance_px,
        sharpness=quality.sharpness,
        turn=quality.turn,
    )


def _template_message(template: NDArray[np.float32], model_digest: str) -> types_pb2.Template:
    values: Sequence[float] = template.tolist()
    return types_pb2.Template(values=values, model_digest=model_digest)
