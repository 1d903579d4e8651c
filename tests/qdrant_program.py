"""A Qdrant server from a program on this machine, where `HOMEWARD_TEST_QDRANT` names one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from homeward.embedded.environment import engine_environment
from homeward.embedded.files import make_private_folder
from homeward.embedded.ports import HOST, address
from homeward.embedded.spec import Check, ChildSpec

CHECK_SECONDS = 3.0

NAMED = os.environ.get("HOMEWARD_TEST_QDRANT")
PROGRAM = Path(NAMED).absolute() if NAMED else None


def is_at_hand() -> bool:
    """Tell whether there is a program to run.

    Raises:
        FileNotFoundError: One is named that is not there.
    """
    if PROGRAM is not None and not PROGRAM.is_file():
        raise FileNotFoundError("HOMEWARD_TEST_QDRANT names no file")
    return PROGRAM is not None


def qdrant_spec(
    data: Path,
    *,
    ports: Mapping[str, int],
    arguments: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> ChildSpec:
    """Return what runs a server: REST on the port `s3`, gRPC on `s3-grpc`.

    Args:
        data: Its folder.
        ports: As `held_ports` gives them, of which a server of its own may have any.
        arguments: Of the program, beside what each server gets.
        settings: By the names of Qdrant's variables without their first word: `STORAGE__…`.
    """
    rest, grpc = ports["s3"], ports["s3-grpc"]
    return ChildSpec(
        name="qdrant",
        command=(str(PROGRAM), "--disable-telemetry", *arguments),
        environment=engine_environment(
            {
                "HOME": str(data),
                "QDRANT__SERVICE__HOST": HOST,
                "QDRANT__SERVICE__HTTP_PORT": str(rest),
                "QDRANT__SERVICE__GRPC_PORT": str(grpc),
                "QDRANT__SERVICE__ENABLE_STATIC_CONTENT": "false",
                "QDRANT__STORAGE__STORAGE_PATH": str(make_private_folder(data / "storage")),
                "QDRANT__STORAGE__SNAPSHOTS_PATH": str(make_private_folder(data / "snapshots")),
                # As strict as it can be: Homeward needs nothing that this forbids.
                "QDRANT__STORAGE__COLLECTION__STRICT_MODE__ENABLED": "true",
                "QDRANT__STORAGE__COLLECTION__STRICT_MODE__UNINDEXED_FILTERING_RETRIEVE": "false",
                "QDRANT__STORAGE__COLLECTION__STRICT_MODE__UNINDEXED_FILTERING_UPDATE": "false",
                "QDRANT__STORAGE__COLLECTION__STRICT_MODE__SEARCH_ALLOW_EXACT": "false",
                **{f"QDRANT__{name}": value for name, value in (settings or {}).items()},
            }
        ),
        folder=data,
        ready=_answers(f"http://{address(rest)}"),
    )


def _answers(url: str) -> Check:
    def ready() -> str | None:
        try:
            httpx.get(f"{url}/readyz", timeout=CHECK_SECONDS).raise_for_status()
        except httpx.HTTPError:
            return "to answer"
        return None

    return ready
