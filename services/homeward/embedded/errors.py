"""What stops a stack from starting or running. The message is for the person at the terminal."""

from __future__ import annotations

from pathlib import Path


class StackError(Exception):
    """The stack cannot start or go on.

    Args:
        message: What is wrong, with all that the person at the terminal needs.
        problem: The same in a line, for a command that finds no stack later; the message, if empty.
        log: Of the part that failed.
        part: Name of the part that failed; empty where it is none.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, problem: str = "", log: Path | None = None, part: str = ""
    ) -> None:
        super().__init__(message)
        self.problem = problem or message
        self.log = log
        self.part = part


class AlreadyRunningError(StackError):
    """Another stack holds the data folder."""

    exit_code = 7


class UsageError(StackError):
    """The options or the environment contradict each other."""

    exit_code = 2
