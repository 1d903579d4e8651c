"""The caged processes, and what they are forks of: each waits for tasks, one after the other."""

from __future__ import annotations

import importlib
import os
import pkgutil

import av
import av.error
import av.logging
import cv2
import numpy as np

from homeward.ingestion.cage.decoding import LateError, OpenFile, Piece
from homeward.ingestion.cage.examining import examine
from homeward.ingestion.cage.file import Service, StoppedError
from homeward.ingestion.cage.messages import Decode, Done, Examine, Open, ToCage
from homeward.servicekit.cage import OUT_OF_MEMORY, CageDoor, serve_cages


def main() -> None:
    """Start cages until the service goes."""
    _import_all()
    serve_cages(_serve)


def _import_all() -> None:
    """Import what a task may need: nothing can be opened once the process is locked in."""
    av.logging.set_level(av.logging.PANIC)
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # some it would import when it needs them
    cv2.setNumThreads(1)  # a thread for each piece is enough, and is what the limits allow


def _serve(door: CageDoor) -> None:
    opened: OpenFile | None = None
    while True:
        task: ToCage = door.receive(ToCage)
        service = Service(door)
        try:
            if isinstance(task, Examine):
                _examine(door, service, task)
            elif isinstance(task, Open):
                if opened is not None:
                    opened.close()
                opened = _opened(door, service, task)
            elif isinstance(task, Decode):
                arrays = [np.frombuffer(door.receive_bytes(), np.int64) for _ in range(3)]
                assert opened is not None, "the service opens a file before it decodes it"
                opened.use(service)
                opened.decode(Piece(task, *arrays))
                door.send(Done())
        except StoppedError:
            door.send(Done())
        except LateError:
            door.send(Done(late=True))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _examine(door: CageDoor, service: Service, task: Examine) -> None:
    outcome, stamps = examine(service, task.size)
    door.send(outcome)
    for one in stamps:
        door.send_bytes(memoryview(one).cast("B"))


def _opened(door: CageDoor, service: Service, task: Open) -> OpenFile | None:
    try:
        opened = OpenFile(service, task)
    except (av.error.FFmpegError, LookupError):
        door.send(Done(problem="it can no longer be read as it was when it was taken in"))
        return None
    door.send(Done())
    return opened


if __name__ == "__main__":
    main()
