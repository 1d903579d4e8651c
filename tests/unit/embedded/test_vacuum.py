from __future__ import annotations

import threading
from pathlib import Path

import pytest

from homeward.embedded import vacuum
from homeward.embedded.errors import StackError
from homeward.embedded.ports import NAMES

PORTS = {name: 20_000 + offset for offset, name in enumerate(NAMES)}


class TwoRounds(threading.Event):
    """A stack that is asked to stop while the third one is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return len(self.waits) > 2


def test_what_could_not_be_freed_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise StackError("SeaweedFS did not rewrite its volumes 3")

    monkeypatch.setattr(vacuum, "free_deleted_bytes", refuse)
    stopping = TwoRounds()
    said: list[str] = []

    vacuum.free_regularly(tmp_path, PORTS, stopping=stopping, say=said.append)

    assert stopping.waits == [60, 3600, 3600]
    assert len(said) == 2
    assert "did not rewrite its volumes 3" in said[0]
    assert str(tmp_path / "logs" / "s3.log") in said[0]


def test_a_stack_that_is_stopping_tells_of_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopping = TwoRounds()

    def stop(*_: object) -> None:
        stopping.set()
        raise StackError("connection refused")

    monkeypatch.setattr(vacuum, "free_deleted_bytes", stop)
    said: list[str] = []

    vacuum.free_regularly(tmp_path, PORTS, stopping=stopping, say=said.append)

    assert said == []
