"""Who decides: asked for or stated, never taken silently from the account of a machine."""

from __future__ import annotations

import sys

from homeward.cli import terminal
from homeward.cli.options import Session, operator_name

_OF_NOBODY = frozenset(("", "root", "administrator", "admin", "system", "homeward", "local-user"))
"""Names of accounts that several people may use."""


def authoriser(session: Session, given: str | None) -> str:
    """Return who authorised a search: as given, as answered, or the user of this computer.

    Empty where an access token names the caller: the service then takes that name, as it does for
    decisions. At a terminal, the name of a shared account is asked for.

    Raises:
        click.Abort: There is no answer.
    """
    if given:
        return given
    claimed = session.connections.claimed_name("matching")
    name = operator_name() if claimed is None else claimed
    # Of an opaque token nothing is claimed, and the service knows the name all the same.
    if shared(name) and claimed != "" and sys.stdin.isatty():
        return terminal.ask_for("Who authorised the search (name, rank)")
    if claimed is None:
        _tell_authoriser(name or "nobody named", "the user of this computer")
        return name
    return ""


def tell_authoriser(stated: str, recorded: str) -> None:
    """Say who is on record as the authoriser, if the service found that out by itself."""
    if not stated:
        _tell_authoriser(recorded, "whom your access token names")


def _tell_authoriser(name: str, who: str) -> None:
    terminal.tell(f"Authorised by: {name}, {who}; --authorised-by names somebody else.", err=True)


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
