from __future__ import annotations

import numpy as np
import pytest

from homeward.matching.gallery.keying import keyed, orthogonal_matrix, unkeyed

SECRET = bytes(range(32))
SIZE = 128


def matrix(*, secret: bytes = SECRET, salt: bytes = b"salt", size: int = SIZE) -> np.ndarray:
    return orthogonal_matrix(secret, salt=salt, size=size)


def vectors(count: int, *, seed: int = 7) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((count, SIZE))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 2, 3, 128, 512])
def test_the_matrix_is_orthogonal(size: int) -> None:
    made = matrix(size=size)

    assert made.shape == (size, size)
    assert made @ made.T == pytest.approx(np.eye(size), abs=1e-12)


def test_the_matrix_is_the_same_again() -> None:
    assert np.array_equal(matrix(), matrix())


def test_the_matrix_of_a_fixed_key_never_changes() -> None:
    made = matrix(size=4)

    assert made == pytest.approx(
        np.array(
            [
                [0.401007026829979, 0.902497179351404, -0.068000671928070, -0.141661972007561],
                [-0.620358413922616, 0.392950157931129, 0.217032929672749, 0.643150308322231],
                [-0.060887376803337, 0.035023361591022, 0.918148798168751, -0.389960095279187],
                [-0.671298391219884, 0.172807345872579, -0.324461708798240, -0.643599790772026],
            ]
        ),
        abs=1e-12,
    )


def test_no_axis_is_preferred() -> None:
    made = matrix(size=512)

    assert abs(made.mean()) < 0.001
    assert made.std() == pytest.approx(1 / np.sqrt(512), rel=1e-3)
    assert abs(np.trace(made)) < 6


def test_cosine_similarity_is_preserved() -> None:
    templates = vectors(50)

    hidden = keyed(templates, matrix())

    assert hidden @ hidden.T == pytest.approx(templates @ templates.T, abs=1e-6)


def test_a_keyed_vector_is_as_long_as_before() -> None:
    assert np.linalg.norm(keyed(vectors(50), matrix()), axis=1) == pytest.approx(
        np.ones(50), abs=1e-6
    )


def test_unkeyed_undoes_keyed() -> None:
    templates = vectors(50)

    assert unkeyed(keyed(templates, matrix()), matrix()) == pytest.approx(templates, abs=1e-6)


def test_a_keyed_vector_is_unlike_its_template() -> None:
    templates = vectors(50)

    similarity = np.sum(keyed(templates, matrix()) * templates, axis=1)

    assert abs(similarity).max() < 0.5
    assert abs(similarity.mean()) < 0.1


@pytest.mark.parametrize(
    "other", [matrix(salt=b"another"), matrix(secret=bytes(32))], ids=["salt", "secret"]
)
def test_another_salt_or_secret_gives_unrelated_vectors(other: np.ndarray) -> None:
    templates = vectors(50)

    similarity = np.sum(keyed(templates, matrix()) * keyed(templates, other), axis=1)

    assert abs(similarity).max() < 0.5
    assert abs(similarity.mean()) < 0.1


def test_a_keyed_vector_has_single_precision() -> None:
    assert keyed(vectors(1), matrix()).dtype == np.float32


@pytest.mark.parametrize("secret", [b"", bytes(31)])
def test_a_short_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match=f"has {len(secret)} bytes, not 32"):
        matrix(secret=secret)
