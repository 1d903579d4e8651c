from __future__ import annotations

from typing import Any

import pytest

from homeward.api.embedding.v1 import embedding_service_pb2 as wire
from homeward.api.embedding.v1 import face_pb2
from homeward.embedding import convert
from homeward.embedding.model import PhotoProblem
from homeward.servicekit.errors import InvalidArgumentError

GOOD: dict[str, Any] = {
    "pixel_format": wire.PIXEL_FORMAT_BGR24,
    "width": 20,
    "height": 16,
    "data": bytes(20 * 16 * 3),
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pixel_format": 0}, "frames[1].pixel_format"),
        ({"pixel_format": 9}, "frames[1].pixel_format"),
        ({"width": 15}, "frames[1].width"),
        ({"width": 4097}, "frames[1].width"),
        ({"height": 0}, "frames[1].height"),
        ({"height": -1}, "frames[1].height"),
        ({"data": bytes(959)}, "frames[1].data"),
    ],
)
def test_a_frame_that_breaks_a_rule_is_named_by_its_path(
    change: dict[str, Any], field: str
) -> None:
    request = wire.DetectFacesRequest(frames=[wire.Frame(**GOOD), wire.Frame(**{**GOOD, **change})])

    with pytest.raises(InvalidArgumentError) as refused:
        convert.frames_from(request)

    assert refused.value.violations[0].field == field


@pytest.mark.parametrize("count", [0, 65])
def test_a_batch_has_1_to_64_frames(count: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        convert.frames_from(wire.DetectFacesRequest(frames=[wire.Frame(**GOOD)] * count))

    assert refused.value.violations[0].field == "frames"


def test_no_detector_score_means_the_default() -> None:
    assert convert.min_score_from(wire.DetectFacesRequest()) == 0.6


@pytest.mark.parametrize("score", [-0.5, 0.05, 1.5, float("nan")])
def test_a_detector_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        convert.min_score_from(wire.DetectFacesRequest(min_detector_score=score))

    assert refused.value.violations[0].field == "min_detector_score"


@pytest.mark.parametrize("score", [0.1, 1.0])
def test_the_ends_of_the_range_are_accepted(score: float) -> None:
    request = wire.DetectFacesRequest(min_detector_score=score)

    assert convert.min_score_from(request) == pytest.approx(score)


def test_an_aligned_face_of_another_size_is_named_by_its_path() -> None:
    request = wire.EmbedFacesRequest(aligned_faces=[bytes(112 * 112 * 3), bytes(5)])

    with pytest.raises(InvalidArgumentError) as refused:
        convert.aligned_faces_from(request, 112)

    assert refused.value.violations[0].field == "aligned_faces[1]"


@pytest.mark.parametrize("size", [0, 32 * 1024 * 1024 + 1])
def test_a_photo_has_1_byte_to_32_mebibytes(size: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        convert.photo_from(wire.AnalyzePhotoRequest(photo=bytes(size)))

    assert refused.value.violations[0].field == "photo"


@pytest.mark.parametrize("problem", PhotoProblem)
def test_every_problem_has_its_name_on_the_wire(problem: PhotoProblem) -> None:
    wire_name = face_pb2.PhotoProblem.Name(convert._PROBLEMS[problem])

    assert wire_name == f"PHOTO_PROBLEM_{problem.name}"
