"""What is promised of every proto: generated code without drift, lint, options, reasons."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import field_behavior_pb2
from google.api.field_behavior_pb2 import FieldBehavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

import homeward.api
from homeward.api.common.v1 import error_reason_pb2, options_pb2
from homeward.servicekit.errors import Reason

ROOT = Path(__file__).resolve().parents[2]
API_PAGE = ROOT / "docs/api.md"
PREFIX = "ERROR_REASON_"

_COMMENTED = re.compile(r"((?:^ *//.*\n)+) *(?:rpc (\w+)\(|(ERROR_REASON_\w+) =)", re.MULTILINE)
_FIELD = re.compile(r"((?:^ *//.*\n)+) *[\w.<>, ]+ (\w+) = \d+ \[([^;]+)\];", re.MULTILINE)
_ERROR = re.compile(r"- ([A-Z_]+) ((?:`[A-Z_]+`(?:, )?)+)")


def programs() -> str:
    return str(Path(sys.executable).parent)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((programs(), os.environ["PATH"]))
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def sources(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".py", ".pyi")
    }


def methods() -> Iterator[MethodDescriptor]:
    for found in pkgutil.walk_packages(homeward.api.__path__, "homeward.api."):
        if found.name.endswith("_service_pb2"):
            module = importlib.import_module(found.name)
            for service in module.DESCRIPTOR.services_by_name.values():
                yield from service.methods


def messages_sent() -> Iterator[Descriptor]:
    """Yield each message that a client may send: requests, and what stands in them."""
    found: set[str] = set()
    coming = [method.input_type for method in methods()]
    while coming:
        message = coming.pop()
        if message.full_name in found or not message.full_name.startswith("homeward."):
            continue
        found.add(message.full_name)
        yield message
        coming += [
            field.message_type
            for field in message.fields
            if field.message_type and FieldBehavior.OUTPUT_ONLY not in behaviours(field)
        ]


def behaviours(field: FieldDescriptor) -> list[int]:
    return list(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def field_comments() -> Iterator[tuple[str, str, str]]:
    """Yield name, comment and stated behaviours of each field that states any."""
    for path in sorted((ROOT / "protos").rglob("*.proto")):
        for comment, name, options in _FIELD.findall(path.read_text()):
            lines = (line.strip().removeprefix("//").strip() for line in comment.splitlines())
            yield f"{path.stem}/{name}", " ".join(lines), options


def comments() -> Iterator[tuple[str, str]]:
    """Yield what the protos say of each RPC and of each reason, as one line."""
    for path in sorted((ROOT / "protos").rglob("*.proto")):
        for comment, rpc, reason in _COMMENTED.findall(path.read_text()):
            lines = (line.strip().removeprefix("//").strip() for line in comment.splitlines())
            yield (f"{path.stem}/{rpc}" if rpc else reason), " ".join(lines)


def documented() -> dict[str, str]:
    """Return the status code that the protos give each reason."""
    return {
        name.removeprefix(PREFIX): text.split(".")[0]
        for name, text in comments()
        if name.startswith(PREFIX)
    }


def promised() -> Iterator[tuple[str, str, str]]:
    """Yield RPC, code and reason of each "Possible errors"."""
    for name, text in comments():
        for code, reasons in _ERROR.findall(text):
            for reason in re.findall(r"\w+", reasons):
                yield name, code, reason


def test_the_generated_code_is_that_of_the_protos(tmp_path: Path) -> None:
    done = run(sys.executable, "tools/generate_protos.py", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert sources(tmp_path / "homeward/api") == sources(ROOT / "services/homeward/api")


def commands() -> list[str]:
    """Return the commands of docs/api.md, each as a shell gets it."""
    found = re.findall(r"^ *```sh\n(.*?)^ *```$", API_PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as in a checkout, with the `protoc` and the `python` of the tests."""
    tools = folder / "tools"
    tools.mkdir()
    for name, words in {"protoc": "-m grpc_tools.protoc", "python": ""}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (tools / name).chmod(0o755)
    for name in ("protos", "third_party"):
        (folder / name).symlink_to(ROOT / name)
    return subprocess.run(
        # `-H`: the folders are links here, and `find` follows those that it is given.
        ["sh", "-e", "-c", command.replace("find protos", "find -H protos")],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join((str(tools), os.environ["PATH"]))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_protoc_makes_a_descriptor_set_as_the_page_says(tmp_path: Path) -> None:
    done = shell(commands()[0], tmp_path)

    assert done.returncode == 0, done.stderr
    made = FileDescriptorSet.FromString((tmp_path / "homeward.binpb").read_bytes())
    names = {file.name for file in made.file}
    ours = {str(path.relative_to(ROOT / "protos")) for path in ROOT.glob("protos/**/*.proto")}
    assert ours < names
    assert {"google/rpc/status.proto", "google/api/field_behavior.proto"} < names


def test_protoc_makes_python_as_the_page_says(tmp_path: Path) -> None:
    done = shell(commands()[1], tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "generated/homeward/api/ingestion/v1/scan_service_pb2_grpc.py").exists()


def test_protoc_needs_more_than_our_protos_as_the_page_says(tmp_path: Path) -> None:
    done = shell(commands()[0].replace("-Ithird_party", ""), tmp_path)

    assert done.returncode != 0
    assert "google/api/field_behavior.proto: File not found" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("lint",), ("format", "--diff", "--exit-code")], ids=lambda given: given[0]
)
def test_buf_finds_nothing_to_say(arguments: tuple[str, ...]) -> None:
    buf = shutil.which("buf", path=programs())

    assert buf is not None, "buf-bin is not installed beside this Python"
    done = run(buf, *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name)
def test_every_rpc_says_who_may_call_it(method: MethodDescriptor) -> None:
    access = method.GetOptions().Extensions[options_pb2.access]

    assert len(access.roles) >= 1
    assert options_pb2.ROLE_UNSPECIFIED not in access.roles


def test_only_these_rpcs_may_not_be_repeated() -> None:
    unknown = {
        method.name
        for method in methods()
        if method.GetOptions().idempotency_level == MethodOptions.IDEMPOTENCY_UNKNOWN
    }

    # What comes twice is refused the second time, is written down twice, or goes on by itself.
    assert unknown == {
        "CreateCamera",
        "DeleteCamera",
        "UploadFootage",
        "CompleteUpload",
        "DeleteFootage",
        "CancelScan",
        "EraseSubject",
        "ReenrolSubjects",
        "RebuildGallery",
        "ReviewSighting",
        "ExportSighting",
        "SealPackage",
    }


@pytest.mark.parametrize(
    "field",
    [field for message in messages_sent() for field in message.fields],
    ids=lambda field: field.full_name,
)
def test_every_field_of_a_request_says_whether_it_is_required(field: FieldDescriptor) -> None:
    assert behaviours(field), "state (google.api.field_behavior)"


@pytest.mark.parametrize(("field", "comment", "options"), list(field_comments()))
def test_a_field_is_required_when_its_comment_says_so(
    field: str, comment: str, options: str
) -> None:
    assert "Required." not in comment or "REQUIRED" in options, field
    assert "Output only" not in comment or "OUTPUT_ONLY" in options, field


@pytest.mark.parametrize("method", list(methods()), ids=lambda method: method.full_name)
def test_every_rpc_says_how_a_call_is_logged(method: MethodDescriptor) -> None:
    operation = method.GetOptions().Extensions[options_pb2.operation]

    assert operation != options_pb2.OPERATION_UNSPECIFIED


def test_the_reasons_of_the_code_are_those_of_the_api() -> None:
    names = {name.removeprefix(PREFIX) for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 - not a dict

    assert {reason.value for reason in Reason} == names - {"UNSPECIFIED"}


def test_the_comments_of_all_rpcs_are_read() -> None:
    read = {name.split("/")[1] for name, _ in comments() if "/" in name}

    assert read == {method.name for method in methods()}


@pytest.mark.parametrize(("rpc", "code", "reason"), list(promised()))
def test_a_possible_error_has_a_reason_documented_with_its_code(
    rpc: str, code: str, reason: str
) -> None:
    assert documented().get(reason) == code, f"{rpc} promises {code} {reason}"
