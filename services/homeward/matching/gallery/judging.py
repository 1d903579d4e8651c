"""Judging kept photographs again."""

from __future__ import annotations

from homeward.matching.gallery.model import ModelInfo, PhotoKey, RefusedPhoto
from homeward.matching.gallery.ports import EnrolledPhotos, FaceAnalyzer, Reference
from homeward.servicekit import errors

AT_ONCE = 8
"""Most photographs that are judged at a time: half of the embedding service's queue."""


async def judge(
    enrolled: EnrolledPhotos, faces: FaceAnalyzer, model: ModelInfo, key: PhotoKey
) -> Reference | RefusedPhoto | None:
    """Judge a kept photograph again; None when it does not exist.

    Raises:
        FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`: the service runs another pack now.
        UnavailableError: The service or the store does not answer.
    """
    photo = await enrolled.photo(key)
    if photo is None:
        return None
    try:
        analysis = await faces.analyze(photo)
    except errors.InvalidArgumentError as error:
        return RefusedPhoto(key, (error.reason.name,))
    if analysis.template is None:
        return RefusedPhoto(key, analysis.problems)
    if analysis.template.model_digest != model.digest:
        raise errors.FailedPreconditionError(
            f"the embedding service runs another pack than {model.name} ({model.digest[:12]})"
            " now; what is done so far is kept",
            advice="start it with that pack, and run this again: it goes on where it stopped",
            reason=errors.Reason.EMBEDDING_MODEL_MISMATCH,
            metadata={
                "expected": model.digest,
                "received": analysis.template.model_digest,
            },
        )
    return Reference(key.subject_id, key.photo_id, analysis.template)
