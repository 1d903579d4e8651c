"""The command `homeward up`. What it needs of the server's parts is imported when it runs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
from platformdirs import user_data_path

from homeward.cli import terminal
from homeward.cli.errors import PACK_ADVICE
from homeward.core.distribution import how_to_install
from homeward.embedded.ports import NAMES

_PORT = click.IntRange(1, 65535)
_HELP = """\
Run Homeward on this machine until Ctrl-C.

Starts the services, and their engines unless HOMEWARD_S3_ENDPOINT (with HOMEWARD_S3_ACCESS_KEY
and HOMEWARD_S3_SECRET_KEY), HOMEWARD_NATS_URL or HOMEWARD_QDRANT_URL names one that runs
elsewhere. All listen on loopback, and let in the user who started them: other commands find the
stack, and a token for it, by the same --data. `homeward token` issues further ones. Prints one
`ready` line with the services' addresses. Variables HOMEWARD_* reach the services.

\b
Example:
  homeward up --data ~/homeward
  homeward status --data ~/homeward      (in another terminal)

\b
Exit status:
  0  stopped as asked
  1  a part failed; the message names its log
  2  the options or the environment contradict each other
  7  a stack is already running on the folder
"""


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HOMEWARD_DATA",
    default=lambda: user_data_path("homeward"),
    show_default="the user's data folder",
    help="Folder of everything that the stack keeps; made if it is not there.",
)


@click.command(help=_HELP)
@data_option
@click.option("--port-base", type=_PORT, help=f"First of {len(NAMES)} consecutive ports.")
@click.option("--ingestion-port", type=_PORT, help="Port of the ingestion service.")
@click.option("--matching-port", type=_PORT, help="Port of the matching service.")
@click.option("--embedding-port", type=_PORT, help="Port of the embedding service.")
@click.option(
    "--evaluation",
    is_flag=True,
    envvar="HOMEWARD_EVALUATION",
    help="Try Homeward out: choose candidates by a threshold that nobody has approved.",
)
@click.option(
    "--require-purpose",
    is_flag=True,
    envvar="HOMEWARD_REQUIRE_PURPOSE",
    help="Refuse callers who do not say what they read personal data for, and for which case.",
)
@click.option(
    "--user",
    default="",
    metavar="NAME",
    help="Your name, under which decisions are recorded. [default: that of the account]",
)
@click.option(
    "--new-token-key",
    is_flag=True,
    help="Refuse every access token that was issued before, as of one that was stolen.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    envvar="HOMEWARD_LOG_LEVEL",
    default="info",
    show_default=True,
    help="Least severity that the services log, under DATA/logs.",
)
@click.option(
    "--start-timeout",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds after which a part that is not ready fails the start.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the `ready` line.",
)
def up(
    *,
    data: Path,
    port_base: int | None,
    ingestion_port: int | None,
    matching_port: int | None,
    embedding_port: int | None,
    evaluation: bool,
    require_purpose: bool,
    user: str,
    new_token_key: bool,
    log_level: str,
    start_timeout: float,
    output: str,
) -> None:
    """Run a stack and exit with its status."""
    try:
        from homeward.embedded import up as stack  # noqa: PLC0415 - only this command needs it
        from homeward.embedded.errors import StackError  # noqa: PLC0415 - as above
    except ImportError as error:
        terminal.tell(
            f"homeward up needs the server's parts ({error.name} is missing): "
            + how_to_install("server"),
            err=True,
        )
        sys.exit(2)

    given = {"ingestion": ingestion_port, "matching": matching_port, "embedding": embedding_port}

    def on_ready(state: dict[str, Any]) -> None:
        terminal.tell_own(_ready_line(state, output))
        if output == "text":
            terminal.tell_lines(_what_next(data, state["user"]), err=True)

    options = stack.UpOptions(
        data=data,
        port_base=port_base,
        ports={name: port for name, port in given.items() if port is not None},
        log_level=log_level,
        timeout_seconds=start_timeout,
        evaluation=evaluation,
        access=stack.AccessOptions(new_token_key, require_purpose, user),
    )
    try:
        stack.run(
            options,
            environment=os.environ,
            say=partial(terminal.tell, err=True),
            on_ready=on_ready,
        )
    except StackError as error:
        terminal.tell(f"homeward up: {error}", err=True)
        if error.part == "embedding":
            terminal.tell(f"advice: where a model pack is refused, {PACK_ADVICE}", err=True)
        sys.exit(error.exit_code)


def _what_next(data: Path, user: str) -> list[str]:
    """Return what to type in another terminal, once all is ready."""
    named = shlex.quote(str(data.expanduser().absolute()))
    away = data != user_data_path("homeward")
    return [
        "",
        "Homeward runs until Ctrl-C. In another terminal:",
        *([f"  export HOMEWARD_DATA={named}"] if away else []),
        "  homeward subject add --case CASE --label NAME PHOTO     who is looked for",
        "  homeward camera add CAMERA --place WHERE",
        "  homeward footage add FILE --camera CAMERA --start TIME  what is searched",
        "  homeward search",
        f"Your decisions are recorded as by {user}; `homeward up --user NAME` gives another name.",
        "",
    ]


def _ready_line(state: dict[str, Any], output: str) -> str:
    if output == "json":
        return json.dumps({"event": "ready", **state})
    names = ("ingestion", "matching", "embedding")
    return "ready " + " ".join(f"{name}={state[name]}" for name in names)
