"""Whether a scan is authorised, to read."""

from __future__ import annotations

from homeward.api.ingestion.v1 import scan_pb2
from homeward.cli import times
from homeward.cli.terminal import clean

_State = scan_pb2.ScanAuthorisation

_WORDS = {
    _State.STATE_NOT_REQUIRED: "not required",
    _State.STATE_AWAITED: "awaited",
    _State.STATE_AUTHORISED: "authorised",
    _State.STATE_REFUSED: "refused",
    _State.STATE_LAPSED: "not in time",
}
"""A state that this version does not know is `unknown`: never taken for authorised."""

REFUSED = (_State.STATE_REFUSED, _State.STATE_LAPSED)


def counts(scan: scan_pb2.Scan) -> bool:
    """Whether what a scan has searched counts: what a refused one had found was erased."""
    return scan.authorisation.state not in REFUSED


def matters(scan: scan_pb2.Scan) -> bool:
    """Whether there is anything to tell of a scan's authorisation."""
    return scan.authorisation.state not in (_State.STATE_UNSPECIFIED, _State.STATE_NOT_REQUIRED)


def word(scan: scan_pb2.Scan) -> str:
    """Return the state for a list, with the deadline while it is awaited."""
    held = scan.authorisation
    if held.state == _State.STATE_UNSPECIFIED:  # an earlier version of the service
        return ""
    told = _WORDS.get(held.state, "unknown")
    if held.state == _State.STATE_AWAITED:
        return f"{told} until {times.shown(held.deadline_time)}"
    return told


def phrase(scan: scan_pb2.Scan) -> str:
    """Return the state with who decided, when and why; empty where there is nothing to tell."""
    if not matters(scan):
        return ""
    held = scan.authorisation
    when = times.shown(held.decide_time)
    told = {
        _State.STATE_AUTHORISED: f" by {held.decider}, {when}, {held.reference}",
        _State.STATE_REFUSED: f" by {held.decider}, {when}: {held.reason}",
        _State.STATE_LAPSED: f": nobody had authorised it by {times.shown(held.deadline_time)}",
    }.get(held.state, "")
    return clean(f"{word(scan)}{told}")


def sentence(scan: scan_pb2.Scan) -> str:
    """Return what is to be done about a scan, or has happened; empty where that is nothing."""
    held = scan.authorisation
    if held.state == _State.STATE_AWAITED:
        return (
            f"The search must be authorised by {times.shown(held.deadline_time)}, or what it finds"
            " is erased. Somebody with the role `authoriser` does that, by"
            f" `homeward scan authorise {scan.scan_id} --reference TEXT`."
        )
    if held.state not in REFUSED:
        return ""
    what = "was refused" if held.state == _State.STATE_REFUSED else "was not authorised in time"
    if not held.HasField("erase_time"):
        return f"The search {what}; what it found is being erased."
    return (
        f"The search {what}, and what it had found was erased {times.shown(held.erase_time)}:"
        f" `homeward scan certificate {scan.scan_id}` shows what became of it."
    )
