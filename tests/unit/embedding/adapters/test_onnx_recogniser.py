"""Recognisers of other families, on stand-ins that the tests make: their answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import adaface
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from homeward.core import packs
from homeward.core.pack_manifest import DEFAULT, FAMILIES, ColourOrder, RecogniserInput
from homeward.core.packs import PackError
from homeward.embedding.adapters.onnx_recogniser import OnnxRecogniser, to_blob
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.adapters.sessions import CPU, open_session
from homeward.embedding.model import ModelFile, pack_digest

SIZE = 512
ADAFACE, AURAFACE = FAMILIES["adaface"], FAMILIES["auraface"]
WEIGHTS = np.random.default_rng(4).standard_normal((3 * 7 * 7, SIZE)).astype(np.float32)
"""Makes a vector of the mean colours of 7 x 7 squares: another one for red and blue exchanged."""


def network(
    *,
    normalised: bool = False,
    with_norm: bool = False,
    size: int = SIZE,
    side: int = 112,
    batch: Any = "n",
    channels_last: bool = False,
    constant: float | None = None,
) -> bytes:
    """Return a recogniser with AdaFace's or ArcFace's inputs and outputs."""
    shape = [batch, side, side, 3] if channels_last else [batch, 3, side, side]
    pooled = "turned" if channels_last else "face"
    pixels = side // 7
    nodes = [helper.make_node("Transpose", ["face"], ["turned"], perm=[0, 3, 1, 2])]
    nodes = nodes if channels_last else []
    nodes += [
        helper.make_node(
            "AveragePool", [pooled], ["squares"], kernel_shape=[pixels] * 2, strides=[pixels] * 2
        ),
        helper.make_node("Flatten", ["squares"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("ReduceL2", ["raw"], ["norm"], axes=[1], keepdims=1),
    ]
    weights = WEIGHTS[:, :size]
    values = [numpy_helper.from_array(weights, "weights")]
    if constant is not None:
        values.append(numpy_helper.from_array(np.float32(0), "nothing"))
        values.append(numpy_helper.from_array(np.float32(constant), "constant"))
        nodes += [
            helper.make_node("Mul", ["raw", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "constant"], ["vector"]),
        ]
    elif normalised:
        nodes.append(helper.make_node("Div", ["raw", "norm"], ["vector"]))
    else:
        nodes.append(helper.make_node("Identity", ["raw"], ["vector"]))
    outputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, size])]
    if with_norm:
        outputs.append(helper.make_tensor_value_info("norm", TensorProto.FLOAT, [batch, 1]))
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        outputs,
        values,
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def recogniser(model: bytes, pictures: RecogniserInput) -> OnnxRecogniser:
    return OnnxRecogniser(open_session(model, CPU), pictures, name="w.onnx")


def faces(count: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(9).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def answer(pictures: NDArray[np.uint8], channels: slice) -> NDArray[np.float32]:
    """Return what the stand-in must answer, worked out without it and without OpenCV."""
    values = (pictures[..., channels].astype(np.float64) / 255 - 0.5) / 0.5
    squares = values.reshape(len(pictures), 7, 16, 7, 16, 3).mean(axis=(2, 4))
    raw = squares.transpose(0, 3, 1, 2).reshape(len(pictures), -1) @ WEIGHTS
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)


BGR, RGB = slice(None), slice(None, None, -1)


def test_adaface_is_given_blue_first_between_minus_one_and_one() -> None:
    found = recogniser(network(normalised=True, with_norm=True), ADAFACE.recogniser_input)

    np.testing.assert_allclose(found.embed(faces()), answer(faces(), BGR), atol=1e-5)
    assert np.abs(found.embed(faces()) - answer(faces(), RGB)).max() > 1e-2


def test_auraface_is_given_red_first_between_minus_one_and_one() -> None:
    found = recogniser(network(), AURAFACE.recogniser_input)

    np.testing.assert_allclose(found.embed(faces()), answer(faces(), RGB), atol=1e-5)
    assert np.abs(found.embed(faces()) - answer(faces(), BGR)).max() > 1e-2


def test_mean_and_scale_of_the_manifest_are_applied() -> None:
    blob = to_blob(faces(1), RecogniserInput(ColourOrder.BGR, mean=100, scale=50))

    expected = (faces(1).astype(np.float32) - 100) / 50
    np.testing.assert_allclose(blob, expected.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize(("batch", "count"), [("n", 9), (1, 3), (4, 3), (4, 9), (8, 9)])
def test_every_number_of_faces_is_embedded_whatever_the_graph_takes(batch: Any, count: int) -> None:
    found = recogniser(network(batch=batch), AURAFACE.recogniser_input)

    np.testing.assert_allclose(found.embed(faces(count)), answer(faces(count), RGB), atol=1e-5)


def test_vectors_have_unit_length_and_the_models_own_size() -> None:
    found = recogniser(network(size=128), DEFAULT.recogniser_input)

    assert found.template_size == 128
    np.testing.assert_allclose(np.linalg.norm(found.embed(faces()), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "pictures", "problem"),
    [
        (network(size=128), ADAFACE, r"gives \[128\] values a face, not one vector of 512"),
        (network(size=511), AURAFACE, r"gives \[511\] values a face, not one vector of 512"),
        (network(), ADAFACE, "manifest says that they are normalised"),
        (network(side=224), AURAFACE, r"'n', 3, 224, 224\], not float32 pictures of"),
        (network(channels_last=True), AURAFACE, r"'n', 112, 112, 3\], not float32 pictures of"),
        (network(constant=1.0), AURAFACE, "gives every picture the same vector"),
        (network(constant=0.0), AURAFACE, "vectors of no length"),
        (network(constant=float("nan")), AURAFACE, "vectors of no length, or that are no numbers"),
    ],
)
def test_a_graph_that_is_not_what_its_manifest_says_is_refused(
    model: bytes, pictures: Any, problem: str
) -> None:
    with pytest.raises(PackError, match=problem):
        recogniser(model, pictures.recogniser_input)


def test_faces_of_another_size_than_homeward_makes_are_refused() -> None:
    with pytest.raises(PackError, match="takes faces of 160 pixels"):
        recogniser(network(), RecogniserInput(side_px=160))


# packs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of installed packs, with an AdaFace and an AuraFace."""
    for name, model in (
        ("adaface", network(normalised=True, with_norm=True)),
        ("auraface", network()),
    ):
        source = tmp_path / name
        source.mkdir()
        (source / "w.onnx").write_bytes(model)
        if name == "auraface":
            (source / "1k3d68.onnx").write_bytes(network(side=196))  # not for aligned faces
        manifest = FAMILIES[name].stating({"recogniser": "made by a test"})
        packs.install(str(source), folder=tmp_path / "packs", manifest=manifest)
    return tmp_path / "packs"


def load(name: str, folder: Path, **given: Any) -> Any:
    settings = {"runtime": "onnxruntime", "threads": 1, "cache": None, "licence": "for a test"}
    return load_pack(name, folder=folder, **settings | given)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("name", "channels"), [("adaface", BGR), ("auraface", RGB)])
def test_a_pack_is_run_beside_yunet_as_its_manifest_says(
    folder: Path, name: str, channels: slice, runtime: str
) -> None:
    pack = load(f"onnx:{name}", folder, runtime=runtime)

    np.testing.assert_allclose(pack.recogniser.embed(faces()), answer(faces(), channels), atol=1e-4)
    assert (pack.model.name, pack.model.template_size) == (f"onnx:{name}", SIZE)
    assert [(file.role, file.licence, file.training_data) for file in pack.model.files] == [
        ("detector", "MIT", "WIDER FACE"),
        ("recogniser", "for a test", "made by a test"),
    ]
    assert pack.model.files[1].training_data_source == "stated at the installation"
    assert pack.model.recogniser_runtime.startswith(runtime)


def test_a_recogniser_that_is_given_other_pictures_is_another_pack(folder: Path) -> None:
    as_adaface = load("onnx:adaface", folder).model.digest
    manifest = folder / "adaface" / packs.MANIFEST
    manifest.write_text(manifest.read_text().replace('"BGR"', '"RGB"'))

    assert load("onnx:adaface", folder).model.digest != as_adaface


def test_the_digest_of_packs_that_say_nothing_stays_as_it_was() -> None:
    files = [ModelFile("recogniser", "w.onnx", "5" * 64, "mine")]

    assert pack_digest(files, "1", DEFAULT.recogniser_input) == pack_digest(files, "1")
    assert pack_digest(files, "1", AURAFACE.recogniser_input) == pack_digest(files, "1")
    assert pack_digest(files, "1", ADAFACE.recogniser_input) != pack_digest(files, "1")


def refusal(name: str, folder: Path, **given: Any) -> str:
    with pytest.raises(PackError) as refused:
        load(name, folder, **given)
    return str(refused.value)


def test_a_pack_is_refused_without_a_licence_statement(folder: Path) -> None:
    assert "set HOMEWARD_MODEL_LICENCE" in refusal("onnx:adaface", folder, licence=" ")


def test_a_pack_with_two_recognisers_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "auraface" / "v.onnx").write_bytes(network())

    told = refusal(f"onnx:{tmp_path / 'auraface'}", folder)

    assert "several recognisers: v.onnx, w.onnx" in told


def test_a_pack_without_a_recogniser_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "auraface" / "w.onnx").write_bytes(network(side=224))

    assert "no recogniser" in refusal(f"onnx:{tmp_path / 'auraface'}", folder)


def test_a_folder_with_a_recogniser_alone_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(network())

    pack = load(f"onnx:{tmp_path}", tmp_path)

    assert [file.training_data for file in pack.model.files] == ["WIDER FACE", "not documented"]


def test_a_file_with_another_digest_is_refused(folder: Path) -> None:
    (folder / "auraface" / "1k3d68.onnx").write_bytes(b"")

    assert "1k3d68.onnx is not the file that was installed" in refusal("onnx:auraface", folder)


def test_a_file_that_is_no_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"no model")

    assert "w.onnx cannot be run" in refusal(f"onnx:{tmp_path}", tmp_path)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_real_recogniser_in_adafaces_convention_answers_as_it_does_itself(
    tmp_path: Path, runtime: str
) -> None:
    packs.install(
        str(adaface.write(tmp_path / "adaface")), folder=tmp_path, manifest=ADAFACE, name="a"
    )
    sface = load("yunet-sface", tmp_path).recogniser.embed(faces())

    vectors = load("onnx:a", tmp_path, runtime=runtime).recogniser.embed(faces())

    assert vectors.shape == (3, SIZE)
    np.testing.assert_allclose(vectors[:, :128], sface, atol=1e-4)
