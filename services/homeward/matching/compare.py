"""Comparing appearances with the gallery."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import Candidate, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.policies.model import ThresholdPolicy
from homeward.servicekit import errors


async def match(
    probes: Sequence[Template],
    gallery: SubjectIndex,
    completeness: Completeness,
    *,
    policy: ThresholdPolicy,
    subject_ids: Collection[str],
    limit: int,
    margin: float = 0.0,
) -> list[list[Candidate]]:
    """Rank the subjects most alike to each appearance.

    A candidate is a lead for a human reviewer, not an identification. Ties keep subject order,
    so a repeated search gives the same list. Nothing is stored.

    Args:
        probes: Templates of appearances, all of one model; at least one.
        gallery: Whom to compare with.
        completeness: Tells whether the gallery has a template of everybody.
        policy: Operating point; candidates below its threshold are left out.
        subject_ids: Compare with these subjects only; empty for all.
        limit: Most candidates per appearance, at least 1.
        margin: How far below the threshold to tell of subjects nevertheless, at least 0.

    Raises:
        FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`, when probes, gallery and policy are not
            of one model; `GALLERY_INCOMPLETE`, when somebody would be passed by.
    """
    # First: what its refusal says to do is done before anything about a policy.
    await gallery.require_model(probes[0].model_digest, probes[0].values.size)
    if probes[0].model_digest != policy.model_digest:
        raise errors.FailedPreconditionError(
            f"the gallery is of model pack {probes[0].model_digest[:12]}, and policy"
            f" {policy.policy_id} was measured with {policy.model_digest[:12]}:"
            " activate a policy that was measured with the gallery's pack",
            reason=errors.Reason.EMBEDDING_MODEL_MISMATCH,
            metadata={"expected": policy.model_digest, "received": probes[0].model_digest},
        )
    while True:
        edition = await completeness.require(subject_ids)
        found = await gallery.search(
            np.stack([probe.values for probe in probes]),
            model_digest=probes[0].model_digest,
            subject_ids=subject_ids,
            threshold=policy.threshold - margin,
            limit=limit,
        )
        if await completeness.unchanged(edition):
            return found
        # Exchanged meanwhile, or lost and made anew: then this found nobody.
