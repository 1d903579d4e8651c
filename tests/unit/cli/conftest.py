"""The zone of the times that commands show."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have times shown in UTC wherever the tests run."""
    monkeypatch.setenv("HOMEWARD_TIMEZONE", "UTC")
