"""One running child: its log, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import deque
from contextlib import suppress
from pathlib import Path

from homeward.embedded.child import wrap
from homeward.embedded.spec import ChildSpec

_TAIL_LINES = 15
_TAIL_BYTES = 16_384
_NOT_SHOWN = ("service", "logger", "trace_id", "span_id", "version")
"""Of a log record: of no use to the person at the terminal."""


class Child:
    """A process of the stack, in a session of its own.

    Args:
        spec: What to run.
        logs: Folder of its log.
        pipe: Reading end of the supervisor's pipe.
    """

    def __init__(self, spec: ChildSpec, *, logs: Path, pipe: int) -> None:
        self.spec = spec
        self.log = logs / f"{spec.name}.log"
        _rotate(self.log)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own list
                wrap(spec.command, supervisor=os.getpid(), pipe=pipe),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(spec.environment),
                cwd=spec.folder,
                pass_fds=(pipe,),
                start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor alone
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> str | None:
        """Return how it ended, or None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def killed(self) -> bool:
        """Whether a signal ended it, of which its log can say nothing."""
        return (self._process.poll() or 0) < 0

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Return whether it ended within that time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self) -> None:
        """Kill it and every process that it started, and remove the files that it leaves."""
        with suppress(ProcessLookupError):  # no process of its group is left
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for path in self.spec.leftovers:
            path.unlink(missing_ok=True)

    def tail(self) -> list[str]:
        """Return the last lines of its log."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
        return list(deque(text.splitlines(), maxlen=_TAIL_LINES))

    def last_words(self) -> list[str]:
        """Return the last lines of its log to read: of a record, when, what and the rest."""
        return [_in_words(line) for line in self.tail()]

    def problem(self) -> str | None:
        """Return what it waits for, as its log says; None when the log says nothing about it."""
        for line in reversed(self.tail()):
            with suppress(ValueError):  # a line that is no record
                record = json.loads(line)
                if isinstance(record, dict) and "problem" in record:
                    return str(record["problem"])
        return None


def _in_words(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict):
        return line
    first = [str(record.pop(key, "")) for key in ("timestamp", "level", "event")]
    rest = [f"{key}={value}" for key, value in record.items() if key not in _NOT_SHOWN]
    return " ".join(filter(None, (*first, *rest)))


def _rotate(log: Path) -> None:
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    log.touch(mode=0o600)
