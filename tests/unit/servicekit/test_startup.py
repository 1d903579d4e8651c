from __future__ import annotations

import subprocess
import sys

import psutil

from homeward.servicekit.startup import give_back_freed_memory

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


def test_freed_memory_goes_back_to_the_system() -> None:
    process = psutil.Process()
    pieces = [b"x" * 60_000 for _ in range(2_000)]
    last = b"x" * 60_000  # above all, so that nothing before it goes by itself
    del pieces
    before = process.memory_info().rss

    give_back_freed_memory()

    assert before - process.memory_info().rss > 60_000_000
    assert len(last) == 60_000
