"""A whole stack, driven as a user drives it: through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from minio import Minio

import qdrant_program
from engines import minio_is_at_hand, running, running_minio
from homeward.api.ingestion.v1 import scan_service_pb2, scan_service_pb2_grpc
from homeward.embedded import demo
from homeward.embedded.demo_footage import Street
from homeward.embedded.ports import address, held_ports
from homeward.embedded.running import channel_credentials, command, object_store

START = "2026-03-04T10:00:00Z"
MINIO_FREES_MINUTES = "15"  # docs/retention.md
STOP_SECONDS = 40.0
COMMAND_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class LiveStack:
    """`homeward up` on a folder, with the commands that find it there.

    In evaluation mode, so that a test need not approve a policy first.
    """

    def __init__(
        self, data: Path, settings: Mapping[str, str], program: Sequence[str] = ()
    ) -> None:
        self.data = data
        self.program = program or command("up")
        self.environment = {
            **os.environ,
            "HOMEWARD_EVALUATION": "true",
            **settings,
            "HOMEWARD_DATA": str(data),
            # Four segments in the street's 37 seconds, so that appearances cross their borders.
            "HOMEWARD_SEGMENT_SECONDS": "10",
        }
        self.addresses: dict[str, str] = {}
        self.up: subprocess.Popen[str] | None = None

    def start(self) -> None:
        log = (self.data.parent / f"{self.data.name}.log").open("a")
        self.up = subprocess.Popen(
            [*self.program, "--data", str(self.data), "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.environment,
        )
        log.close()
        assert self.up.stdout is not None
        line = self.up.stdout.readline()
        assert line, Path(log.name).read_text()
        self.addresses = json.loads(line)

    def stop(self) -> int:
        assert self.up is not None
        assert self.up.stdout is not None
        self.up.send_signal(signal.SIGTERM)
        code = self.up.wait(STOP_SECONDS)
        self.up.stdout.close()
        return code

    def end(self) -> None:
        """Stop it, if it still runs."""
        if self.up is not None and self.up.poll() is None:
            self.stop()

    def object_store(self) -> Minio:
        """Return a client of its object store, past Homeward."""
        return object_store(self.data, self.environment)

    def wait_for_its_end(self) -> int:
        assert self.up is not None
        assert self.up.stdout is not None
        code = self.up.wait(STOP_SECONDS)
        self.up.stdout.close()
        return code

    def kill(self, part: str) -> None:
        assert self.up is not None
        children = psutil.Process(self.up.pid).children(recursive=True)
        next(child for child in children if part in [*child.cmdline()[-1:], child.name()]).kill()

    @contextmanager
    def stopped(self, part: str) -> Iterator[None]:
        """Have a part hang while the block runs: its connections stay open, and nobody answers."""
        assert self.up is not None
        children = psutil.Process(self.up.pid).children(recursive=True)
        hanging = [child for child in children if part in [*child.cmdline()[-1:], child.name()]]
        for process in hanging:
            process.suspend()
        try:
            yield
        finally:
            for process in hanging:
                process.resume()

    def run(
        self,
        *arguments: str,
        code: int | None = 0,
        seconds: float = COMMAND_SECONDS,
        token: Path | None = None,
    ) -> Done:
        """Run a command, which must end with `code`; None for any.

        As the user who started the stack, or as who has the token in a file.
        """
        given = {"HOMEWARD_TOKEN_FILE": str(token)} if token else {}
        process = subprocess.Popen(
            command(*arguments),
            env=self.environment | given | {"PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says where each of its threads is
            out, err = process.communicate()
            raise AssertionError(
                f"{arguments} did not end within {seconds:g} s\n{out}{err}\n{self._last_logged()}"
            ) from None
        assert code is None or process.returncode == code, (
            f"{arguments}: {process.returncode}\n{out}{err}"
        )
        return Done(process.returncode, out, err)

    def _last_logged(self) -> str:
        """Return the ends of all logs."""
        files = sorted((self.data / "logs").iterdir())
        return "\n".join(f"{file.name}:\n{file.read_text()[-4000:]}" for file in files)

    def issue(self, name: str, *given: str) -> Path:
        """Issue a token for somebody with roles, and cases; return the file that it is in."""
        file = self.data.parent / f"{self.data.name}-{name}.token"
        self.run("token", "create", *given, "--for", name, "--save", str(file))
        return file

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command, whose output the caller reads."""
        return subprocess.Popen(
            command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def channel(self, service: str, *, as_service: bool = False) -> grpc.Channel:
        """Open a channel as the user who started the stack, or as a service of it."""
        credentials = channel_credentials(self.data, as_service=as_service)
        return grpc.secure_channel(self.addresses[service], credentials)

    def wait_until_it_scans(self, scan_id: str) -> None:
        """Return when a scanner has looked at a picture of the scan."""
        with self.channel("ingestion") as channel:
            stub = scan_service_pb2_grpc.ScanServiceStub(channel)
            request = scan_service_pb2.WatchScanRequest(scan_id=scan_id)
            updates = stub.WatchScan(request, timeout=COMMAND_SECONDS)
            next(update for update in updates if update.scan.progress.frame_count > 0)
            updates.cancel()


def _stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveStack]]:
    """Starts a stack on a new folder, and stops it at the end of the test, module or session.

    Its first argument names the folder, `program` is run instead of `homeward up`, `embedded` has
    the stack start its own engines, whatever `HOMEWARD_TEST_MINIO` and `HOMEWARD_TEST_QDRANT` name;
    the others are settings: `HOMEWARD_GATE="false"`.
    """
    with ExitStack() as given:

        def start(
            name: str, *, program: Sequence[str] = (), embedded: bool = False, **settings: str
        ) -> LiveStack:
            engines = {} if embedded else engines_of_its_own(given, tmp_path_factory, name)
            folder = tmp_path_factory.mktemp(name) / "data"
            stack = LiveStack(folder, {**engines, **settings}, program)
            given.callback(stack.end)
            stack.start()
            return stack

        yield start


def engines_of_its_own(
    given: ExitStack, tmp_path_factory: pytest.TempPathFactory, name: str
) -> dict[str, str]:
    """Start the servers for a stack that are named by variables, and return its settings for them.

    Each stack has its own: buckets and collections have the same names in all.
    """
    settings = {}
    if minio_is_at_hand():
        account = given.enter_context(running_minio(tmp_path_factory.mktemp(f"{name}-minio")))
        settings |= {
            "HOMEWARD_S3_ENDPOINT": account.endpoint,
            "HOMEWARD_S3_ACCESS_KEY": account.access_key,
            "HOMEWARD_S3_SECRET_KEY": account.secret_key,
            "HOMEWARD_S3_FREES_MINUTES": MINIO_FREES_MINUTES,
        }
    if qdrant_program.is_at_hand():
        data = tmp_path_factory.mktemp(f"{name}-qdrant")
        ports = given.enter_context(held_ports(data, base=None, given={}))
        spec = qdrant_program.qdrant_spec(data, ports=ports)
        given.enter_context(running(spec, logs=data / "logs"))
        settings["HOMEWARD_QDRANT_URL"] = f"http://{address(ports['s3'])}"
    return settings


new_stack = pytest.fixture(_stacks)
new_module_stack = pytest.fixture(_stacks, scope="module")
new_session_stack = pytest.fixture(_stacks, scope="session")


@pytest.fixture(scope="session")
def stack(new_session_stack: Callable[[str], LiveStack]) -> LiveStack:
    """The stack that most tests share."""
    return new_session_stack("shared")


@pytest.fixture(scope="session")
def street(stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> Street:
    """Footage in which six people walk by, and a portrait of each."""
    with stack.channel("embedding", as_service=True) as embedding:
        return demo.street(tmp_path_factory.mktemp("street"), embedding)
