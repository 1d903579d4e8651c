"""deploy/Dockerfile, read as Docker reads it; what the images have is looked at in tests/images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dockerfile
import pytest

from deploy.images import COMMANDS, FILE, stages
from deploy.manifests import ROOT

SERVICES = ("ingestion", "matching", "embedding")
IMAGES = ("cli", *SERVICES)
NAME = "registry.example/python"


def last(name: str, instruction: str) -> tuple[str, ...]:
    """Return what an instruction says for a stage, of its own or of what it is made from."""
    base, commands = stages()[name]
    own = [command.value for command in commands if command.cmd == instruction]
    return own[-1] if own else last(base, instruction)


def whole(name: str) -> list[dockerfile.Command]:
    """Return the commands of a stage after those of what it is made from."""
    base, commands = stages()[name]
    return (whole(base) if base in stages() else []) + commands


def test_only_a_base_that_is_chosen_comes_from_elsewhere() -> None:
    elsewhere = {base for base, _ in stages().values()} - set(stages())
    copied = {
        flag.removeprefix("--from=")
        for command in COMMANDS
        for flag in command.flags
        if flag.startswith("--from=")
    }

    assert elsewhere == {"${PYTHON}", "scratch"}
    assert copied <= set(stages())
    assert {command.value for command in COMMANDS if command.cmd == "ARG"} == {("PYTHON",)}


@pytest.mark.parametrize(
    ("base", "status"),
    [("", 1), (NAME, 1), (f"{NAME}:3.11", 1), (f"{NAME}@sha256:{'0' * 64}", 0)],
)
def test_a_base_without_a_digest_is_refused(base: str, status: int) -> None:
    _, commands = stages()["base"]
    (check,) = (command.value[0] for command in commands if command.cmd == "RUN")

    run = subprocess.run(
        ["/bin/sh", "-c", check], env={"PYTHON": base}, capture_output=True, text=True, check=False
    )

    assert run.returncode == status
    assert ("docs/images.md" in run.stderr) == bool(status)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root_and_stops_by_sigterm(image: str) -> None:
    assert last(image, "USER") == ("10001:10001",)
    assert last(image, "STOPSIGNAL") == ("SIGTERM",)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_of_a_service_starts_it(service: str) -> None:
    assert last(service, "ENTRYPOINT") == ("python", "-m", f"homeward.{service}")
    assert (ROOT / "services" / "homeward" / service / "__main__.py").is_file()


def test_the_image_of_the_command_line_starts_it() -> None:
    assert last("cli", "ENTRYPOINT") == ("homeward",)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_of_the_lock_with_its_name(image: str) -> None:
    run = [c.value[0] for c in stages()[f"{image}-environment"][1] if c.cmd == "RUN"]

    assert run == [f"deploy/install.sh requirements/{image}.txt /wheels /opt/homeward"]
    assert (f"--from={image}-environment",) in [c.flags for c in stages()[image][1]]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_layer_that_installs_or_builds(image: str) -> None:
    run = [command.value[0] for command in whole(image) if command.cmd == "RUN"]

    assert len(run) == 3  # two checks of the base, and the removal of what installs
    assert run[1].startswith("python3 -m pip uninstall ")
    assert {"pip", "setuptools", "wheel"} <= set(run[1].split())
    assert "/ensurepip" in run[1]  # which would bring pip back


@pytest.mark.parametrize(
    "file", [FILE, *sorted((ROOT / "deploy").glob("*.sh"))], ids=lambda f: f.name
)
def test_nothing_is_installed_from_an_index_without_its_hash(file: Path) -> None:
    text = file.read_text().replace("\\\n", " ")

    way = r"^(?!pip=).*(?:pip\b.*\binstall\s|\$pip\b).*$"
    installs = re.findall(way, text, re.MULTILINE)
    unchecked = [line for line in installs if not re.search("--require-hashes|--no-index", line)]

    assert installs
    assert unchecked == []


def test_everything_that_is_copied_is_there_and_not_kept_out() -> None:
    copied = [
        source
        for command in COMMANDS
        if command.cmd in {"COPY", "ADD"} and not any("--from" in flag for flag in command.flags)
        for source in command.value[:-1]
    ]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!/") for line in lines if line.startswith("!")]

    assert copied
    assert [one for one in copied if not (ROOT / one).exists()] == []
    assert [one for one in copied if not any(Path(one).match(way) for way in let_in)] == []


def test_the_context_leaves_out_all_that_is_not_let_in() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert next(line for line in lines if not line.startswith("#")) == "*"
    let_in = {line.removeprefix("!/").split("/")[0] for line in lines if line.startswith("!")}
    assert not let_in & {"tests", "bench", "docs", ".git", ".github", ".venv", "shared"}


def test_hadolint_finds_nothing_and_is_told_to_overlook_nothing() -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    hadolint = shutil.which("hadolint", path=path)
    assert hadolint is not None

    run = subprocess.run([hadolint, FILE], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout
    assert "hadolint ignore" not in FILE.read_text()
    assert list(ROOT.glob(".hadolint.y*ml")) == []
