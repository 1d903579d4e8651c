"""A stack in processes of its own, driven as a user drives it: for demo, proof and bench."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import grpc
from minio import Minio

from homeward.embedded.access import StackAccess
from homeward.embedded.environment import given_engines
from homeward.embedded.ports import FILE_NAME, address
from homeward.embedded.secrets import load_secrets
from homeward.servicekit.s3 import connect

STOP_SECONDS = 60.0


class RunningStack:
    """A running `homeward up` in evaluation mode; leaving it as a context stops it.

    Args:
        data: The stack's folder.
        settings: Environment variables of the services, beside those of this process.
        log: Where its messages go; None for this process's own.

    Attributes:
        addresses: Of the services, by their names.
        environment: For commands that are to find it.
        up: The supervisor.

    Raises:
        RuntimeError: It did not start; its messages say why.
    """

    def __init__(
        self, data: Path, settings: Mapping[str, str], *, log: int | IO[str] | None = None
    ) -> None:
        self.data = data
        self.environment = {**os.environ, **settings, "HOMEWARD_DATA": str(data.absolute())}
        # A group of its own: Ctrl-C reaches this process alone, which then stops it in order.
        self.up = subprocess.Popen(  # noqa: S603 - our own command
            command("up", "--data", str(data), "--evaluation", "--output", "json"),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        assert self.up.stdout is not None, "it is a pipe"
        line = self.up.stdout.readline()
        if not line:
            self._ended()
            raise RuntimeError("the stack did not start")
        self.addresses: Mapping[str, str] = json.loads(line)

    def stop(self) -> None:
        """Stop all of it."""
        self.up.send_signal(signal.SIGINT)
        self._ended()

    def cli(self, *arguments: str, codes: Collection[int] = (0,)) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it prints, None for nothing.

        Raises:
            subprocess.CalledProcessError: It ended with another exit code.
        """
        done = subprocess.run(  # noqa: S603 - our own command
            command(*arguments, "--output", "json"),
            env=self.environment,
            check=False,
            capture_output=True,
        )
        if done.returncode not in codes:
            done.check_returncode()
        return json.loads(done.stdout) if done.stdout.strip() else None

    def channel(
        self,
        service: str,
        *,
        as_service: bool = False,
        options: Sequence[tuple[str, int]] = (),
    ) -> grpc.Channel:
        """Open a channel to a service.

        Args:
            service: Its name.
            as_service: Whether to call as a service, which may ask what no person may, and not as
                the user who started the stack.
            options: Of the channel.
        """
        credentials = channel_credentials(self.data, as_service=as_service)
        return grpc.secure_channel(self.addresses[service], credentials, options=list(options))

    def _ended(self) -> None:
        assert self.up.stdout is not None, "it is a pipe"
        self.up.wait(STOP_SECONDS)
        self.up.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def command(*arguments: str) -> list[str]:
    """Return a command line of Homeward."""
    return [sys.executable, "-m", "homeward.cli", *arguments]


def channel_credentials(data: Path, *, as_service: bool = False) -> grpc.ChannelCredentials:
    """Return what calls the services of a running stack; see `RunningStack.channel`.

    Args:
        data: The stack's folder.
        as_service: See there.
    """
    access = StackAccess.of(data.absolute())
    return access.service_credentials() if as_service else access.user_credentials()


def object_store(data: Path, environment: Mapping[str, str] = os.environ) -> Minio:
    """Return a client of a running stack's object store, past Homeward.

    Args:
        data: The stack's folder.
        environment: The stack's: it may have been given a store.
    """
    given = given_engines(environment).s3
    if given is not None:
        return connect(
            given,
            access_key=environment["HOMEWARD_S3_ACCESS_KEY"],
            secret_key=environment["HOMEWARD_S3_SECRET_KEY"],
            connections=1,
        )
    secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
    ports = json.loads((data / FILE_NAME).read_text())
    return Minio(
        address(ports["s3"]),
        access_key=secrets.s3_access_key,
        secret_key=secrets.s3_secret_key,
        secure=False,
    )
