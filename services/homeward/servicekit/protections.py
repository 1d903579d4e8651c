"""Says in a service's log what keeps its caged processes from doing harm."""

from __future__ import annotations

import structlog

from homeward.servicekit.cage import Cage

log = structlog.get_logger()


def log_protections(cage: Cage, work: str) -> None:
    """Log which protections are in force in a cage; once in each service is enough.

    Where calls are not forbidden, the bounds on memory, open files and processor time remain: the
    first two cannot be raised, and the service itself watches the third.

    Args:
        cage: One of the service's.
        work: What is done in it: "photographs are decoded".

    Raises:
        CageNotStartedError: It does not start.
    """
    event = f"{work} in a cage"
    if cage.calls_forbidden:
        log.info(event, limits=True, calls_forbidden=True)
    else:
        event = f"{event} that could open files and sockets"
        advice = "install libseccomp2 of the system"
        log.warning(event, limits=True, calls_forbidden=False, advice=advice)
