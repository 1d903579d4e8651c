"""A stack for `growth.py`: what calls cost its services and engines, and recordings without files.

Recordings are written straight into the object store, in the layout that one upload has left there:
an upload of an hour for each would take weeks. So no code of the services is used to fill them, and
the same file measures any version.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import grpc
import nats
import psutil
import urllib3
from minio import Minio
from nats.js import JetStreamContext

from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec, nats_url
from homeward.embedded.ports import address, held_ports
from homeward.embedded.running import RunningStack
from homeward.embedded.secrets import load_secrets
from homeward.embedded.spec import ChildSpec
from homeward.embedded.stack import Stack, StopRequest
from homeward.embedded.weed import weed_spec

START_SECONDS = 120.0
BUCKET = "homeward-footage"
HOURS_A_DAY = 24
CAMERAS = 500
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
MODEL_DAY = FIRST_DAY - timedelta(days=1)
"""Of the one recording that is uploaded."""
FILL_THREADS = 8
REPEATED_SECONDS = 0.5
"""What takes less is done `REPEATS` times, and the mean is taken."""
REPEATS = 8

MODULES = ("homeward.ingestion", "homeward.matching", "homeward.embedding")
"""As the command lines of the services end."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, or the counters at one moment."""

    seconds: float
    services: float
    """Processor time of the services and their cages, seconds."""
    engines: float
    """Of SeaweedFS and NATS."""
    s3_requests: float
    nats_messages: float
    """Into and out of the server."""

    def __sub__(self, other: Cost) -> Cost:
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Cost(*(mine - theirs for mine, theirs in pairs))

    def divided(self, by: int) -> Cost:
        """Return the mean of so many."""
        return Cost(*(value / by for value in asdict(self).values()))


class CountedStack:
    """`homeward up` on engines that count what they are asked.

    Args:
        folder: For its data; used again if it has some.
        settings: Environment variables of the services.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = make_private_folder(folder)
        self._settings = settings or {}
        self._engine_data = make_private_folder(folder / "engines")
        make_private_folder(self._engine_data / "secrets")
        self._keys = load_secrets(self._engine_data / "secrets", gallery=folder / "none")
        self._held = ExitStack()
        self._ports = self._held.enter_context(held_ports(self._engine_data, base=None, given={}))
        self._engines = Stack(
            self._specs(), logs=self._engine_data / "logs", stop=StopRequest(), say=lambda _: None
        )
        self.services: RunningStack | None = None

    def __enter__(self) -> Self:
        try:
            self._engines.start(timeout_seconds=START_SECONDS)
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._close()

    def _close(self) -> None:
        self._engines.close()
        self._held.close()

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the services."""
        with (self.folder / "up.log").open("a") as log:
            self.services = RunningStack(
                make_private_folder(self.folder / "stack"),
                {
                    "HOMEWARD_S3_ENDPOINT": f"http://{address(self._ports['s3'])}",
                    "HOMEWARD_S3_ACCESS_KEY": self._keys.s3_access_key,
                    "HOMEWARD_S3_SECRET_KEY": self._keys.s3_secret_key,
                    "HOMEWARD_NATS_URL": self.nats_url,
                    **self._settings,
                    **(settings or {}),
                },
                log=log,
            )

    def stop(self) -> None:
        """Stop the services; the engines go on."""
        if self.services is not None:
            self.services.stop()
            self.services = None

    @property
    def nats_url(self) -> str:
        """Where NATS is, with its token."""
        return nats_url(port=self._ports["nats"], token=self._keys.nats_token)

    def store(self) -> Minio:
        """Return a client of the object store."""
        return Minio(
            address(self._ports["s3"]),
            access_key=self._keys.s3_access_key,
            secret_key=self._keys.s3_secret_key,
            secure=False,
            http_client=urllib3.PoolManager(maxsize=FILL_THREADS),
        )

    def channel(self, service: str, *, as_service: bool = False) -> grpc.Channel:
        """Open a channel to a service, which takes answers of any size; see `RunningStack`."""
        assert self.services is not None, "it runs"
        size = ("grpc.max_receive_message_length", -1)
        return self.services.channel(service, as_service=as_service, options=[size])

    def processes(self, module: str) -> list[psutil.Process]:
        """Return the processes of one service: the one that runs a module, and its cages."""
        assert self.services is not None, "it runs"
        everything = psutil.Process(self.services.up.pid).children(recursive=True)
        found = next(one for one in everything if one.cmdline()[-1:] == [module])
        return [found, *found.children(recursive=True)]

    @contextmanager
    def suspended(self, module: str) -> Iterator[None]:
        """Have a service stand still while the block runs."""
        process = self.processes(module)[0]
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def counters(self) -> Cost:
        """Return the counters as they stand."""
        assert self.services is not None, "it runs"
        root = psutil.Process(self.services.up.pid)
        return Cost(
            seconds=time.monotonic(),
            services=sum(_spent(one) for one in root.children(recursive=True)),
            engines=sum(_spent(psutil.Process(pid)) for pid in self._engines.pids().values()),
            s3_requests=self._s3_requests(),
            nats_messages=self._nats_messages(),
        )

    def metric(self, name: str, *, of: str = "ingestion") -> float:
        """Return what a service tells of itself; 0 for what it has not set yet."""
        ports = json.loads((self.folder / "stack" / "ports.json").read_text())
        lines = _fetched(ports[f"{of}-metrics"], "/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def _s3_requests(self) -> float:
        lines = _fetched(self._ports["embedding-metrics"], "/metrics").splitlines()
        counts = [line for line in lines if line.startswith("SeaweedFS_s3_request_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in counts)

    def _nats_messages(self) -> float:
        told = json.loads(_fetched(self._ports["matching-metrics"], "/varz"))
        return float(told["in_msgs"] + told["out_msgs"])

    def _specs(self) -> list[ChildSpec]:
        """Return the engines, each with an address more, of ports that nobody else has here."""
        queue = nats_spec(self._engine_data, port=self._ports["nats"], token=self._keys.nats_token)
        store = weed_spec(
            self._engine_data,
            ports=self._ports,
            access_key=self._keys.s3_access_key,
            secret_key=self._keys.s3_secret_key,
        )
        monitoring = ("-m", str(self._ports["matching-metrics"]))
        counting = (f"-metricsPort={self._ports['embedding-metrics']}", "-metricsIp=127.0.0.1")
        return [
            replace(queue, command=(*queue.command, *monitoring)),
            replace(store, command=(*store.command, *counting)),
        ]


def measured(stack: CountedStack, call: Callable[[], object]) -> dict[str, Any]:
    """Return what a call costs, as a row's figures; what is over at once is repeated."""
    before = stack.counters()
    try:
        call()
    except grpc.RpcError as error:
        return asdict(stack.counters() - before) | {"failed": code_of(error)}
    spent = stack.counters() - before
    if spent.seconds < REPEATED_SECONDS:
        before = stack.counters()
        for _ in range(REPEATS):
            call()
        spent = (stack.counters() - before).divided(REPEATS)
    return asdict(spent)


def code_of(error: grpc.RpcError) -> str:
    """Return the name of the status that a call ended with."""
    assert isinstance(error, grpc.Call), "every one that is raised is"
    return str(error.code().name)


class Recordings:
    """Recordings of an hour, of `CAMERAS` cameras, day after day.

    Args:
        stack: Its store gets them.
        footage_id: Of a recording that was uploaded: what it left in the stores is the model.
    """

    def __init__(self, stack: CountedStack, footage_id: str) -> None:
        self._store = stack.store()
        self._model = footage_id
        self._nats_url = stack.nats_url
        self._objects = {
            str(item.object_name): self._read(str(item.object_name))
            for item in self._store.list_objects(
                BUCKET,
                f"footage/{footage_id.rsplit('-', 2)[0]}/{MODEL_DAY:%Y/%m/%d}/",
                recursive=True,
            )
        }
        name = next(key for key in self._objects if key.endswith("/manifest.json"))
        self._manifest = json.loads(self._objects[name])
        self._counted = stack.folder / "count"
        self.count = int(self._counted.read_text()) if self._counted.exists() else 0

    def fill(self, count: int) -> None:
        """Add recordings until there are so many.

        Raises:
            SystemExit: There are more, in a folder that was kept.
        """
        if count < self.count:
            sys.exit(f"{self._counted.parent} has {self.count} recordings: ask for more")
        numbers = range(self.count, count)
        with ThreadPoolExecutor(FILL_THREADS) as threads:
            for number, _ in zip(numbers, threads.map(self._add, numbers), strict=True):
                if number % FILL_THREADS == 0:
                    self._counted.write_text(str(number))
        self.count = max(count, self.count)
        self._counted.write_text(str(self.count))

    def place(self, number: int) -> tuple[str, datetime]:
        """Return the camera of a recording, and its start."""
        day, rest = divmod(number, CAMERAS * HOURS_A_DAY)
        camera, hour = divmod(rest, HOURS_A_DAY)
        return camera_id(camera), FIRST_DAY + timedelta(days=day, hours=hour)

    def footage_id(self, number: int) -> str:
        """Return the id of a recording."""
        camera, start = self.place(number)
        return f"{camera}-{start:%Y%m%dt%H%M%S}000000z-{_digest(number)[:16]}"

    def records(self, numbers: range) -> Iterator[tuple[str, bytes]]:
        """Yield the model's records beside the store, as they would be of these recordings."""
        model_day = f"{self._model.rsplit('-', 2)[0]}.{MODEL_DAY:%Y%m%d}"
        for key, value in self._model_records.items():
            for number in numbers:
                name = self.footage_id(number)
                camera, start = self.place(number)
                record = json.loads(value.replace(self._model.encode(), name.encode()))
                if "end_time" in record:
                    record |= {
                        "sha256": _digest(number),
                        "end_time": (start + timedelta(hours=1)).isoformat(),
                    }
                placed = key.replace(model_day, f"{camera}.{start:%Y%m%d}")
                yield placed.replace(self._model, name), json.dumps(record).encode()

    _model_records: dict[str, bytes] = {}  # noqa: RUF012 - set by `remember`

    async def remember(self, numbers: range) -> None:
        """Write beside the store what an upload writes there, in whatever bucket of NATS."""
        client = await nats.connect(self._nats_url)
        try:
            stream = client.jetstream()
            if not self._model_records:
                self._model_records = await _records_of(stream, self._model)
            for subject, value in self.records(numbers):
                await stream.publish(subject, value)
        finally:
            await client.close()

    def _add(self, number: int) -> None:
        camera, start = self.place(number)
        name, digest = self.footage_id(number), _digest(number)
        folder = f"footage/{camera}/{start:%Y/%m/%d}/{name}"
        for key, model in self._objects.items():
            last = key.rpartition("/")[2]
            data = (
                self._clone(name, camera, start, digest) if last == "manifest.json" else model[:1]
            )
            self._put(f"{folder}/{last}", data)
        self._put(f"by-sha256/{digest}", name.encode())

    def _clone(self, name: str, camera: str, start: datetime, digest: str) -> bytes:
        """Return the manifest of an hour at 25 pictures a second."""
        manifest = json.loads(json.dumps(self._manifest))
        manifest["footage_id"] = name
        manifest["header"] |= {
            "camera_id": camera,
            "start_time": start.isoformat().replace("+00:00", "Z"),
            "sha256": digest,
        }
        media = next(one for one in manifest.values() if isinstance(one, dict) and "video" in one)
        media["duration"] = "PT3600S"
        media["video"] |= {"frame_count": 90_000, "key_frame_count": 1_800}
        return json.dumps(manifest).encode()

    def _put(self, key: str, data: bytes) -> None:
        self._store.put_object(BUCKET, key, io.BytesIO(data), len(data))

    def _read(self, key: str) -> bytes:
        response = self._store.get_object(BUCKET, key)
        try:
            return bytes(response.data)
        finally:
            response.close()
            response.release_conn()


def camera_id(number: int) -> str:
    """Return the id of a camera."""
    return f"growth-{number:03d}"


def commit() -> str:
    """Return which commit this checkout has, shortened; with `+` if it was changed since."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


async def _records_of(stream: JetStreamContext, footage_id: str) -> dict[str, bytes]:
    """Return the records of a recording in all buckets, by their subjects."""
    found: dict[str, bytes] = {}
    for info in await stream.streams_info():
        name = str(info.config.name)
        if not name.startswith("KV_"):
            continue
        bucket = await stream.key_value(name.removeprefix("KV_"))
        try:
            keys = await bucket.keys()
        except nats.js.errors.NoKeysError:
            continue
        for key in keys:
            if footage_id in key:
                entry = await bucket.get(key)
                found[f"$KV.{name.removeprefix('KV_')}.{key}"] = entry.value or b""
    return found


def _digest(number: int) -> str:
    return f"{number:016x}" * 4


def _fetched(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://{address(port)}{path}") as response:
        return str(response.read().decode())


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended meanwhile; its parent has its time
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
