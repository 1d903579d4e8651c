from __future__ import annotations

import importlib.abc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from homeward.cli.__main__ import run
from homeward.cli.app import app
from homeward.cli.errors import EXIT_CODE_HELP

NOUNS = (
    "status",
    "subject",
    "camera",
    "footage",
    "search",
    "scan",
    "sighting",
    "policy",
    "retention",
    "model",
    "login",
    "logout",
    "whoami",
    "token",
    "completion",
)
LEAVES = (
    "search",
    "status",
    "retention",
    "completion",
    "login",
    "logout",
    "whoami",
    "token create",
    *(f"subject {name}" for name in ("add", "add-photo", "list", "show", "update", "close")),
    "subject erase",
    "subject reenrol",
    *(f"camera {name}" for name in ("add", "list", "update", "rm")),
    *(f"footage {name}" for name in ("add", "list", "show", "rm")),
    *(f"scan {name}" for name in ("list", "show", "watch", "cancel")),
    *(f"policy {name}" for name in ("list", "show", "add", "approve", "activate", "expire")),
    *(f"sighting {name}" for name in ("list", "show", "review", "export")),
    *(f"model {name}" for name in ("list", "show", "install")),
)
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


@pytest.mark.parametrize("noun", NOUNS)
def test_no_command_imports_what_the_base_install_lacks(noun: str) -> None:
    assert loaded(noun, "--help").isdisjoint({*HEAVY, "PIL"})


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
    told = re.findall(r"^\| (\d+) \| ([^;|]+)", manual, re.MULTILINE)
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
