"""Recording what scans find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from homeward.matching.sightings.feed import ChangeKind
from homeward.matching.sightings.joining import ChosenStill, chosen_stills, pictures_of
from homeward.matching.sightings.kept import KeptSightings, erased, ledger_key
from homeward.matching.sightings.ledger import LedgerKey, Stretch
from homeward.matching.sightings.model import (
    Disposition,
    Finding,
    Sighting,
    SightingState,
    each_once,
)
from homeward.matching.sightings.refused import RefusedScans
from homeward.matching.sightings.spans import Placement, Span
from homeward.matching.sightings.stills import keys_by_offset

CLEARLY_BETTER = 0.01
"""Least gain in score by which a finding replaces the picture of a sighting; the score is the best
one in any case. A repeated search
detects faces a fraction of a pixel away, and must not change the picture that a reviewer sees."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What findings are joined to."""

    joined: Sighting
    """As it is to be written."""
    best: Sighting
    """Which of the parts its score, picture and template are of."""
    chosen: Sequence[ChosenStill]
    """Its stills."""

    def takes_from(self, finding: Finding) -> bool:
        """Tell whether a still of a finding is among the chosen ones."""
        return any(one.source is finding.sighting for one in self.chosen)


class SightingRecording:
    """Makes sightings of findings.

    The ledger (`spans.place`) decides which sighting a finding belongs to, and is written first.
    Sighting and still follow under the id from the ledger. A retry completes a recording that broke
    off, because each step gives the same result again.

    Args:
        kept: The sightings that are kept.
        subject_is_open: Tells whether a subject is looked for.
        refused: The scans that were refused, of which nothing is recorded.
    """

    def __init__(
        self,
        kept: KeptSightings,
        subject_is_open: Callable[[str], Awaitable[bool]],
        refused: RefusedScans,
    ) -> None:
        self._kept = kept
        self._subject_is_open = subject_is_open
        self._refused = refused

    async def record(self, finding: Finding) -> tuple[Disposition, Sighting | None]:
        """Record a finding, or make it part of the sighting that it overlaps.

        Of one whose stills are not made, nothing is written when one of them is needed:
        `STILLS_NEEDED`. The scan may be cancelled before it comes again with them.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
        """
        scan_id = finding.sighting.scan_id
        if await self._refused.has(scan_id):
            return Disposition.SCAN_REFUSED, None
        recorded = await self._record(finding)
        if await self._refused.has(scan_id):
            # Refused meanwhile, perhaps after what it had found was erased: this goes too.
            await self._refused.erase_found(scan_id)
            return Disposition.SCAN_REFUSED, None
        return recorded

    async def join(self, findings: Sequence[Finding]) -> list[tuple[Disposition, Sighting | None]]:
        """Record findings whose stills are not made, up to the first that needs one of these.

        What is kept of a subject in a recording depends on the order of its findings: those that
        come after one that needs its stills are to be recorded after it, and need theirs too.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
        """
        results = list[tuple[Disposition, Sighting | None]]()
        needing = set[LedgerKey]()
        for finding in findings:
            key = ledger_key(finding.sighting)
            if key in needing:
                results.append((Disposition.STILLS_NEEDED, None))
                continue
            results.append(await self.record(finding))
            if results[-1][0] is Disposition.STILLS_NEEDED:
                needing.add(key)
        return results

    async def _record(self, finding: Finding) -> tuple[Disposition, Sighting | None]:
        template = finding.template
        await self._kept.index.require_model(template.model_digest, template.values.size)
        if (ended := await self._ended(finding)) is not None:
            return ended, None
        async with self._kept.changing:
            if finding.stills is None and await self._needs_stills(finding):
                return Disposition.STILLS_NEEDED, None
            return await self._placed(finding)

    async def _placed(self, finding: Finding) -> tuple[Disposition, Sighting | None]:
        """Put a finding into the ledger, and record it where it belongs."""
        placement = await self._kept.ledger.place(ledger_key(finding.sighting), _stretch(finding))
        if placement.span.rejected:
            return Disposition.REJECTED_BEFORE, None
        held = await self._kept.index.get(placement.span.sighting_id)
        if held is not None and held.state is not SightingState.UNREVIEWED:
            kept = await self._vouch(held, finding.sighting)
            if (ended := await self._undone_if_ended(finding)) is not None:
                return ended, None  # a confirmed one outlasts its recording
            return _told(kept, Disposition.JOINED)
        parts = await self._absorbed(placement)
        joining = self._joining(held, parts, finding, placement)
        if finding.stills is None and joining.takes_from(finding):
            # Another replica has changed what it was to join.
            return await self._undone_if_ended(finding) or Disposition.STILLS_NEEDED, None
        joined = await self._join(held, joining, finding, placement)
        await self._kept.forget([erased(part) for part in parts])
        if (ended := await self._undone_if_ended(finding, joined)) is not None:
            return ended, None
        if not placement.span.recorded:
            await self._kept.ledger.note_recorded(
                ledger_key(joined), joined.sighting_id, recorded=True
            )
        kept = await self._kept.as_decided(joined)
        new = placement.is_new or held is None
        return _told(kept, Disposition.RECORDED if new else Disposition.JOINED)

    async def _needs_stills(self, finding: Finding) -> bool:
        """Tell whether a still of a finding would be kept if it was recorded now."""
        placement = await self._kept.ledger.plan(ledger_key(finding.sighting), _stretch(finding))
        if placement.span.rejected:
            return False
        held = await self._kept.index.get(placement.span.sighting_id)
        if held is not None and held.state is not SightingState.UNREVIEWED:
            return False
        parts = await self._absorbed(placement)
        return self._joining(held, parts, finding, placement).takes_from(finding)

    async def _undone_if_ended(self, finding: Finding, *written: Sighting) -> Disposition | None:
        """Erase what was written of a finding, if there is to be no sighting of it any more.

        Its subject was closed, or its recording removed, meanwhile: perhaps after all that there
        was is erased.
        """
        if (ended := await self._ended(finding)) is not None:
            await self._kept.forget([erased(one) for one in written])
            await self._kept.ledger.erase(ledger_key(finding.sighting))
        return ended

    async def _ended(self, finding: Finding) -> Disposition | None:
        """Return why there are to be no sightings of its subject or in its recording any more."""
        sighting = finding.sighting
        if not await self._subject_is_open(sighting.subject_id):
            return Disposition.SUBJECT_CLOSED
        if await self._kept.ledger.is_closed(sighting.footage_id, finding.received):
            return Disposition.FOOTAGE_REMOVED
        return None

    async def _absorbed(self, placement: Placement) -> list[Sighting]:
        """Return the sightings that are to be part of another one, and are there still."""
        parts = [await self._kept.index.get(name) for name in placement.absorbed]
        # One that was decided when another replica took it in stays by itself.
        return [one for one in parts if one is not None and one.state is SightingState.UNREVIEWED]

    def _joining(
        self,
        held: Sighting | None,
        parts: Sequence[Sighting],
        finding: Finding,
        placement: Placement,
    ) -> Joining:
        """Return the sighting of joined findings, with the best score and picture.

        Scores of different models cannot be compared: a finding stands before those of a former
        one, however high they were.
        """
        known = [*([held] if held else []), *parts]
        comparable = [part for part in known if part.model_digest == finding.template.model_digest]
        # Of whichever part came first: the segments of a recording come in any order.
        score = max(part.score for part in (*comparable, finding.sighting))
        best = max(comparable, key=lambda part: part.score, default=finding.sighting)
        if finding.sighting.score - best.score >= CLEARLY_BETTER or best.still_gone:
            best = finding.sighting
        there = [part for part in comparable if not part.still_gone]
        chosen = chosen_stills(best, [*there, finding.sighting])
        first = min(known, key=lambda part: part.create_time) if known else None
        vouched = _vouched(replace(best, score=score), finding.sighting)
        joined = replace(
            _stretched(best, placement.span),
            score=score,
            scan_id=first.scan_id if first else best.scan_id,
            create_time=first.create_time if first else self._kept.clock.now(),
            threshold=vouched.threshold,
            policy_id=vouched.policy_id,
            figures=vouched.figures,
            rival_score=_rival_score(best, finding.sighting),
            time_uncertain=_time_uncertain(*known, finding.sighting),
            requesters=each_once(placement.span.requesters, *(one.requesters for one in known)),
            stills=tuple(one.still for one in chosen),
        )
        return Joining(joined, best, chosen)

    async def _join(
        self,
        held: Sighting | None,
        joining: Joining,
        finding: Finding,
        placement: Placement,
    ) -> Sighting:
        """Write a joined sighting and its pictures, unless it is as it was."""
        joined, best = joining.joined, joining.best
        if joined == held and placement.span.recorded:
            return joined
        joined = await self._with_pictures(joined, held, joining.chosen, finding)
        if best is held:
            await self._kept.index.update(joined)
        else:
            found = best is finding.sighting
            await self._kept.index.put(
                joined,
                finding.template if found else await self._kept.index.template(best.sighting_id),
            )
        if held is not None:
            await self._kept.stills.delete_unnamed(joined)
        # Again if a recording broke off that nobody may have heard of.
        is_new = held is None or not placement.span.recorded
        await self._kept.tell(ChangeKind.RECORDED if is_new else ChangeKind.ALTERED, joined)
        return joined

    async def _with_pictures(
        self,
        joined: Sighting,
        held: Sighting | None,
        chosen: Sequence[ChosenStill],
        finding: Finding,
    ) -> Sighting:
        """Write the stills of joined findings that are new, or have another name now.

        What the sighting named before stays until the sighting is written.

        Returns:
            The sighting without those stills that the store has removed by itself.
        """
        known = keys_by_offset(held) if held is not None else {}
        names = keys_by_offset(joined)
        new = [
            one
            for one in chosen
            if one.source is not held or names[one.still.offset] != known[one.still.offset]
        ]
        pictures = await pictures_of(new, finding, self._kept.stills)
        await self._kept.stills.put(joined, pictures, until=finding.still_until)
        gone = {one.still.offset for one in new}.difference(pictures)
        best = joined.best_shot_offset
        return replace(
            joined,
            still_gone=best in gone,
            stills=tuple(
                one for one in joined.stills if one.offset == best or one.offset not in gone
            ),
        )

    async def _vouch(self, decided: Sighting, again: Sighting) -> Sighting | None:
        """Let a decided sighting rest on an approved policy, once it is found by one.

        Of one that may still be confirmed, it is noted who asked for this search.
        """
        vouched = _vouched(decided, again)
        confirmed = decided.state is SightingState.CONFIRMED
        resting = replace(
            decided,
            threshold=vouched.threshold,
            policy_id=vouched.policy_id,
            figures=vouched.figures,
            requesters=decided.requesters
            if confirmed
            else each_once(decided.requesters, again.requesters),
        )
        if resting == decided:
            return decided
        await self._kept.index.update(resting)
        await self._kept.tell(ChangeKind.ALTERED, resting)
        return await self._kept.as_decided(resting)


def _stretch(finding: Finding) -> Stretch:
    sighting = finding.sighting
    return Stretch(
        sighting.start_offset,
        sighting.end_offset,
        finding.include_rejected_before,
        sighting.requesters,
        scan_id=sighting.scan_id,
    )


def _told(kept: Sighting | None, disposition: Disposition) -> tuple[Disposition, Sighting | None]:
    """Return what became of a finding; of a sighting that was rejected meanwhile, nothing."""
    return (Disposition.REJECTED_BEFORE if kept is None else disposition), kept


def _vouched(best: Sighting, again: Sighting) -> Sighting:
    """Return the one of two sightings whose policy is kept: an approved one, if there is any."""
    return (
        again
        if (best.approved, again.approved) == (False, True) and best.score >= again.threshold
        else best
    )


def _rival_score(*parts: Sighting) -> float | None:
    """Return that of the nearest one: whoever is enrolled later may be alike as well."""
    told = [one.rival_score for one in parts if one.rival_score is not None]
    return max(told, default=None)


def _time_uncertain(*parts: Sighting) -> bool | None:
    """Return whether any part's time is uncertain; None when none is, and of one nobody knows."""
    told = [one.time_uncertain for one in parts]
    return True if True in told else None if None in told else False


def _stretched(sighting: Sighting, span: Span) -> Sighting:
    """Return the sighting under the span's id and bounds; times follow the offsets."""
    return replace(
        sighting,
        sighting_id=span.sighting_id,
        start_time=sighting.start_time - (sighting.start_offset - span.start),
        end_time=sighting.end_time + (span.end - sighting.end_offset),
        start_offset=span.start,
        end_offset=span.end,
    )
