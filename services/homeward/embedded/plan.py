"""Which children make a stack, and how they find each other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from homeward.core.tls import VARIABLES, server_name_variable
from homeward.embedded.access import StackAccess
from homeward.embedded.environment import GivenEngines, service_environment
from homeward.embedded.health import serving
from homeward.embedded.nats import nats_spec, nats_url
from homeward.embedded.ports import SERVICES, address
from homeward.embedded.secrets import Secrets
from homeward.embedded.spec import ChildSpec, always_ready
from homeward.embedded.vacuum import FREES_AFTER
from homeward.embedded.weed import weed_spec

SCANNER = "scanner"
AUTH_FILE = "HOMEWARD_AUTH_FILE"
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
    access: StackAccess,
    inherited: Mapping[str, str],
    log_level: str,
    evaluation: bool,
) -> list[ChildSpec]:
    """Return the services, in the order of their start.

    They start beside the engines and wait for them: importing what a service needs takes as long as
    SeaweedFS takes to answer.

    Args:
        data: The stack's folder.
        commands: What runs each service, in the order of their start.
        given: Engines that run elsewhere.
        ports: By name.
        secrets: What the services authenticate with to the engines.
        access: What they prove themselves to each other with, and know their callers by.
        inherited: The user's environment.
        log_level: Least severity that the services log.
        evaluation: Whether candidates may be chosen by a policy that nobody has approved.
    """
    defaults = _defaults(data, given, secrets, evaluation=evaluation)
    # The user's own certificate, and names in those of others, are for services elsewhere.
    elsewhere = {*VARIABLES, *map(server_name_variable, SERVICES)}
    inherited = {name: value for name, value in inherited.items() if name not in elsewhere}
    # Services run in another folder.
    auth_file = Path(inherited.get(AUTH_FILE) or access.auth_file).absolute()
    fixed = {
        "HOMEWARD_EMBEDDING_TARGET": address(ports["embedding"]),
        "HOMEWARD_MATCHING_TARGET": address(ports["matching"]),
        "HOMEWARD_LOG_LEVEL": log_level,
        "HOMEWARD_EVALUATION": str(evaluation).lower(),
        AUTH_FILE: str(auth_file),
        **_own_engines(given, ports, secrets),
    }

    def spec(name: str) -> ChildSpec:
        listens = name in SERVICES
        own = dict(access.environment(name))
        if listens:
            own["HOMEWARD_LISTEN"] = address(ports[name])
        if f"{name}-metrics" in ports:
            own["HOMEWARD_METRICS_LISTEN"] = address(ports[f"{name}-metrics"])
        return ChildSpec(
            name=name,
            command=commands[name],
            environment=service_environment(inherited, defaults=defaults, fixed=fixed | own),
            folder=data,
            ready=serving(ports[name], access.service_credentials()) if listens else always_ready,
        )

    return [spec(name) for name in commands]


def _defaults(
    data: Path, given: GivenEngines, secrets: Secrets, *, evaluation: bool
) -> dict[str, str]:
    """Return the settings of services that the user's environment may change."""
    settings = {
        "HOMEWARD_GALLERY_KEY_FILE": str(secrets.gallery_key_file),
        "HOMEWARD_AUDIT_KEY_FILE": str(secrets.audit_key_file),
        "HOMEWARD_MODEL_CACHE_DIR": str(data / "models"),
        # The user waits while a stack stops: an open watch would use all of a longer grace.
        "HOMEWARD_GRACE_SECONDS": "2",
        "HOMEWARD_DRAIN_SECONDS": "0",  # there is no other replica for clients to go to
        # To try Homeward out, nobody should have to say why.
        "HOMEWARD_TARGETED_SCANS": str(not evaluation).lower(),
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
