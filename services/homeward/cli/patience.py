"""Waiting for a service that went away."""

from __future__ import annotations

import time

import click

_LONGEST_WAIT_SECONDS = 8.0


def pause(failures: int, problem: str) -> None:
    """Say what is wrong, and wait before another attempt: a second at first, then ever longer."""
    seconds = min(_LONGEST_WAIT_SECONDS, 2.0 ** (failures - 1))
    click.echo(f"\n{problem}; trying again in {seconds:g} s", err=True)
    time.sleep(seconds)
