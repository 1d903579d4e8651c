"""Which packs are refused, and with what advice. Needs no `insightface` package."""

from __future__ import annotations

import importlib.abc
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from onnx import TensorProto, helper

from homeward.core import packs
from homeward.core.packs import PackError
from homeward.embedding.adapters import sessions
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.settings import EmbeddingSettings

LICENCE = "agreed with the owner"
CUDA = "CUDAExecutionProvider"


def network(inputs: list[tuple[int, ...]], outputs: int) -> bytes:
    """Return a model that does nothing, with inputs of some shapes."""
    values = [
        helper.make_tensor_value_info(f"in{number}", TensorProto.FLOAT, shape)
        for number, shape in enumerate(inputs)
    ]
    names = [f"out{number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in0"], [name]) for name in names],
        "nothing",
        values,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, inputs[0]) for name in names],
    )
    return bytes(helper.make_model(graph).SerializeToString())


DETECTOR = network([(1, 3, 640, 640)], outputs=9)
RECOGNISER = network([(1, 3, 112, 112)], outputs=1)
LANDMARKS_3D = network([(1, 3, 192, 192)], outputs=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A pack as its publisher has it."""
    folder = tmp_path / "source" / "buffalo"
    folder.mkdir(parents=True)
    (folder / "det.onnx").write_bytes(DETECTOR)
    (folder / "w.onnx").write_bytes(RECOGNISER)
    (folder / "1k3d68.onnx").write_bytes(LANDMARKS_3D)
    return folder


@pytest.fixture
def folder(tmp_path: Path, source: Path) -> Path:
    """The folder of installed packs, with that one in it."""
    packs.install(str(source), folder=tmp_path / "packs")
    return tmp_path / "packs"


def refusal(name: str, **given: Any) -> str:
    settings = {"runtime": "auto", "threads": 1, "cache": None, "licence": LICENCE, **given}
    with pytest.raises(PackError) as refused:
        load_pack(name, **settings)
    return str(refused.value)


class _Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname.partition(".")[0] == "insightface":
            raise ModuleNotFoundError(name="insightface")


@pytest.fixture
def without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "insightface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Absent(), *sys.meta_path])


def test_an_unknown_pack_is_refused_with_what_there_is() -> None:
    assert "insightface:NAME" in refusal("buffalo_l")


@pytest.mark.parametrize("licence", ["", "  "])
def test_a_pack_is_refused_without_a_licence_statement(folder: Path, licence: str) -> None:
    told = refusal("insightface:buffalo", folder=folder, licence=licence)

    assert "non-commercial research only" in told
    assert "set HOMEWARD_MODEL_LICENCE" in told


def test_what_was_said_when_installing_is_no_licence_statement(
    source: Path, tmp_path: Path
) -> None:
    packs.install(str(source), folder=tmp_path, name="stated", licence=LICENCE)

    assert "HOMEWARD_MODEL_LICENCE" in refusal("insightface:stated", folder=tmp_path, licence="")


def test_a_missing_pack_is_refused_with_how_to_install_it(tmp_path: Path) -> None:
    told = refusal("insightface:buffalo_l", folder=tmp_path)

    assert f"is not installed in {tmp_path}" in told
    assert "downloads no weights by itself" in told


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a folder" in refusal(f"insightface:{tmp_path}/none")


def test_a_folder_that_depends_on_where_one_stands_is_refused() -> None:
    assert "from the root" in refusal("insightface:packs/buffalo")


@pytest.mark.parametrize("name", ["..", ".", "", "buffalo\n"])
def test_a_name_reaches_nothing_outside_of_the_folder(folder: Path, name: str) -> None:
    assert "is not installed" in refusal(f"insightface:{name}", folder=folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "has no *.onnx file" in refusal(f"insightface:{tmp_path}")


def test_one_model_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(RECOGNISER)

    assert "only a part of a pack: w.onnx" in refusal(f"insightface:{tmp_path}")


def test_a_pack_without_a_detector_is_refused(source: Path) -> None:
    (source / "det.onnx").unlink()

    assert "has no detector" in refusal(f"insightface:{source}")


def test_a_pack_without_a_recogniser_is_refused(source: Path) -> None:
    (source / "w.onnx").unlink()

    assert "has no recogniser" in refusal(f"insightface:{source}")


def test_a_pack_with_two_recognisers_is_refused(source: Path) -> None:
    (source / "other.onnx").write_bytes(RECOGNISER)

    assert "several recognisers: other.onnx, w.onnx" in refusal(f"insightface:{source}")


def test_a_file_that_is_gone_is_refused(folder: Path) -> None:
    (folder / "buffalo" / "det.onnx").unlink()

    assert "install the pack buffalo again" in refusal("insightface:buffalo", folder=folder)


def test_a_file_with_another_digest_is_refused(folder: Path) -> None:
    (folder / "buffalo" / "w.onnx").write_bytes(network([(2, 3, 112, 112)], outputs=1))

    told = refusal("insightface:buffalo", folder=folder)

    assert "w.onnx is not the file that was installed" in told


def test_a_file_that_the_pack_does_not_use_is_checked_as_well(folder: Path) -> None:
    (folder / "buffalo" / "1k3d68.onnx").write_bytes(b"")

    assert "1k3d68.onnx is not" in refusal("insightface:buffalo", folder=folder)


def test_an_installed_pack_is_checked_when_it_is_given_by_path(folder: Path) -> None:
    (folder / "buffalo" / "w.onnx").write_bytes(DETECTOR)

    assert "w.onnx is not" in refusal(f"insightface:{folder / 'buffalo'}")


def test_a_folder_without_a_manifest_is_no_installed_pack(folder: Path) -> None:
    (folder / "buffalo" / packs.MANIFEST).unlink()

    assert "has no homeward-pack.json" in refusal("insightface:buffalo", folder=folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"files": [{"name": 1}]}'])
def test_a_damaged_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / "buffalo" / packs.MANIFEST).write_text(content)

    assert "cannot be read" in refusal("insightface:buffalo", folder=folder)


def test_a_manifest_cannot_name_a_file_elsewhere(folder: Path) -> None:
    manifest = folder / "buffalo" / packs.MANIFEST
    manifest.write_text(manifest.read_text().replace("w.onnx", "../w.onnx"))

    assert "is no name for a model" in refusal("insightface:buffalo", folder=folder)


def test_the_beginning_of_a_file_is_refused(source: Path) -> None:
    (source / "w.onnx").write_bytes(RECOGNISER[:-40])

    assert "only the beginning of one" in refusal(f"insightface:{source}")


def test_a_pack_that_asks_for_other_pictures_is_refused(source: Path) -> None:
    (source / "manifest.json").write_text('{"manifest_version": 2}')

    assert "other pictures than Homeward" in refusal(f"insightface:{source}")


@pytest.mark.usefixtures("without_the_package")
def test_the_missing_package_is_refused_with_what_to_install(folder: Path) -> None:
    told = refusal("insightface:buffalo", folder=folder)

    assert "insightface package, which is not installed" in told
    assert "pip install 'homeward-cctv[insightface]'" in told


def test_openvino_is_refused_for_a_pack_of_insightface(folder: Path) -> None:
    told = refusal("insightface:buffalo", folder=folder, runtime="openvino")

    assert "HOMEWARD_RECOGNISER_RUNTIME" in told


@pytest.mark.parametrize("name", ["yunet-sface", "insightface:buffalo"])
def test_an_absent_execution_provider_is_refused_with_those_that_are_there(name: str) -> None:
    told = refusal(name, providers=("NoExecutionProvider", "CPUExecutionProvider"))

    assert "no execution provider NoExecutionProvider" in told
    assert "CPUExecutionProvider" in told.partition("HOMEWARD_EXECUTION_PROVIDERS can be of")[2]


def test_no_execution_provider_at_all_is_refused() -> None:
    assert "no execution provider" in refusal("yunet-sface", providers=())


def test_a_provider_that_does_not_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class FallsBack(onnxruntime.InferenceSession):
        def __init__(self, model: bytes, options: Any, *, providers: list[str]) -> None:
            super().__init__(model, options, providers=providers[1:])

    monkeypatch.setattr(onnxruntime, "InferenceSession", FallsBack)
    with pytest.raises(PackError, match="RocketExecutionProvider does not start"):
        sessions.open_session(RECOGNISER, ["RocketExecutionProvider", *sessions.CPU])


def test_cudas_libraries_are_loaded_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append(True))
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: [CUDA])

    with pytest.warns(UserWarning, match="is not in available provider names"):
        sessions.open_session(RECOGNISER, [CUDA, *sessions.CPU])

    assert loaded


def test_settings_take_execution_providers_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEWARD_EXECUTION_PROVIDERS", f"{CUDA}, CPUExecutionProvider")

    assert EmbeddingSettings().execution_providers == (CUDA, "CPUExecutionProvider")
