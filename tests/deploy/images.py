"""deploy/Dockerfile, read as Docker reads it."""

from __future__ import annotations

from itertools import takewhile

import dockerfile

from deploy.manifests import ROOT

FILE = ROOT / "deploy" / "Dockerfile"
COMMANDS = dockerfile.parse_file(str(FILE))


def stages() -> dict[str, tuple[str, list[dockerfile.Command]]]:
    """Return what each stage is made from, and its commands, by its name."""
    found: dict[str, tuple[str, list[dockerfile.Command]]] = {}
    for number, command in enumerate(COMMANDS):
        if command.cmd == "FROM":
            base, _, name = command.value
            rest = takewhile(lambda one: one.cmd != "FROM", COMMANDS[number + 1 :])
            found[name] = (base, list(rest))
    return found


def programs() -> dict[str, tuple[str, ...]]:
    """Return what each image starts, by the target that it is built from."""
    return {
        name: command.value
        for name, (_, commands) in stages().items()
        for command in commands
        if command.cmd == "ENTRYPOINT"
    }
