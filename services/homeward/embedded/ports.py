"""Which port each part of a stack listens on; the same again after a restart, where possible."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from contextlib import suppress
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


def choose_ports(data: Path, *, base: int | None, given: Mapping[str, int]) -> dict[str, int]:
    """Return a free port for each of `NAMES`, and remember them.

    Args:
        data: The stack's folder, which remembers the choice.
        base: First of as many consecutive ports as there are names. None takes any.
        given: Ports by name, which win over `base`.

    Raises:
        StackError: A port that was asked for is in use, or asked for twice.
    """
    asked = dict(given)
    if base is not None:
        asked = {name: base + offset for offset, name in enumerate(NAMES)} | asked
    _refuse_twice(asked)
    for name, port in asked.items():
        if not is_free(port):
            raise StackError(f"port {port}, asked for {name}, is in use: choose another")
    ports = dict(asked)
    remembered = _remembered(data)
    for name in NAMES:
        before = remembered.get(name)
        if name not in ports and before and before not in ports.values() and is_free(before):
            ports[name] = before
    candidates = iter(random.sample(_CANDIDATES, len(_CANDIDATES)))
    for name in NAMES:
        if name not in ports:
            ports[name] = next(
                port for port in candidates if port not in ports.values() and is_free(port)
            )
    ports = {name: ports[name] for name in NAMES}
    write_private(data / FILE_NAME, json.dumps(ports, indent=2) + "\n")
    return ports


def is_free(port: int) -> bool:
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
