"""Where the engines' programs are, which came as wheels."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path

from homeward.core.distribution import how_to_install
from homeward.embedded.errors import StackError


def find_program(name: str, distribution: str) -> str:
    """Return the path of a program that a distribution installed.

    The environment's own comes first: another version on the PATH was never tried with this one.

    Raises:
        StackError: It is not installed.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    if beside:
        return beside
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in (name, f"{name}.exe"):
            return str(Path(str(file.locate())).resolve())
    found = shutil.which(name)
    if found:
        return found
    raise StackError(f"{name} is not installed: {how_to_install('server')} brings it")
