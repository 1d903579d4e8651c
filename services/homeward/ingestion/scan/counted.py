"""Counting searches."""

from __future__ import annotations

from homeward.common.activity import SEARCHES, SearchFigure
from homeward.ingestion.scan.authorisation import AuthorisationState
from homeward.ingestion.scan.model import Scan, ScanSummary
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.summary import summarise
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.lease import Proceed

_AUTHORISATION = {
    AuthorisationState.AUTHORISED: SearchFigure.AUTHORISED,
    AuthorisationState.REFUSED: SearchFigure.REFUSED,
    AuthorisationState.LAPSED: SearchFigure.LAPSED,
    AuthorisationState.AWAITED: SearchFigure.AWAITED,
}


class ScanCounting:
    """Counts the searches that have ended, from their records, which are kept for 31 days.

    Of one under way, what it has compared so far is counted, as its candidates are when they are
    found: or else reviewers who are quick would seem to find too many of them wrong.

    Nothing that ends a search has to count it: a sweep does, and states again what a decision on
    its authorisation has changed.

    Args:
        records: Of the scans.
        counts: Counts.
    """

    def __init__(self, records: ScanRecords, counts: ActivityCounts) -> None:
        self._records = records
        self._counts = counts
        self._stated: dict[str, AuthorisationState] = {}
        """By scan, how its authorisation was when this process stated its figures."""

    async def sweep(self, proceed: Proceed) -> int:
        """Count what has ended or was decided since the last sweep; return how many that were.

        Raises:
            UnavailableError: The store does not answer; the next sweep goes on.
        """
        done = 0
        await self._counts.begin()
        scans = {one.scan_id: one for one in await self._records.find()}
        self._stated = {name: one for name, one in self._stated.items() if name in scans}
        for scan in scans.values():
            if not await proceed():
                return done
            if self._stated.get(scan.scan_id) is scan.authorisation.state:
                continue
            summary = summarise(scan, await self._records.live(scan.scan_id))
            if figures := figures_of(scan, summary):
                await self._counts.state(SEARCHES, scan.scan_id, scan.create_time, figures)
            if not summary.state.ended:
                continue
            self._stated[scan.scan_id] = scan.authorisation.state
            done += 1
        await self._counts.forget_tokens()
        return done


def figures_of(scan: Scan, summary: ScanSummary) -> dict[str, float]:
    """Return what counts of a search: until it has ended, what it has compared alone."""
    counts = summary.counts
    figures: dict[str, float] = {
        SearchFigure.FACES: counts.faces,
        SearchFigure.APPEARANCES: counts.appearances,
        SearchFigure.DISCARDED: counts.discarded,
        SearchFigure.INCOMPARABLE: counts.incomparable,
    }
    if summary.state.ended:
        figures |= {
            SearchFigure.SEARCHES: 1,
            SearchFigure.EVERYTHING: int(scan.justification.everything),
            SearchFigure.REQUESTED_SECONDS: summary.total.total_seconds(),
            SearchFigure.SEARCHED_SECONDS: summary.searched.total_seconds(),
            SearchFigure.FOOTAGE: summary.footage_count,
        }
        authorisation = _AUTHORISATION.get(scan.authorisation.state)
        if authorisation is not None:
            figures[authorisation] = 1
    return {name: value for name, value in figures.items() if value}
