"""The wheel as a user installs it: in an environment of its own, away from the checkout.

It takes the versions of the lock files, which `make` has fetched before: whether newer ones do as
well is not tested here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from homeward.core.distribution import NAME

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 400.0
COMMAND_SECONDS = 200.0

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path, seconds: float = COMMAND_SECONDS) -> str:
    """Run what must succeed, with nothing in its environment that leads to the checkout."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=_outside(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _outside() -> dict[str, str]:
    ours = ("HOMEWARD_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _locked() -> str:
    """Return the versions of the lock files as pip's constraints."""
    texts = [
        (ROOT / "requirements" / f"{lock}.txt").read_text() for lock in ("server", "insightface")
    ]
    return "\n".join(re.findall(r"^[a-z0-9-]+==[^\\\n]*", "\n".join(texts), re.MULTILINE))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the commands of an environment with the wheel and its extra `demo`."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    constraints = folder / "constraints.txt"
    constraints.write_text(_locked())
    pip = [folder / "env" / "bin" / "python", "-m", "pip", "--quiet"]
    wanted = ("install", "--constraint", constraints, f"{wheel}[demo]")
    run(*pip, *wanted, cwd=folder, seconds=INSTALL_SECONDS)
    yield folder / "env" / "bin"
    shutil.rmtree(folder)  # 1.3 GB, of which pytest would keep three


@pytest.fixture
def up(installed: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with (tmp_path / "up.log").open("w") as log:
        process = subprocess.Popen(
            [installed / "homeward", "up", "--data", "data"],
            cwd=tmp_path,
            env=_outside(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_wheel_asks_for_nothing_of_the_name_that_is_somebody_elses(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (file,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(archive.read(file).decode())

    assert about["Name"] == NAME
    required = [re.split(r"[\[<>=;! ]", one)[0] for one in about.get_all("Requires-Dist", [])]
    assert "click" in required
    assert "homeward" not in required


def test_the_wheel_carries_no_weights_and_no_picture(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        endings = {Path(name).suffix for name in archive.namelist()}

    assert not endings & {".onnx", ".bin", ".npz", ".jpg", ".png", ".mp4"}


def test_the_wheel_carries_the_template_of_the_evaluation_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "homeward/evaluation/templates/page.html" in archive.namelist()


def test_the_environment_has_nothing_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import homeward, sys; print(homeward.__file__, *sys.path)"

    told = run(installed / "python", "-c", code, cwd=tmp_path)

    assert str(ROOT) not in told


def test_the_demo_finds_its_person_and_keeps_nothing_of_the_other(
    installed: Path, tmp_path: Path
) -> None:
    told = run(installed / "homeward", "demo", cwd=tmp_path)

    assert "Of the other person: 0 templates, 0 crops." in told
    assert "What is left: 1 in a count; and as long as the recording is there" in told
    assert re.search(r"when and where faces were in them +[1-9]", told)
    assert (tmp_path / ".demo" / "sighting.png").read_bytes().startswith(b"\x89PNG")


def test_a_stack_starts_answers_and_stops(
    installed: Path, up: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert up.stdout is not None
    assert up.stdout.readline().startswith("ready "), (tmp_path / "up.log").read_text()

    told = run(installed / "homeward", "status", "--data", "data", cwd=tmp_path)
    up.send_signal(signal.SIGTERM)

    assert told.count("serving") == 3
    assert up.wait(COMMAND_SECONDS) == 0
