"""What a pack of models says of itself: which pictures its recogniser takes, and what trained it.

A graph does not say in which order it takes colours, nor what is subtracted from them first: one
that is given red for blue still answers, and recognises worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

VERSION = 2
"""Of the manifest; 1 had no input and no training data, and is read as the family `insightface`."""

NOT_DOCUMENTED = "not documented"
"""Training data of which nobody says what they are. A permissive licence says nothing of them."""

STATED = "stated at the installation"
ROLES = ("detector", "recogniser")
MOST_TEMPLATE = 4096
"""Values of a template; the public recognisers have 128 or 512."""

MOST_TEXT = 500
"""Characters of a statement."""


class ColourOrder(StrEnum):
    """In which order a graph takes the colours of a picture."""

    RGB = "RGB"
    BGR = "BGR"


@dataclass(frozen=True, slots=True)
class RecogniserInput:
    """How a recogniser takes aligned faces: float32, shape (n, 3, side, side)."""

    colour_order: ColourOrder = ColourOrder.RGB
    mean: float = 127.5
    """Subtracted from each value, which is 0 to 255."""
    scale: float = 127.5
    """What is left is divided by it."""
    side_px: int = 112
    template_size: int | None = None
    """Values of a template; None for whatever the graph gives."""
    normalised: bool = False
    """Whether the graph gives vectors of unit length; they are made so in any case."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.scale) and self.scale > 0):
            raise ValueError("mean and scale are not numbers, or scale is not above 0")
        if self.side_px < 1:
            raise ValueError("side_px is not at least 1")
        if self.template_size is not None and not 1 <= self.template_size <= MOST_TEMPLATE:
            raise ValueError(f"template_size is not 1 to {MOST_TEMPLATE}")

    def words(self) -> str:
        """Return it to read."""
        return (
            f"{self.colour_order}, less {self.mean:g}, divided by {self.scale:g}, {self.side_px} x"
            f" {self.side_px}"
        )


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model was trained on."""

    data: str = NOT_DOCUMENTED
    source: str = ""
    """Who says so, and where."""

    def __post_init__(self) -> None:
        if not self.data.strip() or max(len(self.data), len(self.source)) > MOST_TEXT:
            raise ValueError(f"training data are stated in 1 to {MOST_TEXT} characters")


_ARCFACE = RecogniserInput()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pack says of itself, besides its files."""

    recogniser_input: RecogniserInput = _ARCFACE
    training_data: Mapping[str, TrainingData] = field(default_factory=dict)
    """By role; of one that is not in it, nothing is documented."""
    recogniser_alone: bool = False
    """Whether the pack may come without a detector, to be run beside YuNet (`onnx:NAME`)."""

    def trained_on(self, role: str) -> TrainingData:
        """Return what the model of a role was trained on."""
        return self.training_data.get(role, TrainingData())

    def stating(self, stated: Mapping[str, str]) -> Manifest:
        """Return it with what an operator states of the training data, by role."""
        added = {role: TrainingData(text.strip(), STATED) for role, text in stated.items()}
        return replace(self, training_data={**self.training_data, **added})


_SCRFD = TrainingData("WIDER FACE", "github.com/deepinsight/insightface, detection/scrfd/README.md")
_INSIGHTFACE_README = "github.com/deepinsight/insightface, python-package/README.md"

DEFAULT = Manifest()
"""Of a pack that says nothing: InsightFace's convention, and no word of the training data."""

FAMILIES: Mapping[str, Manifest] = {
    "insightface": DEFAULT,
    "buffalo_l": Manifest(
        RecogniserInput(template_size=512),
        {"detector": _SCRFD, "recogniser": TrainingData("WebFace600K", _INSIGHTFACE_README)},
    ),
    "antelopev2": Manifest(
        RecogniserInput(template_size=512),
        {"detector": _SCRFD, "recogniser": TrainingData("Glint360K", _INSIGHTFACE_README)},
    ),
    # BGR, mean and standard deviation 0.5 of values in [0, 1], 512 values, whose norm is given
    # apart: github.com/mk-minchul/AdaFace, README.md and inference.py (`to_input`).
    "adaface": Manifest(
        RecogniserInput(ColourOrder.BGR, template_size=512, normalised=True),
        recogniser_alone=True,
    ),
    # Run by InsightFace's own class, which takes RGB less 127.5, divided by 127.5:
    # huggingface.co/fal/AuraFace-v1, README.md.
    "auraface": Manifest(
        RecogniserInput(template_size=512),
        {
            "detector": _SCRFD,
            "recogniser": TrainingData(
                "commercially and publicly available sources, not named",
                "huggingface.co/fal/AuraFace-v1, README.md",
            ),
        },
        recogniser_alone=True,
    ),
}
"""By name, what a publisher says of its packs; read on 2026-11-28. None is Homeward's to bring."""


def to_fields(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as JSON has it."""
    return {
        "recogniser_input": asdict(manifest.recogniser_input),
        "recogniser_alone": manifest.recogniser_alone,
        "training_data": {role: asdict(manifest.trained_on(role)) for role in ROLES},
    }


def from_fields(content: Mapping[str, Any]) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: It is none, or of a later version; says what is wrong.
        TypeError: A value is of another kind.
        KeyError: One is missing.
    """
    version = content["version"]
    if version == 1:
        return DEFAULT
    if version != VERSION:
        raise ValueError(f"version {version!r}; this Homeward reads 1 and {VERSION}")
    pictures = content["recogniser_input"]
    size = pictures["template_size"]
    return Manifest(
        RecogniserInput(
            ColourOrder(pictures["colour_order"]),
            float(pictures["mean"]),
            float(pictures["scale"]),
            int(pictures["side_px"]),
            None if size is None else int(size),
            _truth(pictures["normalised"]),
        ),
        {
            role: TrainingData(str(one["data"]), str(one["source"]))
            for role, one in content["training_data"].items()
            if role in ROLES
        },
        _truth(content["recogniser_alone"]),
    )


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
