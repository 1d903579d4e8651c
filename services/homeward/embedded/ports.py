"""Which port each part of a stack listens on; the same again after a restart, where possible."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from homeward.embedded.errors import StackError
from homeward.embedded.files import write_private

HOST = "127.0.0.1"
SERVICES = ("ingestion", "matching", "embedding")
NAMES = (
    *SERVICES,
    "nats",
    "s3",
    "s3-grpc",
    "weed-master",
    "weed-master-grpc",
    "weed-volume",
    "weed-volume-grpc",
    "weed-filer",
    "weed-filer-grpc",
    "ingestion-metrics",
    "matching-metrics",
    "embedding-metrics",
    "scanner-metrics",
)
FILE_NAME = "ports.json"
# Below the ports that systems give to outgoing connections: one of those, made by a part that is up
# already, would now and then take the port of a part that is still to start.
_CANDIDATES = range(20_000, 32_000)
_CONNECT_SECONDS = 1.0


def address(port: int) -> str:
    """Return the loopback address with that port."""
    return f"{HOST}:{port}"


@contextmanager
def held_ports(
    data: Path, *, base: int | None, given: Mapping[str, int]
) -> Iterator[dict[str, int]]:
    """Give a free port for each of `NAMES`, which no other stack is given while the block runs.

    Args:
        data: The stack's folder, which remembers the choice.
        base: First of as many consecutive ports as there are names. None takes any.
        given: Ports by name, which win over `base`.

    Raises:
        StackError: A port that was asked for is in use, or asked for twice.
    """
    with ExitStack() as claims:
        ports = _choose(_remembered(data), _asked(base, given), claims)
        write_private(data / FILE_NAME, json.dumps(ports, indent=2) + "\n")
        yield ports


def free_ports(claims: ExitStack) -> Iterator[int]:
    """Give free ports, which no stack is given until `claims` ends."""
    candidates = random.sample(_CANDIDATES, len(_CANDIDATES))
    return (port for port in candidates if _claim(port, claims))


def _asked(base: int | None, given: Mapping[str, int]) -> dict[str, int]:
    asked = dict(given)
    if base is not None:
        asked = {name: base + offset for offset, name in enumerate(NAMES)} | asked
    _refuse_twice(asked)
    return asked


def _choose(
    remembered: Mapping[str, int], asked: Mapping[str, int], claims: ExitStack
) -> dict[str, int]:
    for name, port in asked.items():
        if not _claim(port, claims):
            raise StackError(f"port {port}, asked for {name}, is in use: choose another")
    ports = dict(asked)
    for name in NAMES:
        before = remembered.get(name)
        if name not in ports and before and _claim(before, claims):
            ports[name] = before
    free = free_ports(claims)
    for name in NAMES:
        if name not in ports:
            ports[name] = next(free)
    return {name: ports[name] for name in NAMES}


def _claim(port: int, claims: ExitStack) -> bool:
    """Return whether the port is free and now claimed, which ends with the process if not before.

    A stack's parts listen only seconds after their ports were chosen, and until then the ports
    look free to a stack that starts beside it. So a claim is the UDP port of the same number, which
    no part uses: it is there from the first moment, and the kernel forgets it.
    """
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((HOST, port))
    except OSError:
        claim.close()
        return False
    if not _is_free(port):
        claim.close()
        return False
    claims.enter_context(claim)
    return True


def _is_free(port: int) -> bool:
    """Return whether the port can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As the servers do: connections of an earlier run that still fade out do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Return whether somebody accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _refuse_twice(asked: Mapping[str, int]) -> None:
    names: dict[int, str] = {}
    for name, port in asked.items():
        if port in names:
            raise StackError(f"port {port} is asked for {names[port]} and for {name}")
        names[port] = name


def _remembered(data: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        found = json.loads((data / FILE_NAME).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {name: port for name, port in found.items() if isinstance(port, int)}
    return {}
