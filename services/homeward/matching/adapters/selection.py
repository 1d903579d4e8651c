"""Naming points: by the subject that they are of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qdrant_client import models


@dataclass(frozen=True, slots=True)
class PointsOfSubjects:
    """Names the points of subjects that have a vector of a kind; of any kind if none is named."""

    subject_ids: Collection[str]
    kind: str = ""

    def filter(self) -> models.Filter:
        """Return it as Qdrant has it."""
        which = self.of_any_kind()
        if not self.kind:
            return which
        kind = models.HasVectorCondition(has_vector=self.kind)
        return models.Filter(must=[which, kind])

    def of_any_kind(self) -> models.Filter:
        """Return it as Qdrant has it, whatever vectors they have."""
        return models.Filter(must=[any_of("subject_id", self.subject_ids)])


def any_of(key: str, values: Collection[str]) -> models.FieldCondition:
    """Return the condition that a field has one of several values."""
    return models.FieldCondition(key=key, match=models.MatchAny(any=sorted(values)))
