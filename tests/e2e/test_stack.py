"""The supervisor with the real engines, and services that do no more than say that they serve."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import pytest
import urllib3
from minio import Minio

from homeward.embedded.errors import StackError
from homeward.embedded.ports import is_listening
from homeward.embedded.running import command as running_command
from homeward.embedded.vacuum import free_deleted_bytes

pytestmark = pytest.mark.e2e

SERVICE = """
import os, signal
from concurrent.futures import ThreadPoolExecutor
from homeward.core.tls import TlsFiles, server_credentials
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
server = grpc.server(ThreadPoolExecutor(2))
servicer = health.HealthServicer()
servicer.set("", health_pb2.HealthCheckResponse.SERVING)
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
if "HOMEWARD_LISTEN" in os.environ:
    files = TlsFiles.among(os.environ)
    server.add_secure_port(os.environ["HOMEWARD_LISTEN"], server_credentials(files, print))
server.start()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pause()
"""
NAMES = ("embedding", "matching", "ingestion", "scanner")
SUPERVISOR = f"""
import sys
from homeward.embedded import up
from homeward.embedded.command import up as command
fake = (sys.executable, "-c", {SERVICE!r})
up.run.__kwdefaults__["commands"] = dict.fromkeys({NAMES!r}, fake)
command()
"""
START_SECONDS = 40.0
STOP_SECONDS = 30.0
OBJECT = random.Random(1).randbytes(20_000)  # SeaweedFS compresses text, which hides it too


@dataclass
class Supervisor:
    """`homeward up` in a process of its own."""

    process: subprocess.Popen[bytes]
    data: Path
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, program: str) -> psutil.Process:
        return next(child for child in self.children if child.name() == program)

    def port(self, name: str) -> int:
        return int(json.loads((self.data / "ports.json").read_text())[name])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def s3(self) -> Minio:
        secrets = self.data / "secrets"
        return Minio(
            f"127.0.0.1:{self.port('s3')}",
            access_key=(secrets / "s3-access-key").read_text().strip(),
            secret_key=(secrets / "s3-secret-key").read_text().strip(),
            secure=False,
            http_client=urllib3.PoolManager(timeout=10, retries=False),
        )


Start = Callable[[Path], Supervisor]


def command(data: Path) -> list[str]:
    return [sys.executable, "-c", SUPERVISOR, "--data", str(data)]


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def sockets(port_file: Path) -> list[Path]:
    """What SeaweedFS left, and not one that came to a port since."""
    ports = [port for port in json.loads(port_file.read_text()).values() if not is_listening(port)]
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    started: list[Supervisor] = []

    def start_one(data: Path) -> Supervisor:
        data.mkdir(exist_ok=True)
        output = data / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command(data),
                stdout=file,
                stderr=subprocess.STDOUT,
                env={key: value for key, value in os.environ.items() if "HOMEWARD" not in key},
                start_new_session=True,  # so that a test can be the terminal
            )
        supervisor = Supervisor(process, data, output)
        started.append(supervisor)
        done = eventually(
            lambda: "\nready " in supervisor.text or process.poll() is not None, START_SECONDS
        )
        assert done, supervisor.text
        assert "\nready " in supervisor.text, supervisor.text
        return supervisor

    yield start_one
    for supervisor in started:
        if supervisor.process.poll() is None:
            supervisor.stop()


@pytest.fixture(scope="module")
def running(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Supervisor:
    supervisor = start(tmp_path_factory.mktemp("running"))
    supervisor.s3().make_bucket("homeward-test")
    supervisor.s3().put_object("homeward-test", "kept", io.BytesIO(OBJECT), len(OBJECT))
    return supervisor


def refused(url: str) -> tuple[bool, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return False, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (401, 403, 404, 405), error.read()


def test_the_ready_line_and_the_state_file_give_the_same_addresses(running: Supervisor) -> None:
    state = json.loads((running.data / "stack.json").read_text())
    ready = [line for line in running.text.splitlines() if line.startswith("ready ")]

    names = ("ingestion", "matching", "embedding")
    assert ready == [" ".join(["ready", *(f"{name}={state[name]}" for name in names)])]
    assert state["pid"] == running.process.pid
    assert state.keys() >= {"started", "version"}


def test_a_second_stack_on_the_folder_is_refused(running: Supervisor) -> None:
    second = subprocess.run(command(running.data), capture_output=True, text=True, check=False)

    state = json.loads((running.data / "stack.json").read_text())
    assert second.returncode == 7
    assert second.stderr == (
        f"homeward up: a stack is already running on {running.data} "
        f"(pid {running.process.pid}, ready at {state['ingestion']})\n"
    )


def test_everything_listens_on_loopback_alone(running: Supervisor) -> None:
    listening = [
        connection.laddr.ip
        for child in running.children
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert len(listening) > len(NAMES)
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_what_is_stored_can_be_read_with_the_keys(running: Supervisor) -> None:
    answer = running.s3().get_object("homeward-test", "kept")
    stored = answer.read()
    answer.close()

    assert stored == OBJECT


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ("weed-filer", "/buckets/homeward-test/kept"),
        ("weed-filer", "/buckets/"),
        ("weed-filer", "/"),
        ("weed-master", "/dir/assign"),
        ("weed-master", "/dir/lookup?volumeId=1&read=yes"),
        ("weed-master", "/dir/status"),
        ("weed-volume", "/1,01637037d6"),
        ("weed-volume", "/ui/index.html"),
        ("s3", "/homeward-test/kept"),
        ("s3", "/homeward-test"),
        ("s3", "/"),
    ],
)
def test_seaweedfs_serves_nothing_over_http_without_a_token(
    running: Supervisor, part: str, path: str
) -> None:
    was_refused, body = refused(f"http://127.0.0.1:{running.port(part)}{path}")

    assert was_refused
    assert OBJECT[:20] not in body


@pytest.mark.parametrize(
    "part", ["weed-master-grpc", "weed-volume-grpc", "weed-filer-grpc", "s3-grpc"]
)
def test_seaweedfs_talks_to_nobody_without_a_certificate(running: Supervisor, part: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{running.port(part)}") as channel:
        call = channel.unary_unary("/filer_pb.SeaweedFiler/GetFilerConfiguration")

        with pytest.raises(grpc.RpcError) as error:
            call(b"", timeout=5)

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_stored_bytes_are_ciphertext_on_the_disk(running: Supervisor) -> None:
    volumes = list((running.data / "weed").glob("homeward-test_*.dat"))

    assert max(volume.stat().st_size for volume in volumes) > 100
    assert not [volume for volume in volumes if OBJECT[:20] in volume.read_bytes()]


def test_the_bytes_of_a_deleted_object_leave_the_disk_and_a_failure_is_told(
    running: Supervisor,
) -> None:
    folder = running.data / "weed"
    ports = {name: running.port(name) for name in ("weed-master", "weed-master-grpc")}

    def volumes() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.glob("homeward-test_*.dat")}

    def is_told() -> bool:
        try:
            free_deleted_bytes(running.data, ports)
        except StackError as error:
            return "did not rewrite its volumes" in str(error)
        return False

    def is_gone() -> bool:
        free_deleted_bytes(running.data, ports)
        return not [path for path in folder.rglob("*") if path.is_file() and holds(path)]

    def holds(path: Path) -> bool:
        return ciphertext in path.read_bytes()

    before = volumes()
    running.s3().put_object("homeward-test", "gone", io.BytesIO(OBJECT), len(OBJECT))
    (grown,) = [path for path, data in volumes().items() if data != before[path]]
    ciphertext = grown.read_bytes()[len(before[grown]) :][5_000:5_100]
    in_the_way = grown.with_suffix(".cpd")  # where it writes what stays
    (in_the_way / "full").mkdir(parents=True)
    running.s3().remove_object("homeward-test", "gone")

    assert eventually(is_told, 20)
    assert holds(grown)
    shutil.rmtree(in_the_way)
    assert eventually(is_gone, 20)
    answer = running.s3().get_object("homeward-test", "kept")
    assert answer.read() == OBJECT
    answer.close()


def test_the_nats_token_is_in_no_log(running: Supervisor) -> None:
    token = (running.data / "secrets" / "nats-token").read_text().strip()
    logs = list((running.data / "logs").iterdir())

    assert len(logs) == 6
    assert not [log for log in logs if token in log.read_text()]


def test_a_stop_leaves_no_process_and_keeps_the_data(start: Start, tmp_path: Path) -> None:
    stack = start(tmp_path)
    stack.s3().make_bucket("homeward-test")
    stack.s3().put_object("homeward-test", "kept", io.BytesIO(OBJECT), len(OBJECT))
    children = stack.children

    status = stack.stop()

    assert status == 0
    assert len(children) == 6
    assert not [child for child in children if child.is_running()]
    assert not (tmp_path / "stack.json").exists()
    assert sockets(tmp_path / "ports.json") == []

    (tmp_path / "ports.json").unlink()  # other ports: SeaweedFS names folders by them
    again = start(tmp_path)
    answer = again.s3().get_object("homeward-test", "kept")
    assert answer.read() == OBJECT
    answer.close()
    again.stop()


def test_a_ctrl_c_in_the_terminal_stops_in_order(start: Start, tmp_path: Path) -> None:
    stack = start(tmp_path)

    os.killpg(stack.process.pid, signal.SIGINT)

    assert stack.process.wait(STOP_SECONDS) == 0
    assert stack.text.splitlines()[-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("program", ["nats-server", "weed"])
def test_a_child_that_dies_takes_the_stack_down_and_is_named(
    start: Start, tmp_path: Path, program: str
) -> None:
    stack = start(tmp_path)
    children = stack.children
    name = {"nats-server": "nats", "weed": "s3"}[program]

    stack.child(program).kill()
    status = stack.process.wait(STOP_SECONDS)

    assert status == 1
    assert (
        f"homeward up: {name} was ended by SIGKILL: somebody killed it, or the system did"
        in stack.text
    )
    assert str(tmp_path / "logs" / f"{name}.log") in stack.text
    assert not [child for child in children if child.is_running()]


def test_a_supervisor_that_is_killed_leaves_no_orphan(start: Start, tmp_path: Path) -> None:
    stack = start(tmp_path)
    children = stack.children

    stack.process.kill()
    stack.process.wait(STOP_SECONDS)

    assert len(children) == 6
    assert eventually(lambda: not [child for child in children if child.is_running()], 5)

    assert start(tmp_path).stop() == 0


def test_a_refused_model_pack_is_told_at_the_terminal(tmp_path: Path) -> None:
    done = subprocess.run(
        [*running_command("up"), "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        env={
            **{key: value for key, value in os.environ.items() if "HOMEWARD" not in key},
            "HOMEWARD_MODEL_PACK": "insightface:buffalo_l",
            "HOMEWARD_MODEL_LICENCE": "agreed with the owner",
            "HOMEWARD_MODEL_DIR": str(tmp_path / "packs"),
        },
    )

    assert done.returncode == 1
    assert f"model pack buffalo_l is not installed in {tmp_path}/packs" in done.stderr
    assert "`homeward model install`" in done.stderr
