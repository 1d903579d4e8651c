"""Authorising scans, refusing them, and what becomes of those that nobody decides on in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from homeward.ingestion.scan.authorisation import (
    NO_RULES,
    Authorisation,
    AuthorisationState,
    ScanRules,
)
from homeward.ingestion.scan.model import Scan, ScanSummary
from homeward.ingestion.scan.ports import ScanSightingEraser
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.scans import Scans, not_found
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ERASURE, Acts
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import is_same_person, name_of_caller
from homeward.servicekit.lease import Proceed

log = structlog.get_logger()


class ScanAuthorising:
    """Takes decisions on scans, and carries refusals out.

    A decision is one write of the scan's record, by compare-and-set: of two at the same moment, the
    first counts. A refusal is carried out after it is written: the scan is stopped, then what it
    found is erased. What breaks off there, the next sweep finishes.

    Args:
        scans: The scans.
        records: Their records.
        sightings: Erases what a scan found.
        clock: Tells the time.
        acts: Writes down what a sweep refuses.
        rules: What is asked of those who authorise.
    """

    def __init__(
        self,
        *,
        scans: Scans,
        records: ScanRecords,
        sightings: ScanSightingEraser,
        clock: Clock,
        acts: Acts,
        rules: ScanRules = NO_RULES,
    ) -> None:
        self._scans = scans
        self._records = records
        self._sightings = sightings
        self._clock = clock
        self._acts = acts
        self._rules = rules

    async def authorise(
        self, scan_id: str, *, reference: str, authoriser: str
    ) -> tuple[Scan, ScanSummary]:
        """Note that a scan is authorised; the same again by the same person changes nothing.

        Args:
            scan_id: The scan.
            reference: Where the authorisation is on file.
            authoriser: Who authorises it, as stated; where callers are checked, it is the caller.

        Raises:
            InvalidArgumentError: `FIELD_INVALID`: nobody is named.
            NotFoundError: `SCAN_NOT_FOUND`.
            FailedPreconditionError: `SCAN_DECIDED`.
            PermissionDeniedError: `OWN_SCAN`.
        """
        await self._scans.require_visible(scan_id)
        now, name = self._clock.now(), _decider(authoriser)

        def decide(scan: Scan) -> Authorisation:
            held = scan.authorisation
            if (held.state, held.decider, held.reference) == (
                AuthorisationState.AUTHORISED,
                name,
                reference,
            ):
                return held
            _require_undecided(scan, now)
            if not self._rules.own_scans and is_same_person(name, scan.requester):
                raise errors.PermissionDeniedError(
                    f"whoever asked for scan {scan_id} may not authorise it themselves",
                    reason=errors.Reason.OWN_SCAN,
                    metadata={"scan_id": scan_id},
                )
            return replace(
                held,
                state=AuthorisationState.AUTHORISED,
                decider=name,
                decide_time=now,
                reference=reference,
            )

        await self._decide(scan_id, decide)
        await self._records.settle_decision(scan_id)
        return await self._scans.outline(scan_id)

    async def refuse(
        self, scan_id: str, *, reason: str, authoriser: str
    ) -> tuple[Scan, ScanSummary]:
        """Refuse a scan: stop it, and erase what it found.

        A scan that was refused before, by whomever, stays so; its refusal is carried out again.

        Args:
            scan_id: The scan.
            reason: Why.
            authoriser: Who refuses it, as stated; where callers are checked, it is the caller.

        Raises:
            InvalidArgumentError: `FIELD_INVALID`: nobody is named.
            NotFoundError: `SCAN_NOT_FOUND`.
            FailedPreconditionError: `SCAN_DECIDED`: it is authorised.
            UnavailableError: The refusal may be written; then a sweep carries it out.
        """
        await self._scans.require_visible(scan_id)
        now, name = self._clock.now(), _decider(authoriser)

        def decide(scan: Scan) -> Authorisation:
            held = scan.authorisation
            if held.state.forbids:
                return held
            if held.state.decided:
                _require_undecided(scan, now)
            return replace(
                held,
                state=AuthorisationState.REFUSED,
                decider=name,
                decide_time=now,
                reason=reason,
            )

        if await self._records.get(scan_id) is None:
            raise not_found(scan_id)
        await self._records.await_decision(scan_id)  # before: a sweep finishes what breaks off
        await self._carry_out(await self._decide(scan_id, decide))
        return await self._scans.outline(scan_id)

    async def sweep(self, proceed: Proceed) -> int:
        """Refuse what nobody has decided on in time, and finish refusals that broke off.

        Args:
            proceed: Asked now and then; False ends this, to be gone on with later.

        Returns:
            How many scans it saw to.

        Raises:
            UnavailableError: A store or matching does not answer; the next sweep goes on.
        """
        done = 0
        for scan_id in await self._records.undecided():
            if not await proceed():
                return done
            done += await self._see_to(scan_id)
        return done

    async def next_deadline(self) -> datetime | None:
        """Return the first deadline of the scans that wait to be authorised; None without any."""
        scans = [await self._records.get(name) for name in await self._records.undecided()]
        waiting = [
            one.authorisation.deadline
            for one in scans
            if one is not None and one.authorisation.state is AuthorisationState.AWAITED
        ]
        return min((one for one in waiting if one is not None), default=None)

    async def _see_to(self, scan_id: str) -> bool:
        scan, now = await self._records.get(scan_id), self._clock.now()
        if scan is None:  # it may be about to be created
            return False
        if scan.authorisation.has_lapsed(now):

            def decide(scan: Scan) -> Authorisation:
                held = scan.authorisation
                if not held.has_lapsed(now):  # decided meanwhile
                    return held
                return replace(held, state=AuthorisationState.LAPSED, decide_time=now)

            scan = await self._decide(scan_id, decide)
        if scan.authorisation.state is AuthorisationState.LAPSED:
            await self._tell_lapse(scan)
        if scan.authorisation.state.forbids:
            await self._carry_out(scan)  # by a call to matching, which writes it down
            return True
        if scan.authorisation.state is AuthorisationState.AUTHORISED:
            await self._records.settle_decision(scan_id)
        return False

    async def _tell_lapse(self, scan: Scan) -> None:
        """Write down that a scan has lapsed, once that is decided: it may be authorised meanwhile.

        What breaks off in between is written down by the next sweep.
        """
        if scan.authorisation.lapse_told:
            return
        log.warning("scan not authorised in time", scan_id=scan.scan_id)
        await self._acts.record("LapseScan", ERASURE, [f"scan/{scan.scan_id}"])
        await self._decide(scan.scan_id, lambda held: replace(held.authorisation, lapse_told=True))

    async def _decide(self, scan_id: str, decide: Callable[[Scan], Authorisation]) -> Scan:
        scan = await self._records.change(
            scan_id, lambda held: replace(held, authorisation=decide(held))
        )
        if scan is None:
            raise not_found(scan_id)
        return scan

    async def _carry_out(self, scan: Scan) -> None:
        """Stop a scan that was refused, and erase what it found; may be repeated."""
        await self._scans.stop(scan.scan_id)
        erasing = self._sightings.erase_scan_sightings(
            scan.scan_id, subject_ids=scan.scope.subject_ids
        )
        if not await erasing:
            log.warning("not all that a refused scan found was erased", scan_id=scan.scan_id)
            return  # the next sweep tries again
        now = self._clock.now()

        def erased(scan: Scan) -> Authorisation:
            return replace(scan.authorisation, erase_time=scan.authorisation.erase_time or now)

        await self._decide(scan.scan_id, erased)
        await self._records.settle_decision(scan.scan_id)


def _decider(stated: str) -> str:
    name = name_of_caller(stated)
    if not name:
        raise errors.invalid_field("authoriser", "is required where callers are not checked")
    return name


def _require_undecided(scan: Scan, now: datetime) -> None:
    held = scan.authorisation
    state = AuthorisationState.LAPSED if held.has_lapsed(now) else held.state
    if state.decided:
        problem = {
            AuthorisationState.AUTHORISED: "is authorised already",
            AuthorisationState.REFUSED: "was refused",
            AuthorisationState.LAPSED: "was not authorised in time, and counts as refused",
        }[state]
        raise errors.FailedPreconditionError(
            f"scan {scan.scan_id} {problem}",
            reason=errors.Reason.SCAN_DECIDED,
            metadata={"scan_id": scan.scan_id, "state": state.name},
        )
