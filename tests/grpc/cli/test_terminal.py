"""No command hands a terminal what others wrote as they wrote it."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cli_documents
import click
import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

import homeward.api
from cli_values import ANNA, FOOTAGE, SCAN, SIGHTING, Refusal, jpeg
from homeward.api.matching.v1.sighting_service_pb2 import WatchSightingsResponse
from homeward.cli import patience, render
from homeward.cli.__main__ import run
from homeward.cli.app import app

HOSTILE = (
    "A\x1b]0;title\x07\x1b[2J\u202eB\nFORGED line\rFORGED again\x9b31m\x85FORGED"
    "\u2028FORGED [red]C[/red] :boom: \x00\x7f\u2066\U000e0041 ${D} {E}"
)
SHOWN = "A\\x1b]0;title\\x07\\x1b[2J\\u202eB FORGED line FORGED again\\x9b31m FORGED FORGED [red]C"


def filled(kind: Any, *, pick: int = 0, depth: int = 0) -> Message:
    """Return a message whose every text is hostile.

    Args:
        kind: Its descriptor.
        pick: Which field of alternatives to set.
        depth: How many messages it is inside of.
    """
    made: Message = message_factory.GetMessageClass(kind)()
    if isinstance(made, Timestamp):
        return Timestamp(seconds=1_795_168_800)
    if isinstance(made, Duration):
        return Duration(seconds=1)
    for field in kind.fields:
        one_of = field.containing_oneof
        left_out = one_of is not None and one_of.fields[pick % len(one_of.fields)] != field
        if left_out or field.name == "next_page_token" or depth > 5:
            continue
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry or field.message_type.name == "Any":
                continue
            value = filled(field.message_type, pick=pick, depth=depth + 1)
            target = getattr(made, field.name)
            (target.add() if field.is_repeated else target).CopyFrom(value)
        elif field.is_repeated:
            getattr(made, field.name).append(_value(field))
        else:
            setattr(made, field.name, _value(field))
    return made


def _value(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        ended = field.enum_type.full_name.endswith("v1.Scan.State")
        return 3 if ended else field.enum_type.values[1].number
    values = {
        FieldDescriptor.TYPE_STRING: HOSTILE,
        FieldDescriptor.TYPE_BYTES: jpeg(64, 64),
        FieldDescriptor.TYPE_BOOL: True,
        FieldDescriptor.TYPE_FLOAT: 0.5,
        FieldDescriptor.TYPE_DOUBLE: 0.5,
    }
    return values.get(field.type, 1)


@dataclass
class Everything(grpc.GenericRpcHandler):
    """Answers every RPC of Homeward with hostile text, or refuses it with such."""

    refusal: Refusal | None = None

    def service(self, details: Any) -> grpc.RpcMethodHandler | None:
        service, _, name = details.method.lstrip("/").partition("/")
        try:
            methods = descriptor_pool.Default().FindServiceByName(service).methods_by_name
        except KeyError:
            return None
        method = methods[name]

        def one(_: Any, context: grpc.ServicerContext) -> bytes:
            if self.refusal is not None:
                self.refusal.abort(context)
            return filled(method.output_type).SerializeToString()

        def many(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield one(request, context)
            yield filled(method.output_type, pick=1).SerializeToString()
            if name == "WatchSightings":  # it does not end, unless it is asked to tell this
                yield WatchSightingsResponse(resume_token=HOSTILE).SerializeToString()

        if method.client_streaming:
            make = grpc.stream_stream_rpc_method_handler
            if not method.server_streaming:
                return grpc.stream_unary_rpc_method_handler(one)
            return make(many)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Everything]]:
    for module in pkgutil.walk_packages(homeward.api.__path__, "homeward.api."):
        importlib.import_module(module.name)  # its descriptors
    every = Everything()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[every])
    address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield address, every
    server.stop(None).wait()


@pytest.fixture
def hostile(served: tuple[str, Everything], monkeypatch: pytest.MonkeyPatch) -> Everything:
    address, every = served
    every.refusal = None
    for service in ("INGESTION", "MATCHING", "EMBEDDING"):
        monkeypatch.setenv(f"HOMEWARD_{service}_TARGET", address)
    monkeypatch.setattr(patience, "pause", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "4000")  # a cell of a table is one line
    return every


@dataclass(frozen=True)
class Files:
    """Files that commands take, in a folder of their own."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        if name == "gate/x.mp4":
            (path.parent / HOSTILE.replace("\0", "2026").replace("/", "")).write_bytes(b"no video")
        elif name == "video.mp4":
            path.write_bytes(b"no video")
        elif name == "photo.jpg":
            path.write_bytes(jpeg(64, 64))
        elif name == "decisions.csv":
            path.write_text(f"sighting,decision,reason\n{SIGHTING},confirm,a scar\n")
        elif name == "policy.json":
            path.write_text("{}")
        return str(path)


Words = Callable[[Files], tuple[str, ...]]
COMMANDS: dict[str, Words] = {
    "audit list": lambda _: (),
    "audit list --csv": lambda _: (),
    "audit export": lambda f: ("-o", f["trail.jsonl"]),
    "audit checkpoint": lambda _: (),
    "audit checkpoint --key": lambda _: (),
    "audit verify": lambda _: (),
    "camera add": lambda _: ("gate", "--place", HOSTILE),
    "camera update": lambda _: ("gate", "--place", HOSTILE),
    "camera rm": lambda _: ("gate", "--yes"),
    "camera list": lambda _: (),
    "camera show": lambda _: ("gate",),
    "footage add": lambda f: (f["video.mp4"], "--camera", "gate", "--start", "2026-11-20T10:00Z"),
    "footage list": lambda _: (),
    "footage watch": lambda f: (
        *(str(Path(f["gate/x.mp4"]).parents[1]), "--start-from-name", "%Y", "--once"),
        *("--rest", "0s"),
    ),
    "footage show": lambda _: (FOOTAGE,),
    "footage rm": lambda _: (FOOTAGE, "--yes"),
    "model show": lambda _: (),
    "plan": lambda _: ("--cameras", "2", "--hours", "3"),
    "policy list": lambda _: (),
    "policy show": lambda _: ("p/1",),
    "policy add": lambda f: (f["policy.json"],),
    "policy approve": lambda _: ("p/1", "--by", "X", "--until", "2099-01-01", "--activate"),
    "policy activate": lambda _: ("p/1",),
    "policy expire": lambda _: ("p/1", "--reason", HOSTILE, "--yes"),
    "report": lambda f: ("--month", "2026-11", "-o", f["report"]),
    "retention": lambda _: (),
    "review --batch": lambda f: (f["decisions.csv"],),
    "scan list": lambda _: (),
    "scan show": lambda _: (SCAN,),
    "scan watch": lambda _: (SCAN,),
    "scan stretches": lambda f: (SCAN, "--csv", f["a.csv"], "--playlist", f["a.m3u8"]),
    "scan cancel": lambda _: (SCAN,),
    "scan authorise": lambda _: (SCAN, "--reference", HOSTILE, "--by", HOSTILE),
    "scan refuse": lambda _: (SCAN, "--reason", HOSTILE, "--by", HOSTILE, "--yes"),
    "scan certificate": lambda _: (SCAN,),
    "scan record": lambda f: (SCAN, "-o", f["record.json"]),
    "search": lambda _: ("--subject", ANNA),
    "sheet": lambda f: ("--subject", ANNA, "-o", f["sheet.html"]),
    "sighting near": lambda _: (ANNA,),
    "sighting list": lambda _: (),
    "sighting list --rejected": lambda _: (),
    "sighting show": lambda f: (SIGHTING, "--save", f["lead.png"]),
    "sighting review": lambda _: (SIGHTING, "--confirm", "--reviewer", HOSTILE),
    "sighting clip": lambda f: (SIGHTING, "-o", f["clip.mp4"]),
    "sighting export --unapproved": lambda f: (SIGHTING, "-o", f["a.zip"], "--to", HOSTILE),
    "sighting export": lambda f: (SIGHTING, "--save", f["out"], "--unapproved"),
    "status": lambda _: (),
    "subject add": lambda f: ("--case", "C", "--label", HOSTILE, "--yes", f["photo.jpg"]),
    "subject add-photo": lambda f: (ANNA, f["photo.jpg"]),
    "subject list": lambda _: ("--all",),
    "subject show": lambda _: (ANNA,),
    "subject update": lambda _: (ANNA, "--label", HOSTILE),
    "subject close": lambda _: (ANNA, "--yes"),
    "subject erase": lambda _: (ANNA, "--yes"),
    "subject certificate": lambda _: (ANNA,),
    "subject reenrol": lambda _: ("--model", "m"),
    "subject rebuild": lambda _: (),
    "watch --once": lambda _: (),
}
OF_LINES = {"audit checkpoint"}
"""Commands that print a signed note, line by line: it must stay what was signed."""
NO_JSON = {"audit list --csv", "footage watch", "watch --once"}
"""Commands that print no JSON, or a document a line, which test_watch.py and test_footage_watch.py
have."""
LOCAL = {
    *("completion", "demo", "evaluate", "export verify", "model install", "model list"),
    *("record verify", "up"),
}
"""Commands that ask no service."""
OF_TOKENS = {"login", "logout", "token create", "whoami"}
"""Commands that ask an issuer, or read a token: tests/unit/cli/test_login.py tries them."""


def commands(group: click.Group = app, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_that_asks_a_service_is_tried() -> None:
    tried = {name.partition(" --")[0] for name in COMMANDS}
    assert set(commands()) == tried | LOCAL | OF_TOKENS


def printed(capsys: pytest.CaptureFixture[str], *, of_lines: bool = False) -> str:
    """Return what was printed, and check it."""
    out = "".join(capsys.readouterr())
    unprintable = {one for one in out if not one.isprintable() and one not in "\n\t"}
    assert unprintable == set()
    assert of_lines or not re.search(r"^FORGED", out, re.MULTILINE)
    assert "unexpected" not in out
    return out


@pytest.mark.parametrize("looked_at", [True, False], ids=["on a terminal", "in a pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_others_wrote_is_printed_as_text_on_one_line(
    hostile: Everything,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    *,
    looked_at: bool,
) -> None:
    monkeypatch.setattr(render, "on_terminal", lambda: looked_at)
    run([*command.split(), *COMMANDS[command](Files(tmp_path))])
    of_lines = command in OF_LINES
    out = printed(capsys, of_lines=of_lines)
    assert of_lines or out.count("[red]C") == out.count(SHOWN)
    assert "{E}" in out or SHOWN not in out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in NO_JSON])
def test_json_escapes_it_and_reads_back_the_same(
    hostile: Everything,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    run([*command.split(), *COMMANDS[command](Files(tmp_path)), "--output", "json"])
    captured = capsys.readouterr()
    assert {one for one in captured.out if not one.isprintable()} <= {"\n"}
    assert {one for one in captured.err if not one.isprintable()} <= {"\n"}
    if not captured.out:
        return
    document = json.loads(captured.out)
    cli_documents.require(document, command)
    texts = set(_texts(document))
    assert not any("\\x1b" in one for one in texts)
    assert any(HOSTILE in one for one in texts) or "\\u001b" not in captured.out


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    "reason", ["POLICY_NOT_APPROVED", "CAMERA_HAS_FOOTAGE", "PHOTO_REFUSED", "NEW", ""]
)
@pytest.mark.parametrize("command", ["subject show", "subject add", "search", "camera list"])
def test_what_a_refusal_says_is_printed_as_text(
    hostile: Everything,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    reason: str,
) -> None:
    metadata = dict.fromkeys(("policy_id", "camera_id", "verdict", "request_id"), HOSTILE)
    hostile.refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, reason, HOSTILE, metadata)
    assert run([*command.split(), *COMMANDS[command](Files(tmp_path))]) != 0
    assert SHOWN in printed(capsys)


@pytest.mark.parametrize(
    "words",
    [
        (HOSTILE,),
        ("subject", HOSTILE),
        ("subject", "show", f"--{HOSTILE}"),
        ("subject", "add", HOSTILE),
        ("subject", "show", HOSTILE),
        ("footage", "add", HOSTILE, "--camera", "gate"),
        ("sighting", "list", "--from", HOSTILE),
        ("sighting", "list", "--state", HOSTILE),
        ("sighting", "show", SIGHTING, "--save", HOSTILE),
        ("status", "--profile", HOSTILE),
        ("status", "--matching", HOSTILE),
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "HOSTILE"),
)
def test_what_was_typed_or_is_the_name_of_a_file_is_printed_as_text(
    hostile: Everything, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    run([word.replace("\x00", "") for word in words])
    printed(capsys)


@pytest.mark.parametrize("command", ["subject close", "subject erase", "sighting review"])
def test_a_question_is_one_line(
    hostile: Everything,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    words = (SIGHTING, "--reject") if command == "sighting review" else (ANNA,)
    assert run([*command.split(), *words]) == 130
    printed(capsys)
