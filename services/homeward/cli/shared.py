"""Options that every command has, which may stand anywhere on the command line.

Imports nothing of gRPC: `homeward --help` needs these options too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from platformdirs import user_data_path

from homeward.cli import help_text, zones

SERVICES = ("ingestion", "matching", "embedding")
FORMATS = ("text", "json")
"""Forms of the output."""

_CARRIED = "homeward.carried"
"""In a context's `meta`: options that stand before the command, as words to put after it."""

F = TypeVar("F", bound=Callable[..., Any])


class SharedOption(click.Option):
    """An option that every command has; told apart from the command's own in its help."""


class OutputFile(click.Path):
    """A file or folder to write, of an option `-o FILE`.

    `-o` means the form of the output for commands that write no file, so `-o json` would be a file
    of an unlikely name here, and is refused.

    Args:
        folder: Whether it names a folder.
    """

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(file_okay=not folder, dir_okay=folder, path_type=Path)
        self._what = "folder" if folder else "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Return the path; refuse the name of a form of the output."""
        if value in FORMATS:
            self.fail(
                f"it names the {self._what} to write here; write --output {value} for the form of"
                f" the output, or ./{value} for a {self._what} of that name",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def _shared(*names: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's
    return click.option(*names, cls=SharedOption, **settings)


def _formats() -> click.Choice[str]:
    return click.Choice(FORMATS)


def _output(*short: str) -> Callable[[F], F]:
    return _shared(
        *short,
        "--output",
        type=_formats(),
        default="text",
        show_default=True,
        help="Text to read, or the resources as protobuf JSON.",
    )


def _zone_given(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    zones.remember(ctx, zone=value)
    return value


def _profile_given(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    zones.remember(ctx, profile=value)
    return value


SHARED: Mapping[str, Callable[[F], F]] = {
    "output": _output("-o"),
    "timezone": _shared(
        "--timezone",
        metavar="ZONE",
        is_eager=True,  # times that stand before it on the line are read by it as well
        callback=_zone_given,
        help="Zone of the times that are shown, and of those that are typed without one, such as"
        " Europe/London. [default: HOMEWARD_TIMEZONE; without it times are shown in this computer's"
        " zone, and must be typed with one]",
    ),
    "data": _shared(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="HOMEWARD_DATA",
        default=lambda: user_data_path("homeward"),
        help="Folder of the local stack. [default: the user's data folder]",
    ),
    "profile": _shared(
        "--profile",
        metavar="NAME",
        envvar="HOMEWARD_PROFILE",
        is_eager=True,  # it may say the zone
        callback=_profile_given,
        help="Take the addresses from this profile of the settings file.",
    ),
    "verbose": _shared(
        "--verbose",
        is_flag=True,
        envvar="HOMEWARD_VERBOSE",
        help="Print the id of this command in the services' logs and traces.",
    ),
    **{
        service: _shared(f"--{service}", metavar="ADDR", help=f"Address of the {service} service.")
        for service in SERVICES
    },
}
"""By the names of their values."""


def with_shared(function: F, own: Callable[..., Any]) -> F:
    """Give a command the shared options.

    Args:
        function: Takes them.
        own: Has the command's own options, which count more; where one is `-o`, it names a file.
    """
    taken = {word for param in getattr(own, "__click_params__", ()) for word in param.opts}
    for name, option in reversed(list(SHARED.items())):
        if f"--{name}" in taken:
            continue
        function = (_output() if name == "output" and "-o" in taken else option)(function)
    return function


class CarryingGroup(click.Group):
    """A group before whose command the shared options may stand: they are the command's."""

    context_class = help_text.Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **kwargs)
        self.params += [_carried(name) for name in SHARED]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, and its words with those that stood before it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, [*ctx.meta.pop(_CARRIED, ()), *rest]


def _carried(name: str) -> click.Option:
    def carry(ctx: click.Context, _: click.Parameter, value: Any) -> None:  # noqa: ANN401 - any option's
        if value:
            words = ctx.meta.setdefault(_CARRIED, [])
            words += [f"--{name}"] if value is True else [f"--{name}", value]

    words = ["-o", "--output"] if name == "output" else [f"--{name}"]
    kind: dict[str, Any] = {"type": _formats()} if name == "output" else {}
    if name == "verbose":
        kind = {"is_flag": True}
    # Hidden: each command's own help has it.
    return click.Option(words, expose_value=False, callback=carry, hidden=True, **kind)
