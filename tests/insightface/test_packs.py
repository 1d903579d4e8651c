from __future__ import annotations

import shutil
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from insightface.app import FaceAnalysis

from homeward.core import packs
from homeward.core.packs import PackError
from homeward.core.vision.alignment import align
from homeward.core.vision.scaling import shrink
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.ports import LoadedPack
from homeward.embedding.usecases import AnalyzePhoto

DETECTOR, RECOGNISER = "det_500m.onnx", "w_mbf.onnx"


def loaded(name: str, folder: Path | None = None) -> LoadedPack:
    return load_pack(
        name, runtime="auto", threads=2, cache=None, folder=folder, licence="for these tests"
    )


def reference(folder: Path, size: tuple[int, int]) -> FaceAnalysis:
    """Return the package's own pipeline."""
    whole = FaceAnalysis(
        name=str(folder),
        allowed_modules=["detection", "recognition"],
        providers=["CPUExecutionProvider"],
    )
    whole.prepare(ctx_id=-1, det_thresh=0.5, det_size=size)
    return whole


@pytest.fixture(scope="module")
def pack(weights: Path) -> LoadedPack:
    return loaded(f"insightface:{weights}")


@pytest.fixture(scope="module")
def free_size(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack with a detector for pictures of any size, as InsightFace's own are."""
    folder = tmp_path_factory.mktemp("free")
    shutil.copy(weights / RECOGNISER, folder)
    model = onnx.load(str(weights / DETECTOR))
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = output.name
    onnx.save(model, str(folder / DETECTOR))
    return folder


def assert_same_faces(pack: LoadedPack, whole: FaceAnalysis, picture: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, about insightface
        expected = sorted(whole.get(picture), key=lambda face: -face.det_score)
    found = pack.detector.detect(picture, 0.5)
    templates = pack.recogniser.embed(np.stack([align(picture, face.landmarks) for face in found]))
    assert len(found) == len(expected) == 6
    np.testing.assert_allclose(
        [face.landmarks for face in found], [face.kps for face in expected], atol=1e-3
    )
    np.testing.assert_allclose(
        [face.score for face in found], [face.det_score for face in expected], atol=1e-5
    )
    likeness = (templates * [face.normed_embedding for face in expected]).sum(axis=1)
    np.testing.assert_allclose(likeness, 1, atol=1e-3)


def test_the_pack_says_what_it_is(pack: LoadedPack) -> None:
    assert pack.model.name == "insightface:insightface-testpack"
    assert pack.model.template_size == 512
    assert pack.model.detector_runtime == "onnxruntime/CPUExecutionProvider"
    assert [(file.role, file.name, file.licence) for file in pack.model.files] == [
        ("detector", DETECTOR, "for these tests"),
        ("recogniser", RECOGNISER, "for these tests"),
    ]


@pytest.mark.parametrize("longest", [1280, 640])
def test_a_detector_of_fixed_size_sees_what_the_package_sees(
    pack: LoadedPack, weights: Path, group_photo: np.ndarray, longest: int
) -> None:
    picture, _ = shrink(group_photo, longest)

    assert_same_faces(pack, reference(weights, (640, 640)), picture)


@pytest.mark.parametrize("size", [(1280, 864), (960, 544), (640, 448), (352, 256)])
def test_a_detector_of_free_size_sees_what_the_package_sees(
    free_size: Path, group_photo: np.ndarray, size: tuple[int, int]
) -> None:
    picture = cv2.resize(group_photo, size, interpolation=cv2.INTER_AREA)

    assert_same_faces(loaded(f"insightface:{free_size}"), reference(free_size, size), picture)


@pytest.mark.parametrize("size", [(333, 231), (352, 960), (16, 16), (60, 700), (1919, 1079)])
def test_pictures_of_every_size_are_taken(
    free_size: Path, group_photo: np.ndarray, size: tuple[int, int]
) -> None:
    pack = loaded(f"insightface:{free_size}")
    picture = cv2.resize(group_photo, size, interpolation=cv2.INTER_AREA)
    bordered = cv2.copyMakeBorder(picture, 0, 64, 0, 96, cv2.BORDER_CONSTANT)

    found, again = (
        [face.landmarks for face in pack.detector.detect(each, 0.6)] for each in (picture, bordered)
    )

    np.testing.assert_allclose(found, again, atol=0.5)


def test_calls_side_by_side_see_the_same(free_size: Path, group_photo: np.ndarray) -> None:
    pack = loaded(f"insightface:{free_size}")
    pictures = [shrink(group_photo, side)[0] for side in range(200, 700, 37)]

    def look(picture: np.ndarray) -> list[float]:
        return [face.score for face in pack.detector.detect(picture, 0.5)]

    alone = [look(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(look, pictures)) == alone


def test_an_installed_pack_has_the_digest_of_its_files(
    pack: LoadedPack, weights: Path, tmp_path: Path
) -> None:
    packs.install(str(weights), folder=tmp_path, name="mine")

    installed = loaded("insightface:mine", folder=tmp_path)

    assert installed.model.name == "insightface:mine"
    assert installed.model.digest == pack.model.digest


def test_a_recogniser_that_takes_other_pictures_is_refused(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / DETECTOR, tmp_path)
    model = onnx.load(str(weights / RECOGNISER))
    model.graph.node[0].name, model.graph.node[1].name = "Sub_0", "Mul_1"
    onnx.save(model, str(tmp_path / RECOGNISER))

    with pytest.raises(PackError, match="pictures less 0, divided by 1"):
        loaded(f"insightface:{tmp_path}")


def test_a_model_that_onnxruntime_cannot_run_is_refused(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / DETECTOR, tmp_path)
    model = onnx.load(str(weights / RECOGNISER))
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, str(tmp_path / RECOGNISER))

    with pytest.raises(PackError, match="cannot be run"):
        loaded(f"insightface:{tmp_path}")


def test_weights_kept_in_another_file_are_refused(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / DETECTOR, tmp_path)
    onnx.save(
        onnx.load(str(weights / RECOGNISER)),
        str(tmp_path / RECOGNISER),
        save_as_external_data=True,
        location="weights.bin",
    )

    with pytest.raises(PackError, match="cannot be run"):
        loaded(f"insightface:{tmp_path}")


def test_photographs_of_one_person_are_more_alike_than_of_two(
    pack: LoadedPack, shared: Path
) -> None:
    analyze = AnalyzePhoto(PillowPictureDecoder(), pack.detector, pack.recogniser)
    people = [path for path in sorted((shared / "data" / "faces").iterdir()) if _several(path)][:40]
    photos = [photo for path in people for photo in sorted(path.iterdir())[:2]]
    templates = {photo: analyze(photo.read_bytes()).template for photo in photos}
    taken = {photo: template for photo, template in templates.items() if template is not None}
    likeness = np.stack(list(taken.values())) @ np.stack(list(taken.values())).T
    owners = [photo.parent for photo in taken]
    same = np.equal.outer(owners, owners)
    np.fill_diagonal(likeness, np.nan)

    assert len(taken) > 0.9 * len(photos)
    assert np.nanquantile(likeness[same], 0.1) > np.nanquantile(likeness[~same], 0.999)


def _several(path: Path) -> bool:
    return len(list(path.iterdir())) > 1


def test_nothing_is_fetched(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was asked for from the net")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert loaded(f"insightface:{weights}").model.template_size == 512
