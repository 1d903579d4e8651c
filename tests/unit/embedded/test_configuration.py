from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from homeward.core.tls import VARIABLES, TlsFiles
from homeward.embedded import plan
from homeward.embedded.access import StackAccess
from homeward.embedded.environment import (
    GivenEngines,
    engine_environment,
    given_engines,
    service_environment,
)
from homeward.embedded.errors import UsageError
from homeward.embedded.nats import nats_url, render_config
from homeward.embedded.ports import NAMES
from homeward.embedded.secrets import Secrets
from homeward.embedded.spec import ChildSpec
from homeward.embedded.weed import render_s3, render_security, weed_arguments

PORTS = {name: 20_000 + offset for offset, name in enumerate(NAMES)}
ELSEWHERE = GivenEngines(s3="http://s3:9000", nats="nats://nats:4222", qdrant="http://qdrant:6333")
EMBEDDED = GivenEngines(s3=None, nats=None, qdrant=None)


def services(data: Path, given: GivenEngines, **inherited: str) -> dict[str, ChildSpec]:
    access = StackAccess.of(data)
    access.prepare(plan.SERVICE_COMMANDS, new_key=False, require_purpose=False)
    specs = plan.service_specs(
        data,
        commands=plan.SERVICE_COMMANDS,
        given=given,
        ports=PORTS,
        secrets=Secrets(
            s3_access_key="ACCESS",
            s3_secret_key="SECRET",
            nats_token="TOKEN",
            audit_key_file=data / "audit.key",
            gallery_key_file=data / "gallery.key",
        ),
        access=access,
        inherited=inherited,
        evaluation=False,
        log_level="info",
    )
    return {spec.name: spec for spec in specs}


def test_each_service_of_a_stack_has_a_certificate_of_the_stacks_own(tmp_path: Path) -> None:
    specs = services(tmp_path, EMBEDDED, **dict.fromkeys(VARIABLES, "/etc/tls"), OTHER="kept")
    files = {name: TlsFiles.among(spec.environment) for name, spec in specs.items()}

    assert {name: one.certificate.name for name, one in files.items() if one} == {
        name: f"homeward-{name}.crt" for name in plan.SERVICE_COMMANDS
    }
    assert specs["matching"].environment["OTHER"] == "kept"


def test_every_service_of_a_stack_checks_its_callers(tmp_path: Path) -> None:
    specs = services(tmp_path, EMBEDDED, HOMEWARD_AUTH_FILE="")

    assert {spec.environment["HOMEWARD_AUTH_FILE"] for spec in specs.values()} == {
        str(tmp_path / "secrets" / "access" / "auth.json")
    }


def test_the_user_may_have_a_stack_trust_an_issuer_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    specs = services(tmp_path, EMBEDDED, HOMEWARD_AUTH_FILE="force.toml")

    assert {spec.environment["HOMEWARD_AUTH_FILE"] for spec in specs.values()} == {
        str(tmp_path / "force.toml")
    }


def test_nats_flushes_every_message_and_listens_on_loopback_with_a_token(tmp_path: Path) -> None:
    config = render_config(port=20_003, token="TOKEN", store=tmp_path / 'with "quotes"')

    assert "sync_interval: always" in config
    assert "host: 127.0.0.1" in config
    assert 'token: "TOKEN"' in config
    assert r"with \"quotes\"" in config


def test_the_nats_url_carries_the_token() -> None:
    assert nats_url(port=4222, token="TOKEN") == "nats://TOKEN@127.0.0.1:4222"


def test_every_part_of_seaweedfs_asks_for_a_certificate(tmp_path: Path) -> None:
    security = tomllib.loads(render_security(tmp_path))

    assert security["grpc"]["ca"] == str(tmp_path / "ca.crt")
    assert {part for part, value in security["grpc"].items() if isinstance(value, dict)} == {
        "master",
        "volume",
        "filer",
        "s3",
        "client",
    }


def test_seaweedfs_token_keys_differ_and_change_at_each_start(tmp_path: Path) -> None:
    first, second = (tomllib.loads(render_security(tmp_path))["jwt"] for _ in range(2))
    keys = [
        jwt[section][field]
        for jwt in (first, second)
        for section, field in (("signing", "key"), ("filer_signing", "key"))
    ] + [jwt["signing"]["read"]["key"] for jwt in (first, second)]

    assert len(set(keys)) == len(keys)
    assert min(len(key) for key in keys) == 64


def test_s3_knows_one_identity_and_nobody_anonymous() -> None:
    config = json.loads(render_s3(access_key="ACCESS", secret_key="SECRET"))

    assert [identity["name"] for identity in config["identities"]] == ["homeward"]


def test_seaweedfs_encrypts_reports_nothing_and_opens_no_default_port(tmp_path: Path) -> None:
    arguments = weed_arguments(PORTS, config=tmp_path)
    opened = {
        argument.partition("=")[2]
        for argument in arguments
        if ".port" in argument and not argument.endswith("=0")
    }

    assert "-filer.encryptVolumeData" in arguments
    assert "-s3.encryptVolumeData" in arguments
    assert "-master.telemetry=false" in arguments
    assert "-disableHttp" in arguments
    assert opened == {str(PORTS[name]) for name in NAMES if name.startswith(("weed", "s3"))}


def test_an_engine_does_not_see_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's")
    monkeypatch.setenv("WEED_JWT_SIGNING_KEY", "known")

    environment = engine_environment({"GOGC": "50"})

    assert environment["GOGC"] == "50"
    assert environment.keys().isdisjoint({"AWS_ACCESS_KEY_ID", "WEED_JWT_SIGNING_KEY"})


def test_a_service_setting_passes_through_but_not_over_the_stacks_own() -> None:
    environment = service_environment(
        {"HOMEWARD_SEGMENT_SECONDS": "10", "HOMEWARD_LISTEN": "0.0.0.0:80", "MINE": "set"},
        defaults={"MINE": "default", "OTHER": "default"},
        fixed={"HOMEWARD_LISTEN": "127.0.0.1:1"},
    )

    assert environment["HOMEWARD_SEGMENT_SECONDS"] == "10"
    assert environment["HOMEWARD_LISTEN"] == "127.0.0.1:1"
    assert (environment["MINE"], environment["OTHER"]) == ("set", "default")
    assert environment["MALLOC_ARENA_MAX"] == "2"


def test_services_find_the_embedded_engines_and_each_other(tmp_path: Path) -> None:
    matching = services(tmp_path, EMBEDDED)["matching"].environment

    assert matching["HOMEWARD_NATS_URL"] == f"nats://TOKEN@127.0.0.1:{PORTS['nats']}"
    assert matching["HOMEWARD_S3_ENDPOINT"] == f"http://127.0.0.1:{PORTS['s3']}"
    assert matching["HOMEWARD_S3_SECRET_KEY"] == "SECRET"
    assert matching["HOMEWARD_S3_FREES_MINUTES"] == "1440.0"
    assert matching["HOMEWARD_QDRANT_PATH"] == str(tmp_path / "qdrant")
    assert matching["HOMEWARD_EMBEDDING_TARGET"] == f"127.0.0.1:{PORTS['embedding']}"
    assert matching["HOMEWARD_LISTEN"] == f"127.0.0.1:{PORTS['matching']}"


def test_a_stack_is_strict_unless_it_is_asked_to_evaluate(tmp_path: Path) -> None:
    # The command has read the variable already.
    parts = services(tmp_path, EMBEDDED, HOMEWARD_EVALUATION="true")

    assert parts["matching"].environment["HOMEWARD_EVALUATION"] == "false"
    assert parts["ingestion"].environment["HOMEWARD_TARGETED_SCANS"] == "true"


def test_a_stack_asks_for_targeted_searches_as_the_user_wishes(tmp_path: Path) -> None:
    parts = services(tmp_path, EMBEDDED, HOMEWARD_TARGETED_SCANS="false")

    assert parts["ingestion"].environment["HOMEWARD_TARGETED_SCANS"] == "false"


def test_a_stack_runs_one_model_pack_unless_it_is_asked_for_a_second(tmp_path: Path) -> None:
    parts = services(tmp_path, EMBEDDED)

    assert list(parts) == list(plan.SERVICE_COMMANDS)


def test_the_scanner_listens_nowhere(tmp_path: Path) -> None:
    assert "HOMEWARD_LISTEN" not in services(tmp_path, EMBEDDED)["scanner"].environment


def test_engines_that_run_elsewhere_are_not_started_and_their_addresses_pass_through(
    tmp_path: Path,
) -> None:
    own = plan.engine_specs(
        tmp_path,
        given=ELSEWHERE,
        ports=PORTS,
        secrets=Secrets(
            "ACCESS", "SECRET", "TOKEN", tmp_path / "audit.key", tmp_path / "gallery.key"
        ),
    )
    matching = services(
        tmp_path, ELSEWHERE, HOMEWARD_NATS_URL="nats://nats:4222", HOMEWARD_QDRANT_URL="http://q"
    )["matching"].environment

    assert own == []
    assert matching["HOMEWARD_NATS_URL"] == "nats://nats:4222"
    assert "HOMEWARD_QDRANT_PATH" not in matching
    assert "HOMEWARD_S3_FREES_MINUTES" not in matching  # whoever runs it knows


def test_an_s3_server_without_its_keys_is_refused() -> None:
    with pytest.raises(UsageError, match="HOMEWARD_S3_ACCESS_KEY and HOMEWARD_S3_SECRET_KEY"):
        given_engines({"HOMEWARD_S3_ENDPOINT": "http://s3:9000"})


def test_encryption_is_not_asked_of_the_embedded_s3_server() -> None:
    asked = {"HOMEWARD_S3_ENCRYPTION": "sse-s3"}
    keys = {"HOMEWARD_S3_ACCESS_KEY": "a", "HOMEWARD_S3_SECRET_KEY": "b"}
    with pytest.raises(UsageError, match="which the embedded S3 server cannot do"):
        given_engines(asked)

    assert given_engines({"HOMEWARD_S3_ENCRYPTION": "none"}) == EMBEDDED
    assert given_engines({**asked, **keys, "HOMEWARD_S3_ENDPOINT": "http://s3:9000"}).s3


def test_an_empty_variable_names_no_engine() -> None:
    assert given_engines({"HOMEWARD_NATS_URL": ""}) == EMBEDDED
