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
