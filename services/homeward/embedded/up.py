"""One run of a stack, from the lock on its folder to the end of its last child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from homeward.core.distribution import version
from homeward.embedded import lock
from homeward.embedded.access import StackAccess, keep_token_fresh
from homeward.embedded.environment import GivenEngines, given_engines
from homeward.embedded.errors import StackError
from homeward.embedded.files import make_private_folder
from homeward.embedded.health import refusal, require_reachable
from homeward.embedded.plan import SERVICE_COMMANDS, engine_specs, service_specs
from homeward.embedded.ports import SERVICES, address, held_ports
from homeward.embedded.secrets import load_secrets
from homeward.embedded.spec import ChildSpec
from homeward.embedded.stack import Say, Stack, StopRequest, stop_on_signals
from homeward.embedded.vacuum import free_regularly
from homeward.matching.adapters.urls import with_port

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """What the user asked for about who is let in."""

    new_token_key: bool = False
    """Whether access tokens that were issued before are to be refused."""
    require_purpose: bool = False
    """Whether callers must say what they read personal data for."""
    user: str = ""
    """What the user who starts it is called; empty for the name of the account."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asked for."""

    data: Path
    port_base: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    log_level: str = "info"
    timeout_seconds: float = 60.0
    evaluation: bool = False
    """Whether candidates may be chosen by a policy that nobody has approved."""
    access: AccessOptions = AccessOptions()


def run(
    options: UpOptions,
    *,
    environment: Mapping[str, str],
    say: Say,
    on_ready: Callable[[State], None],
    commands: Mapping[str, tuple[str, ...]] = SERVICE_COMMANDS,
) -> None:
    """Run a stack until SIGINT, SIGTERM or SIGHUP.

    Args:
        options: What to run, and where.
        environment: The user's.
        say: Tells the user what happens.
        on_ready: Takes what `stack.json` says, once all answers.
        commands: What runs each service.

    Raises:
        AlreadyRunningError: Another stack holds the folder.
        StackError: A child died or was not ready in time, or an engine elsewhere does not answer.
    """
    data = make_private_folder(options.data.expanduser().absolute())
    with (
        stop_on_signals() as stop,
        lock.exclusive(data),
        held_ports(data, base=options.port_base, given=options.ports) as ports,
    ):
        access = StackAccess.of(data, name=options.access.user)
        access.prepare(
            commands,
            new_key=options.access.new_token_key,
            require_purpose=options.access.require_purpose,
        )
        specs = _specs(options, data, ports, environment, commands)
        stack = Stack(specs, logs=data / "logs", stop=stop, say=say)
        lock.write_starting(data, longest=timedelta(seconds=options.timeout_seconds))
        try:
            if stack.start(timeout_seconds=options.timeout_seconds):
                state = _state(ports, access)
                lock.write_state(data, state)
                lock.clear_starting(data)
                if given_engines(environment).s3 is None:
                    _free_deleted_bytes(data, ports, stop, say)
                _keep_token_fresh(access, stop, say)
                on_ready(state)
                if problem := refusal(ports["matching"], access.service_credentials()):
                    say(f"searches are refused: {problem}")
                stack.watch()
            say("stopping")
        except StackError as error:
            lock.write_end(data, error.problem, log=error.log)
            raise
        finally:
            lock.clear_state(data)
            stack.close()
            access.withdraw()
        say("stopped")


def _specs(
    options: UpOptions,
    data: Path,
    ports: Mapping[str, int],
    environment: Mapping[str, str],
    commands: Mapping[str, tuple[str, ...]],
) -> list[ChildSpec]:
    given = given_engines(environment)
    _require(given)
    secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
    engines = engine_specs(data, given=given, ports=ports, secrets=secrets)
    services = service_specs(
        data,
        commands=commands,
        given=given,
        ports=ports,
        secrets=secrets,
        access=StackAccess.of(data),
        inherited=environment,
        log_level=options.log_level,
        evaluation=options.evaluation,
    )
    return [*engines, *services]


def _require(given: GivenEngines) -> None:
    engines = (
        ("S3", given.s3, "HOMEWARD_S3_ENDPOINT"),
        ("NATS", given.nats, "HOMEWARD_NATS_URL"),
        ("Qdrant", with_port(given.qdrant) if given.qdrant else None, "HOMEWARD_QDRANT_URL"),
    )
    for name, url, variable in engines:
        if url is not None:
            require_reachable(name, url, variable)


def _free_deleted_bytes(data: Path, ports: Mapping[str, int], stop: StopRequest, say: Say) -> None:
    threading.Thread(
        target=free_regularly,
        args=(data, ports),
        kwargs={"stopping": stop.asked, "say": say},
        daemon=True,  # the end of the stack waits for no volume
    ).start()


def _keep_token_fresh(access: StackAccess, stop: StopRequest, say: Say) -> None:
    threading.Thread(
        target=keep_token_fresh,
        args=(access,),
        kwargs={"stopping": stop.asked, "say": say},
        daemon=True,
    ).start()


def _state(ports: Mapping[str, int], access: StackAccess) -> State:
    return {
        "pid": os.getpid(),
        "access": str(access.user),
        "user": access.name,
        **{name: address(ports[name]) for name in SERVICES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version(),
    }
