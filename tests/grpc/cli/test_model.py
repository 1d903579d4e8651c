"""`homeward model`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cli_services import Homeward
from homeward.cli.__main__ import run


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with the files of a pack."""
    folder = tmp_path / "buffalo"
    folder.mkdir()
    (folder / "det.onnx").write_bytes(b"detector")
    (folder / "w.onnx").write_bytes(b"recogniser")
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that packs are installed in."""
    monkeypatch.setenv("HOMEWARD_MODEL_DIR", str(tmp_path / "packs"))
    return tmp_path / "packs"


def test_model_show_tells_digest_runtimes_files_and_licences(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show"]) == 0
    told = capsys.readouterr().out
    assert "yunet-sface" in told
    assert "d1ge57" in told
    assert "onnxruntime/CPUExecutionProvider" in told
    assert "Apache-2.0" in told
    assert "sface.onnx" in told


def test_model_show_says_of_each_file_what_trained_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show"]) == 0
    told = capsys.readouterr().out
    (sface,) = [line for line in told.splitlines() if "sface.onnx" in line]
    (yunet,) = [line for line in told.splitlines() if "yunet.onnx" in line]
    assert "not documented" in sface
    assert "not documented" in yunet  # of a service that does not say
    assert "Of the recogniser's training data: asked for and not answered." in told
    assert "Of the detector's" not in told


def test_model_show_prints_the_resource(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["model"]
    assert (told["digest"], told["files"][0]["role"]) == ("d1ge57", "recogniser")


def test_model_install_then_list_shows_the_pack(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack), "--licence", "mine"]) == 0
    assert "HOMEWARD_MODEL_PACK=insightface:buffalo," in capsys.readouterr().out
    assert run(["model", "list", "--output", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["packs"]
    assert (told["name"], told["licence"], told["problem"]) == ("buffalo", "mine", "")
    assert told["files"][1] == {
        "name": "w.onnx",
        "sha256": hashlib.sha256(b"recogniser").hexdigest(),
        "sizeBytes": 10,
    }


def test_model_install_keeps_how_a_family_takes_pictures_and_what_is_stated_of_its_training(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pack / "det.onnx").unlink()
    words = ("--family", "adaface", "--training-data", "recogniser=WebFace12M")
    assert run(["model", "install", str(pack), *words]) == 0
    told = capsys.readouterr().out
    assert "takes faces as BGR, less 127.5, divided by 127.5, 112 x 112 (adaface)." in told
    assert "The recogniser was trained on: WebFace12M." in told
    assert "The detector" not in told  # there is none
    assert "HOMEWARD_MODEL_PACK=onnx:buffalo," in told
    assert run(["model", "list", "--output", "json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["packs"]
    assert listed["recogniserInput"] == {
        "colourOrder": "BGR",
        "mean": 127.5,
        "scale": 127.5,
        "sidePx": 112,
        "templateSize": 512,
        "normalised": True,
    }
    assert listed["trainingData"] == {
        "detector": {"data": "not documented", "source": ""},
        "recogniser": {"data": "WebFace12M", "source": "stated at the installation"},
    }
    assert run(["model", "list"]) == 0
    assert "BGR" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement", ["WebFace12M", "landmarks=300W", "recogniser=", f"recogniser={'x' * 501}"]
)
def test_model_install_refuses_a_statement_of_no_role_or_no_data(
    installed: Path, pack: Path, statement: str
) -> None:
    assert run(["model", "install", str(pack), "--training-data", statement]) == 2
    assert not installed.exists()


def test_model_list_tells_a_pack_that_is_damaged(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack)]) == 0
    (installed / "buffalo" / "w.onnx").write_bytes(b"something else")
    capsys.readouterr()
    assert run(["model", "list"]) == 4
    assert "w.onnx is not the file that was installed" in capsys.readouterr().out


def test_model_list_of_nothing_says_how_to_install(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "list"]) == 0
    assert "homeward model install" in capsys.readouterr().out


def test_model_install_of_what_is_there_is_a_conflict(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack)]) == 0
    assert run(["model", "install", str(pack)]) == 6
    assert "advice: --force replaces it" in capsys.readouterr().err
    capsys.readouterr()
    assert run(["model", "install", str(pack), "--force", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pack"]["name"] == "buffalo"


def test_model_install_fetches_nothing_without_its_digest(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", "https://models.example/buffalo.zip"]) == 4
    told = capsys.readouterr().err
    assert "error: nothing is fetched without knowing what it should be" in told
    assert "advice: --sha256" in told
    assert not installed.exists()
