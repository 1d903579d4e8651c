"""Whether a scan is targeted: it says whom to look for, where and from when on."""

from __future__ import annotations

from homeward.ingestion.scan.authorisation import Justification, ScanRules
from homeward.ingestion.scan.model import ScanScope
from homeward.servicekit import errors


def require_justified(scope: ScanScope, why: Justification, rules: ScanRules) -> None:
    """Refuse a scan that does not say what the rules ask for.

    Raises:
        InvalidArgumentError: `SCAN_NOT_TARGETED`, `FIELD_INVALID`.
    """
    missing = missing_targets(scope)
    if rules.targeted and missing and not why.everything:
        lacking = "; ".join(_NAMES[one] for one in missing)
        raise errors.InvalidArgumentError(
            f"this service searches only what is named, and this scan does not name: {lacking}. If"
            " it has to search everything, it must state why",
            reason=errors.Reason.SCAN_NOT_TARGETED,
            metadata={"missing": ",".join(missing)},
        )
    if rules.authorised_within is not None and not why.necessity:
        raise errors.invalid_field(
            "justification.necessity", "is required: somebody has to authorise the scan by it"
        )


def missing_targets(scope: ScanScope) -> tuple[str, ...]:
    """Return the fields that a scope lacks to be targeted; none if it is.

    A targeted scope names subjects, and either recordings, or cameras and a start. It needs no end:
    only recordings that are held when the scan is created are searched.
    """
    missing = [] if scope.subject_ids else ["subject_ids"]
    if not scope.footage_ids:
        missing += [] if scope.camera_ids else ["camera_ids|footage_ids"]
        missing += [] if scope.start_time else ["interval.start_time|footage_ids"]
    return tuple(missing)


_NAMES = {
    "subject_ids": "subjects",
    "camera_ids|footage_ids": "cameras or recordings",
    "interval.start_time|footage_ids": "a start",
}
