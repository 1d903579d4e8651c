"""Probes and their candidates on the wire."""

from __future__ import annotations

import numpy as np

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import (
    matching_service_pb2,
)
from homeward.matching.gallery.model import Candidate, Template
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_PROBES = 256
MAX_MARGIN = 0.5
MAX_CANDIDATES = 50
DEFAULT_CANDIDATES = 5
UNIT_TOLERANCE = 1e-3


def template_from(template: types_pb2.Template, field: str) -> Template:
    """Return a template."""
    if not template.model_digest:
        raise invalid_field(f"{field}.model_digest", "is required")
    values = np.asarray(template.values, dtype=np.float32)
    # Written so that NaN, which compares with nothing, is refused.
    if not abs(float(np.linalg.norm(values)) - 1) <= UNIT_TOLERANCE:
        raise invalid_field(f"{field}.values", "must be a vector of length 1")
    return Template(values, template.model_digest)


def probes_from(request: matching_service_pb2.MatchRequest) -> list[Template]:
    """Return the probes of a match, all of one model."""
    wire.count_between(len(request.probes), "probes", least=1, most=MAX_PROBES)
    probes = [
        template_from(probe, f"probes[{index}]") for index, probe in enumerate(request.probes)
    ]
    for index, probe in enumerate(probes):
        first = probes[0]
        if (probe.model_digest, probe.values.shape) != (first.model_digest, first.values.shape):
            raise invalid_field(f"probes[{index}]", "is of another model than probes[0]")
    return probes


def limit_from(limit: int) -> int:
    """Return how many candidates an appearance may have."""
    if not limit:
        return DEFAULT_CANDIDATES
    return int(wire.number_between(limit, "limit", least=1, most=MAX_CANDIDATES))


def to_candidates(candidates: list[Candidate]) -> matching_service_pb2.ProbeCandidates:
    """Return the candidates of one probe as protobuf has them."""
    return matching_service_pb2.ProbeCandidates(
        candidates=[
            matching_service_pb2.Candidate(
                subject_id=found.subject_id, photo_id=found.photo_id, score=found.score
            )
            for found in candidates
        ]
    )
