from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from homeward.embedded import stack as embedded_stack
from homeward.embedded.child import wrap
from homeward.embedded.errors import StackError
from homeward.embedded.programs import find_program
from homeward.embedded.spec import ChildSpec
from homeward.embedded.stack import Stack, StopRequest

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
PARENT = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
)
DEADLINE_SECONDS = 10.0


class FakeStack:
    """A stack of Python one-liners."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop = StopRequest()
        self.said: list[str] = []
        self._stacks: list[Stack] = []

    def __call__(self, *specs: ChildSpec) -> Stack:
        stack = Stack(specs, logs=self.folder / "logs", stop=self.stop, say=self.said.append)
        self._stacks.append(stack)
        return stack

    def spec(
        self,
        name: str,
        code: str,
        *,
        ready: Callable[[], str | None] = lambda: None,
        after: tuple[str, ...] = (),
        grace: float = 5.0,
        leftovers: tuple[Path, ...] = (),
    ) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=(sys.executable, "-c", code),
            environment=dict(os.environ),
            folder=self.folder,
            ready=ready,
            after=after,
            grace_seconds=grace,
            leftovers=leftovers,
        )


@pytest.fixture
def fake(tmp_path: Path) -> FakeStack:
    return FakeStack(tmp_path)


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def in_own_code(pid: int) -> bool:
    """Whether the wrapper has become the command."""
    return "homeward.embedded.child" not in psutil.Process(pid).cmdline()


def test_a_child_starts_once_those_before_it_are_ready(fake: FakeStack) -> None:
    answers: Iterator[str | None] = iter(["warming up", None])
    stack = fake(
        fake.spec("engine", SLEEP, ready=lambda: next(answers)),
        fake.spec("service", SLEEP, after=("engine",)),
    )

    assert stack.start(timeout_seconds=DEADLINE_SECONDS)
    stack.close()

    assert fake.said == [
        "starting engine",
        "engine is ready",
        "starting service",
        "service is ready",
    ]


def test_close_ends_every_child_in_a_session_of_its_own(fake: FakeStack) -> None:
    stack = fake(fake.spec("one", SLEEP), fake.spec("two", SLEEP))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    processes = [psutil.Process(pid) for pid in stack.pids().values()]
    sessions = {os.getsid(process.pid) for process in processes}

    stack.close()

    assert os.getsid(0) not in sessions
    assert not any(process.is_running() for process in processes)


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(
    fake: FakeStack, tmp_path: Path
) -> None:
    left = tmp_path / "left.sock"
    stack = fake(fake.spec("stubborn", STUBBORN, grace=0.3, leftovers=(left,)))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    left.touch()
    process = psutil.Process(stack.pids()["stubborn"])
    started = time.monotonic()

    stack.close()

    assert not process.is_running()
    assert not left.exists()
    assert time.monotonic() - started < 5


def test_what_a_child_started_ends_with_it(fake: FakeStack) -> None:
    stack = fake(fake.spec("parent", PARENT))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    child = psutil.Process(stack.pids()["parent"])
    assert eventually(lambda: bool(child.children()))
    grandchild = child.children()[0]

    stack.close()

    assert eventually(lambda: not grandchild.is_running())


def test_a_dead_child_is_named_with_its_end_and_its_last_words(fake: FakeStack) -> None:
    code = "print('disk full'); raise SystemExit(3)"
    stack = fake(fake.spec("engine", code, ready=lambda: "to answer"))

    with pytest.raises(StackError) as died:
        stack.start(timeout_seconds=DEADLINE_SECONDS)
    stack.close()

    assert "engine exited with status 3" in str(died.value)
    assert "disk full" in str(died.value)
    assert str(fake.folder / "logs" / "engine.log") in str(died.value)


def test_a_killed_child_is_named_with_its_signal(fake: FakeStack) -> None:
    stack = fake(fake.spec("engine", SLEEP))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    os.kill(stack.pids()["engine"], signal.SIGKILL)

    with pytest.raises(StackError, match="engine was ended by SIGKILL"):
        stack.watch()
    stack.close()


def test_what_a_start_waits_for_is_told_with_the_reason_that_the_child_logs(
    fake: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_stack, "TELL_SECONDS", 0.0)
    refused = {"event": "waiting", "problem": "Qdrant refuses Homeward's key"}
    code = f"print('not JSON'); print({json.dumps(refused)!r}, flush=True); " + SLEEP

    def ready() -> str | None:
        told = any("refuses" in line for line in fake.said)
        return None if told else "to find its engines and serve"

    stack = fake(fake.spec("matching", code, ready=ready))

    assert stack.start(timeout_seconds=DEADLINE_SECONDS)
    stack.close()

    waiting = "waiting for matching to find its engines and serve, 0 s after the start"
    assert fake.said[-2:] == [f"{waiting}: Qdrant refuses Homeward's key", "matching is ready"]


def test_a_child_that_is_not_ready_in_time_is_named_with_what_is_missing(fake: FakeStack) -> None:
    stack = fake(fake.spec("engine", SLEEP, ready=lambda: "to answer"))

    with pytest.raises(StackError, match=r"engine was not ready after 0.2 s; .* to answer"):
        stack.start(timeout_seconds=0.2)
    stack.close()


def test_a_stop_during_the_start_ends_it(fake: FakeStack) -> None:
    def interrupted() -> str:
        fake.stop(signal.SIGINT, None)
        return "never"

    stack = fake(fake.spec("engine", SLEEP, ready=interrupted))

    assert not stack.start(timeout_seconds=DEADLINE_SECONDS)
    stack.close()


def test_a_second_stop_does_not_wait_for_the_grace(fake: FakeStack) -> None:
    stack = fake(fake.spec("stubborn", STUBBORN, grace=60))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    assert eventually(lambda: in_own_code(stack.pids()["stubborn"]))
    fake.stop(signal.SIGINT, None)
    fake.stop(signal.SIGINT, None)
    started = time.monotonic()

    stack.close()

    assert time.monotonic() - started < 10


def test_the_log_of_the_run_before_is_kept(fake: FakeStack) -> None:
    logs = fake.folder / "logs"
    logs.mkdir()
    (logs / "engine.log").write_text("before")
    stack = fake(fake.spec("engine", SLEEP))

    stack.start(timeout_seconds=DEADLINE_SECONDS)
    stack.close()

    assert (logs / "engine.previous.log").read_text() == "before"
    assert (logs / "engine.log").stat().st_mode & 0o777 == 0o600


def test_a_child_dumps_no_core_and_writes_for_its_owner_alone(fake: FakeStack) -> None:
    code = (
        "import os, resource; "
        "print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)), flush=True); "
    )
    stack = fake(fake.spec("engine", code + SLEEP))
    stack.start(timeout_seconds=DEADLINE_SECONDS)
    log = fake.folder / "logs" / "engine.log"

    assert eventually(lambda: log.read_text() == "(0, 0) 0o77\n")
    stack.close()


def test_a_wrapper_whose_supervisor_is_gone_starts_nothing(tmp_path: Path) -> None:
    started = tmp_path / "started"
    reading, writing = os.pipe()
    somebody_else = 1

    ended = subprocess.run(
        wrap(["touch", str(started)], supervisor=somebody_else, pipe=reading),
        pass_fds=(reading,),
        check=False,
    )
    os.close(reading)
    os.close(writing)

    assert ended.returncode == 1
    assert not started.exists()


def test_without_the_kernels_help_the_closing_of_a_pipe_ends_the_child(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pid_file = tmp_path / "pid"
    command = f"import os, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); "
    code = (
        "import sys; sys.platform = 'darwin'\n"
        "from homeward.embedded import child\n"
        f"child.main(['{os.getpid()}', '{reading}', sys.executable, '-c', {command + SLEEP!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=(reading,)) as wrapper:
        assert eventually(lambda: pid_file.exists() and bool(pid_file.read_text()))
        command_process = psutil.Process(int(pid_file.read_text()))
        os.close(reading)

        os.close(writing)
        status = wrapper.wait(DEADLINE_SECONDS)

    assert status == -signal.SIGKILL
    assert not command_process.is_running()


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(StackError, match="no-such-engine is not installed: pip install"):
        find_program("no-such-engine", "no-such-distribution")
