from __future__ import annotations

import importlib.abc
import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from homeward.cli.__main__ import run
from homeward.cli.app import LazyGroup, app
from homeward.cli.errors import EXIT_CODE_HELP


def leaves(group: click.Group = app, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


OF_THE_SERVER = {"demo", "evaluate", "up"}
"""Commands that need more than the base install, and have examples of their own form."""
LEAVES = [name for name in leaves() if name not in OF_THE_SERVER]
HEAVY = (
    "numpy", "cv2", "onnxruntime", "pydantic", "structlog", "nats", "minio", "qdrant_client",
    "opentelemetry", "prometheus_client",
)  # fmt: skip
LOADED = """
import sys
from homeward.cli.__main__ import run
run(sys.argv[1:])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""

EACH_HELP = """
import sys
from homeward.cli.__main__ import run
for words in sys.argv[1:]:
    run([*words.split(), "--help"])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""

INTERRUPTED = """
import sys
class CtrlC:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
from homeward.cli.__main__ import main
sys.meta_path.insert(0, CtrlC())
main()
"""


def loaded(*arguments: str) -> set[str]:
    """Return the top-level packages that a command line imports."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.partition("LOADED")[2].split())


def test_help_imports_neither_grpc_nor_tables() -> None:
    assert loaded("--help").isdisjoint({*HEAVY, "grpc", "google", "rich", "PIL"})


def test_no_command_imports_what_the_base_install_lacks() -> None:
    commands = [name for name in LEAVES if not name.startswith("token")]
    done = subprocess.run(
        [sys.executable, "-c", EACH_HELP, *commands], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.partition("LOADED")[2].split()).isdisjoint({*HEAVY, "PIL"})


def test_help_takes_less_than_400_milliseconds_of_a_processor() -> None:
    command = [sys.executable, "-m", "homeward.cli", "--help"]
    took = []
    for _ in range(2):  # the first may write bytecode
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.4


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_help_of_every_command_has_examples(leaf: str) -> None:
    shown = CliRunner().invoke(app, [*leaf.split(), "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Examples:" in shown.output
    assert "homeward" in shown.output.partition("Examples:")[2]


def test_the_help_tells_the_exit_codes() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert "130  interrupted, or not confirmed" in shown.output


def test_the_manual_tells_the_same_exit_codes() -> None:
    manual = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")
    table = manual.partition("## Exit codes\n")[2]
    told = re.findall(r"^\| (\d+) \| ([^;|]+)", table, re.MULTILINE)
    assert [(int(code), text.strip()) for code, text in told] == list(EXIT_CODE_HELP.items())


def test_an_unknown_command_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serach"]) == 2
    assert "No such command 'serach'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "meant"),
    [("serch", "search"), ("sightings", "sighting"), ("footage lst", "list")],
)
def test_a_mistyped_command_is_answered_with_the_one_that_is_meant(
    given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(given.split()) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["homeward.cli.output", "homeward.cli.app"])
def test_an_interrupt_before_the_command_is_imported_ends_it_without_a_traceback(
    module: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completion", shell]) == 0
    assert f"_HOMEWARD_COMPLETE={shell}_complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "-o json plan --cameras 2 --hours 3",
        "--output json plan --cameras 2 --hours 3",
        "plan -o json --cameras 2 --hours 3",
        "plan --cameras 2 --hours 3 --output json",
    ],
)
def test_the_form_of_the_output_may_stand_anywhere(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 0
    assert json.loads(capsys.readouterr().out)["cores"] > 0


def test_what_stands_after_the_command_counts_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-o", "json", "plan", "--cameras", "2", "--hours", "3", "-o", "text"]) == 0
    assert "core hours" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["scan record 8c41f7d2 -o json", "audit export -o text"])
def test_the_name_of_a_form_is_no_file(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert f"write --output {words.rsplit(maxsplit=1)[-1]} for the form" in capsys.readouterr().err


@pytest.mark.parametrize("before", ["--data /x", "--data=/x", "--profile p --data /x"])
def test_where_the_services_are_may_stand_before_the_command(
    before: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: shown)
    shown = click.Command(
        "shown",
        params=[click.Option(["--data"]), click.Option(["--profile"])],
        callback=lambda data, profile: click.echo(f"{data} {profile}"),
    )
    assert run([*before.split(), "shown"]) == 0
    assert capsys.readouterr().out == f"/x {'p' if 'profile' in before else None}\n"


def test_a_shell_is_offered_no_ids_and_no_error_where_no_stack_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("_HOMEWARD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"homeward --data {tmp_path} subject show 3f2a")
    monkeypatch.setenv("COMP_CWORD", "5")
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr() == ("\n", "")


def test_commands_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_HOMEWARD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "homeward su")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out == "plain,subject\n"


class _Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname == "homeward.embedded.command":
            raise ModuleNotFoundError(name="psutil")


def test_up_without_the_servers_parts_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "homeward.embedded.command", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Absent(), *sys.meta_path])
    assert run(["up", "--data", "x"]) == 2
    told = capsys.readouterr().err
    assert "psutil is missing" in told
    assert "pip install 'homeward-cctv[server]'" in told
