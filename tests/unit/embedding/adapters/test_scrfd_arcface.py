"""What is asked of InsightFace's classes, and of their answers, on stand-ins for both."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from homeward.core import packs
from homeward.core.pack_manifest import FAMILIES, Manifest
from homeward.core.packs import PackError
from homeward.embedding.adapters.onnx_recogniser import OnnxRecogniser
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.adapters.scrfd_arcface import ArcfaceRecogniser, ScrfdFaceDetector


class Scrfd:
    """Sees one face wherever it looks, and remembers the sizes of the pictures."""

    def __init__(self, fixed: tuple[int, int] | None = None, landmarks: int = 5) -> None:
        self.static_input_size = fixed
        self.landmarks = landmarks
        self.seen: list[tuple[Any, ...]] = []

    def forward(self, image: np.ndarray, threshold: float) -> tuple[Any, ...]:
        del image, threshold
        return [], [], [np.zeros((7, self.landmarks, 2))] if self.landmarks else []

    def detect(
        self, image: np.ndarray, *, input_size: tuple[int, int], det_thresh: float
    ) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append((image.shape[1::-1], input_size, det_thresh))
        boxes = np.array([[10, 20, 40, 60, 0.75]], np.float32)
        return boxes, np.arange(10, dtype=np.float64).reshape(1, 5, 2)


class Arcface:
    """Gives a face's blue as a vector of three."""

    def __init__(self, *, mean: float = 127.5, std: float = 127.5, batch: Any = "N") -> None:
        self.input_mean, self.input_std = mean, std
        self.input_shape = [batch, 3, 112, 112]
        self.batches: list[int] = []

    def get_feat(self, faces: list[np.ndarray]) -> np.ndarray:
        self.batches.append(len(faces))
        return np.array([[face[0, 0, 0], 4, 0] for face in faces], np.float32)


def picture(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        ((1280, 864), (1280, 864)),
        ((333, 231), (352, 256)),
        ((16, 16), (32, 32)),
        # 352 x (960 / 352) is less than 960 by a rounding error, and would become 959.
        ((352, 960), (352, 992)),
    ],
)
def test_a_picture_is_padded_so_that_scrfd_leaves_its_scale_alone(
    size: tuple[int, int], padded: tuple[int, int]
) -> None:
    scrfd = Scrfd()

    ScrfdFaceDetector(scrfd).detect(picture(*size), 0.3)

    assert scrfd.seen[-1] == (padded, padded, 0.3)
    assert int(padded[0] * (padded[1] / padded[0])) == padded[1]


@pytest.mark.parametrize(("size", "given"), [((160, 120), (640, 640)), ((1280, 720), (1280, 720))])
def test_a_graph_of_fixed_size_sees_small_pictures_with_a_border(
    size: tuple[int, int], given: tuple[int, int]
) -> None:
    scrfd = Scrfd(fixed=(640, 640))

    ScrfdFaceDetector(scrfd).detect(picture(*size), 0.3)

    assert scrfd.seen[-1][0] == given


def test_corners_become_a_box_and_landmarks_stay() -> None:
    (face,) = ScrfdFaceDetector(Scrfd()).detect(picture(64, 64), 0.3)

    assert (face.box.x, face.box.y, face.box.width, face.box.height) == (10, 20, 30, 40)
    assert face.score == 0.75
    assert face.landmarks.dtype == np.float32
    np.testing.assert_array_equal(face.landmarks.ravel(), np.arange(10))


@pytest.mark.parametrize("landmarks", [0, 3])
def test_a_detector_without_five_landmarks_is_refused(landmarks: int) -> None:
    with pytest.raises(PackError, match="no five landmarks"):
        ScrfdFaceDetector(Scrfd(landmarks=landmarks))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (127.5, 128.0)])
def test_a_recogniser_that_takes_other_pictures_is_refused(mean: float, std: float) -> None:
    with pytest.raises(PackError, match=r"only such as take 127\.5"):
        ArcfaceRecogniser(Arcface(mean=mean, std=std))


def test_vectors_have_unit_length_and_the_models_own_size() -> None:
    recogniser = ArcfaceRecogniser(Arcface())
    faces = np.zeros((1, 112, 112, 3), np.uint8)
    faces[0, 0, 0, 0] = 3

    assert recogniser.template_size == 3
    np.testing.assert_allclose(recogniser.embed(faces), [[0.6, 0.8, 0]], atol=1e-6)


@pytest.mark.parametrize(("batch", "expected"), [("N", [4, 4, 1]), (1, [1] * 9)])
def test_faces_are_embedded_in_the_batches_that_the_graph_takes(
    batch: Any, expected: list[int]
) -> None:
    arcface = Arcface(batch=batch)
    recogniser = ArcfaceRecogniser(arcface)
    arcface.batches.clear()

    recogniser.embed(np.zeros((9, 112, 112, 3), np.uint8))

    assert arcface.batches == expected


# what the manifest of a pack says of its recogniser


def network(shape: tuple[int, ...], sizes: tuple[int, ...]) -> bytes:
    """Return a model that gives so many of the values it takes, in one output for each size."""
    nodes = [helper.make_node("Flatten", ["in"], ["flat"])]
    outputs = []
    for number, size in enumerate(sizes):
        cut = helper.make_node("Slice", ["flat", "zero", f"n{number}", "one"], [f"out{number}"])
        nodes.append(cut)
        outputs.append(helper.make_tensor_value_info(f"out{number}", TensorProto.FLOAT, [1, size]))
    values = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (
            ("zero", 0),
            ("one", 1),
            *((f"n{number}", size) for number, size in enumerate(sizes)),
        )
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, *shape])],
        outputs,
        values,
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a detector and a recogniser, to be run by stand-ins for InsightFace's classes."""
    package, zoo = ModuleType("insightface"), ModuleType("insightface.model_zoo")
    zoo.SCRFD = lambda **_: Scrfd()  # type: ignore[attr-defined]
    zoo.ArcFaceONNX = lambda **_: Arcface()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.model_zoo", zoo)

    def install(family: str, manifest: Manifest | None = None) -> Any:
        source = tmp_path / family
        source.mkdir()
        (source / "det.onnx").write_bytes(network((3, 64, 64), (1,) * 9))
        (source / "w.onnx").write_bytes(network((3, 112, 112), (512, 1)))
        packs.install(str(source), folder=tmp_path / "packs", manifest=manifest or FAMILIES[family])
        return load_pack(
            f"insightface:{family}",
            runtime="auto",
            threads=1,
            cache=None,
            folder=tmp_path / "packs",
            licence="for a test",
        )

    return install


def test_a_pack_that_takes_what_insightface_gives_is_run_by_its_class(install: Any) -> None:
    pack = install("insightface")

    assert isinstance(pack.recogniser, ArcfaceRecogniser)
    assert {file.training_data for file in pack.model.files} == {"not documented"}


def test_a_pack_that_takes_blue_first_is_not_given_red_by_insightfaces_class(
    install: Any,
) -> None:
    adaface = FAMILIES["adaface"]
    unscaled = replace(
        adaface, recogniser_input=replace(adaface.recogniser_input, normalised=False)
    )
    faces = np.zeros((1, 112, 112, 3), np.uint8)
    faces[0, 0, :, 0] = 255  # blue

    pack = install("adaface", unscaled)

    assert isinstance(pack.recogniser, OnnxRecogniser)
    blue = (
        np.where(np.arange(512) < 112, 1.0, -1.0) / 512**0.5
    )  # the first values are the blue ones
    np.testing.assert_allclose(pack.recogniser.embed(faces)[0], blue, atol=1e-6)


def test_a_pack_of_another_dimension_than_its_family_is_refused(install: Any) -> None:
    with pytest.raises(PackError, match=r"gives templates of 3 values, .* manifest says 512"):
        install("buffalo_l")
