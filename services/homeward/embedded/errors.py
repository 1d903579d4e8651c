"""What stops a stack from starting or running. The message is for the person at the terminal."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or go on."""

    exit_code = 1


class AlreadyRunningError(StackError):
    """Another stack holds the data folder."""

    exit_code = 7


class UsageError(StackError):
    """The options or the environment contradict each other."""

    exit_code = 2
