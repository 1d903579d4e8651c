from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest

from authority import CLIENT, Authority
from homeward.api.matching.v1 import subject_service_pb2, subject_service_pb2_grpc
from homeward.cli.connect import LOCAL_TOKEN, Connections, Places, Target
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.core.tls import VARIABLES, TlsFiles, server_credentials
from homeward.embedded.access import CLIENT as CLIENT_NAME
from homeward.embedded.access import StackAccess
from homeward.embedded.certificates import tls_files
from homeward.embedded.lock import write_end, write_starting

NOTHING_LISTENS = "127.0.0.1:9"
SETTINGS = '[profiles.force]\nmatching = "profile:1"\n'


def places(
    tmp_path: Path,
    *,
    options: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    profile: str | None = None,
) -> Places:
    settings = tmp_path / "config.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    return Places(
        options=options or {},
        environment=environment or {},
        profile=profile,
        settings_file=settings,
        data=tmp_path,
    )


def write_stack(tmp_path: Path, content: object) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(content), encoding="utf-8")


def test_an_option_counts_more_than_a_variable(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        options={"matching": "option:1"},
        environment={"HOMEWARD_MATCHING_TARGET": "variable:1"},
    ).find("matching")
    assert (found.address, found.origin) == ("option:1", "--matching")


def test_a_variable_counts_more_than_a_profile(tmp_path: Path) -> None:
    environment = {"HOMEWARD_MATCHING_TARGET": "variable:1"}
    found = places(tmp_path, environment=environment, profile="force").find("matching")
    assert (found.address, found.origin) == ("variable:1", "HOMEWARD_MATCHING_TARGET")


def test_a_profile_counts_more_than_the_local_stack(tmp_path: Path) -> None:
    write_stack(tmp_path, {"matching": "stack:1"})
    found = places(tmp_path, profile="force").find("matching")
    assert (found.address, found.origin) == ("profile:1", "profile force")


def test_the_local_stack_is_found_by_its_folder(tmp_path: Path) -> None:
    write_stack(tmp_path, {"pid": 1, "matching": "127.0.0.1:5002"})
    assert places(tmp_path).find("matching").address == "127.0.0.1:5002"


def test_without_a_stack_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no Homeward stack runs") as caught:
        places(tmp_path).find("matching")
    assert f"homeward up --data {tmp_path}" in caught.value.advice
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_a_stack_that_is_starting_is_told_with_since_when(tmp_path: Path) -> None:
    write_starting(tmp_path, longest=timedelta(seconds=60))

    with pytest.raises(CliError, match=r"is starting, since \d\d:\d\d:\d\dZ") as caught:
        places(tmp_path).find("matching")

    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert caught.value.advice.startswith("try again in a few seconds")


def test_a_stack_that_was_killed_while_it_started_is_not_starting_for_ever(tmp_path: Path) -> None:
    write_starting(tmp_path, longest=timedelta(seconds=-2))

    with pytest.raises(CliError, match="no Homeward stack runs"):
        places(tmp_path).find("matching")


def test_a_stack_that_is_ready_is_found_though_it_was_starting(tmp_path: Path) -> None:
    write_starting(tmp_path, longest=timedelta(seconds=60))
    write_stack(tmp_path, {"matching": "127.0.0.1:5002"})

    assert places(tmp_path).find("matching").address == "127.0.0.1:5002"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"started": 1, "ready_by": 2}'])
def test_a_damaged_note_of_the_start_is_no_fault(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack-starting.json").write_text(content)

    with pytest.raises(CliError, match="no Homeward stack runs"):
        places(tmp_path).find("matching")


def test_a_stack_that_ended_by_itself_is_told_with_what_ended_it(tmp_path: Path) -> None:
    write_end(tmp_path, "nats was ended by SIGKILL", log=Path("logs/nats.log"))

    with pytest.raises(CliError) as caught:
        places(tmp_path).find("matching")

    (ended,) = re.findall(r"it ended at (\S+), because", caught.value.message)
    assert datetime.fromisoformat(ended).tzinfo is not None
    assert caught.value.message.endswith(
        "because nats was ended by SIGKILL; its log is logs/nats.log"
    )


def test_a_stack_that_ends_while_it_is_called_is_told_with_what_ended_it(tmp_path: Path) -> None:
    write_stack(tmp_path, {"matching": NOTHING_LISTENS})
    with Connections(places(tmp_path)) as connections:
        stub = subject_service_pb2_grpc.SubjectServiceStub(connections.channel("matching"))
        write_end(tmp_path, "nats was ended by SIGKILL", log=None)
        with pytest.raises(CallError) as caught:
            stub.ListSubjects(subject_service_pb2.ListSubjectsRequest())

    assert "does not answer: it ended at " in caught.value.message
    assert caught.value.message.endswith("because nats was ended by SIGKILL")


@pytest.mark.parametrize("content", ["", "{}", "[]", "null"])
def test_a_damaged_note_of_the_end_is_no_fault(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack-ended.json").write_text(content)

    assert places(tmp_path).how_it_ended() == ""


def test_a_stack_file_without_the_service_is_told(tmp_path: Path) -> None:
    write_stack(tmp_path, {"pid": 1})
    with pytest.raises(CliError, match="does not say where matching is"):
        places(tmp_path).find("matching")


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"no profile city .* it has: force"):
        places(tmp_path, profile="city").find("matching")


def test_a_profile_without_the_service_is_told(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="does not say where embedding is"):
        places(tmp_path, profile="force").find("embedding")


Subjects = subject_service_pb2_grpc.SubjectServiceStub
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves subjects, all of whose ids are the server's name; returns its address."""
    with ExitStack() as stack:

        def start(name: str = "", *, tls: TlsFiles | None = None) -> str:
            class Servicer(subject_service_pb2_grpc.SubjectServiceServicer):
                def GetSubject(self, _request: object, _: object) -> object:  # noqa: N802
                    answer = subject_service_pb2.GetSubjectResponse()
                    answer.subject.subject_id = name
                    return answer

            server = grpc.server(stack.enter_context(ThreadPoolExecutor(4)))
            subject_service_pb2_grpc.add_SubjectServiceServicer_to_server(Servicer(), server)
            port = (
                server.add_secure_port("127.0.0.1:0", server_credentials(tls, lambda _: None))
                if tls
                else server.add_insecure_port("127.0.0.1:0")
            )
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            return f"127.0.0.1:{port}"

        yield start


def variables(files: TlsFiles) -> dict[str, str]:
    paths = (files.certificate, files.key, files.authority)
    return dict(zip(VARIABLES, map(str, paths), strict=True))


def asked(connections: Connections) -> str:
    stub = Subjects(connections.channel("matching"))
    return stub.GetSubject(subject_service_pb2.GetSubjectRequest()).subject.subject_id


def test_a_commands_calls_are_spread_over_the_replicas(tmp_path: Path, serve: Serve) -> None:
    target = f"ipv4:{serve('a')},{serve('b')}"
    with Connections(places(tmp_path, options={"matching": target})) as connections:
        until_all_answered(connections, {"a", "b"})
        answers = Counter(asked(connections) for _ in range(100))

    assert set(answers) == {"a", "b"}
    assert min(answers.values()) > 40


def test_a_replica_that_is_down_is_passed_over(tmp_path: Path, serve: Serve) -> None:
    target = f"ipv4:127.0.0.1:9,{serve('b')}"
    with Connections(places(tmp_path, options={"matching": target})) as connections:
        assert [asked(connections) for _ in range(10)] == ["b"] * 10


def test_a_command_proves_itself_with_a_certificate(tmp_path: Path, serve: Serve) -> None:
    authority = Authority()
    address = serve("tls", tls=authority.write(tmp_path / "server"))
    mine = variables(authority.write(tmp_path / "mine", usage=(CLIENT,)))
    where = places(tmp_path, options={"matching": address}, environment=mine)
    with Connections(where) as connections:
        assert asked(connections) == "tls"


def test_a_profile_names_the_certificate(tmp_path: Path, serve: Serve) -> None:
    authority = Authority()
    address = serve("tls", tls=authority.write(tmp_path / "server"))
    mine = authority.write(tmp_path / "mine")
    where = places(tmp_path, profile="force")
    where.settings_file.write_text(
        f"[profiles.force]\nmatching = '{address}'\ntls_cert_file = '{mine.certificate}'\n"
        f"tls_key_file = '{mine.key}'\ntls_ca_file = '{mine.authority}'\n"
    )
    with Connections(where) as connections:
        assert asked(connections) == "tls"


def until_all_answered(connections: Connections, names: set[str]) -> None:
    """Ask until each has answered: only those that are connected already take their turns."""
    answered: set[str] = set()
    until = time.monotonic() + 30
    while answered != names:
        assert time.monotonic() < until, answered
        answered.add(asked(connections))


def two_named(tmp_path: Path, serve: Serve) -> tuple[str, dict[str, str]]:
    """Serve two replicas that have a name in common; return their target and a client's files."""
    authority = Authority()
    named = authority.write(tmp_path / "server", names=("homeward-matching",))
    return f"ipv4:{serve('a', tls=named)},{serve('b', tls=named)}", variables(
        authority.write(tmp_path / "mine", usage=(CLIENT,))
    )


def test_replicas_are_known_by_the_name_that_they_have_in_common(
    tmp_path: Path, serve: Serve
) -> None:
    target, mine = two_named(tmp_path, serve)
    named = {**mine, "HOMEWARD_MATCHING_TLS_SERVER_NAME": "homeward-matching"}
    where = places(tmp_path, options={"matching": target}, environment=named)
    with Connections(where) as connections:
        until_all_answered(connections, {"a", "b"})


def test_a_profile_gives_the_name_of_its_replicas(tmp_path: Path, serve: Serve) -> None:
    target, mine = two_named(tmp_path, serve)
    where = places(tmp_path, profile="force", environment=mine)
    where.settings_file.write_text(
        f"[profiles.force]\nmatching = '{target}'\nmatching_tls_server_name = 'homeward-matching'\n"
    )
    with Connections(where) as connections:
        until_all_answered(connections, {"a", "b"})


def test_a_service_without_that_name_is_not_trusted(tmp_path: Path, serve: Serve) -> None:
    authority = Authority()
    address = serve("tls", tls=authority.write(tmp_path / "server"))
    mine = variables(authority.write(tmp_path / "mine", usage=(CLIENT,)))
    named = {**mine, "HOMEWARD_MATCHING_TLS_SERVER_NAME": "homeward-matching"}
    where = places(tmp_path, options={"matching": address}, environment=named)
    with Connections(where) as connections, pytest.raises(CallError) as refused:
        asked(connections)

    assert refused.value.message == f"matching at {address} (--matching) is not trusted"


def test_a_name_is_checked_in_no_plain_text(tmp_path: Path) -> None:
    named = {"HOMEWARD_MATCHING_TLS_SERVER_NAME": "homeward-matching"}
    where = places(tmp_path, options={"matching": "127.0.0.1:9"}, environment=named)
    with Connections(where) as connections, pytest.raises(CliError) as refused:
        connections.channel("matching")

    assert "plain text, without certificates" in refused.value.message
    assert "unset HOMEWARD_MATCHING_TLS_SERVER_NAME" in refused.value.advice


def test_a_service_of_another_authority_is_not_trusted(tmp_path: Path, serve: Serve) -> None:
    address = serve(tls=Authority("another").write(tmp_path / "server"))
    mine = variables(Authority().write(tmp_path / "mine"))
    where = places(tmp_path, options={"matching": address}, environment=mine)
    with Connections(where) as connections, pytest.raises(CallError) as refused:
        asked(connections)

    assert refused.value.message == f"matching at {address} (--matching) is not trusted"
    assert "signed by HOMEWARD_TLS_CA_FILE" in refused.value.advice


def test_a_certificate_without_its_key_is_told(tmp_path: Path) -> None:
    mine = variables(Authority().write(tmp_path / "mine"))
    del mine["HOMEWARD_TLS_KEY_FILE"]
    where = places(tmp_path, options={"matching": "127.0.0.1:9"}, environment=mine)
    with Connections(where) as connections, pytest.raises(CliError) as refused:
        connections.channel("matching")

    assert "set HOMEWARD_TLS_KEY_FILE too" in refused.value.message


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    files = Authority().write(tmp_path / "mine")
    files.certificate.unlink()
    where = places(tmp_path, options={"matching": "127.0.0.1:9"}, environment=variables(files))
    with Connections(where) as connections, pytest.raises(CliError) as refused:
        connections.channel("matching")

    assert refused.value.message == f"{files.certificate} cannot be read: No such file or directory"


def local_stack(tmp_path: Path, address: str, authority: Authority) -> Path:
    """Write what a stack at an address gives its user; return the folder."""
    access = tmp_path / "access"
    mine = authority.write(access, usage=(CLIENT,))
    mine.certificate.rename(access / "client.crt")
    mine.key.rename(access / "client.key")
    (access / "token").write_text("of.the.stack\n")
    write_stack(tmp_path, {"matching": address, "access": str(access)})
    return access


def test_the_local_stack_gives_its_user_a_certificate_and_a_token(
    tmp_path: Path, serve: Serve
) -> None:
    authority = Authority()
    address = serve("local", tls=authority.write(tmp_path / "server"))
    local_stack(tmp_path, address, authority)
    elsewhere = variables(Authority().write(tmp_path / "mine"))
    where = places(tmp_path, environment=elsewhere)
    with Connections(where) as connections:
        assert asked(connections) == "local"

    sent = where.identification(where.find("matching")).metadata()
    assert sent == (("authorization", "Bearer of.the.stack"),)


def test_a_token_that_the_user_names_counts_more_than_the_local_stacks(tmp_path: Path) -> None:
    local_stack(tmp_path, NOTHING_LISTENS, Authority())
    (tmp_path / "anna").write_text("of.anna.herself")
    where = places(tmp_path, environment={"HOMEWARD_TOKEN_FILE": str(tmp_path / "anna")})

    sent = where.identification(where.find("matching")).metadata()
    assert sent == (("authorization", "Bearer of.anna.herself"),)


def test_the_local_stacks_token_is_for_the_local_stack_alone(tmp_path: Path) -> None:
    local_stack(tmp_path, NOTHING_LISTENS, Authority())
    where = places(tmp_path, options={"matching": "127.0.0.1:1"})

    assert where.identification(where.find("matching")).metadata() == ()


def test_another_program_on_the_local_stacks_port_is_not_told_who_calls(
    tmp_path: Path, serve: Serve
) -> None:
    address = serve(tls=Authority("another").write(tmp_path / "server"))
    local_stack(tmp_path, address, Authority())
    with Connections(places(tmp_path)) as connections, pytest.raises(CallError) as refused:
        asked(connections)

    assert refused.value.message.endswith("is not trusted")
    assert "homeward up" in refused.value.advice


def test_the_files_that_a_stack_writes_are_those_that_commands_read() -> None:
    access = StackAccess.of(Path("data"))
    written = tls_files(access.user, CLIENT_NAME)

    assert Target("", "", "", access=access.user).tls() == written
    assert access.token.name == LOCAL_TOKEN


def test_the_local_stack_of_an_older_version_is_spoken_to_in_plain_text(
    tmp_path: Path, serve: Serve
) -> None:
    write_stack(tmp_path, {"matching": serve("local")})
    mine = variables(Authority().write(tmp_path / "mine"))
    with Connections(places(tmp_path, environment=mine)) as connections:
        assert asked(connections) == "local"
