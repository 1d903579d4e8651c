"""How several templates of one person become one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fuse(
    templates: NDArray[np.float32], weights: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the unit-length mean of templates of one model, shape (d,).

    Of the references of a subject without weights: `docs/evaluation.md` measures it against the
    most alike of them.

    Args:
        templates: At least one, shape (n, d).
        weights: Of each, shape (n,), greater than 0; alike by default.
    """
    total = np.average(templates, axis=0, weights=weights)
    return np.asarray(total / np.linalg.norm(total), np.float32)
