"""Restart two replicas of each service in turn, under load, and count what fails.

    python bench/rolling.py [ROUNDS]

Real NATS, S3 and processes on loopback; the store of templates is Qdrant's local mode behind
Qdrant's REST API (bench/local_qdrant.py), so that two replicas of matching share it. In each round
each replica gets SIGTERM, ends, is started again and awaited, while unary calls go on without a
pause (through the command line's channel, and through the one that the services have), recordings
are uploaded, one of them slowly, and one recording is searched again and again.

Callers are checked as in production: mutual TLS, in which the replicas of a service have the name
of the service in their certificates, an access token and a purpose with each call of a person, and
an audit event of each call that touches personal data.

How it is counted: a call or command failed if its caller was told so, after what retries it makes.
A scan is lost if it does not end as succeeded with all of the recording searched and no gap. A
sighting is a duplicate, or missing, if the same search in peace, before the first restart, did not
give, or gave, the same id. An upload is lost if the recording that is held has not its size and
digest. The audit trail is verified in the end: the chains of all writers, also of those that ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import grpc

from homeward.api.embedding.v1 import embedding_service_pb2 as embedding
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.ingestion.v1 import camera_service_pb2, footage_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.matching.v1 import matching_service_pb2 as matching
from homeward.api.matching.v1 import subject_service_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import upload
from homeward.cli.connect import Connections, Places
from homeward.cli.errors import CliError
from homeward.core.tls import VARIABLES as TLS_VARIABLES
from homeward.core.tls import server_name_options, server_name_variable
from homeward.embedded import demo
from homeward.embedded.access import CLIENT, SUPERVISOR, StackAccess, certificate_name
from homeward.embedded.certificates import tls_files
from homeward.embedded.demo_footage import Street
from homeward.embedded.environment import GivenEngines, engine_environment
from homeward.embedded.files import make_private_folder
from homeward.embedded.health import serving
from homeward.embedded.plan import SERVICE_COMMANDS, engine_specs, service_specs
from homeward.embedded.ports import NAMES, address, free_ports, is_listening
from homeward.embedded.process import Child
from homeward.embedded.running import command
from homeward.embedded.secrets import load_secrets
from homeward.embedded.spec import ChildSpec
from homeward.embedded.stack import Stack, StopRequest
from homeward.servicekit.clients import open_channel

Json = Any

REPLICAS = 2
READY_SECONDS = 60.0
LISTENING = ("ingestion", "matching", "embedding")
ORDER = ("embedding", "matching", "ingestion", "scanner")
SETTLED_SECONDS = 3.0
"""From a replica's start to the next one's end, as `minReadySeconds` of a Deployment: a client that
was refused tries again after 2.4 s at most (`clients.RECONNECT_MS` and a fifth)."""

SLOW_UPLOAD = 3
"""How much longer an upload takes than a replica drains and waits: it is cut off and resumed."""


class Cluster:
    """Engines, and two replicas of each service; leaving it as a context stops all.

    Args:
        data: A new folder.
        settings: Environment variables of the services.
    """

    def __init__(self, data: Path, settings: dict[str, str]) -> None:
        self.data = make_private_folder(data)
        self._claims = ExitStack()
        free = free_ports(self._claims)
        ports = {name: next(free) for name in NAMES}
        replicas = [ports, {**ports, **{name: next(free) for name in LISTENING}}]
        secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
        store = next(free)
        given = GivenEngines(s3=None, nats=None, qdrant=f"http://{address(store)}")
        self.targets = {
            name: "ipv4:" + ",".join(address(own[name]) for own in replicas) for name in LISTENING
        }
        targets = {f"HOMEWARD_{name.upper()}_TARGET": self.targets[name] for name in LISTENING}
        # Replicas at several ports of one address have a name in common in their certificates.
        targets |= {server_name_variable(name): certificate_name(name) for name in LISTENING}
        self._engines = Stack(
            [
                *engine_specs(data, given=given, ports=ports, secrets=secrets),
                _qdrant(data, store),
            ],
            logs=data / "logs",
            stop=StopRequest(),
            say=_quiet,
        )
        access = self.access = StackAccess.of(data)
        access.prepare(SERVICE_COMMANDS, new_key=False, require_purpose=True)
        mine = tls_files(access.user, CLIENT)
        paths = (mine.certificate, mine.key, mine.authority)
        self.asked = {
            **targets,
            **dict(zip(TLS_VARIABLES, map(str, paths), strict=True)),
            "HOMEWARD_TOKEN_FILE": str(access.token),
            "HOMEWARD_CASE": "R-1",
            "HOMEWARD_PURPOSE": "to see what fails",
        }
        """What a command is told of services and caller."""
        self._specs: dict[str, ChildSpec] = {}
        for number, own in enumerate(replicas, 1):
            for spec in service_specs(
                data,
                commands=SERVICE_COMMANDS,
                given=given,
                ports=own,
                secrets=secrets,
                access=access,
                inherited={**os.environ, "HOMEWARD_QDRANT_URL": given.qdrant or "", **settings},
                log_level="info",
                evaluation=True,
            ):
                # Health has a port of its own, so that a scanner is awaited as well.
                probed = next(free)
                environment = {
                    **spec.environment,
                    **targets,
                    "HOMEWARD_HEALTH_LISTEN": address(probed),
                }
                environment.pop("HOMEWARD_METRICS_LISTEN", None)
                name = f"{spec.name}-{number}"
                self._specs[name] = replace(
                    spec, name=name, environment=environment, ready=serving(probed)
                )
        self._children: dict[str, Child] = {}
        self._pipe, self._held = os.pipe()

    def __enter__(self) -> Self:
        self._engines.start(timeout_seconds=READY_SECONDS)
        for name in self._specs:
            self._start(name)
        for name in self._specs:
            self._await(name)
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            child.wait(READY_SECONDS)
            child.finish()
        self._engines.close()
        os.close(self._pipe)
        os.close(self._held)
        self._claims.close()

    def restart(self, *names: str) -> tuple[float, float]:
        """Restart replicas at the same time; return how long their end took, and their start."""
        began = time.monotonic()
        for name in names:
            self._children[name].terminate()
        for name in names:
            child = self._children[name]
            if not child.wait(READY_SECONDS) or child.ended() != "exited with status 0":
                raise RuntimeError(f"{name} {child.ended() or 'did not end'}: {child.tail()}")
        ended = time.monotonic()
        # Not in a thread: they end with the thread that starts them.
        for name in names:
            self._start(name)
        for name in names:
            self._await(name)
        return ended - began, time.monotonic() - ended

    def cli(self, *arguments: str) -> Json:
        """Run a command; return what it prints.

        Raises:
            RuntimeError: It failed; with what it said.
        """
        done = subprocess.run(
            command(*arguments, "--output", "json"),
            env={**os.environ, **self.asked},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[:2]}: exit code {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def connections(self) -> Connections:
        """Return the channels that a command has."""
        return Connections(Places({}, self.asked, None, Path("none"), self.data))

    def service_channel(self, service: str) -> grpc.aio.Channel:
        """Open the channel that one service has to another."""
        return open_channel(
            self.targets[service],
            tls=tls_files(self.access.secrets, SUPERVISOR),
            server_name=certificate_name(service),
        )

    def street(self, folder: Path) -> Street:
        """Write footage to search."""
        with grpc.secure_channel(
            self.targets["embedding"],
            self.access.service_credentials(),
            options=server_name_options(certificate_name("embedding")),
        ) as embedding:
            return demo.street(folder, embedding)

    def trail(self) -> tuple[int, int]:
        """Verify the audit trail; return how many events it has, and of how many writers.

        Raises:
            RuntimeError: It does not hold, or cannot be read.
        """
        found = self.cli("audit", "verify")
        return int(found["verifiedCount"]), len(found["writers"])

    def _start(self, name: str) -> None:
        self._children[name] = Child(self._specs[name], logs=self.data / "logs", pipe=self._pipe)

    def _await(self, name: str) -> None:
        until = time.monotonic() + READY_SECONDS
        child = self._children[name]
        while (missing := self._specs[name].ready()) is not None:
            if child.ended() or time.monotonic() > until:
                raise RuntimeError(f"waited for {name} {missing}: {child.tail()}")
            time.sleep(0.05)


def _quiet(_: str) -> None: ...


def _qdrant(data: Path, port: int) -> ChildSpec:
    program = Path(__file__).with_name("local_qdrant.py")
    return ChildSpec(
        name="qdrant",
        command=(sys.executable, str(program), str(port), str(data / "qdrant")),
        environment=engine_environment({}),
        folder=data,
        ready=lambda: None if is_listening(port) else "to accept connections",
    )


@dataclass(slots=True)
class Counts:
    """What was done, and what failed."""

    calls: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    uploads: int = 0
    uploads_lost: list[str] = field(default_factory=list)
    resumed: int = 0
    scans: int = 0
    scans_lost: list[str] = field(default_factory=list)
    sightings: tuple[int, int] = (0, 0)
    """Of the search in peace, and in the end."""
    duplicates: int = 0
    missing: int = 0
    trail: tuple[int, int] = (0, 0)
    """Events of the audit trail, which was verified, and their writers."""

    def clean(self) -> bool:
        """Tell whether nothing failed."""
        lost = (self.failed, self.uploads_lost, self.scans_lost, self.duplicates, self.missing)
        return not any(lost)

    def __str__(self) -> str:
        calls = ", ".join(f"{name} {number}" for name, number in sorted(self.calls.items()))
        problems = Counter([*self.failed, *self.uploads_lost, *self.scans_lost])
        return "\n".join(
            [
                f"calls: {self.calls.total()} ({calls}); failed: {len(self.failed)}",
                (
                    f"uploads: {self.uploads}, resumed {self.resumed} times;"
                    f" lost: {len(self.uploads_lost)}"
                ),
                f"scans: {self.scans}; lost: {len(self.scans_lost)}",
                (
                    f"sightings: {self.sightings[0]} in peace, {self.sightings[1]} in the end;"
                    f" duplicate: {self.duplicates}, missing: {self.missing}"
                ),
                f"audit trail: {self.trail[0]} events of {self.trail[1]} writers, verified",
                *(f"{number} x {problem}" for problem, number in problems.most_common(20)),
            ]
        )


class Load:
    """What goes on while replicas are restarted."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        counts: Counts,
        street: Street,
        *,
        slow_upload_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._slow_upload_seconds = slow_upload_seconds
        self._folder = folder
        self._counts = counts
        self._stop = threading.Event()
        self._numbers = iter(range(1, 10_000))
        self._lock = threading.Lock()
        self._recording = street.footage
        cluster.cli("camera", "add", "street")
        cluster.cli("camera", "add", "yard")
        cluster.cli("subject", "add", "--case", "R-1", str(street.portraits[4]))
        cluster.cli("subject", "add", "--case", "R-2", str(street.portraits[1]))
        added = self._add(street.footage, "street", "2026-03-04T10:00:00Z")
        self._footage = added["footage"][0]["footageId"]
        self._search()
        self._peace = self._sightings()
        counts.scans = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the services busy while the block runs, and count in the end."""
        jobs: list[Callable[[], None]] = [
            self._call_as_a_command,
            self._call_as_a_service,
            lambda: self._until_stopped(self._upload),
            lambda: self._until_stopped(self._upload_slowly),
            lambda: self._until_stopped(self._search),
        ]
        with ThreadPoolExecutor(len(jobs)) as pool:
            running: list[Future[None]] = [pool.submit(job) for job in jobs]
            try:
                yield
            finally:
                self._stop.set()
        for one in running:
            one.result()
        now = self._sightings()
        self._counts.sightings = (len(self._peace), len(now))
        self._counts.duplicates = len(now - self._peace)
        self._counts.missing = len(self._peace - now)

    def _until_stopped(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            work()

    def _call_as_a_command(self) -> None:
        """Call through the channel that the command line has."""
        with self._cluster.connections() as connections:
            calls = _calls(connections.channel)
            while not self._stop.is_set():
                for name, call in calls.items():
                    self._counts.calls[f"{name} (command)"] += 1
                    try:
                        call()
                    except CliError as error:
                        self._counts.failed.append(f"{name} (command): {error.message}")

    def _call_as_a_service(self) -> None:
        """Call through the channel that the services have, several calls at a time."""

        async def ask(name: str, call: Callable[[], Any]) -> None:
            while not self._stop.is_set():
                self._counts.calls[f"{name} (service)"] += 1
                try:
                    await call()
                except grpc.aio.AioRpcError as error:
                    self._counts.failed.append(
                        f"{name} (service): {error.code().name}: {error.details()}"
                    )
                await asyncio.sleep(0.005)

        async def main() -> None:
            channels = {name: self._cluster.service_channel(name) for name in self._cluster.targets}
            model = await EmbeddingServiceStub(channels["embedding"]).GetModel(
                embedding.GetModelRequest(), timeout=30
            )
            template = {"values": [1.0] + [0.0] * (model.model.template_size - 1)}
            probe = {**template, "model_digest": model.model.digest}
            stub = MatchingServiceStub(channels["matching"])
            calls = {
                **_calls(channels.__getitem__),
                "Match": lambda: stub.Match(matching.MatchRequest(probes=[probe]), timeout=30),
            }
            await asyncio.gather(*(ask(name, call) for name, call in calls.items()))
            for channel in channels.values():
                await channel.close()

        asyncio.run(main())

    def _add(self, path: Path, camera: str, start: str) -> Json:
        return self._cluster.cli("footage", "add", str(path), "--camera", camera, "--start", start)

    def _next_recording(self) -> tuple[Path, str]:
        """Return a recording that was not there before, and when it starts."""
        with self._lock:
            number = next(self._numbers)
        path = self._folder / f"yard-{number}.mp4"
        # Players and ours ignore what comes after the last box of the file.
        tail = random.Random(number).randbytes(20 * 1024 * 1024)
        path.write_bytes(self._recording.read_bytes() + tail)
        start = datetime(2026, 3, 5, tzinfo=UTC) + timedelta(minutes=number)
        return path, start.isoformat()

    def _upload(self) -> None:
        path, start = self._next_recording()
        try:
            self._held(path, self._add(path, "yard", start)["footage"][0])
        except RuntimeError as error:
            self._counts.uploads_lost.append(f"{path.name}: {error}")
        path.unlink()

    def _upload_slowly(self) -> None:
        path, start = self._next_recording()
        header = upload.describe(path, "yard", datetime.fromisoformat(start), transport="stream")
        with self._cluster.connections() as connections:
            stub = FootageServiceStub(connections.channel("ingestion"))
            slow = _Slow(stub, header.size_bytes, self._slow_upload_seconds)
            try:
                footage = upload.stream(slow, path, header).footage  # type: ignore[arg-type]
                self._held(path, {"sizeBytes": footage.size_bytes, "sha256": footage.sha256})
            except CliError as error:
                self._counts.uploads_lost.append(f"{path.name}: {error.message}")
        self._counts.resumed += slow.begun - 1
        path.unlink()

    def _held(self, path: Path, footage: dict[str, Any]) -> None:
        data = path.read_bytes()
        self._counts.uploads += 1
        held = (int(footage["sizeBytes"]), footage["sha256"])
        if held != (len(data), hashlib.sha256(data).hexdigest()):
            self._counts.uploads_lost.append(f"{path.name}: another file is held")

    def _search(self) -> None:
        self._counts.scans += 1
        try:
            scan = self._cluster.cli("search", "--footage", self._footage)["scan"]
        except RuntimeError as error:
            self._counts.scans_lost.append(str(error))
            return
        coverage = scan["coverage"]
        searched, asked = coverage["searchedDuration"], coverage["requestedDuration"]
        if (scan["state"], searched, "gaps" in coverage) != ("STATE_SUCCEEDED", asked, False):
            self._counts.scans_lost.append(f"{scan['state']}: {coverage}")

    def _sightings(self) -> set[str]:
        listed = self._cluster.cli("sighting", "list")["sightings"]
        return {one["sightingId"] for one in listed}


class _Slow:
    """A `FootageServiceStub` whose client takes its time."""

    def __init__(self, stub: FootageServiceStub, size: int, seconds: float) -> None:
        self._stub = stub
        self._pause = seconds / (size / (64 * 1024))
        self.begun = 0
        self.GetUpload = stub.GetUpload

    def UploadFootage(  # noqa: N802 - the API's
        self, messages: Iterator[footage_service_pb2.UploadFootageRequest]
    ) -> footage_service_pb2.UploadFootageResponse:
        """Send a chunk at a time."""
        self.begun += 1

        def slowly() -> Iterator[footage_service_pb2.UploadFootageRequest]:
            for message in messages:
                yield message
                time.sleep(self._pause)

        return self._stub.UploadFootage(slowly())


def _calls(channel: Callable[[str], Any]) -> dict[str, Callable[[], Any]]:
    """Return calls of each service that people and services may make, for either channel."""
    cameras = CameraServiceStub(channel("ingestion"))
    subjects = SubjectServiceStub(channel("matching"))
    models = EmbeddingServiceStub(channel("embedding"))
    return {
        "GetCamera": lambda: cameras.GetCamera(
            camera_service_pb2.GetCameraRequest(camera_id="street"), timeout=30
        ),
        "ListSubjects": lambda: subjects.ListSubjects(
            subject_service_pb2.ListSubjectsRequest(), timeout=30
        ),
        "GetModel": lambda: models.GetModel(embedding.GetModelRequest(), timeout=30),
    }


def roll(cluster: Cluster, *, together: bool = False) -> None:
    """Restart all replicas in turn.

    Args:
        cluster: What to restart.
        together: Restart the first replica of every service at the same time, then the second one.
    """
    groups = [[f"{service}-{number}" for service in ORDER] for number in range(1, REPLICAS + 1)]
    if not together:
        groups = [[f"{name}-{number}"] for name in ORDER for number in range(1, REPLICAS + 1)]
    for names in groups:
        ended, started = cluster.restart(*names)
        print(f"{', '.join(names)}: ended in {ended:.1f} s, ready in {started:.1f} s", flush=True)
        time.sleep(SETTLED_SECONDS)


def measure(
    folder: Path,
    settings: dict[str, str],
    *,
    rounds: int = 1,
    together: bool = False,
    street: Street | None = None,
) -> Counts:
    """Restart services under load, and count.

    Args:
        folder: Empty.
        settings: Environment variables of the services.
        rounds: How often to restart each replica.
        together: See `roll`.
        street: What to search; written anew if None.
    """
    counts = Counts()
    with Cluster(folder / "data", settings) as cluster:
        ending = [float(settings[f"HOMEWARD_{name}_SECONDS"]) for name in ("DRAIN", "GRACE")]
        work = make_private_folder(folder / "load")
        if street is None:
            street = cluster.street(work)
        load = Load(
            cluster,
            work,
            counts,
            street,
            slow_upload_seconds=SLOW_UPLOAD * sum(ending),
        )
        with load.running():
            for _ in range(rounds):
                roll(cluster, together=together)
        counts.trail = cluster.trail()
    return counts


SETTINGS = {
    # Every search finds everybody anew, and has several segments.
    "HOMEWARD_PRESENCE_INDEX": "false",
    "HOMEWARD_SEGMENT_SECONDS": "10",
    "HOMEWARD_DRAIN_SECONDS": "2",
    "HOMEWARD_GRACE_SECONDS": "3",
    "HOMEWARD_MAX_CONNECTION_AGE_SECONDS": "5",
}


def main() -> int:
    """Measure, and print the counts."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as name:
        counts = measure(Path(name), SETTINGS, rounds=rounds)
    print(counts)
    return 0 if counts.clean() else 1


if __name__ == "__main__":
    sys.exit(main())
