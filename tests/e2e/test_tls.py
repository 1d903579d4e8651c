"""A service and the command line, each with a certificate."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from authority import CLIENT, Authority
from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.cli.errors import ExitCode
from homeward.core.rpc_errors import error_info
from homeward.core.tls import VARIABLES, TlsFiles, channel_credentials
from homeward.embedded.health import serving
from homeward.embedded.ports import address
from homeward.embedded.running import command
from issuer import AUDIENCE, ISSUER, Issuer, jwks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PEOPLE = Issuer()
TOKENS = {"issuer": ISSUER, "audience": AUDIENCE, "keys": "keys.json"}


def variables(files: TlsFiles) -> dict[str, str]:
    paths = (files.certificate, files.key, files.authority)
    return dict(zip(VARIABLES, map(str, paths), strict=True))


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def rules() -> dict[str, object] | None:
    """Whom the service trusts; None for everybody."""
    return None


@pytest.fixture
def embedding(
    authority: Authority,
    tmp_path: Path,
    ports: Mapping[str, int],
    rules: dict[str, object] | None,
) -> Iterator[Callable[[], tuple[str, TlsFiles]]]:
    """Starts the service; returns its address and its files."""
    trusted = tmp_path / "auth.json"
    trusted.write_text(json.dumps(rules))
    (tmp_path / "keys.json").write_bytes(jwks(PEOPLE.key))
    files = authority.write(tmp_path / "embedding")
    listen, probed = ports["embedding"], ports["matching"]
    process = subprocess.Popen(
        [sys.executable, "-m", "homeward.embedding"],
        env={
            **os.environ,
            **variables(files),
            "HOMEWARD_LISTEN": address(listen),
            "HOMEWARD_HEALTH_LISTEN": address(probed),
            "HOMEWARD_DRAIN_SECONDS": "0",
            **({"HOMEWARD_AUTH_FILE": str(trusted)} if rules else {}),
            "HOMEWARD_MODEL_CACHE_DIR": str(tmp_path / "models"),
        },
    )

    def ready() -> tuple[str, TlsFiles]:
        is_serving = serving(probed)
        until = time.monotonic() + 60
        while is_serving() is not None:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        return address(listen), files

    yield ready
    process.terminate()
    assert process.wait(30) == 0


def show(target: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("model", "show", "--embedding", target),
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_command_gets_in_with_a_certificate_and_not_without(
    embedding: Callable[[], tuple[str, TlsFiles]], authority: Authority, tmp_path: Path
) -> None:
    target, files = embedding()
    mine = variables(authority.write(tmp_path / "mine", usage=(CLIENT,)))
    with_one = show(target, mine)
    without = show(target, {})
    later = Authority("a later one")
    later.write(files.certificate.parent)
    before_it_is_renewed = show(target, mine)
    renewed = show(target, variables(later.write(tmp_path / "mine")))

    assert (with_one.returncode, renewed.returncode) == (ExitCode.OK, ExitCode.OK), with_one.stderr
    assert "yunet-sface" in with_one.stdout
    assert without.returncode == ExitCode.UNAVAILABLE
    assert before_it_is_renewed.returncode == ExitCode.UNAVAILABLE
    assert "is not trusted" in before_it_is_renewed.stderr


@pytest.mark.parametrize("rules", [{"programs": {"robot": ["auditor"], "loader": ["uploader"]}}])
def test_a_command_may_what_the_name_in_its_certificate_is_trusted_with(
    embedding: Callable[[], tuple[str, TlsFiles]], authority: Authority, tmp_path: Path
) -> None:
    target, _ = embedding()
    files = {
        name: authority.write(tmp_path / name, names=(name,))
        for name in ("robot", "loader", "stranger")
    }
    answers = {name: show(target, variables(one)) for name, one in files.items()}
    credentials = channel_credentials(files["loader"].read(serving=False))
    with (
        grpc.secure_channel(target, credentials) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        EmbeddingServiceStub(channel).AnalyzePhoto(embedding_service_pb2.AnalyzePhotoRequest())

    assert {name: one.returncode for name, one in answers.items()} == {
        "robot": ExitCode.OK,
        "loader": ExitCode.OK,
        "stranger": ExitCode.PRECONDITION,
    }
    info = error_info(refused.value)
    assert (info and info.reason) == "ROLE_MISSING"
    assert "reason: TOKEN_MISSING" in answers["stranger"].stderr


@pytest.mark.parametrize("rules", [{"tokens": TOKENS}])
def test_a_command_may_what_the_token_of_its_user_says(
    embedding: Callable[[], tuple[str, TlsFiles]], authority: Authority, tmp_path: Path
) -> None:
    target, _ = embedding()
    mine = variables(authority.write(tmp_path / "mine", usage=(CLIENT,)))
    tokens = {
        "investigator": PEOPLE.token("investigator"),
        "nobody": PEOPLE.token(),
        "of yesterday": PEOPLE.token("investigator", exp=int(time.time()) - 86_400),
        "of another": Issuer().token("investigator"),
    }
    answers = {}
    for name, token in tokens.items():
        file = tmp_path / name
        file.write_text(token)
        answers[name] = show(target, {**mine, "HOMEWARD_TOKEN_FILE": str(file)})

    reasons = {name: re.findall(r"reason: (\w+)", one.stderr) for name, one in answers.items()}
    assert reasons == {
        "investigator": [],
        "nobody": ["ROLE_MISSING"],
        "of yesterday": ["TOKEN_EXPIRED"],
        "of another": ["TOKEN_INVALID"],
    }
    assert answers["investigator"].returncode == ExitCode.OK
    shown = "".join(one.stdout + one.stderr for one in answers.values())
    assert not any(token in shown for token in tokens.values())
