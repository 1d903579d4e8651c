from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from homeward.servicekit.cage import (
    Breakage,
    Cage,
    CageBrokenError,
    CageLimits,
    CageNotStartedError,
    Ready,
    cage_server,
)
from homeward.servicekit.fork_server import ForkServer
from homeward.servicekit.protections import log_protections

LIMITS = CageLimits(memory_bytes=2**30, cpu_seconds=1, silence_seconds=20)
IMPATIENT = CageLimits(memory_bytes=2**30, cpu_seconds=20, silence_seconds=0.5, message_bytes=1000)

Open = Callable[..., Cage]


Server = Callable[[str], ForkServer]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return what starts cages that run a module beside this one; each starts once."""
    path = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{path}")
        environment.setenv("HOMEWARD_S3_SECRET_KEY", "do-not-show")

        @cache
        def started(module: str) -> ForkServer:
            return stack.enter_context(closing(cage_server(module)))

        yield started


@pytest.fixture
def caged(server: Server) -> Iterator[Open]:
    """Open cages that run `caged_probe`."""
    with ExitStack() as stack:

        def opened(
            limits: CageLimits = LIMITS, shared_bytes: int = 0, module: str = "caged_probe"
        ) -> Cage:
            cage = Cage(server(module), limits, shared_bytes=shared_bytes)
            return stack.enter_context(closing(cage))

        yield opened


def ask(cage: Cage, task: str) -> str:
    cage.send_task(task)
    answer: str = cage.receive(str)
    return answer


def breakage(cage: Cage, task: str) -> tuple[str, Breakage]:
    with pytest.raises(CageBrokenError) as broken:
        ask(cage, task)
    return broken.value.cause, broken.value.breakage


def broken_by(cage: Cage, task: str) -> str:
    return breakage(cage, task)[0]


def shared_memory_of_this_system() -> set[Path]:
    return set(Path("/dev/shm").iterdir())


def test_this_machine_can_forbid_calls(caged: Open) -> None:
    assert ask(caged(), "calls forbidden") == "True"  # install libseccomp2 where it is not


@pytest.mark.parametrize(
    "task",
    [
        "open a file to read",
        "open a file to write",
        "make a folder",
        "open a socket",
        "open a local socket",
        "start a program",
        "become a program",
        "fork",
        "end its parent",
        "limit its parent",
        "limit itself",
        "allow itself more",
        "allow itself more by its number",
        "allow itself more by the older call",
        "name an owner of its socket",
        "name an owner by kind",
        "name a signal for its socket",
        "name an owner by ioctl",
        "name a group by ioctl",
        "be signalled by ioctl",
        "bind its parent to a processor",
        "schedule its parent",
        "set how its parent is scheduled",
        "set all of how its parent is scheduled",
        "slow its parent down",
        "slow the disk of its parent down",
        "mark a file",
        "mark a link",
        "take a mark off a file",
        "date a file",
        "date a file by name",
        "date a file in a folder",
        "open /dev/null to nobody",
        "open a file in an earlier thread",
    ],
)
def test_a_caged_process_is_refused(caged: Open, task: str) -> None:
    assert ask(caged(), task) == "EPERM"


def test_a_call_that_is_newer_than_the_filter_is_not_there(caged: Open) -> None:
    assert ask(caged(), "make a call that is newer than the filter") == "ENOSYS"


def test_a_caged_process_may_read_limits(caged: Open) -> None:
    cage = caged()
    assert ask(cage, "read its own limits") == "done: (0, 0)"
    assert ask(cage, "read the limits of its parent").startswith("done: ")


def test_no_file_grows_in_a_cage(caged: Open) -> None:
    assert ask(caged(), "have an open file grow") == "EFBIG"


@pytest.mark.parametrize(
    "task", ["open a file to read", "open a socket", "open a local socket", "make a file in memory"]
)
def test_a_caged_process_opens_nothing_where_calls_cannot_be_forbidden(
    caged: Open, task: str
) -> None:
    cage = caged(module="caged_probe_without_filter")
    assert ask(cage, "calls forbidden") == "False"
    assert ask(cage, task) == "EMFILE"


def test_a_decoder_may_run_threads(caged: Open) -> None:
    assert ask(caged(), "run a thread") == "ran"


def test_a_caged_process_has_no_secret_in_its_environment(caged: Open) -> None:
    assert "HOMEWARD_S3_SECRET_KEY" in os.environ
    assert "HOMEWARD" not in ask(caged(), "environment")


def test_a_caged_process_leaves_no_dump(caged: Open) -> None:
    cage = caged()
    assert ask(cage, "dump size") == "(0, 0)"
    assert ask(cage, "dumpable") == "0"


def test_too_much_memory_is_the_cause(caged: Open) -> None:
    assert breakage(caged(), "use memory") == (
        "its decoder needs more than 1.0 GiB of memory",
        Breakage.MEMORY,
    )


def test_too_much_processor_time_is_the_cause(caged: Open) -> None:
    assert breakage(caged(), "spin") == (
        "its decoder used more than 1 seconds of a processor",
        Breakage.PROCESSOR_TIME,
    )


def test_the_bound_on_processor_time_is_for_each_task(caged: Open) -> None:
    cage = caged()
    assert [ask(cage, "work") for _ in range(4)] == ["done"] * 4
    assert breakage(cage, "spin")[1] is Breakage.PROCESSOR_TIME


def test_a_task_may_take_as_long_as_several(caged: Open) -> None:
    cage = caged()
    cage.send_task("spin", times=2)

    with pytest.raises(CageBrokenError) as broken:
        cage.receive(str)

    assert broken.value.cause == "its decoder used more than 2 seconds of a processor"


def test_a_cage_that_ignores_the_signal_is_ended_all_the_same(caged: Open) -> None:
    assert breakage(caged(), "spin and ignore the signal")[1] is Breakage.PROCESSOR_TIME


def test_a_cage_that_raises_its_bound_is_ended_where_calls_cannot_be_forbidden(
    caged: Open,
) -> None:
    cage = caged(module="caged_probe_without_filter")
    assert ask(cage, "allow itself more") == "done: None"
    assert breakage(cage, "spin")[1] is Breakage.PROCESSOR_TIME


def test_a_cage_that_ignores_the_signal_and_talks_is_ended_all_the_same(caged: Open) -> None:
    cage = caged()
    cage.send_task("spin and talk")
    with pytest.raises(CageBrokenError) as broken:
        [cage.receive(str) for _ in range(1_000)]  # in ten seconds of a processor
    assert broken.value.breakage is Breakage.PROCESSOR_TIME


@pytest.mark.parametrize("task", ["sleep", "answer half a message"])
def test_silence_is_the_cause(caged: Open, task: str) -> None:
    assert breakage(caged(IMPATIENT), task) == (
        "nothing was heard of its decoder for 0.5 seconds",
        Breakage.SILENCE,
    )


@pytest.mark.parametrize("task", ["crash", "abort", "end"])
def test_a_crash_is_the_cause(caged: Open, task: str) -> None:
    assert breakage(caged(), task) == ("its decoder crashed", Breakage.CRASH)


@pytest.mark.parametrize("task", ["answer nonsense", "answer no message"])
def test_an_answer_of_another_type_is_the_cause(caged: Open, task: str) -> None:
    assert breakage(caged(), task) == ("its decoder's answer made no sense", Breakage.ANSWER)


def test_a_message_that_is_too_long_is_not_read(caged: Open) -> None:
    cause = broken_by(caged(IMPATIENT), "answer without end")
    assert cause == "its decoder's answer made no sense"


def test_a_cage_that_reads_nothing_holds_nobody_up(caged: Open) -> None:
    cage = caged(IMPATIENT)
    cage.send_task("read nothing any more")
    with pytest.raises(CageBrokenError, match="nothing was heard"):
        cage.send("photograph", bytes(2**24))


def test_a_broken_cage_has_ended_and_says_so_again(caged: Open) -> None:
    cage = caged()
    broken_by(cage, "answer nonsense")
    assert not cage.alive
    assert broken_by(cage, "dump size") == "its decoder's answer made no sense"


def test_both_ends_read_and_write_the_shared_memory(caged: Open) -> None:
    cage = caged(shared_bytes=4096)
    assert cage.shared is not None
    cage.shared[:4] = b"here"
    assert ask(cage, "write shared") == "done"
    assert cage.receive_bytes() == b"here"
    assert cage.shared[:4] == b"back"


def test_a_cage_that_is_killed_leaves_no_shared_memory(caged: Open) -> None:
    before = shared_memory_of_this_system()
    cage = caged(shared_bytes=2**20)
    ask(cage, "write shared")
    cage.receive_bytes()
    os.kill(cage.pid, signal.SIGKILL)
    assert breakage(cage, "dump size") == (
        "the system ended its decoder, as it does when memory is short",
        Breakage.KILLED,
    )
    assert shared_memory_of_this_system() == before


def test_a_cage_that_does_not_start_is_no_fault_of_a_file(caged: Open) -> None:
    with pytest.raises(CageNotStartedError, match="no_such_module does not start: it has ended"):
        caged(module="no_such_module")
    assert not issubclass(CageNotStartedError, CageBrokenError)


def test_a_system_that_starts_no_process_is_no_fault_of_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(CageNotStartedError, match="No such file"):
        Cage(cage_server("caged_probe"), LIMITS)


def test_a_cage_is_ready_as_often_as_it_is_asked(caged: Open) -> None:
    cage = caged()
    cage.ready()
    cage.ready()
    assert cage.calls_forbidden
    assert ask(cage, "calls forbidden") == "True"


def test_the_protections_are_logged(caged: Open) -> None:
    with capture_logs() as logs:
        log_protections(caged(), "photographs are decoded")
    (line,) = logs
    assert line["event"] == "photographs are decoded in a cage"
    assert line["calls_forbidden"]


def test_protections_that_are_missing_are_a_warning(caged: Open) -> None:
    cage = caged()
    cage._ready = Ready(calls_forbidden=False)
    with capture_logs() as logs:
        log_protections(cage, "photographs are decoded")
    (line,) = logs
    assert line["log_level"] == "warning"
    assert (
        line["event"]
        == "photographs are decoded in a cage that could remove files and signal processes"
    )


def test_a_cage_is_in_a_session_of_its_own(caged: Open) -> None:
    cage = caged()
    cage.ready()
    assert os.getsid(cage.pid) == cage.pid  # Ctrl-C does not reach it


SERVICE = """
from homeward.servicekit.cage import Cage, CageLimits, cage_server

limits = CageLimits(memory_bytes=2**30, cpu_seconds=20, silence_seconds=60)
cage = Cage(cage_server("caged_probe"), limits)
cage.send("say so and sleep")
print(cage.receive(str), cage.pid, flush=True)
cage.receive(str)
"""


def test_a_busy_cage_ends_with_a_service_that_is_killed(caged: Open) -> None:
    del caged  # for its path to the probe
    command = [sys.executable, "-c", SERVICE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        said, pid = service.stdout.readline().split()
        assert said == "sleeping"
        watch = os.pidfd_open(int(pid))
        service.kill()
    try:
        ended, _, _ = select.select([watch], [], [], 2)
    finally:
        os.close(watch)
    assert ended
