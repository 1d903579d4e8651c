"""Which environment each child gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from homeward.embedded.errors import UsageError

_ENGINE_KEEPS = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH")
_S3_KEYS = ("HOMEWARD_S3_ACCESS_KEY", "HOMEWARD_S3_SECRET_KEY")


@dataclass(frozen=True, slots=True)
class GivenEngines:
    """Engines that run elsewhere, by their URLs; None has the stack start its own."""

    s3: str | None
    nats: str | None
    qdrant: str | None


def given_engines(environment: Mapping[str, str]) -> GivenEngines:
    """Read which engines the user runs.

    Raises:
        UsageError: An S3 server is given without the keys to it, or none and encryption is asked
            of it.
    """
    s3 = environment.get("HOMEWARD_S3_ENDPOINT") or None
    missing = [name for name in _S3_KEYS if not environment.get(name)]
    if s3 and missing:
        raise UsageError(f"HOMEWARD_S3_ENDPOINT is set, so set {' and '.join(missing)} too")
    asked = environment.get("HOMEWARD_S3_ENCRYPTION") or "none"
    if s3 is None and asked != "none":
        raise UsageError(
            f"HOMEWARD_S3_ENCRYPTION is {asked}, which the embedded S3 server cannot do: it"
            " encrypts all that it stores by itself; unset it, or name a server in"
            " HOMEWARD_S3_ENDPOINT"
        )
    return GivenEngines(
        s3=s3,
        nats=environment.get("HOMEWARD_NATS_URL") or None,
        qdrant=environment.get("HOMEWARD_QDRANT_URL") or None,
    )


def engine_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an engine: little, so that no setting of the user's for it counts.

    SeaweedFS for one takes keys from AWS_* and its whole configuration from WEED_*.
    """
    kept = {name: os.environ[name] for name in _ENGINE_KEEPS if name in os.environ}
    return kept | dict(extra)


def service_environment(
    inherited: Mapping[str, str], *, defaults: Mapping[str, str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a service.

    Args:
        inherited: The user's, which passes through, so that a setting of a service can be given to
            the stack.
        defaults: What the user may set otherwise.
        fixed: What the stack decides.
    """
    memory = {
        # glibc gives each thread an arena of its own, which costs more memory than it saves time.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",  # the last lines before a crash are the ones that matter
    }
    return {**defaults, **memory, **inherited, **fixed}
