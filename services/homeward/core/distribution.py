"""Under which name Homeward is installed: not the one that it is imported by.

`homeward` is somebody else's on the public package index, with a package and a command of the same
name. Whoever follows an advice of ours must not get that one.
"""

from __future__ import annotations

from importlib import metadata

NAME = "homeward-cctv"
"""What `pip install` is told; see `[project]` in pyproject.toml."""


def version() -> str:
    """Return the version that is installed; `unknown` when it is run from its sources."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"


def how_to_install(*extras: str) -> str:
    """Return the command that installs Homeward with extras, such as `server`."""
    wanted = f"[{','.join(extras)}]" if extras else ""
    return f"pip install '{NAME}{wanted}'"
