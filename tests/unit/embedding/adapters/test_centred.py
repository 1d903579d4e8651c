from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.centred import Centred
from homeward.packs import PackError


class Given:
    """A recogniser that answers what it was given."""

    def __init__(self, *vectors: list[float]) -> None:
        self._vectors = np.array(vectors, np.float32)

    def embed(self, faces: Any) -> np.ndarray:  # noqa: ARG002
        return self._vectors


def test_templates_are_measured_from_the_centre() -> None:
    centred = Centred(Given([0.6, 0.8], [0.6, -0.8]), np.array([0.6, 0.0], np.float32))

    np.testing.assert_allclose(centred.embed(np.zeros((2, 1, 1, 3), np.uint8)), [[0, 1], [0, -1]])


def test_what_all_faces_have_in_common_makes_nobody_alike() -> None:
    """Two strangers in poor pictures: most of each template is what poor pictures share."""
    one, other = [0.9, 0.43, 0.0], [0.9, 0.0, 0.43]
    centred = Centred(Given(one, other), np.array([0.9, 0.0, 0.0], np.float32))

    first, second = centred.embed(np.zeros((2, 1, 1, 3), np.uint8))

    assert np.dot(one, other) > 0.8
    assert abs(float(first @ second)) < 0.01


def test_the_centre_of_the_shipped_pack_is_a_mean_of_unit_vectors() -> None:
    data = (yunet_sface.FOLDER / yunet_sface.CENTRE.name).read_bytes()

    centre = np.array(data.split(), float)

    assert centre.shape == (128,)
    assert 0.1 < np.linalg.norm(centre) < 0.5


def test_a_centre_that_was_changed_is_refused(tmp_path: Any, monkeypatch: Any) -> None:
    data = (yunet_sface.FOLDER / yunet_sface.CENTRE.name).read_bytes()
    (tmp_path / yunet_sface.CENTRE.name).write_bytes(data.replace(b"1", b"2", 1))
    monkeypatch.setattr(yunet_sface, "FOLDER", tmp_path)

    with pytest.raises(PackError, match=r"sface_centre\.txt is not the file"):
        yunet_sface.load(runtime="onnxruntime", threads=1, cache=None, providers=yunet_sface.CPU)


def test_without_a_centre_the_pack_says_what_to_do(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(yunet_sface, "FOLDER", tmp_path)

    with pytest.raises(PackError, match=r"sface_centre\.txt is missing"):
        yunet_sface.load(runtime="onnxruntime", threads=1, cache=None, providers=yunet_sface.CPU)
