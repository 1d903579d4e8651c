"""Who decides: asked for or stated, never taken silently from the account of a machine."""

from __future__ import annotations

import sys

from homeward.cli import terminal
from homeward.cli.options import operator_name

_OF_NOBODY = frozenset(("", "root", "administrator", "admin", "system", "homeward", "local-user"))
"""Names of accounts that several people may use."""


def authoriser(given: str | None) -> str:
    """Return who authorised a search: as given, as answered, or the user of this computer.

    A name that was not given is stated. At a terminal, the name of a shared account is asked for.

    Raises:
        click.Abort: There is no answer.
    """
    if given:
        return given
    name = operator_name()
    if shared(name) and sys.stdin.isatty():
        return terminal.ask_for("Who authorised the search (name, rank)?")
    terminal.tell(
        f"Authorised by: {name or 'nobody named'}, the user of this computer; --authorised-by"
        " names somebody else.",
        err=True,
    )
    return name


def shared(name: str) -> bool:
    """Whether a name is that of an account, and tells nothing of who uses it."""
    return name.casefold() in _OF_NOBODY


def record_note(name: str, given: str = "") -> str:
    """Return what to say of the name that a decision is on record under; empty for nothing.

    Args:
        name: As the service answers.
        given: As it was typed; empty if it was not.
    """
    if given and given != name:
        return (
            f"NOTE: this is on record as decided by {name}, whom your access token names; {given}"
            " does not count."
        )
    if not shared(name):
        return ""
    return (
        f"NOTE: this is on record as decided by {name or 'nobody'}, which names no person."
        " `homeward up --user NAME` gives your name on a stack of your own; elsewhere your access"
        " token has it (`homeward whoami`)."
    )
