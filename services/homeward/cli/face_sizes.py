"""How wide faces were, in sentences that an investigator can weigh."""

from __future__ import annotations

from homeward.api.ingestion.v1.scan_pb2 import FaceSizes, ScanCoverage

_WIDEST_TOLD_PX = 64
"""The service counts wider faces as this wide."""

COLUMNS = ("camera", "appearances", "too small", "not clear", "median width")


def sentences(coverage: ScanCoverage) -> list[str]:
    """Return sentences about appearances that could not be compared; none if all could."""
    incomparable, sizes = coverage.incomparable_appearance_count, coverage.face_sizes
    if not incomparable:
        return []
    # Of a scan that an earlier version began, not all were measured.
    known = sizes.too_small_appearance_count + sizes.unclear_appearance_count == incomparable
    count = f"{incomparable} of {sizes.appearance_count}" if known else f"{incomparable}"
    lines = [f"Appearances seen, but too small or too poor to compare with anybody: {count}."]
    if sizes.too_small_appearance_count:
        share = percent(sizes.too_small_appearance_count, sizes.appearance_count)
        lines.append(
            f"In {share} of the appearances the face was too small to compare:"
            f" {sizes.least_width_px} px wide needed, median {median(sizes)}."
        )
    if sizes.unclear_appearance_count:
        share = percent(sizes.unclear_appearance_count, sizes.appearance_count)
        lines.append(
            f"In {share} it was wide enough, but not clear enough: blurred, turned away or half"
            " hidden."
        )
    return lines


def rows(coverage: ScanCoverage) -> list[tuple[str, ...]]:
    """Return the face sizes by camera, as rows of `COLUMNS`."""
    return [
        (
            one.camera_id,
            str(one.face_sizes.appearance_count),
            percent(one.face_sizes.too_small_appearance_count, one.face_sizes.appearance_count),
            percent(one.face_sizes.unclear_appearance_count, one.face_sizes.appearance_count),
            median(one.face_sizes),
        )
        for one in coverage.camera_face_sizes
    ]


def percent(part: int, whole: int) -> str:
    """Return a share to read: never 0 % of some, nor 100 % of not all."""
    rounded = round(100 * part / whole) if whole else 0
    if part and not rounded:
        return "under 1 %"
    if rounded == 100 and part < whole:  # noqa: PLR2004 - percent
        return "over 99 %"
    return f"{rounded} %"


def median(sizes: FaceSizes) -> str:
    """Return the width that half of the faces had at most."""
    more = " or more" if sizes.median_width_px >= _WIDEST_TOLD_PX else ""
    return f"{sizes.median_width_px} px{more}"
