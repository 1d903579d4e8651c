"""What every suite may ask for: a clock that stands still, and the real engines."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ceph
import qdrant_program
from engines import S3Account, minio_is_at_hand, running, running_minio, s3_servers, takes_objects
from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec
from homeward.embedded.nats import nats_url as url_of_nats
from homeward.embedded.ports import address, held_ports
from homeward.embedded.weed import weed_spec

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class FakeClock:
    """A `Clock` that stands still until it is told to go."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    def pass_time(self, span: timedelta) -> None:
        self.instant += span


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run those who ask for a server with each that is at hand, so that no test is ever skipped."""
    servers = s3_servers()
    for name, chosen in (
        ("s3_server", servers),
        ("memory_or_s3_server", ["memory", *servers]),
        ("s3_server_with_lifecycle", [one for one in servers if one != "weed"]),
        ("s3_server_with_sizes", [one for one in servers if one != "ceph"]),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, chosen, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has nothing to run on, and begin with what takes longest.

    What is for Ceph, MinIO or a Qdrant server alone goes where there is none: a skipped test would
    be a surprise. With `-n 3` each file is run by one process, which starts what its fixtures need.
    """
    unmet = {f"{one}_account" for one in ("minio", "ceph") if one not in s3_servers()}
    unmet |= set() if set(s3_servers()) > {"weed"} else {"s3_server_with_lifecycle"}
    unmet |= set() if qdrant_program.is_at_hand() else {"run_qdrant"}
    absent = [item for item in items if unmet.intersection(item.fixturenames)]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(scope="session")
def _exporter() -> InMemorySpanExporter:
    """Takes the spans of this process: OpenTelemetry lets it have one provider, and once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(_exporter: InMemorySpanExporter) -> Callable[[], list[ReadableSpan]]:
    """Returns the spans that have ended since the test began, in the order of their ends."""
    _exporter.clear()
    return lambda: list(_exporter.get_finished_spans())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pass_time(clock: FakeClock) -> Callable[[timedelta], None]:
    return clock.pass_time


@pytest.fixture(scope="session")
def nats_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the NATS server of this session keeps its files."""
    return tmp_path_factory.mktemp("nats")


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Mapping[str, int]]:
    """Ports by name that no other server is given, for servers of one test alone."""
    with held_ports(tmp_path, base=None, given={}) as held:
        yield held


@pytest.fixture(scope="session")
def nats_url(nats_folder: Path) -> Iterator[str]:
    """URL of a NATS server of this session."""
    make_private_folder(nats_folder / "secrets")
    with held_ports(nats_folder, base=None, given={}) as ports:
        spec = nats_spec(nats_folder, port=ports["nats"], token="a-token")
        with running(spec, logs=nats_folder / "logs"):
            yield url_of_nats(port=ports["nats"], token="a-token")


@pytest.fixture(scope="session")
def qdrant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Qdrant server of this session; only where there is its program."""
    data = tmp_path_factory.mktemp("qdrant")
    with (
        held_ports(data, base=None, given={}) as ports,
        running(qdrant_program.qdrant_spec(data, ports=ports), logs=data / "logs"),
    ):
        yield f"http://{address(ports['s3'])}"


@pytest.fixture(scope="session")
def s3_account(request: pytest.FixtureRequest) -> S3Account:
    """An account of the S3 server that a stack is tried with."""
    name = "minio" if minio_is_at_hand() else "weed"
    account: S3Account = request.getfixturevalue(f"{name}_account")
    return account


@pytest.fixture(scope="session")
def weed_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Account]:
    """An account of a SeaweedFS server of this session."""
    data = tmp_path_factory.mktemp("s3")
    with held_ports(data, base=None, given={}) as ports:
        url = f"http://{address(ports['s3'])}"
        account = S3Account(url, "homeward", "a-secret-of-this-session")
        spec = weed_spec(
            data, ports=ports, access_key=account.access_key, secret_key=account.secret_key
        )
        # It counts a gigabyte of free disk for each volume, and two for each bucket. A session has
        # many buckets, with next to nothing in them.
        command = (*(word for word in spec.command if word != "-volume.max=0"), "-volume.max=1000")
        assert len(command) == len(spec.command)
        with running(replace(spec, command=command), logs=data / "logs"):
            yield account


@pytest.fixture(scope="session")
def minio_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Account]:
    """An account of a MinIO server of this session; only where there is its program."""
    with running_minio(tmp_path_factory.mktemp("minio")) as account:
        yield account


@pytest.fixture(scope="session")
def ceph_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Account]:
    """An account of a Ceph of this session; only where it is installed."""
    data = tmp_path_factory.mktemp("ceph")
    with held_ports(data, base=None, given={}) as ports:
        url = f"http://{address(ports['s3'])}"
        account = S3Account(url, secrets.token_hex(8), secrets.token_hex(16))
        specs = ceph.ceph_specs(
            data,
            ports=ports,
            access_key=account.access_key,
            secret_key=account.secret_key,
            ready=takes_objects(account),
        )
        with running(*specs, logs=data / "logs"):
            yield account
