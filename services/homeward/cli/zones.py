"""The time zone that times are shown and read in.

The first of these that says so: `--timezone`, `HOMEWARD_TIMEZONE`, `timezone` in the profile. Times
are then read in that zone too. Without any, times are shown by this computer's clock.
"""

from __future__ import annotations

import os
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from platformdirs import user_config_path

VARIABLE = "HOMEWARD_TIMEZONE"
_META = "homeward.zone"


def remember(ctx: click.Context, *, zone: str | None = None, profile: str | None = None) -> None:
    """Keep what a command line says of the zone, for as long as the command runs."""
    kept = ctx.meta.setdefault(_META, {})
    kept |= {key: value for key, value in (("zone", zone), ("profile", profile)) if value}


def named(name: str) -> tzinfo:
    """Return a zone by its name.

    Raises:
        click.UsageError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last two: it is no name, as `../x`
        raise click.UsageError(f"no time zone {name}; write it like Europe/London or UTC") from None


def stated() -> tzinfo | None:
    """Return the zone that the user names; None without one.

    Raises:
        click.UsageError: There is none of that name.
        CliError: The profile cannot be read.
    """
    ctx = click.get_current_context(silent=True)
    kept = ctx.meta.get(_META, {}) if ctx else {}
    name = kept.get("zone") or os.environ.get(VARIABLE) or _of_profile(kept.get("profile"))
    return named(name) if name else None


def first_to_tell() -> bool:
    """Whether nothing was told of the zone of this command line yet; it counts as told then."""
    ctx = click.get_current_context(silent=True)
    if ctx is None or ctx.resilient_parsing:  # a shell completes a word
        return False
    kept = ctx.meta.setdefault(_META, {})
    first = "told" not in kept
    kept["told"] = True
    return first


def name_of(instant: datetime) -> str:
    """Return the name of an instant's zone to read, such as `BST` or `UTC+05:45`."""
    name = instant.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{instant:%z}"


def _of_profile(profile: str | None) -> str:
    if not profile:
        return ""
    from homeward.cli.connect import Places  # noqa: PLC0415 - slow to import

    settings = user_config_path("homeward") / "config.toml"
    return Places({}, {}, profile, settings, Path()).setting(VARIABLE)
