"""Engines that tests run beside Homeward: where their programs are, and how they are started."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

import ceph
from homeward.embedded.environment import engine_environment
from homeward.embedded.files import make_private_folder
from homeward.embedded.ports import address, held_ports
from homeward.embedded.spec import Check, ChildSpec
from homeward.embedded.stack import Stack, StopRequest
from homeward.embedded.weed import store_and_remove

START_SECONDS = 60.0
CHECK_SECONDS = 3.0
_NAMED = os.environ.get("HOMEWARD_TEST_MINIO")
MINIO = Path(_NAMED).absolute() if _NAMED else None
"""The program of a MinIO server, if somebody has one."""


@dataclass(frozen=True, slots=True)
class S3Account:
    """A way into the S3 server."""

    endpoint: str
    access_key: str
    secret_key: str


def minio_is_at_hand() -> bool:
    """Tell whether there is a MinIO to run.

    Raises:
        FileNotFoundError: One is named that is not there.
    """
    if MINIO is not None and not MINIO.is_file():
        raise FileNotFoundError("HOMEWARD_TEST_MINIO names no file")
    return MINIO is not None


def s3_servers() -> list[str]:
    """Return the S3 servers that are at hand."""
    return [
        "weed",
        *(["minio"] if minio_is_at_hand() else []),
        *(["ceph"] if ceph.is_installed() else []),
    ]


@contextmanager
def running_minio(data: Path) -> Iterator[S3Account]:
    """Run a MinIO of its own in a folder, and give an account of it."""
    with held_ports(data, base=None, given={}) as ports:
        endpoint = f"http://{address(ports['s3'])}"
        account = S3Account(endpoint, secrets.token_hex(8), secrets.token_hex(16))
        with running(_minio_spec(data, ports=ports, account=account), logs=data / "logs"):
            yield account


def takes_objects(account: S3Account) -> Check:
    """Return a check whether a server takes objects."""
    client = Minio(
        account.endpoint.removeprefix("http://"),
        access_key=account.access_key,
        secret_key=account.secret_key,
        secure=False,
        http_client=urllib3.PoolManager(timeout=CHECK_SECONDS, retries=False),
    )

    def ready() -> str | None:
        try:
            store_and_remove(client, "startup-probe")
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return "to store an object"
        return None

    return ready


def _minio_spec(data: Path, *, ports: Mapping[str, int], account: S3Account) -> ChildSpec:
    return ChildSpec(
        name="minio",
        command=(
            str(MINIO),
            "server",
            str(make_private_folder(data / "objects")),
            f"--address={address(ports['s3'])}",
            # Any free port will do; MinIO has no other use for this one.
            f"--console-address={address(ports['s3-grpc'])}",
        ),
        environment=engine_environment(
            {
                "HOME": str(data),
                "MINIO_ROOT_USER": account.access_key,
                "MINIO_ROOT_PASSWORD": account.secret_key,
                "MINIO_CI_CD": "on",  # or it may refuse a folder on the drive of the root
                # For encryption at rest, of which it knows nothing without a key.
                "MINIO_KMS_SECRET_KEY": f"a-key:{base64.b64encode(os.urandom(32)).decode()}",
            }
        ),
        folder=data,
        ready=takes_objects(account),
    )


@contextmanager
def running(*specs: ChildSpec, logs: Path) -> Iterator[Stack]:
    """Run children until the block ends."""
    stop = StopRequest()
    with ThreadPoolExecutor(1) as thread:
        # A check may run an event loop of its own, which a test's loop would not allow beside it.
        checks = [
            replace(spec, ready=lambda spec=spec: thread.submit(spec.ready).result())
            for spec in specs
        ]
        stack = Stack(checks, logs=logs, stop=stop, say=lambda _: None)
        try:
            stack.start(timeout_seconds=START_SECONDS)
            yield stack
        finally:
            stop.insisted.set()  # SeaweedFS would wait for its clients; nothing of it is kept
            stack.close()
