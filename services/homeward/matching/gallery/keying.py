"""Keyed templates: what a vector store holds cannot be compared with any face without the key.

Every vector, probe or gallery, is multiplied by an orthogonal matrix before it reaches the store.
Cosine similarity is unchanged; the vectors themselves are unlike those of any other collection and
of any face recogniser: a cancelable template in the sense of ISO/IEC 24745.

What this does not do: distances within a collection stay what they are, so whoever holds the
collection can see which of its templates are alike; and whoever knows d linearly independent
templates together with what they became can solve for the matrix.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

MIN_SECRET_BYTES = 32


def orthogonal_matrix(secret: bytes, *, salt: bytes, size: int) -> NDArray[np.float64]:
    """Derive the transform of a collection.

    The matrix is Haar-distributed over the orthogonal group: the QR decomposition of a Gaussian
    matrix, with the signs of R's diagonal divided out (Mezzadri, "How to generate random matrices
    from the classical compact groups", 2007). The Gaussian values come from ChaCha20, keyed by
    HKDF-SHA256, through the Box-Muller transform, and from no random generator of numpy, whose
    streams may change between versions.

    Args:
        secret: The installation's secret, at least `MIN_SECRET_BYTES` bytes.
        salt: The collection's own; without it the matrix cannot be derived again.
        size: Length d of the templates.

    Returns:
        Shape (d, d), orthogonal to within rounding.

    Raises:
        ValueError: The secret is too short.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"the gallery key has {len(secret)} bytes, not {MIN_SECRET_BYTES}")
    key = HKDF(SHA256(), length=32, salt=salt, info=b"homeward gallery transform v1").derive(secret)
    pairs = (size * size + 1) // 2
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    words = np.frombuffer(stream.update(bytes(16 * pairs)), dtype="<u8").reshape(2, pairs)
    # 53 bits each; (0, 1] for the logarithm, [0, 1) for the angle.
    radius = np.sqrt(-2.0 * np.log(((words[0] >> np.uint64(11)) + 1) * 2.0**-53))
    angle = 2.0 * np.pi * ((words[1] >> np.uint64(11)) * 2.0**-53)
    gaussian = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    q, r = np.linalg.qr(gaussian[: size * size].reshape(size, size))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float64)


def keyed(vectors: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Transform vectors, shape (n, d), into what the store may hold. Lengths and angles stay."""
    return np.asarray(vectors.astype(np.float64) @ matrix.T, dtype=np.float32)


def unkeyed(vectors: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Undo `keyed`."""
    return np.asarray(vectors.astype(np.float64) @ matrix, dtype=np.float32)
