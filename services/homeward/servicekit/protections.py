"""Says in a service's log what keeps its caged processes from doing harm."""

from __future__ import annotations

import structlog

from homeward.servicekit.cage import Cage

log = structlog.get_logger()


def log_protections(cage: Cage, work: str) -> None:
    """Log which protections are in force in a cage; once in each service is enough.

    Where calls are not forbidden, the bounds remain: it can open no file and no socket, and have no
    more memory, and no more processor time, which the service itself watches. It could then remove
    and rename files, and signal processes, as the service's user may.

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
        event = f"{event} that could remove files and signal processes"
        advice = "install libseccomp2 of the system"
        log.warning(event, limits=True, calls_forbidden=False, advice=advice)
