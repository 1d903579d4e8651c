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
EDGE = 8
"""Rows of a picture that tell where it is upright: a face is aligned from what is below them."""
LANDMARKS = np.array([[60, 70], [100, 70], [80, 92], [64, 112], [96, 112]], np.float32)


class FakeDetector:
    """Finds one face in the middle of every picture that is not black.

    As a real one, it is surer of a face that is upright: where the bright edge is above.
    """

    runtime = "fake"

    def detect(self, image: np.ndarray, min_score: float) -> list[Detection]:
        if not image.any() or min_score > 0.9:
            return []
        scale = image.shape[1] / SIDE
        box = Box(40 * scale, 40 * scale, 80 * scale, 90 * scale)
        edges = [image[0], image[:, -1], image[-1], image[:, 0]]
        upright = int(np.argmax([edge.mean() for edge in edges])) == 0
        return [Detection(box, LANDMARKS * np.float32(scale), 0.9 if upright else 0.6)]


class FakeRecogniser:
    """Makes a template of the colours of a face's four quarters."""

    runtime = "fake"

    def embed(self, faces: np.ndarray) -> np.ndarray:
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
                picture[:EDGE] = 255
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
