from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homeward.core.packs import PackError
from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.centred import CentredRecogniser, Centres

NOTHING = np.zeros(2, np.float32)
FACES = np.zeros((2, 1, 1, 3), np.uint8)


class Given:
    """A recogniser that answers what it was given."""

    def __init__(self, *vectors: list[float]) -> None:
        self._vectors = np.array(vectors, np.float32)

    def embed(self, faces: Any, widths_px: Any = None) -> np.ndarray:  # noqa: ARG002
        return self._vectors


def centres(photograph: list[float], **camera: list[float]) -> Centres:
    return Centres(
        np.array(photograph, np.float32),
        {float(width[1:]): np.array(mean, np.float32) for width, mean in camera.items()},
    )


def test_templates_of_photographs_are_measured_from_their_centre() -> None:
    centred = CentredRecogniser(
        Given([0.6, 0.8], [0.6, -0.8]), centres([0.6, 0.0], w20=[9, 9], w80=[9, 9])
    )

    np.testing.assert_allclose(centred.embed(FACES), [[0, 1], [0, -1]])


def test_templates_of_faces_in_footage_are_measured_from_the_centre_of_their_size() -> None:
    centred = CentredRecogniser(
        Given([0.6, 0.8], [0.6, 0.8]), centres([9, 9], w20=[0.6, 0.0], w80=[0.0, 0.8])
    )

    found = centred.embed(FACES, np.array([20, 80], np.float32))

    np.testing.assert_allclose(found, [[0, 1], [1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("width", "part"), [(1, 0), (20, 0), (40, 0.5), (60, 0.7925), (80, 1), (4000, 1)]
)
def test_between_two_sizes_a_centre_is_between_theirs_and_beyond_them_the_nearest(
    width: float, part: float
) -> None:
    held = centres([9, 9], w20=[0.0, 0.0], w80=[1.0, -1.0])

    np.testing.assert_allclose(held.at(np.array([width], np.float32)), [[part, -part]], atol=1e-4)


def test_the_nearest_two_of_several_sizes_count() -> None:
    held = centres([9, 9], w20=[1.0, 0.0], w40=[0.0, 0.0], w80=[0.0, 1.0])

    widths = np.array([40, 28.284271], np.float32)
    np.testing.assert_allclose(held.at(widths), [[0, 0], [0.5, 0]], atol=1e-5)


def test_what_all_faces_have_in_common_makes_nobody_alike() -> None:
    """Two strangers in poor pictures: most of each template is what poor pictures share."""
    one, other = [0.9, 0.43, 0.0], [0.9, 0.0, 0.43]
    centred = CentredRecogniser(
        Given(one, other), centres([0.0, 0.0, 0.0], w20=[0.9, 0.0, 0.0], w80=[0.0, 0.0, 0.0])
    )

    first, second = centred.embed(FACES, np.array([20, 20], np.float32))

    assert np.dot(one, other) > 0.8
    assert abs(float(first @ second)) < 0.01


def test_the_centres_of_the_shipped_pack_are_parts_of_means_of_unit_vectors() -> None:
    held = yunet_sface.centres()

    assert sorted(held.camera) == [20, 28, 40, 80]
    for mean in (held.photograph, *held.camera.values()):
        assert mean.shape == (128,)
        assert 0.05 < np.linalg.norm(mean) < 0.5


def test_centres_that_were_changed_are_refused(tmp_path: Any, monkeypatch: Any) -> None:
    data = (yunet_sface.FOLDER / yunet_sface.CENTRES.name).read_bytes()
    (tmp_path / yunet_sface.CENTRES.name).write_bytes(data.replace(b"1", b"2", 1))
    monkeypatch.setattr(yunet_sface, "FOLDER", tmp_path)

    with pytest.raises(PackError, match=r"sface_centres\.txt is not the file"):
        yunet_sface.load(runtime="onnxruntime", threads=1, cache=None, providers=yunet_sface.CPU)


def test_without_centres_the_pack_says_what_to_do(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(yunet_sface, "FOLDER", tmp_path)

    with pytest.raises(PackError, match=r"sface_centres\.txt is missing"):
        yunet_sface.load(runtime="onnxruntime", threads=1, cache=None, providers=yunet_sface.CPU)
