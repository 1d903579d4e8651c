from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from homeward.servicekit.settings import EngineSettings

DUMP = """
import ctypes, resource
from homeward.servicekit.hardening import forbid_dumps
forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
TERMINAL = """
import sys
sys.stderr.isatty = lambda: True
import structlog
from homeward.servicekit.logs import configure_logging
configure_logging("test", "info")
def scan():
    crop = "a stranger's face"
    raise RuntimeError("broken")
try:
    scan()
except RuntimeError:
    structlog.get_logger().exception("segment failed")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )


def test_a_process_that_forbids_dumps_leaves_none() -> None:
    assert run(DUMP).stdout.strip() == "(0, 0) 0"


def test_a_traceback_on_a_terminal_shows_no_local_variables() -> None:
    told = run(TERMINAL).stderr
    assert "RuntimeError" in told
    assert "a stranger's face" not in told


def test_a_refused_setting_does_not_show_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEWARD_S3_SECRET_KEY", "do-not-show")
    monkeypatch.setenv("HOMEWARD_NATS_URL", "nats://do-not-show@127.0.0.1:4222")
    with pytest.raises(ValidationError) as refused:
        EngineSettings()
    assert "s3_endpoint" in str(refused.value)
    assert "do-not-show" not in str(refused.value)
