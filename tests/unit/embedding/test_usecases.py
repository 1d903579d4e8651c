from __future__ import annotations

from collections.abc import Generator, Sequence

import cv2
import numpy as np
import pytest

from homeward.core.vision.alignment import align
from homeward.core.vision.quality import FaceQuality
from homeward.embedding.model import Box, Detection, Frame, Image, Photo, PhotoProblem, PixelFormat
from homeward.embedding.ports import LoadedPack
from homeward.embedding.usecases import (
    AnalyzePhoto,
    DetectFaces,
    company_problems,
    is_upright,
    quality_problems,
)

SUBJECT = Box(70, 70, 100, 120)  # in a picture of 250 x 250


class Given:
    """A decoder that gives the picture it was made with."""

    def __init__(self, image: Image, *, shrunk_by: int = 1) -> None:
        self._image = image
        self._shrunk_by = shrunk_by

    def decode_photo(self, data: bytes) -> Photo:
        del data
        height, width = self._image.shape[:2]
        return Photo(self._image, width * self._shrunk_by, height * self._shrunk_by)

    def decode_frames(self, frames: Sequence[Frame]) -> Generator[Image]:
        for _ in frames:
            yield self._image


class Seen:
    """A detector that sees one face, always at the same part of the picture.

    It is the surer the redder the picture's upper left corner is.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def detect(self, image: Image, min_score: float) -> list[Detection]:
        del min_score
        height, width = image.shape[:2]
        self.sizes.append((width, height))
        relative = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]])
        box = Box(0.25 * width, 0.25 * height, 0.5 * width, 0.5 * height)
        return [
            Detection(
                box, (relative * [width, height]).astype(np.float32), float(image[0, 0, 2]) / 255
            )
        ]


class Ones:
    """A recogniser for which all faces are one."""

    def embed(self, faces: np.ndarray, widths_px: np.ndarray | None = None) -> np.ndarray:
        del widths_px
        return np.full((len(faces), 4), 0.5, np.float32)


def large_photo() -> Image:
    image = np.random.default_rng(2).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    image[:100, :100, 2] = 230  # where `Seen` looks
    return image


def test_a_photo_without_a_face_says_so() -> None:
    assert company_problems([], 250, 250) == (PhotoProblem.NO_FACE,)


@pytest.mark.parametrize(
    "other",
    [Box(5, 5, 50, 60), Box(200, 60, 95, 115)],
    ids=["much smaller", "cut off by the edge"],
)
def test_a_bystander_does_no_harm(other: Box) -> None:
    assert company_problems([SUBJECT, other], 250, 250) == ()


@pytest.mark.parametrize(
    ("subject", "other"),
    [
        (Box(10, 70, 100, 120), Box(140, 70, 95, 115)),
        (Box(0, 0, 100, 120), Box(110, 110, 40, 50)),
    ],
    ids=["alike in size", "smaller but in the middle"],
)
def test_a_second_person_who_could_be_meant_makes_several_faces(subject: Box, other: Box) -> None:
    assert company_problems([subject, other], 250, 250) == (PhotoProblem.SEVERAL_FACES,)


@pytest.mark.parametrize(
    ("quality", "problems"),
    [
        (FaceQuality(0.8, 40, 0.5, 0.1), ()),
        (FaceQuality(0.8, 14, 0.5, 0.1), (PhotoProblem.TOO_SMALL,)),
        (FaceQuality(0.8, 14, 0.2, 0.1), (PhotoProblem.TOO_SMALL,)),
        (FaceQuality(0.8, 40, 0.3, 0.1), (PhotoProblem.BLURRED,)),
        (FaceQuality(0.8, 40, 0.3, 0.6), (PhotoProblem.BLURRED, PhotoProblem.TURNED_AWAY)),
    ],
)
def test_a_face_is_refused_for_each_shortcoming(
    quality: FaceQuality, problems: tuple[PhotoProblem, ...]
) -> None:
    assert quality_problems(quality) == problems


def test_a_large_photo_is_searched_small_and_measured_in_full() -> None:
    image = large_photo()
    detector = Seen()

    analysis = AnalyzePhoto(Given(image), detector, Ones())(b"")

    assert detector.sizes[:2] == [(160, 160), (256, 256)]
    assert analysis.faces[0].quality.eye_distance_px == pytest.approx(400, abs=2)
    assert (analysis.width, analysis.height) == (2000, 2000)


def test_a_photo_that_was_shrunk_is_answered_in_pixels_of_its_file() -> None:
    plain = AnalyzePhoto(Given(large_photo()), Seen(), Ones())(b"")
    shrunk = AnalyzePhoto(Given(large_photo(), shrunk_by=2), Seen(), Ones())(b"")

    assert (shrunk.width, shrunk.height) == (4000, 4000)
    assert shrunk.faces[0].detection.box.x == pytest.approx(2 * plain.faces[0].detection.box.x)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_that_is_not_upright_is_refused(
    pack: LoadedPack, portrait: np.ndarray, quarters: int
) -> None:
    turned = np.ascontiguousarray(np.rot90(portrait, quarters))

    analysis = AnalyzePhoto(Given(turned), pack.detector, pack.recogniser)(b"")

    assert analysis.problems == (PhotoProblem.NOT_UPRIGHT,)
    assert analysis.template is None


def test_a_photo_that_is_upright_is_accepted(pack: LoadedPack, portrait: np.ndarray) -> None:
    analysis = AnalyzePhoto(Given(portrait), pack.detector, pack.recogniser)(b"")

    assert analysis.problems == ()


@pytest.mark.parametrize(
    ("score", "turned_score", "upright"),
    [
        (0.93, 0.88, True),
        (0.93, 0.0, True),
        (0.88, 0.93, False),
        (0.90, 0.899, False),
        (0.0, 0.93, False),
        (0.0, 0.72, True),
        (0.0, 0.0, True),
    ],
    ids=[
        "surest as it is",
        "seen only as it is",
        "surer when it is turned",
        "as sure when it is turned",
        "seen only when it is turned",
        "hardly seen when it is turned",
        "no face",
    ],
)
def test_a_photo_is_upright_where_the_detector_is_surest_of_a_face(
    score: float,
    turned_score: float,
    upright: bool,  # noqa: FBT001 - an expected value
) -> None:
    assert is_upright(score, turned_score) is upright


def test_a_photo_with_problems_gets_no_template(pack: LoadedPack, group_photo: np.ndarray) -> None:
    analysis = AnalyzePhoto(Given(group_photo), pack.detector, pack.recogniser)(b"")

    assert analysis.problems == (PhotoProblem.SEVERAL_FACES,)
    assert analysis.template is None


def test_a_face_that_fills_its_photo_is_found(pack: LoadedPack, group_photo: np.ndarray) -> None:
    box = max(pack.detector.detect(group_photo, 0.6), key=lambda face: face.box.width).box
    x, y = int(box.x), int(box.y)
    face = group_photo[y : y + int(box.height), x : x + int(box.width)]
    large = cv2.resize(face, None, fx=10, fy=10, interpolation=cv2.INTER_CUBIC)

    analysis = AnalyzePhoto(Given(large), pack.detector, pack.recogniser)(b"")

    assert len(analysis.faces) == 1


def test_one_person_has_nearly_one_template_at_every_resolution(
    pack: LoadedPack, group_photo: np.ndarray
) -> None:
    detection = pack.detector.detect(group_photo, 0.6)[0]
    enlarged = cv2.resize(group_photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    crops = np.stack(
        [
            align(group_photo, detection.landmarks),
            align(enlarged, (detection.landmarks + 0.5) * 4 - 0.5),
        ]
    )

    small, large = pack.recogniser.embed(crops)

    assert small @ large > 0.97


def test_faces_of_a_frame_come_with_their_frame_and_quality(
    pack: LoadedPack, group_photo: np.ndarray
) -> None:
    height, width = group_photo.shape[:2]
    frame = Frame(7, PixelFormat.BGR24, width, height, group_photo.tobytes())

    (found,) = DetectFaces(Given(group_photo), pack.detector)([frame], 0.6, measured=True)

    assert found.frame_id == 7
    assert len(found.faces) == 6
    assert all(face.quality.score > 0.5 for face in found.faces)


def test_faces_come_without_quality_when_it_is_not_asked_for(
    pack: LoadedPack, group_photo: np.ndarray
) -> None:
    height, width = group_photo.shape[:2]
    frame = Frame(7, PixelFormat.BGR24, width, height, group_photo.tobytes())

    (found,) = DetectFaces(Given(group_photo), pack.detector)([frame], 0.6, measured=False)

    assert len(found.faces) == 6
    assert all(face.quality is None for face in found.faces)
