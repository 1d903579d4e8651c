"""What all commands share: examples in their help, where to connect to, and the output."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from platformdirs import user_config_path

from homeward.cli import help_text, terminal
from homeward.cli.connect import Connections, Places
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.render import View
from homeward.cli.shared import SERVICES, SHARED, CarryingGroup, SharedOption, with_shared

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Session:
    """The connections and the output of a command."""

    connections: Connections
    view: View


class Command(click.Command):
    """A command with examples."""

    context_class = help_text.Context

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


class Group(CarryingGroup):
    """A noun, whose commands have examples."""

    command_class = Command


def connected(
    function: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Give a command the shared options, and the session that they describe."""
    own = {param.name for param in getattr(function, "__click_params__", ())}

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {name: kwargs.pop(name) for name in SHARED if name not in own}
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

    return with_shared(run, function)


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
