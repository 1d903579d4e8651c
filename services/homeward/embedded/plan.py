"""Which children make a stack, and how they find each other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from homeward.core.tls import VARIABLES
from homeward.embedded.environment import GivenEngines, service_environment
from homeward.embedded.health import serving
from homeward.embedded.nats import nats_spec, nats_url
from homeward.embedded.ports import NEXT_EMBEDDING, SERVICES, address
from homeward.embedded.secrets import Secrets
from homeward.embedded.spec import ChildSpec, always_ready
from homeward.embedded.vacuum import FREES_AFTER
from homeward.embedded.weed import weed_spec

SCANNER = "scanner"
# -P: no module comes from the working folder.
_PYTHON = (sys.executable, "-P", "-m")
SERVICE_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "embedding": (*_PYTHON, "homeward.embedding"),
    "matching": (*_PYTHON, "homeward.matching"),
    "ingestion": (*_PYTHON, "homeward.ingestion"),
    SCANNER: (*_PYTHON, "homeward.ingestion.scanner"),
}
"""In the order of their start."""


def engine_specs(
    data: Path, *, given: GivenEngines, ports: Mapping[str, int], secrets: Secrets
) -> list[ChildSpec]:
    """Return the engines that the stack runs itself."""
    specs = []
    if given.nats is None:
        specs.append(nats_spec(data, port=ports["nats"], token=secrets.nats_token))
    if given.s3 is None:
        specs.append(
            weed_spec(
                data,
                ports=ports,
                access_key=secrets.s3_access_key,
                secret_key=secrets.s3_secret_key,
            )
        )
    return specs


def service_specs(
    data: Path,
    *,
    commands: Mapping[str, tuple[str, ...]],
    given: GivenEngines,
    ports: Mapping[str, int],
    secrets: Secrets,
    inherited: Mapping[str, str],
    engines: Sequence[str],
    log_level: str,
    evaluation: bool,
    next_model: str = "",
) -> list[ChildSpec]:
    """Return the services, in the order of their start.

    Args:
        data: The stack's folder.
        commands: What runs each service, in the order of their start.
        given: Engines that run elsewhere.
        ports: By name.
        secrets: What the services authenticate with.
        inherited: The user's environment.
        engines: Names of the children that the services, but for embedding, come after.
        log_level: Least severity that the services log.
        evaluation: Whether candidates may be chosen by a policy that nobody has approved.
        next_model: Model pack of a second embedding service, for re-enrolment; empty for none.
    """
    defaults = _defaults(data, given, secrets)
    fixed = {
        "HOMEWARD_EMBEDDING_TARGET": address(ports["embedding"]),
        "HOMEWARD_MATCHING_TARGET": address(ports["matching"]),
        "HOMEWARD_LOG_LEVEL": log_level,
        "HOMEWARD_EVALUATION": str(evaluation).lower(),
        **_own_engines(given, ports, secrets),
    }
    if next_model:
        fixed["HOMEWARD_NEXT_EMBEDDING_TARGET"] = address(ports[NEXT_EMBEDDING])
        commands = {**commands, NEXT_EMBEDDING: commands["embedding"]}

    # It is on loopback, where nobody else calls.
    inherited = {name: value for name, value in inherited.items() if name not in VARIABLES}

    def spec(name: str) -> ChildSpec:
        listens = name in (*SERVICES, NEXT_EMBEDDING)
        own = {"HOMEWARD_LISTEN": address(ports[name])} if listens else {}
        if name == NEXT_EMBEDDING:
            own["HOMEWARD_MODEL_PACK"] = next_model
        if f"{name}-metrics" in ports:
            own["HOMEWARD_METRICS_LISTEN"] = address(ports[f"{name}-metrics"])
        return ChildSpec(
            name=name,
            command=commands[name],
            environment=service_environment(inherited, defaults=defaults, fixed=fixed | own),
            folder=data,
            ready=serving(ports[name]) if listens else always_ready,
            # Embedding uses no engine, and loading its models takes the longest.
            after=() if name in ("embedding", NEXT_EMBEDDING) else tuple(engines),
        )

    return [spec(name) for name in commands]


def _defaults(data: Path, given: GivenEngines, secrets: Secrets) -> dict[str, str]:
    """Return the settings of services that the user's environment may change."""
    settings = {
        "HOMEWARD_GALLERY_KEY_FILE": str(secrets.gallery_key_file),
        "HOMEWARD_MODEL_CACHE_DIR": str(data / "models"),
        # Whoever stops a stack waits for it: a watch that is open would use all of a longer grace.
        "HOMEWARD_GRACE_SECONDS": "2",
        "HOMEWARD_DRAIN_SECONDS": "0",  # there is no other replica for clients to go to
    }
    if given.qdrant is None:
        settings["HOMEWARD_QDRANT_PATH"] = str(data / "qdrant")
    return settings


def _own_engines(given: GivenEngines, ports: Mapping[str, int], secrets: Secrets) -> dict[str, str]:
    """Return where the engines are that the stack runs itself, and what they are called with."""
    settings = {}
    if given.nats is None:
        settings["HOMEWARD_NATS_URL"] = nats_url(port=ports["nats"], token=secrets.nats_token)
    if given.s3 is None:
        settings["HOMEWARD_S3_ENDPOINT"] = f"http://{address(ports['s3'])}"
        settings["HOMEWARD_S3_ACCESS_KEY"] = secrets.s3_access_key
        settings["HOMEWARD_S3_SECRET_KEY"] = secrets.s3_secret_key
        settings["HOMEWARD_S3_FREES_MINUTES"] = str(FREES_AFTER / timedelta(minutes=1))
    return settings
