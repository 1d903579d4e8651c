from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.startup import eventually, run

async def absent():
    print("asked", flush=True)
    raise UnavailableError("no engine", reason=Reason.COMPONENT_UNAVAILABLE)

run(eventually(absent))
"""


def test_a_service_that_waits_for_an_engine_ends_when_asked_to() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        process.terminate()

        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in errors
