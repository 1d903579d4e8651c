from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeward.core import packs
from homeward.core.pack_manifest import (
    DEFAULT,
    FAMILIES,
    MOST_TEMPLATE,
    MOST_TEXT,
    STATED,
    ColourOrder,
    RecogniserInput,
    TrainingData,
    from_fields,
    to_fields,
)
from homeward.core.packs import PackError


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with a recogniser and no detector."""
    folder = tmp_path / "adaface"
    folder.mkdir()
    (folder / "adaface_ir101.onnx").write_bytes(b"recogniser")
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_manifest_is_the_same_when_it_is_read_again(family: str) -> None:
    written = json.loads(json.dumps({"version": 2, **to_fields(FAMILIES[family])}))

    told = from_fields(written)

    assert told.recogniser_input == FAMILIES[family].recogniser_input
    assert told.recogniser_alone == FAMILIES[family].recogniser_alone
    for role in ("detector", "recogniser"):
        assert told.trained_on(role) == FAMILIES[family].trained_on(role)


def test_adaface_takes_blue_first_and_auraface_red() -> None:
    adaface, auraface = FAMILIES["adaface"], FAMILIES["auraface"]

    assert adaface.recogniser_input == RecogniserInput(
        ColourOrder.BGR, 127.5, 127.5, 112, 512, normalised=True
    )
    assert auraface.recogniser_input == RecogniserInput(
        ColourOrder.RGB, 127.5, 127.5, 112, 512, normalised=False
    )


def test_of_what_nobody_states_nothing_is_documented() -> None:
    assert DEFAULT.trained_on("recogniser") == TrainingData("not documented", "")
    assert FAMILIES["adaface"].trained_on("recogniser").data == "not documented"


def test_what_an_operator_states_is_kept_as_stated() -> None:
    told = FAMILIES["auraface"].stating({"recogniser": " WebFace12M "})

    assert told.trained_on("recogniser") == TrainingData("WebFace12M", STATED)
    assert told.trained_on("detector") == FAMILIES["auraface"].trained_on("detector")


def test_a_manifest_of_the_first_version_is_read_as_it_was_meant() -> None:
    assert from_fields({"version": 1, "files": []}) == DEFAULT


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 3),
        (("version",), None),
        (("recogniser_input", "colour_order"), "GRB"),
        (("recogniser_input", "mean"), "much"),
        (("recogniser_input", "mean"), float("nan")),
        (("recogniser_input", "scale"), 0),
        (("recogniser_input", "side_px"), 0),
        (("recogniser_input", "template_size"), 0),
        (("recogniser_input", "template_size"), MOST_TEMPLATE + 1),
        (("recogniser_input", "normalised"), "false"),
        (("recogniser_alone",), 1),
        (("training_data", "recogniser", "data"), " "),
        (("training_data", "recogniser", "source"), "x" * (MOST_TEXT + 1)),
        (("training_data",), []),
        (("recogniser_input",), None),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(
    alone: Path, tmp_path: Path, path: tuple[str, ...], value: Any
) -> None:
    folder = tmp_path / "packs"
    pack = packs.install(str(alone), folder=folder, manifest=FAMILIES["adaface"])
    manifest = pack.folder / packs.MANIFEST
    content = json.loads(manifest.read_text())
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    manifest.write_text(json.dumps(content))

    with pytest.raises(
        PackError, match=r"homeward-pack\.json cannot be read .*install the pack again"
    ):
        packs.find("adaface", folder)


def test_the_largest_template_and_the_longest_statement_are_taken() -> None:
    assert RecogniserInput(template_size=MOST_TEMPLATE)
    assert TrainingData("x" * MOST_TEXT)


def test_a_recogniser_alone_is_installed_when_its_family_says_so(
    alone: Path, tmp_path: Path
) -> None:
    packs.install(str(alone), folder=tmp_path / "packs", manifest=FAMILIES["adaface"])

    pack = packs.find("adaface", tmp_path / "packs")
    assert [file.name for file in pack.files] == ["adaface_ir101.onnx"]
    assert pack.manifest.recogniser_input.colour_order is ColourOrder.BGR


def test_a_recogniser_alone_is_a_part_of_a_pack_of_another_family(
    alone: Path, tmp_path: Path
) -> None:
    with pytest.raises(PackError, match="only a part of a pack"):
        packs.install(str(alone), folder=tmp_path / "packs")
    assert list((tmp_path / "packs").iterdir()) == []
