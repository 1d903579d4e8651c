from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.model import Box, Detection, ModelPack
from homeward.embedding.ports import LoadedPack
from homeward.evaluation.metrics import Photographs

SIDE = 160
LANDMARKS = np.array([[60, 70], [100, 70], [80, 92], [64, 112], [96, 112]], np.float32)


class FakeDetector:
    """Finds one face in the middle of every picture that is not black.

    It is surest where the picture's upper edge is the bright one.
    """

    runtime = "fake"

    def detect(self, image: np.ndarray, min_score: float) -> list[Detection]:
        if not image.any() or min_score > 0.9:
            return []
        scale = image.shape[1] / SIDE
        box = Box(40 * scale, 40 * scale, 80 * scale, 90 * scale)
        upright = image[0].mean() > max(
            edge.mean() for edge in (image[-1], image[:, 0], image[:, -1])
        )
        return [Detection(box, LANDMARKS * np.float32(scale), 0.9 if upright else 0.8)]


class FakeRecogniser:
    """Makes a template of the colours of a face's four quarters."""

    runtime = "fake"

    def embed(self, faces: np.ndarray, widths_px: np.ndarray | None = None) -> np.ndarray:
        del widths_px
        small = np.array([cv2.resize(face, (6, 6), interpolation=cv2.INTER_AREA) for face in faces])
        vectors = small.reshape(len(faces), -1).astype(np.float32) - 127.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def fake_pack() -> LoadedPack:
    model = ModelPack("fake", "d" * 64, 108, 112, (), "fake", "fake")
    return LoadedPack(FakeDetector(), FakeRecogniser(), model)


@pytest.fixture
def decoder() -> PillowPictureDecoder:
    return PillowPictureDecoder()


@pytest.fixture
def people(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set of patterns, each of which stands for a person, a little noisy."""

    def write(count: int = 40, photos: int = 3) -> Path:
        rng = np.random.default_rng(5)
        for person in range(count):
            folder = tmp_path / "people" / f"p{person:03}"
            folder.mkdir(parents=True)
            pattern = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            whole = cv2.resize(pattern, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
            for number in range(photos):
                noise = rng.normal(0, 12, whole.shape)
                picture = np.clip(whole + noise, 0, 255).astype(np.uint8)
                picture[:8] = 255  # up
                cv2.imwrite(str(folder / f"{number}.png"), picture)
        return tmp_path / "people"

    return write


@pytest.fixture
def drawn() -> Callable[..., Photographs]:
    """Photographs with scores drawn at random: of one person and of two."""

    def draw(people: int, each: int, *, genuine: float = 0.7, impostor: float = 0.1) -> Any:
        rng = np.random.default_rng(3)
        identity = np.repeat(np.arange(people), each)
        same = identity[:, None] == identity[None, :]
        scores = np.where(
            same,
            rng.normal(genuine, 0.1, same.shape),
            rng.normal(impostor, 0.1, same.shape),
        )
        scores = np.triu(scores) + np.triu(scores, 1).T
        return Photographs(identity, scores, np.ones(len(identity), bool))

    return draw
