"""What all commands share: examples in their help, where to connect to, and the output."""

from __future__ import annotations

import functools
import getpass
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from platformdirs import user_config_path, user_data_path

from homeward.cli import terminal
from homeward.cli.connect import SERVICES, Connections, Places
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.render import View

P = ParamSpec("P")
R = TypeVar("R")

_UUID_PREFIX = re.compile(r"[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?")
_SHORTEST_PREFIX = 8
_ID_LENGTH = 36
"""Of a UUID."""


@dataclass(frozen=True, slots=True)
class Session:
    """The connections and the output of a command."""

    connections: Connections
    view: View


class SharedOption(click.Option):
    """An option that every command has; told apart from the command's own in its help."""


class Command(click.Command):
    """A command with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then those that all commands have."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        described = [(option, option.get_help_record(ctx)) for option in options]
        for title, shared in (("Options", False), ("Connection and output", True)):
            records = [
                record
                for option, record in described
                if record is not None and isinstance(option, SharedOption) is shared
            ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the examples."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")


class Group(click.Group):
    """A noun, whose commands have examples."""

    command_class = Command


def connected(
    function: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Give a command the shared options, and the session that they describe."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {name: kwargs.pop(name) for name in _SHARED}
        places = Places(
            options={service: given[service] for service in SERVICES if given[service]},
            environment=os.environ,
            profile=given["profile"],
            settings_file=user_config_path("homeward") / "config.toml",
            data=given["data"],
        )
        with Connections(places) as connections:
            if given["verbose"]:
                terminal.tell(f"trace: {connections.trace_id}", err=True)
            return function(Session(connections, View(given["output"])), *args, **kwargs)

    for option in reversed(_SHARED.values()):
        run = option(run)
    return run


def _shared(name: str, **settings: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: ANN401 - click's
    return click.option(f"--{name}", cls=SharedOption, **settings)


_SHARED: dict[str, Callable[..., Any]] = {
    "output": _shared(
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text to read, or the resources as protobuf JSON.",
    ),
    "data": _shared(
        "data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="HOMEWARD_DATA",
        default=lambda: user_data_path("homeward"),
        help="Folder of the local stack. [default: the user's data folder]",
    ),
    "profile": _shared(
        "profile",
        metavar="NAME",
        envvar="HOMEWARD_PROFILE",
        help="Take the addresses from this profile of the settings file.",
    ),
    "verbose": _shared(
        "verbose",
        is_flag=True,
        envvar="HOMEWARD_VERBOSE",
        help="Print the id of this command in the services' logs and traces.",
    ),
    **{
        service: _shared(service, metavar="ADDR", help=f"Address of the {service} service.")
        for service in SERVICES
    },
}


def operator_name() -> str:
    """Return the name of the user of this computer."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost.

    Raises:
        CliError: The answer is not yes, or nobody is there to give one.
    """
    if yes:
        return
    try:
        agreed = terminal.ask(question)
    except click.Abort:
        agreed = False
    if not agreed:
        raise CliError(
            "not confirmed; nothing was changed",
            exit_code=ExitCode.INTERRUPTED,
            advice="--yes answers for you" if not sys.stdin.isatty() else "",
        )


def begins_uuid(given: str) -> bool:
    """Return whether a UUID could begin so."""
    return _UUID_PREFIX.fullmatch(given) is not None


def full_id(
    noun: str, given: str, known: Callable[[], Iterable[str]], *, length: float = _ID_LENGTH
) -> str:
    """Return the id that `given` is, or is the only one to begin with.

    Args:
        noun: Kind of the resource, such as `scan`.
        given: An id, or at least 8 characters of its beginning.
        known: Lists the existing ids; called only when needed.
        length: Length of a whole id, which is not looked up.

    Raises:
        CliError: No id begins so, several do, or the caller may not list them.
    """
    if len(given) < _SHORTEST_PREFIX:
        raise CliError(
            f"{given} is too short for the id of a {noun}: give at least {_SHORTEST_PREFIX}"
            " characters of it",
            advice=f"`homeward {noun} list` shows them",
        )
    if len(given) >= length:
        return given
    try:
        found = sorted({name for name in known() if name.startswith(given)})
    except CliError as error:
        if error.reason != "ROLE_MISSING":
            raise
        raise CliError(
            f"{given} is the beginning of the id of a {noun}, and you may not list them to find"
            " the rest",
            exit_code=error.exit_code,
            reason=error.reason,
            advice="give the whole id",
        ) from error
    if given in found:
        return given
    if len(found) == 1:
        return found[0]
    if not found:
        raise CliError(
            f"no {noun} has an id that begins with {given}",
            exit_code=ExitCode.NOT_FOUND,
            reason=f"{noun.upper()}_NOT_FOUND",
            advice=f"`homeward {noun} list` shows them",
        )
    raise CliError(
        f"several {noun} ids begin with {given}: {', '.join(found)}",
        advice="give more of it",
    )
