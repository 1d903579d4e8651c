"""Replicas are restarted under load, and nobody notices: bench/rolling.py, in short."""

from __future__ import annotations

from pathlib import Path

import pytest

import rolling
from homeward.embedded.demo_footage import Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_nothing_fails_while_replicas_are_restarted(tmp_path: Path, street: Street) -> None:
    settings = {**rolling.SETTINGS, "HOMEWARD_DRAIN_SECONDS": "1", "HOMEWARD_GRACE_SECONDS": "2"}

    counts = rolling.measure(tmp_path, settings, together=True, street=street)

    assert counts.clean(), str(counts)
    assert min(counts.calls.values()) > 0
    assert min(counts.uploads, counts.scans, counts.sightings[0]) > 0
