from __future__ import annotations

import socket

import pytest

from homeward.embedded.errors import StackError
from homeward.embedded.health import require_reachable
from homeward.embedded.ports import HOST


def test_an_engine_elsewhere_that_answers_is_accepted() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]

        require_reachable("NATS", f"nats://{HOST}:{port}", "HOMEWARD_NATS_URL")


def test_an_engine_elsewhere_that_is_silent_is_named_without_its_token() -> None:
    with pytest.raises(StackError) as refused:
        require_reachable("NATS", f"nats://secret@{HOST}:1", "HOMEWARD_NATS_URL")

    assert str(refused.value) == (
        f"NATS does not answer at {HOST}:1: start it, or correct or unset HOMEWARD_NATS_URL"
    )


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StackError, match="S3 does not answer"):
        require_reachable("S3", f"http://{HOST}:port", "HOMEWARD_S3_ENDPOINT")
