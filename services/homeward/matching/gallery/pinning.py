"""The refusal of templates of another model: those cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence

from homeward.matching.gallery.model import ModelInfo
from homeward.servicekit import errors


def mismatch(
    what: str, held: ModelInfo, digest: str, known: Sequence[ModelInfo] = ()
) -> errors.FailedPreconditionError:
    """Return the refusal of templates of another model than those that are held.

    Args:
        what: Holds templates, such as "the gallery".
        held: Their model.
        digest: Of the model of those that came.
        known: Models that embedding services run, to name that one by.
    """
    name = next((one.name for one in known if one.digest == digest), "")
    came = f"{name} ({digest[:12]})" if name else f"another pack ({digest[:12]})"
    return errors.FailedPreconditionError(
        f"{what} holds templates of model pack {held.name} ({held.digest[:12]}), which cannot be"
        f" compared with those of {came}; run the embedding service with {held.name}, or have the"
        " kept photographs embedded again with the other pack",
        reason=errors.Reason.EMBEDDING_MODEL_MISMATCH,
        metadata={"expected": held.digest, "received": digest},
    )
