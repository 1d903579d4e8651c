"""`homeward completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from homeward.cli import terminal
from homeward.cli.options import Command


@click.command(
    "completion",
    cls=Command,
    examples=[
        'eval "$(homeward completion bash)"          in ~/.bashrc',
        'eval "$(homeward completion zsh)"           in ~/.zshrc',
        "homeward completion fish > ~/.config/fish/completions/homeward.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell."""
    made = get_completion_class(shell)
    assert made is not None
    app = ctx.find_root().command
    terminal.tell_own(made(app, {}, "homeward", "_HOMEWARD_COMPLETE").source())
