from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from homeward.embedded.errors import AlreadyRunningError
from homeward.embedded.lock import (
    END_NAME,
    STARTING_NAME,
    exclusive,
    write_end,
    write_starting,
    write_state,
)


def test_a_second_stack_is_told_which_one_runs_and_where(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        write_state(tmp_path, {"ingestion": "127.0.0.1:1234"})

        with pytest.raises(AlreadyRunningError) as refused, exclusive(tmp_path):
            pass

    assert str(refused.value) == (
        f"a stack is already running on {tmp_path} (pid {os.getpid()}, ready at 127.0.0.1:1234)"
    )
    assert refused.value.exit_code == 7


def test_a_second_stack_is_told_that_the_first_is_starting(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path),
        pytest.raises(AlreadyRunningError, match="starting"),
        exclusive(tmp_path),
    ):
        pass


def test_a_folder_can_be_used_again(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        pass

    with exclusive(tmp_path):
        pass


def test_the_state_of_a_stack_that_was_killed_is_removed(tmp_path: Path) -> None:
    write_state(tmp_path, {"ingestion": "127.0.0.1:1234"})

    with exclusive(tmp_path):
        assert not (tmp_path / "stack.json").exists()


def test_the_start_of_a_stack_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    write_starting(tmp_path, longest=timedelta(seconds=60))

    with exclusive(tmp_path):
        assert not (tmp_path / STARTING_NAME).exists()


def test_the_end_of_a_stack_is_forgotten_when_another_one_starts(tmp_path: Path) -> None:
    write_end(tmp_path, "nats was ended by SIGKILL", log=None)

    with exclusive(tmp_path):
        assert not (tmp_path / END_NAME).exists()
