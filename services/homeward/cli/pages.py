"""Pages: HTML files that commands write."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from homeward.cli.terminal import clean


def environment(package: str = "homeward.cli") -> Environment:
    """Return an environment of templates whose every text is escaped, and cleaned as on a terminal.

    Args:
        package: That has them, in its folder `templates`.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
