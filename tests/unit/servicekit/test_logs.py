"""Logs as a process writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, sys
import structlog
from homeward.servicekit.logs import configure_logging
configure_logging("matching", sys.argv[1])
structlog.get_logger().info("of ours", scan_id="s")
logging.getLogger("library").warning("of a library")
logging.getLogger("httpx").info("an address")
logging.getLogger("urllib3.connectionpool").warning("an address")
structlog.get_logger().debug("a detail")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("a fault")
"""


def logged(level: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_without_a_terminal_each_line_is_json() -> None:
    ours, library, fault = logged("info")

    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "of ours", "level": "info", "service": "matching", "scan_id": "s"}
    assert (library["event"], library["service"]) == ("of a library", "matching")
    assert "ZeroDivisionError" in fault["exception"]


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["of ours", "of a library", "a detail", "a fault"]),
        ("warning", ["of a library", "a fault"]),
        ("error", ["a fault"]),
    ],
)
def test_nothing_below_the_level_is_logged(level: str, events: list[str]) -> None:
    assert [line["event"] for line in logged(level)] == events
