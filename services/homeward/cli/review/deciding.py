"""Sending decisions until they are answered, and taking them back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import patience, reviews, terminal
from homeward.cli.errors import CallError, ExitCode
from homeward.cli.options import Session, operator_name

_ANSWER_SECONDS = 20.0
"""Time for an answer, after which a decision is sent again: the same one counts once."""
_TELL_SECONDS = 2.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that the service has answered."""

    sighting: sighting_pb2.Sighting
    """As it was answered."""
    decision: str
    """A name in `reviews.DECISIONS`."""
    reason: str

    @property
    def erased(self) -> bool:
        """Whether the sighting was erased by it."""
        return self.sighting.state == sighting_pb2.Sighting.STATE_REJECTED

    @property
    def review(self) -> sighting_pb2.Review:
        """The decision as the service has it."""
        meant = [
            one
            for one in reviews.given(self.sighting)
            if (one.decision, one.reason) == (reviews.DECISIONS[self.decision], self.reason)
        ]
        return meant[-1] if meant else self.sighting.review


@dataclass(frozen=True, slots=True)
class Desk:
    """Where decisions are sent from.

    Args:
        session: The command's session.
        reviewer: Who decides, where no token says so.
    """

    session: Session
    reviewer: str
    answered: dict[str, sighting_pb2.Sighting] = field(default_factory=dict)
    """Sightings as they are since something was decided here, by their ids."""

    def send(self, sighting_id: str, decision: str, reason: str) -> Decided:
        """Send a decision, again and again until it is answered.

        Raises:
            CallError: It is refused.
        """
        request = sighting_service_pb2.ReviewSightingRequest(
            sighting_id=sighting_id,
            decision=reviews.DECISIONS[decision],
            reason=reason,
            reviewer=self.reviewer,
        )
        stub = self._stub()
        answer = _answered(lambda: stub.ReviewSighting(request, timeout=_ANSWER_SECONDS))
        self.answered[sighting_id] = answer.sighting
        return Decided(answer.sighting, decision, reason)

    def withdraw(self, decided: Decided) -> sighting_pb2.Sighting:
        """Take a decision back.

        Raises:
            CallError: It is refused.
        """
        request = sighting_service_pb2.WithdrawReviewRequest(
            sighting_id=decided.sighting.sighting_id,
            review_time=decided.review.review_time,
            reviewer=self.reviewer,
        )
        stub = self._stub()
        answer = _answered(lambda: stub.WithdrawReview(request, timeout=_ANSWER_SECONDS))
        self.answered[decided.sighting.sighting_id] = answer.sighting
        return answer.sighting

    def search_again(self, rejected: sighting_pb2.Sighting) -> scan_pb2.Scan:
        """Search the recording of a rejected sighting for its subject again.

        Raises:
            CallError: It is refused: the recording has gone, or the caller may not search.
        """
        scope = scan_pb2.ScanScope(
            subject_ids=[rejected.subject_id],
            footage_ids=[rejected.footage_id],
            interval=TimeInterval(
                start_time=rejected.interval.start_time, end_time=rejected.interval.end_time
            ),
            include_rejected=True,
        )
        request = scan_service_pb2.CreateScanRequest(
            scope=scope,
            request_id=str(uuid.uuid4()),
            justification=scan_pb2.ScanJustification(
                necessity="A candidate was rejected by mistake and is to be judged again."
            ),
            requester=self.reviewer or operator_name(),
        )
        stub = ScanServiceStub(self.session.connections.channel("ingestion"))
        return stub.CreateScan(request).scan

    def _stub(self) -> SightingServiceStub:
        return SightingServiceStub(self.session.connections.channel("matching"))


def _answered(call: Callable[[], Answer]) -> Answer:
    """Repeat a call until the service answers it; Ctrl-C ends that."""
    failures = 0
    while True:
        try:
            with _told_if_slow():
                return call()
        except CallError as error:
            if not error.passing or error.exit_code is ExitCode.INTERNAL:
                raise
            failures += 1
            patience.pause(failures, f"Not recorded yet: {error.message}")


@contextmanager
def _told_if_slow() -> Iterator[None]:
    late = threading.Timer(
        _TELL_SECONDS, terminal.tell, ["Not recorded yet: waiting for the service's answer ..."]
    )
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
