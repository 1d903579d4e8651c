from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homeward.servicekit.fork_server import NO_STATUS, ForkServer, ForkServerError

ANSWER, END, CRASH, SLEEP, RAISE = range(5)  # as `forked_probe` has them

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
}


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with closing(ForkServer("forked_probe", ENVIRONMENT, start_seconds=30)) as server:
        yield server


def answer(server: ForkServer, *numbers: int) -> tuple[int, int, str]:
    """Return a fork's number, its parent's, and what it was given."""
    reads, writes = os.pipe()
    fork = server.fork([ANSWER, *numbers], [writes])
    os.close(writes)
    with open(reads) as pipe:  # noqa: PTH123 - a file that has a number only
        pid, parent, given = pipe.read().split(" ", 2)
    assert fork.wait(5) == 0
    return int(pid), int(parent), given


def ended(server: ForkServer, *order: int) -> int | None:
    return server.fork(order, []).wait(5)


def test_a_fork_gets_its_arguments_and_open_files(server: ForkServer) -> None:
    pid, parent, given = answer(server, 7, 8)
    assert given == "[7, 8]"
    assert pid != parent != os.getpid()


def test_forks_are_of_one_server(server: ForkServer) -> None:
    first, second = answer(server), answer(server)
    assert first[1] == second[1]
    assert first[0] != second[0]


@pytest.mark.parametrize(
    ("order", "status"), [((END, 0), 0), ((END, 3), 3), ((CRASH,), -signal.SIGABRT), ((RAISE,), 1)]
)
def test_the_service_is_told_how_a_fork_ended(
    server: ForkServer, order: tuple[int, ...], status: int
) -> None:
    assert ended(server, *order) == status


def test_a_fork_is_ended_and_says_so_again(server: ForkServer) -> None:
    fork = server.fork([SLEEP], [])
    assert fork.poll() is None
    fork.kill()
    assert fork.wait(5) == -signal.SIGKILL
    fork.kill()
    assert fork.poll() == -signal.SIGKILL


def test_forks_outlive_their_server_and_the_next_fork_starts_another(server: ForkServer) -> None:
    parent = answer(server)[1]
    fork = server.fork([SLEEP], [])
    os.kill(parent, signal.SIGKILL)
    watch = os.pidfd_open(parent)
    select.select([watch], [], [], 5)
    os.close(watch)

    assert answer(server)[1] != parent
    assert fork.poll() is None
    fork.kill()
    assert fork.wait(5) == NO_STATUS


def test_a_closed_server_has_ended(server: ForkServer) -> None:
    parent = answer(server)[1]
    server.close()
    with pytest.raises(ProcessLookupError):
        os.kill(parent, 0)


def test_a_module_with_threads_is_no_fork_server() -> None:
    environment = {**ENVIRONMENT, "THREADED": "1"}
    with (
        closing(ForkServer("forked_probe", environment, start_seconds=30)) as server,
        pytest.raises(ForkServerError, match="forked_probe does not start: it has ended"),
    ):
        server.fork([SLEEP], [])


def test_a_server_that_is_silent_has_not_started() -> None:
    environment = {**ENVIRONMENT, "PYTHONSTARTUP": ""}
    with (
        closing(ForkServer("forked_probe", environment, start_seconds=0.001)) as server,
        pytest.raises(ForkServerError, match=r"nothing was heard of it for 0\.001 seconds"),
    ):
        server.fork([SLEEP], [])


SERVICE = """
from homeward.servicekit.fork_server import ForkServer
import os, sys, time
server = ForkServer("forked_probe", dict(os.environ), start_seconds=30)
fork = server.fork([3], [])
print(os.popen(f"ps -o ppid= {fork.pid}").read().strip(), fork.pid, flush=True)
time.sleep(60)
"""


def test_a_server_ends_with_a_service_that_is_killed() -> None:
    command = [sys.executable, "-c", SERVICE]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        server, fork = map(int, service.stdout.readline().split())
        watch = os.pidfd_open(server)
        service.kill()
    try:
        gone, _, _ = select.select([watch], [], [], 5)
    finally:
        os.close(watch)
        os.kill(fork, signal.SIGKILL)
    assert gone
