"""The command tree. A command's module is imported when the command is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from homeward.cli.errors import EXIT_CODE_HELP, CliError, ExitCode
from homeward.cli.shared import CarryingGroup
from homeward.core import distribution
from homeward.core.distribution import how_to_install

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("homeward.embedded.command:up", "Run Homeward on this machine."),
    "demo": ("homeward.embedded.demo:demo", "Find one of several people in made-up footage."),
    "login": (
        "homeward.cli.commands.login:login",
        "Log in with your force's account.",
    ),
    "logout": ("homeward.cli.commands.login:logout", "End the login, and have its token refused."),
    "whoami": (
        "homeward.cli.commands.login:whoami",
        "Show under which name and roles commands call.",
    ),
    "token": (
        "homeward.embedded.token_command:token",
        "Give other people access to the local stack.",
    ),
    "status": ("homeward.cli.commands.status:status", "Show whether the services answer."),
    "subject": ("homeward.cli.commands.subject:subject", "The people who are looked for."),
    "camera": ("homeward.cli.commands.camera:camera", "The cameras that recordings come from."),
    "footage": ("homeward.cli.commands.footage:footage", "The recordings that can be searched."),
    "search": ("homeward.cli.commands.search:search", "Search footage for subjects."),
    "scan": ("homeward.cli.commands.scan:scan", "Searches under way and done."),
    "sighting": ("homeward.cli.commands.sighting:sighting", "Candidates, for review."),
    "review": (
        "homeward.cli.commands.review:review",
        "Go through candidates one by one, and decide on each.",
    ),
    "sheet": ("homeward.cli.commands.sheet:sheet", "All candidates of a subject on one page."),
    "watch": (
        "homeward.cli.commands.watch:watch",
        "Follow new candidates and reviews, also as a webhook.",
    ),
    "policy": (
        "homeward.cli.commands.policy:policy",
        "The thresholds for candidates: how reliable, and who approved them.",
    ),
    "retention": (
        "homeward.cli.commands.retention:retention",
        "Show what footage is held, and whether any is overdue.",
    ),
    "report": (
        "homeward.cli.commands.report:report",
        "Write what is published about the use of Homeward.",
    ),
    "audit": ("homeward.cli.commands.audit:audit", "Show who did what, and verify that record."),
    "export": (
        "homeward.cli.commands.export:export",
        "Verify a package of a sighting that was given out.",
    ),
    "record": ("homeward.cli.commands.record:record", "Verify the use record of a search."),
    "model": ("homeward.cli.commands.model:model", "The models in use, and those installed."),
    "plan": (
        "homeward.cli.commands.plan:plan_command",
        "Work out what hardware a number of cameras needs.",
    ),
    "evaluate": (
        "homeward.evaluation.command:evaluate",
        "Measure the model pack on labelled photographs and footage.",
    ),
    "completion": (
        "homeward.cli.commands.completion:completion",
        "Print the completion script of a shell.",
    ),
}


class LazyGroup(CarryingGroup):
    """Imports a command when it is used, so that the other commands start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names, in the order in which they are needed."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        place, _ = _COMMANDS[cmd_name]
        module, _, name = place.partition(":")
        try:
            command = getattr(importlib.import_module(module), name)
        except ImportError as error:
            return _missing(cmd_name, str(error.name))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the named command; refuse an unknown name and suggest similar ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click knows no command that is not imported
            raise click.NoSuchCommand(
                error.command_name, possibilities=_COMMANDS, ctx=ctx
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write examples and exit codes."""
        with formatter.section("Examples"):
            for line in (
                "homeward up --data ~/homeward",
                "homeward subject add --case MP-26-0412 --label Anna anna.jpg",
                "homeward footage add gate.mp4 --camera gate --start 2026-11-20T10:00:00Z",
                "homeward search --subject 3f2a91c0 --camera gate --from 2026-11-20T08:00:00Z",
            ):
                formatter.write_text(line)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in EXIT_CODE_HELP.items()])


def _missing(name: str, module: str) -> click.Command:
    @click.pass_context
    def explain(_: click.Context) -> None:
        raise CliError(
            f"`homeward {name}` needs parts that are not installed ({module} is missing)",
            exit_code=ExitCode.USAGE,
            advice=how_to_install("server"),
        )

    return click.Command(
        name,
        callback=explain,
        help=f"Needs: {how_to_install('server')}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=distribution.NAME)
def app() -> None:
    """Find missing and vulnerable people in recorded CCTV.

    A candidate is a lead for a human reviewer, not an identification.

    `homeward COMMAND --help` explains a command, with examples. Commands find a local stack by
    --data or HOMEWARD_DATA, and services elsewhere by --profile or their addresses. These options,
    -o json and --timezone may stand anywhere on the line.
    """
