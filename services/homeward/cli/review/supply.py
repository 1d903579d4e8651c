"""Candidates, handed out and drawn ahead of the reviewer, so that the next picture is there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli.errors import CallError, CliError, ExitCode

AHEAD = 4
"""Candidates that are ready beside the one that is shown."""
_FEW = 3
"""With fewer than these to come, more are asked for: not with each decision."""
_RENEW_SECONDS = 60.0
"""Time between renewals of leases: a fifth of what one lasts."""
_SENT_SECONDS = 0.5
_SHOWN_SECONDS = 0.15
"""Time for a decision to be answered, and for a picture to be drawn, before the next candidate is
prepared: the reviewer waits for these, and both need the processor."""
_ENDING_SECONDS = 3.0
"""How long the end waits for a call that is on its way."""
_AGAIN_SECONDS = 2.0
"""Time until the next attempt after a call that failed."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A candidate that is ready to be shown."""

    sighting: sighting_pb2.Sighting
    card: Callable[[int, str], list[str]]
    """Returns what to print of it, for a width and a reason."""
    picture: Callable[[int], str]
    """Returns what has the terminal draw it, in so many lines; empty if it draws none."""
    file: Callable[[], bytes]
    """Returns its picture as a PNG file."""

    @property
    def sighting_id(self) -> str:
        """The id of the candidate."""
        return self.sighting.sighting_id


@dataclass(slots=True)
class Left:
    """How much there is, as was told last."""

    open: int = 0
    held_by_others: int = 0
    own_searches: int = 0


@dataclass(slots=True)
class Scope:
    """What is reviewed, and by whom."""

    request: sighting_service_pb2.LeaseSightingsRequest
    """What to hand out; `reviewer` is who."""
    prepare: Callable[[sighting_pb2.Sighting], Prepared]
    """Reads and draws a candidate."""


@dataclass(slots=True)
class _Held:
    """What the reviewer holds, guarded by a lock."""

    backlog: deque[sighting_pb2.Sighting] = field(default_factory=deque)
    ready: deque[Prepared] = field(default_factory=deque)
    shown: str = ""
    """The id of the one that is shown."""
    working: str = ""
    """The id of the one that is being read."""
    done: set[str] = field(default_factory=set)
    """Decided on here, or gone; not to be shown again."""
    skipped: dict[str, None] = field(default_factory=dict)
    exhausted: bool = False
    """Whether there was nothing more to hand out when it was asked last."""
    problem: CliError | None = None
    """Why nothing comes at the moment."""

    def ids(self) -> list[str]:
        coming = [one.sighting_id for one in self.backlog]
        ready = [one.sighting_id for one in self.ready]
        return [*filter(None, (self.shown, self.working)), *ready, *coming]


class Supply:
    """Hands out candidates, reads and draws the next ones meanwhile, and renews their leases.

    Args:
        stub: Of the sightings.
        scope: What is reviewed, and how a candidate is prepared.
    """

    def __init__(self, stub: SightingServiceStub, scope: Scope) -> None:
        self.left = Left()
        self._stub = stub
        self._scope = scope
        self._held = _Held()
        self._changed = threading.Condition()
        self._ended = False
        self._renewed = time.monotonic()
        self._calm_until = 0.0
        self._worker = threading.Thread(target=self._work, name="review-supply", daemon=True)

    def start(self) -> None:
        """Begin to ask for candidates."""
        self._worker.start()

    def next(self, waiting: Callable[[CliError | None], None]) -> Prepared | None:
        """Return the next candidate, or None when no more can be handed out now.

        Args:
            waiting: Called once a second while nothing is ready, with what the problem is.

        Raises:
            CliError: Nothing can be had, and that does not pass by itself.
        """
        with self._changed:
            self._held.shown, self._held.exhausted = "", False
            self._changed.notify_all()
            while not self._held.ready:
                problem = self._held.problem
                if problem is not None and not problem.passing:
                    raise problem
                if self._held.exhausted and not self._held.backlog and not self._held.working:
                    return None
                if not self._changed.wait(1.0):
                    waiting(problem)
            found = self._held.ready.popleft()
            self._held.shown = found.sighting_id
            self._calm_until = time.monotonic() + _SHOWN_SECONDS
            return found

    def calm(self) -> None:
        """Prepare nothing for a moment, if something is ready: a decision is on its way."""
        with self._changed:
            self._calm_until = time.monotonic() + _SENT_SECONDS

    def is_done(self, sighting_id: str) -> None:
        """Do not show a candidate again."""
        with self._changed:
            self._held.done.add(sighting_id)
            self.left.open = max(0, self.left.open - 1)  # until it is told anew

    def skip(self, sighting_id: str) -> None:
        """Put a candidate off, and let others have it."""
        with self._changed:
            self._held.skipped[sighting_id] = None
            self._held.shown = ""
            self.left.open = max(0, self.left.open - 1)
        self.give_back([sighting_id])

    @property
    def skipped(self) -> Collection[str]:
        """What was put off."""
        return list(self._held.skipped)

    def look_again(self, *, skipped: bool = False) -> None:
        """Ask for candidates again, for those too that were put off if so told."""
        with self._changed:
            if skipped:
                self._held.skipped.clear()
            self._held.exhausted, self._held.problem = False, None
            self._changed.notify_all()

    def put_first(self, *prepared: Prepared) -> None:
        """Show these next, in their order."""
        with self._changed:
            for one in reversed(prepared):
                self._held.done.discard(one.sighting_id)
                self._held.skipped.pop(one.sighting_id, None)
                self._held.ready.appendleft(one)
            self._held.shown = ""

    def find_again(self, sighting_id: str) -> None:
        """Show a candidate that was rejected, if a search finds it again."""
        with self._changed:
            self._held.done.discard(sighting_id)
            self._held.exhausted = False

    def end(self) -> None:
        """Ask for nothing more, and give back what was not decided on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._worker.is_alive():  # what it is being handed just now is given back too
            self._worker.join(_ENDING_SECONDS)
        with self._changed:
            names = self._held.ids()
        self.give_back(names)

    def give_back(self, sighting_ids: Collection[str]) -> None:
        """Give leases back; where that fails they end by themselves."""
        if not sighting_ids:
            return
        request = sighting_service_pb2.ReturnSightingsRequest(
            sighting_ids=list(dict.fromkeys(sighting_ids))[:20],
            reviewer=self._scope.request.reviewer,
        )
        try:
            self._stub.ReturnSightings(request, timeout=3)
        except CliError:
            return

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._ended and not self._is_due():
                    calm = self._calm_until - time.monotonic()
                    self._changed.wait(calm if 0 < calm < 1 else 1.0)
                if self._ended:
                    return
            try:
                self._do_next()
                problem = None
            except CliError as error:
                problem = error
            except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
                problem = CliError(
                    f"unexpected: {type(error).__name__}: {error}",
                    exit_code=ExitCode.USAGE,
                    advice="this is a fault in Homeward",
                )
            with self._changed:
                self._held.problem, self._held.working = problem, ""
                self._changed.notify_all()
                if problem is not None:
                    self._changed.wait(_AGAIN_SECONDS)

    def _is_due(self) -> bool:
        if self._held.ready and time.monotonic() < self._calm_until:
            return False
        renewal = time.monotonic() - self._renewed > _RENEW_SECONDS and bool(self._held.ids())
        return renewal or self._may_prepare() or self._may_ask()

    def _may_prepare(self) -> bool:
        return bool(self._held.backlog) and len(self._held.ready) < AHEAD

    def _may_ask(self) -> bool:
        few = len(self._held.backlog) + len(self._held.ready) < _FEW
        return few and not self._held.exhausted

    def _do_next(self) -> None:
        if time.monotonic() - self._renewed > _RENEW_SECONDS and self._held.ids():
            self._renew()
        elif self._may_prepare():
            self._prepare()
        else:
            self._ask()

    def _prepare(self) -> None:
        with self._changed:
            listed = self._held.backlog[0]
            self._held.working = listed.sighting_id
        try:
            prepared = self._scope.prepare(listed)
        except CallError as error:
            if error.passing:
                raise
            prepared = None  # it was erased meanwhile, or is not the caller's any more
        with self._changed:
            self._held.backlog.popleft()
            if prepared is None:
                self._held.done.add(listed.sighting_id)
            else:
                self._held.ready.append(prepared)

    def _ask(self) -> None:
        request = sighting_service_pb2.LeaseSightingsRequest()
        with self._changed:
            request.CopyFrom(self._scope.request)
            request.count = AHEAD + 1
            request.excluded_sighting_ids.extend(list(self._held.skipped)[-1000:])
        answer = self._stub.LeaseSightings(request)
        self._renewed = time.monotonic()
        with self._changed:
            known = {*self._held.ids(), *self._held.done, *self._held.skipped}
            new = [one for one in answer.sightings if one.sighting_id not in known]
            self._held.backlog.extend(new)
            self._held.exhausted = not new
            self.left = Left(
                answer.open_count, answer.held_by_others_count, answer.own_search_count
            )
            self._changed.notify_all()

    def _renew(self) -> None:
        with self._changed:
            names = self._held.ids()
        request = sighting_service_pb2.RenewSightingLeasesRequest(
            sighting_ids=list(dict.fromkeys(names))[:20], reviewer=self._scope.request.reviewer
        )
        self._stub.RenewSightingLeases(request)
        self._renewed = time.monotonic()
