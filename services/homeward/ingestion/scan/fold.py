"""Adding up the segments of a scan that have ended, a few at a time, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from homeward.ingestion.scan.model import Scan, Segment
from homeward.ingestion.scan.recordings import accounted
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.summary import added, summarise
from homeward.servicekit.keyvalue import ConflictError, Stored


async def fold(scans: ScanRecords, scan_id: str) -> None:
    """Add the ended segments of a scan to its recordings and its tally, and remove their records.

    Several processes may do so at a time, and each may stop anywhere: the record of a recording
    says which of its segments are added, and the tally up to which revision. The order is
    recordings, tally, segments; a fold that broke off is repeated, and adds nothing twice.
    """
    while True:
        # In this order: what the tally has is not read after it was let go of.
        tally = await scans.tally(scan_id)
        ended = [one for one in await scans.segments(scan_id) if one.value.state.ended]
        total = tally.value
        if not ended:
            break
        fresh = sorted(
            (one for one in ended if one.revision > tally.value.revision),
            key=lambda one: (one.value.recording, one.revision),
        )
        for number, group in groupby(fresh, key=lambda one: one.value.recording):
            for segment in await _added_to_recording(
                scans, scan_id, number, list(group), tallied=tally.value.revision
            ):
                total = added(total, segment, 0)
        newest = max((one.revision for one in fresh), default=0)
        if newest:
            try:
                total = replace(total, revision=max(tally.value.revision, newest))
                await scans.put_tally(scan_id, total, tally.revision)
            except ConflictError:  # somebody else adds up the same
                continue
        for one in ended:
            await scans.forget_segment(scan_id, one.value.number)
        break  # what ends meanwhile, whoever ended it adds up
    plan = (await scans.plan(scan_id)).value
    if plan.stopped or (plan.complete and total.segments == plan.segments):
        await settle(scans, scan_id)


async def settle(scans: ScanRecords, scan_id: str) -> Scan | None:
    """Store the summary of an ended scan with it; return the scan."""
    scan = await scans.get(scan_id)
    if scan is None or scan.final is not None:
        return scan
    summary = summarise(scan, await scans.live(scan_id))
    if not summary.state.ended:
        return scan
    scan = await scans.change(
        scan_id, lambda held: held if held.final else replace(held, final=summary)
    )
    await scans.end(scan_id)
    return scan


async def _added_to_recording(
    scans: ScanRecords,
    scan_id: str,
    number: int,
    ended: Sequence[Stored[Segment]],
    *,
    tallied: int,
) -> list[Segment]:
    """Add segments to their recording; return those that the tally lacks."""
    while True:
        held = await scans.recording(scan_id, number)
        if held is None:
            return []  # the scan was forgotten
        recording, lacking = held.value, []
        for one in ended:
            segment = accounted(one.value)
            place = segment.number - recording.first_segment
            if not recording.has_ended(place):
                recording = recording.with_ended(segment, one.revision, tallied=tallied)
                lacking.append(segment)
            elif recording.has_added(place, one.revision):
                lacking.append(segment)  # whoever added it here did not come to the tally
            # Otherwise it was searched twice, and the first one counts.
        if recording == held.value:
            return lacking
        try:
            await scans.put_recording(scan_id, recording, held.revision)
        except ConflictError:
            continue
        return lacking
