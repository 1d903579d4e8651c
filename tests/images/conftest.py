"""What each image has, made without a container engine: `make images-check`.

Not part of `make test`: it installs four environments, 1 GB, in some minutes, and needs bubblewrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

collect_ignore_glob = [] if "HOMEWARD_TEST_IMAGES" in os.environ else ["*"]

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("cli", "ingestion", "matching", "embedding")
NOBODY = "10001"

figures = pytest.StashKey[dict[tuple[str, str], str]]()
Record = Callable[[str, str, str], None]
Start = Callable[..., psutil.Popen]


def run(*command: str | Path) -> str:
    """Run what must succeed, outside the environment of the tests."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


@pytest.fixture(scope="session")
def folder() -> Path:
    folder = Path(os.environ["HOMEWARD_TEST_IMAGES"]).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def environments(folder: Path) -> dict[str, Path]:
    """The environment of each image, as deploy/Dockerfile makes it."""
    wheels = folder / "wheels"
    made = {target: folder / target for target in TARGETS}
    run(sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation",
        "--wheel-dir", wheels, ".")  # fmt: skip
    for target, environment in made.items():
        run("deploy/install.sh", f"requirements/{target}.txt", wheels, environment)
    return made


@pytest.fixture(scope="session")
def models(folder: Path, environments: dict[str, Path]) -> Path:
    """The models, as deploy/Dockerfile prepares them in a copy of the environment."""
    copy = folder / "preparing"
    shutil.copytree(environments["embedding"], copy, symlinks=True)
    run("deploy/models.sh", "requirements/models.txt", copy, folder / "models")
    shutil.rmtree(copy)
    return folder / "models"


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a program as in a container: process 1, nobody, with nothing to write to."""
    assert shutil.which("bwrap"), "install bubblewrap: it makes the read-only tree"
    begun: list[psutil.Popen] = []

    def start(*command: str | Path, **variables: str | Path) -> psutil.Popen:
        system = [part for name in ("bin", "lib", "lib64", "sbin") for part in _as_here(name)]
        python = Path(sys.base_prefix)
        settings = {"PATH": "/usr/bin:/bin", "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
        # As root, become nobody; who is not root cannot, and is nobody enough.
        nobody = [] if os.geteuid() else [
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            "--no-new-privs", "--bounding-set=-all",
        ]  # fmt: skip
        process = psutil.Popen(
            [
                "bwrap", "--die-with-parent", "--unshare-pid", "--as-pid-1", "--clearenv",
                "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", *system,
                *_shown(python), *_shown(folder),
                "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--chdir", "/",
                *(p for name, value in {**settings, **variables}.items()
                  for p in ("--setenv", name, str(value))),
                *nobody, *command,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.children()[0].kill()  # bubblewrap's end would not be its
        process.wait()
        if process.stdout:
            process.stdout.close()


def _shown(folder: Path) -> list[str]:
    """Return the options that show a folder, on a way that is open to everybody."""
    way = [part for one in reversed(folder.parents[:-1])
           for part in ("--perms", "0755", "--dir", str(one))]  # fmt: skip
    return [*way, "--ro-bind", str(folder), str(folder)]


def _as_here(name: str) -> list[str]:
    path = Path("/", name)
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keep a figure for the table that is printed at the end: of what, which, and how much."""
    table = request.config.stash.setdefault(figures, {})

    def record(row: str, column: str, value: str) -> None:
        table[row, column] = value

    return record


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(figures, {})
    columns = list(dict.fromkeys(column for _, column in table))
    if columns:
        terminalreporter.write_line(f"| image | {' | '.join(columns)} |")
        terminalreporter.write_line(f"|---|{'---|' * len(columns)}")
    for row in dict.fromkeys(row for row, _ in table):
        cells = [table.get((row, column), "") for column in columns]
        terminalreporter.write_line(f"| `{row}` | {' | '.join(cells)} |")
