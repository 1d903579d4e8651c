"""Points of a collection: what is written, what is read, and how they are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters.opening import Target
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import Template
from homeward.servicekit import records


@dataclass(frozen=True, slots=True)
class Point:
    """A point to write."""

    point_id: str
    kind: str
    """Of vector."""
    template: Template | None
    """None, or one of another model than the collection's, is written as no vector at all."""
    payload: object


@dataclass(frozen=True, slots=True, eq=False)
class HeldPoint:
    """A point that is there."""

    payload: dict[str, Any]
    vector: NDArray[np.float32] | None
    """As it was before keying, shape (d,); None without one."""


def vectors_of(points: Sequence[Any], target: Target) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of points as they were before keying, by id, of those that have one."""
    kept = [(str(point.id), _vector(point)) for point in points]
    having = [(name, vector) for name, vector in kept if vector is not None]
    if not having:
        return {}
    plain = keying.unkeyed(np.stack([vector for _, vector in having]), target.matrix)
    return {name: vector for (name, _), vector in zip(having, plain, strict=True)}


def held(points: Sequence[Any], target: Target) -> dict[str, HeldPoint]:
    """Return points with their vectors as they were before keying, by id."""
    vectors = vectors_of(points, target)
    return {
        str(point.id): HeldPoint(point.payload or {}, vectors.get(str(point.id)))
        for point in points
    }


def nearest(
    probes: NDArray[np.float32],
    points: Mapping[str, HeldPoint],
    *,
    threshold: float,
    limit: int,
) -> list[list[tuple[dict[str, Any], float]]]:
    """Return payload and cosine similarity of the points nearest to each probe, as Qdrant does.

    Args:
        probes: Shape (n, d), unit length.
        points: To compare with; those without a vector count for nothing.
        threshold: Least cosine similarity, in [-1, 1].
        limit: Most points a probe.
    """
    compared = [point for _, point in sorted(points.items()) if point.vector is not None]
    if not compared:
        return [[] for _ in probes]
    scores = probes @ np.stack([point.vector for point in compared if point.vector is not None]).T
    found = []
    for row in scores:
        order = [index for index in np.argsort(-row, kind="stable") if row[index] >= threshold]
        found.append([(compared[index].payload, float(row[index])) for index in order[:limit]])
    return found


def structs(points: Sequence[Point], target: Target) -> list[models.PointStruct]:
    """Return points as they are written to a collection."""
    return [
        struct(point.point_id, point.kind, _values(point, target), point.payload, target)
        for point in points
    ]


def struct(
    point_id: str,
    kind: str,
    values: NDArray[np.float32] | None,
    payload: object,
    target: Target,
) -> models.PointStruct:
    """Return a point as it is written; `values` before keying, None for no vector."""
    keyed = None if values is None else keying.keyed(values[None], target.matrix)[0].tolist()
    return models.PointStruct(
        id=point_id,
        vector={} if keyed is None else {kind: keyed},
        payload=payload if isinstance(payload, dict) else records.to_plain(payload),
    )


def kind_of(point: Any) -> str:  # noqa: ANN401 - the client's, whose type has every kind of vector
    """Return of which kind a point's vector is; empty without one."""
    return next(iter(point.vector or {}), "")


def _values(point: Point, target: Target) -> NDArray[np.float32] | None:
    template = point.template
    fits = template is not None and template.model_digest == target.model.digest
    return template.values if template is not None and fits else None


def _vector(point: Any) -> NDArray[np.float32] | None:  # noqa: ANN401 - as of `kind_of`
    kind = kind_of(point)
    if not kind:
        return None
    vector = np.asarray(point.vector[kind], np.float32)
    # Versions until November 2026 wrote zeros where there is no template.
    return vector if vector.any() else None
