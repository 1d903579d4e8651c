"""The command `homeward token`. What it needs of the server's parts is imported when it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.options import Command, Group, operator_name
from homeward.cli.shared import OutputFile
from homeward.cli.terminal import tell
from homeward.core.distribution import how_to_install
from homeward.embedded.command import data_option

if TYPE_CHECKING:
    from homeward.embedded.tokens import TokenIssuer

ROLES = (
    "investigator",
    "reviewer",
    "subject-admin",
    "uploader",
    "auditor",
    "operator",
    "authoriser",
)
_DEFAULT_HOURS = 12
_MOST_HOURS = 31 * 24
_EVERY_CASE = "*"
_MAX_LENGTH = 100
"""Characters of a name or a case reference: as many as services accept."""


@click.group(cls=Group)
def token() -> None:
    """Access tokens of the local stack, for its further users.

    The user who started the stack has one already, which its commands find by themselves. Services
    elsewhere take tokens of their own issuer.
    """


@token.command(
    "create",
    examples=[
        "homeward token create investigator --for anna --case MP-26-0412 --save anna.token",
        "HOMEWARD_TOKEN_FILE=anna.token homeward subject list",
        "homeward token create reviewer subject-admin --for ben --hours 8 --save ben.token",
    ],
)
@click.argument("roles", nargs=-1, required=True, type=click.Choice(ROLES), metavar="ROLE...")
@click.option(
    "--for",
    "name",
    metavar="NAME",
    default=operator_name,
    show_default="your user name",
    help="Who has it, as services and the audit trail are told.",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="REF",
    help="A case that they may see; may be repeated. Without it they see all.",
)
@click.option(
    "--hours",
    type=click.IntRange(1, _MOST_HOURS),
    default=_DEFAULT_HOURS,
    show_default=True,
    help="How long it serves.",
)
@click.option(
    "--save",
    "-o",
    "file",
    type=OutputFile(),
    required=True,
    metavar="FILE",
    help="Where it is written, readable for you alone; what was there is replaced.",
)
@data_option
def create(
    *,
    roles: tuple[str, ...],
    name: str,
    cases: tuple[str, ...],
    hours: int,
    file: Path,
    data: Path,
) -> None:
    """Issue an access token that gives ROLEs of: {roles}.

    Services of the stack accept it until its time is over, also after a restart. To take tokens
    back, start the stack once with `homeward up --new-token-key`.
    """
    _check(name, "--for")
    for case in cases:
        _check(case, "--case")
    issuer = _issuer(data)
    from homeward.embedded.files import write_private  # noqa: PLC0415 - as `_issuer`
    from homeward.embedded.tokens import TokenRefusedError  # noqa: PLC0415 - as above
    from homeward.servicekit.identity.caller import Role  # noqa: PLC0415 - as above

    now = datetime.now(UTC)
    lifetime = timedelta(hours=hours)
    try:
        issued = issuer.issue(
            name,
            {Role(role) for role in roles},
            cases=cases or (_EVERY_CASE,),
            now=now,
            lifetime=lifetime,
        )
    except TokenRefusedError as error:
        raise CliError(str(error)) from error
    write_private(file, issued + "\n")
    which = ", ".join(cases) if cases else "every case"
    tell(
        f"{file}: {name} is {', '.join(sorted(set(roles)))} of {which} until"
        f" {now + lifetime:%Y-%m-%dT%H:%M:%SZ}"
    )
    tell(f"Use it with HOMEWARD_TOKEN_FILE={file}")


assert isinstance(create, Command)
create.help = (create.help or "").format(roles=", ".join(ROLES))


def _check(text: str, option: str) -> None:
    if not 1 <= len(text) <= _MAX_LENGTH or not text.isprintable() or text == _EVERY_CASE:
        raise CliError(f"{option} takes 1 to {_MAX_LENGTH} printing characters, not {text!r}")


def _issuer(data: Path) -> TokenIssuer:
    """Return what signs the tokens of the stack in a folder.

    Raises:
        CliError: No stack has run there, or its key is damaged.
    """
    try:
        from homeward.embedded.access import StackAccess  # noqa: PLC0415 - needs the server's parts
        from homeward.embedded.errors import StackError  # noqa: PLC0415 - as above
        from homeward.embedded.tokens import TokenIssuer  # noqa: PLC0415 - as above
    except ImportError as error:
        raise CliError(
            f"tokens are issued where a stack runs ({error.name} is missing here)",
            exit_code=ExitCode.USAGE,
            advice=how_to_install("server"),
        ) from error
    try:
        return TokenIssuer.read(StackAccess.of(data.expanduser().absolute()).key)
    except FileNotFoundError as error:
        raise CliError(
            f"no Homeward stack has run on {data}",
            exit_code=ExitCode.NOT_FOUND,
            advice=f"start one with `homeward up --data {data}`",
        ) from error
    except PermissionError as error:
        raise CliError(
            f"the key of the stack on {data} is another user's",
            exit_code=ExitCode.PRECONDITION,
            advice="ask whoever started the stack for a token",
        ) from error
    except StackError as error:
        raise CliError(str(error)) from error
