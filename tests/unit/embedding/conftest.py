from __future__ import annotations

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.ports import LoadedPack


@pytest.fixture(scope="session")
def pack() -> LoadedPack:
    return load_pack(runtime="auto", threads=1, cache=None)


@pytest.fixture(scope="session")
def group_photo() -> np.ndarray:
    """Six people, 1280 x 886; insightface's wheel carries the picture."""
    files = importlib.metadata.files("insightface") or []
    path = next(file for file in files if file.name == "t1.jpg")
    return cv2.imread(str(Path(path.locate())))


@pytest.fixture(scope="session")
def portrait(pack: LoadedPack, group_photo: np.ndarray) -> np.ndarray:
    """One of the six people, upright, about 300 pixels a side."""
    box = max(pack.detector.detect(group_photo, 0.6), key=lambda face: face.box.width).box
    x, y = int(box.x + box.width / 2), int(box.y + box.height / 2)
    side = int(0.8 * max(box.width, box.height))
    return np.ascontiguousarray(
        group_photo[max(0, y - side) : y + side, max(0, x - side) : x + side]
    )
