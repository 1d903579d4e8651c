from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from homeward.servicekit.cage import Cage, CageBrokenError, CageLimits

LIMITS = CageLimits(memory_bytes=2**30, cpu_seconds=1, silence_seconds=20)
IMPATIENT = CageLimits(memory_bytes=2**30, cpu_seconds=20, silence_seconds=0.5, message_bytes=1000)

Open = Callable[..., Cage]


@pytest.fixture
def caged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open cages that run `caged_probe`."""
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{path}")
    with ExitStack() as stack:

        def opened(limits: CageLimits = LIMITS, shared_bytes: int = 0) -> Cage:
            cage = Cage("caged_probe", limits, shared_bytes=shared_bytes)
            return stack.enter_context(closing(cage))

        yield opened


def ask(cage: Cage, task: str) -> str:
    cage.send(task)
    answer: str = cage.receive(str)
    return answer


def broken_by(cage: Cage, task: str) -> str:
    with pytest.raises(CageBrokenError) as broken:
        ask(cage, task)
    return broken.value.cause


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
        "open a file in an earlier thread",
    ],
)
def test_a_caged_process_is_refused(caged: Open, task: str) -> None:
    assert ask(caged(), task) == "EPERM"


def test_no_file_grows_in_a_cage(caged: Open) -> None:
    assert ask(caged(), "have an open file grow") == "EFBIG"


def test_a_decoder_may_run_threads(caged: Open) -> None:
    assert ask(caged(), "run a thread") == "ran"


def test_a_caged_process_has_no_secret_in_its_environment(
    caged: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWARD_S3_SECRET_KEY", "do-not-show")
    assert "HOMEWARD" not in ask(caged(), "environment")


def test_a_caged_process_leaves_no_dump(caged: Open) -> None:
    cage = caged()
    assert ask(cage, "dump size") == "(0, 0)"
    assert ask(cage, "dumpable") == "0"


def test_too_much_memory_is_the_cause(caged: Open) -> None:
    assert broken_by(caged(), "use memory") == "it needs more than 1.0 GB of memory"


def test_too_much_processor_time_is_the_cause(caged: Open) -> None:
    assert broken_by(caged(), "spin") == "it used more than 1 seconds of a processor"


@pytest.mark.parametrize("task", ["sleep", "answer half a message"])
def test_silence_is_the_cause(caged: Open, task: str) -> None:
    assert broken_by(caged(IMPATIENT), task) == "it took longer than 0.5 seconds"


@pytest.mark.parametrize("task", ["crash", "abort", "end"])
def test_a_crash_is_the_cause(caged: Open, task: str) -> None:
    assert broken_by(caged(), task) == "it crashed the decoder"


@pytest.mark.parametrize("task", ["answer nonsense", "answer no message"])
def test_an_answer_of_another_type_is_the_cause(caged: Open, task: str) -> None:
    assert broken_by(caged(), task) == "it answered nonsense"


def test_a_message_that_is_too_long_is_not_read(caged: Open) -> None:
    assert broken_by(caged(IMPATIENT), "answer without end") == "it answered nonsense"


def test_a_cage_that_reads_nothing_holds_nobody_up(caged: Open) -> None:
    cage = caged(IMPATIENT)
    cage.send("read nothing any more")
    with pytest.raises(CageBrokenError, match="it took longer than"):
        cage.send("photograph", bytes(2**24))


def test_a_broken_cage_has_ended_and_says_so_again(caged: Open) -> None:
    cage = caged()
    broken_by(cage, "crash")
    assert not cage.alive
    with pytest.raises(CageBrokenError):
        cage.send("dump size")


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
    assert broken_by(cage, "dump size") == "it was killed, as a system short of memory does"
    assert shared_memory_of_this_system() == before
