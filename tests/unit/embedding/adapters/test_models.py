"""The folded models against OpenCV's own runs of the files as shipped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from homeward.embedding.adapters.sface import OnnxruntimeSface, OpenvinoSface
from homeward.embedding.adapters.yunet_sface import SFACE, YUNET, folded, read_file
from homeward.embedding.ports import LoadedPack


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (11, 112, 112, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def reference_templates(faces: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("models") / SFACE.name
    path.write_bytes(read_file(SFACE))
    recogniser = cv2.FaceRecognizerSF.create(str(path), "")
    vectors = np.concatenate([recogniser.feature(face) for face in faces])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sface_on_openvino_equals_opencv(
    faces: np.ndarray, reference_templates: np.ndarray
) -> None:
    recogniser = OpenvinoSface(folded(SFACE, any_size=False, cache=None), threads=2)

    templates = recogniser.embed(faces)

    np.testing.assert_allclose(templates, reference_templates, atol=1e-4)


@pytest.mark.parametrize("split", [False, True])
def test_sface_on_onnxruntime_equals_opencv(
    faces: np.ndarray, reference_templates: np.ndarray, *, split: bool
) -> None:
    recogniser = OnnxruntimeSface(folded(SFACE, any_size=False, cache=None, split_prelu=split))

    templates = recogniser.embed(faces)

    np.testing.assert_allclose(templates, reference_templates, atol=1e-4)


@pytest.mark.parametrize("size", [(1280, 886), (640, 443), (333, 231)])
def test_yunet_equals_opencv_at_every_picture_size(
    pack: LoadedPack, group_photo: np.ndarray, size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / YUNET.name
    path.write_bytes(read_file(YUNET))
    picture = cv2.resize(group_photo, size, interpolation=cv2.INTER_AREA)
    reference = cv2.FaceDetectorYN.create(str(path), "", size, 0.6, 0.3, 5000).detect(picture)[1]

    found = pack.detector.detect(picture, 0.6)

    rows = [[*vars_of.landmarks.ravel(), vars_of.score] for vars_of in found]
    order = np.argsort(-reference[:, 14])
    np.testing.assert_allclose(rows, reference[order, 4:], atol=0.01)


def test_yunet_gives_the_surest_face_first(pack: LoadedPack, group_photo: np.ndarray) -> None:
    scores = [face.score for face in pack.detector.detect(group_photo, 0.3)]

    assert scores == sorted(scores, reverse=True)


def test_yunet_finds_no_face_in_an_empty_picture(pack: LoadedPack) -> None:
    assert pack.detector.detect(np.zeros((100, 70, 3), np.uint8), 0.1) == []
