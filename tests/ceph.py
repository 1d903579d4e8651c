"""Ceph's S3 server, radosgw, on the least that it needs: a monitor, and an OSD in memory."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from homeward.embedded.environment import engine_environment
from homeward.embedded.files import make_private_folder, write_private
from homeward.embedded.ports import HOST, address
from homeward.embedded.spec import Check, ChildSpec

_CHECK_SECONDS = 5.0
_EXISTS = 17  # what radosgw-admin exits with when the user is there


def is_installed() -> bool:
    """Return whether the programs are there; the tools that they need come with them."""
    return all(shutil.which(program) for program in ("radosgw", "ceph-mon", "ceph-osd"))


def ceph_specs(
    data: Path, *, ports: Mapping[str, int], access_key: str, secret_key: str, ready: Check
) -> list[ChildSpec]:
    """Make an empty cluster in the folder and return its children.

    Args:
        data: Folder of the cluster.
        ports: Of these `s3` is radosgw's; the monitor takes one that is free when Ceph runs.
        access_key: Name of the account.
        secret_key: Its secret.
        ready: Whether radosgw, once it runs, takes objects.
    """
    osd = str(uuid.uuid4())
    config, keyring = data / "ceph.conf", data / "keyring"
    write_private(config, _config(data, ports=ports))
    write_private(keyring, _keyring())
    for name in ("mon", "osd", "rgw"):
        make_private_folder(data / name)
    environment = engine_environment({"HOME": str(data), "CEPH_CONF": str(config)})

    def run(*command: str) -> int:
        with (data / "tools.log").open("ab") as log:
            tool = subprocess.Popen(command, env=environment, cwd=data, stdout=log, stderr=log)
            try:
                return tool.wait(_CHECK_SECONDS)
            except subprocess.TimeoutExpired:
                tool.kill()
                return tool.wait()

    def takes_osd() -> str | None:
        # The OSD has to be known before it starts; to be told again changes nothing.
        return "to take the OSD" if run("ceph", "osd", "new", osd, "0") else None

    def takes_account() -> str | None:
        # Waits for the OSD, as radosgw would; but both at once would make the same pools.
        command = ("radosgw-admin", "user", "create", "--uid=homeward", "--display-name=Homeward")
        keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        return None if run(*command, *keys) in (0, _EXISTS) else "to take the account"

    for command in (
        ("ceph-mon", "--mkfs", "--id=a", f"--keyring={keyring}"),
        ("ceph-osd", "--mkfs", "--id=0", f"--osd-uuid={osd}", "--no-mon-config"),
    ):
        if status := run(*command):
            raise RuntimeError(f"{command[0]} --mkfs: status {status}; see {data / 'tools.log'}")

    def child(name: str, command: tuple[str, ...], ready: Check, *after: str) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=(*command, "-f"),  # in the foreground
            environment=environment,
            folder=data,
            ready=ready,
            after=after,
        )

    return [
        child("mon", ("ceph-mon", "--id=a"), takes_osd),
        child("osd", ("ceph-osd", "--id=0"), takes_account, "mon"),
        child("rgw", ("radosgw", "--name=client.admin"), ready, "osd"),
    ]


def _config(data: Path, *, ports: Mapping[str, int]) -> str:
    # The OSD finds its four ports by itself, from 6800 on, where `held_ports` never looks.
    return f"""\
[global]
fsid = {uuid.uuid4()}
keyring = {data / "keyring"}
public addr = {HOST}
ms bind msgr1 = false
# No sockets, whose paths are limited, and nothing outside of the folder.
admin socket =
run dir = {data}
crash dir = {data}
log to file = false
log to stderr = true
debug rocksdb = 0
mon cluster log to file = false
mon data = {data / "mon"}
osd data = {data / "osd"}
rgw data = {data / "rgw"}
# Waited for a dozen times while the pools are made.
objecter tick interval = 0.5
paxos propose interval = 0.05
paxos min wait = 0.01
osd objectstore = memstore
mon allow pool size one = true
osd pool default size = 1
osd pool default pg num = 1
rgw frontends = beast endpoint={address(ports["s3"])}
rgw thread pool size = 16
# What a lifecycle rule calls a day.
rgw lc debug interval = 3
[mon.a]
mon addr = v2:{address(ports["weed-master"])}
"""


def _keyring() -> str:
    # All share one key: nobody else is in this cluster. Type AES, made at 0.0 s, of 16 bytes.
    key = base64.b64encode(struct.pack("<HIIH", 1, 0, 0, 16) + os.urandom(16)).decode()
    names = ("mon.", "osd.0", "client.admin")
    caps = "".join(f'caps {of} = "allow *"\n' for of in ("mon", "osd"))
    return "".join(f"[{name}]\nkey = {key}\n{caps}" for name in names)
