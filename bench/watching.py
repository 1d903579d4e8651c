"""Kill NATS, matching and those who follow it, again and again, and count what followers missed.

    python bench/watching.py [SIGHTINGS] [--give-up]

Real NATS, S3 and processes on loopback. Sightings are recorded and then reviewed, each act repeated
until it is answered, as a scanner and a reviewer do. Meanwhile NATS, matching, `homeward watch`
(in JSON) and `homeward watch --webhook` are killed (SIGKILL) in turn and started again; the
receiver refuses one event in five, and takes some whose answer it then withholds. With --give-up a
review that is not answered is not repeated, so that nobody is left to tell of it.

How it is counted: the feed is read once more when all is quiet. An event is missing if a follower
has not got it, out of order if its first coming is after that of a later one, and a duplicate if
its id came before. An act is lost if it was answered and the feed does not have it, and untold if
the state that a sighting is in is not the last one that the feed has of it.
"""

from __future__ import annotations

import json
import os
import random
import secrets as tokens
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, TypeVar

import grpc

from homeward.api.embedding.v1 import embedding_service_pb2 as embedding
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.matching.v1 import sighting_pb2, subject_service_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.core.tls import VARIABLES as TLS_VARIABLES
from homeward.embedded.access import StackAccess
from homeward.embedded.environment import GivenEngines
from homeward.embedded.files import make_private_folder
from homeward.embedded.health import serving
from homeward.embedded.plan import AUTH_FILE, SERVICE_COMMANDS, engine_specs, service_specs
from homeward.embedded.ports import NAMES, address, free_ports
from homeward.embedded.process import Child
from homeward.embedded.running import command
from homeward.embedded.secrets import load_secrets
from homeward.embedded.spec import ChildSpec
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp
from rolling import _qdrant

T = TypeVar("T")

READY_SECONDS = 90.0
SWEPT_SECONDS = 180.0
"""Within which a sweep tells the rest; the lease of a sweeper that was killed lasts a minute."""
NOBODY = "00000000-0000-4000-8000-00000000ffff"
DECISIONS = (
    sighting_pb2.REVIEW_DECISION_CONFIRM,
    sighting_pb2.REVIEW_DECISION_REJECT,
    sighting_pb2.REVIEW_DECISION_INCONCLUSIVE,
)
STATES = ("STATE_CONFIRMED", "STATE_REJECTED", "STATE_INCONCLUSIVE")


class Processes:
    """NATS, S3, Qdrant's local mode, embedding and matching, each of which can be killed alone."""

    def __init__(self, data: Path) -> None:
        self.data = make_private_folder(data)
        self._claims = ExitStack()
        free = free_ports(self._claims)
        self.ports = {name: next(free) for name in NAMES}
        secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
        store = next(free)
        given = GivenEngines(s3=None, nats=None, qdrant=f"http://{address(store)}")
        access = StackAccess.of(data)
        access.prepare(SERVICE_COMMANDS, new_key=False, require_purpose=False)
        self.specs: dict[str, ChildSpec] = {
            one.name: one
            for one in engine_specs(data, given=given, ports=self.ports, secrets=secrets)
        }
        self.specs["qdrant"] = _qdrant(data, store)
        for spec in service_specs(
            data,
            commands=SERVICE_COMMANDS,
            given=given,
            ports=self.ports,
            secrets=secrets,
            access=access,
            inherited={**os.environ, "HOMEWARD_QDRANT_URL": given.qdrant or ""},
            log_level="info",
            evaluation=True,
        ):
            if spec.name in ("embedding", "matching"):
                probed = next(free)
                environment = {**spec.environment, "HOMEWARD_HEALTH_LISTEN": address(probed)}
                for variable in ("HOMEWARD_METRICS_LISTEN", AUTH_FILE, *TLS_VARIABLES):
                    environment.pop(variable, None)
                self.specs[spec.name] = replace(
                    spec, environment=environment, ready=serving(probed)
                )
        self.children: dict[str, Child] = {}
        self._pipe, self._held = os.pipe()

    def start(self, name: str) -> None:
        """Start a process and wait until it serves."""
        child = Child(
            self.specs[name], logs=make_private_folder(self.data / "logs"), pipe=self._pipe
        )
        self.children[name] = child
        until = time.monotonic() + READY_SECONDS
        while (missing := self.specs[name].ready()) is not None:
            if child.ended() or time.monotonic() > until:
                raise RuntimeError(f"waited for {name} {missing}: {child.tail()}")
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill a process."""
        self.children[name].finish()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all while the block runs."""
        try:
            for name in self.specs:
                self.start(name)
            yield
        finally:
            for child in self.children.values():
                child.finish()
            self._claims.close()


class Follower:
    """A command that follows, killed and started again; what it prints is kept."""

    def __init__(self, arguments: Callable[[], list[str]], environment: dict[str, str]) -> None:
        self._arguments = arguments
        self._environment = environment
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            command(*self._arguments()),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reading.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            if line.endswith("\n"):
                self.lines.append(line)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._reading.join()


class Receiver(ThreadingHTTPServer):
    """Takes events; refuses some, and withholds its answer to some that it has taken."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.taken: list[str] = []
        self.refused = 0
        self.rng = random.Random(4)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        chance = self.server.rng.random()
        if chance < 0.2:  # noqa: PLR2004
            self.server.refused += 1
            self.send_error(503)
            return
        self.server.taken.append(body.decode())
        if chance < 0.25:  # noqa: PLR2004
            return  # without an answer
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def until_answered(call: Callable[[], T]) -> T:
    """Repeat a call until it is answered."""
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.CANCELLED,
            ):
                raise
            time.sleep(0.2)


def finding(number: int, subject_id: str, digest: str, size: int) -> sightings.SightingFinding:
    """Return what a scanner found."""
    start = datetime.now(UTC) - timedelta(hours=5)
    offset = timedelta(seconds=10)
    return sightings.SightingFinding(
        sighting=sighting_pb2.Sighting(
            subject_id=subject_id,
            photo_id=NOBODY,
            footage_id=f"gate-20261120t120000{number:06}z-0123456789abcdef",
            camera_id="gate",
            scan_id=NOBODY,
            interval=to_interval(start, start + offset),
            best_shot_time=to_timestamp(start),
            start_offset=to_duration(offset),
            end_offset=to_duration(2 * offset),
            best_shot_offset=to_duration(offset),
            score=0.5,
            threshold=0.45,
            policy_id="p",
            delete_time=to_timestamp(datetime.now(UTC) + timedelta(days=30)),
        ),
        template={"values": [1.0] + [0.0] * (size - 1), "model_digest": digest},
        still=b"a still",
    )


def act(
    matching: str, embedder: str, count: int, told: list[tuple[str, str]], *, give_up: bool
) -> None:
    """Record sightings and review them; add each act that was answered to `told`."""
    with grpc.insecure_channel(embedder) as channel:
        model = EmbeddingServiceStub(channel).GetModel(embedding.GetModelRequest()).model
    with grpc.insecure_channel(matching) as channel:
        stub, subjects = SightingServiceStub(channel), SubjectServiceStub(channel)
        subject = subjects.CreateSubject(
            subject_service_pb2.CreateSubjectRequest(
                subject={
                    "case_reference": "MP-26-0001",
                    "label": "Lin",
                    "legal_basis": "vital interests",
                    "authorised_by": "DI Example",
                    "age_group": 1,
                    "review_time": to_timestamp(datetime.now(UTC) + timedelta(days=30)),
                }
            )
        ).subject
        for number in range(count):
            request = sightings.RecordSightingsRequest(
                findings=[finding(number, subject.subject_id, model.digest, model.template_size)]
            )
            answer = until_answered(lambda r=request: stub.RecordSightings(r, timeout=10))
            name = answer.results[0].sighting.sighting_id
            told.append((name, "STATE_UNREVIEWED"))
            review = sightings.ReviewSightingRequest(
                sighting_id=name, decision=DECISIONS[number % 3], reviewer="R. Viewer"
            )
            try:
                if give_up:
                    stub.ReviewSighting(review, timeout=10)
                else:
                    until_answered(lambda r=review: stub.ReviewSighting(r, timeout=10))
                told.append((name, STATES[number % 3]))
            except grpc.RpcError:
                print("a review was given up", flush=True)
            time.sleep(0.1)


def main() -> int:
    """Shake it and count."""
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    count = numbers[0] if numbers else 200
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        data = Path(folder)
        processes = Processes(data / "data")
        with processes.running():
            return shake(processes, receiver, data, count)


def shake(processes: Processes, receiver: Receiver, data: Path, count: int) -> int:
    """Kill in turn while there are acts; then count."""
    matching = address(processes.ports["matching"])
    environment = {
        **os.environ,
        "HOMEWARD_MATCHING_TARGET": matching,
        "HOMEWARD_INGESTION_TARGET": matching,
    }
    secret = data / "secret"
    secret.write_text(f"whsec_{b64encode(tokens.token_bytes(32)).decode()}")
    follower: Follower | None = None

    def after() -> list[str]:
        lines = follower.lines if follower else []
        place = ["--after", json.loads(lines[-1])["resumeToken"]] if lines else ["--from-oldest"]
        return ["watch", "--output", "json", *place]

    follower = Follower(after, environment)
    url = f"http://localhost:{receiver.server_port}/"
    words = ["watch", "--webhook", url, "--secret-file", str(secret), "--state"]
    hook = Follower(lambda: [*words, str(data / "state.json"), "--from-oldest"], environment)
    told: list[tuple[str, str]] = []
    embedder = address(processes.ports["embedding"])
    acting = threading.Thread(
        target=act,
        args=(matching, embedder, count, told),
        kwargs={"give_up": "--give-up" in sys.argv},
    )
    acting.start()
    kills = 0
    began = time.monotonic()
    while acting.is_alive():
        for name in ("matching", "nats"):
            time.sleep(random.uniform(1, 3))
            processes.kill(name)
            time.sleep(random.uniform(0, 1))
            processes.start(name)
            kills += 1
        for one in (follower, hook):
            one.kill()
            one.start()
            kills += 1
    acting.join()
    print(f"{len(told)} acts in {time.monotonic() - began:.0f} s, {kills} kills", flush=True)
    began = time.monotonic()
    while (left := untold(matching, environment)) and time.monotonic() - began < SWEPT_SECONDS:
        time.sleep(2)
    print(f"untold: {left}, after {time.monotonic() - began:.0f} s", flush=True)
    return left or settled(follower, hook, receiver, environment, told)


def untold(matching: str, environment: dict[str, str]) -> int:
    """Return how many sightings are in a state that is not the last one that was told of them."""
    with grpc.insecure_channel(matching) as channel:
        stub = SightingServiceStub(channel)
        which = sightings.ListSightingsRequest(page_size=1000)
        listed = until_answered(lambda: stub.ListSightings(which, timeout=30))
        every = sightings.ListRejectionsRequest(page_size=1000)
        rejected = until_answered(lambda: stub.ListRejections(every, timeout=30))
    state = sighting_pb2.Sighting.State.Name
    now = {one.sighting_id: state(one.state) for one in listed.sightings}
    now |= {one.sighting_id: "STATE_REJECTED" for one in rejected.rejections}
    last = {
        one["sighting"]["sightingId"]: one.get("state")
        for one in whole_feed(environment)
        if "change" in one
    }
    return sum(last.get(name) != held for name, held in now.items())


def whole_feed(environment: dict[str, str]) -> list[dict[str, Any]]:
    """Return all messages that are kept, and a place."""
    done = subprocess.run(
        command("watch", "--once", "--from-oldest", "--output", "json"),
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def settled(
    follower: Follower,
    hook: Follower,
    receiver: Receiver,
    environment: dict[str, str],
    told: list[tuple[str, str]],
) -> int:
    """Wait until followers have all that the feed has; print what is missing."""
    every = whole_feed(environment)
    feed = [one["resumeToken"] for one in every if "change" in one]
    until = time.monotonic() + 120
    while time.monotonic() < until:
        got = {
            "watch": [json.loads(line)["resumeToken"] for line in follower.lines],
            "webhook": [json.loads(body)["id"] for body in receiver.taken],
        }
        if all(set(feed) <= set(ids) for ids in got.values()):
            break
        time.sleep(1)
    follower.kill()
    hook.kill()
    kept = {(one["sighting"]["sightingId"], one.get("state")) for one in every if "change" in one}
    lost = [one for one in told if one not in kept]
    print(f"feed: {len(feed)} events, of {len(told)} acts lost {len(lost)}", flush=True)
    faults = len(lost)
    for name, ids in got.items():
        first = list(dict.fromkeys(ids))
        missing = set(feed) - set(first)
        in_order = first == [one for one in feed if one in first]
        faults += len(missing) + (not in_order)
        print(
            f"{name}: {len(first)} events, missing {len(missing)}, in order: {in_order},"
            f" duplicates {len(ids) - len(first)}",
            flush=True,
        )
    print(f"refused by the receiver: {receiver.refused}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
