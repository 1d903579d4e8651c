#!/usr/bin/env python3
"""Generate the Python code of the protos into a source root.

    generate_protos.py services      # what `make protos` does

The drift test generates into an empty folder and compares, so the flags exist once, here.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> None:
    """Write messages, stubs and their types under `out/homeward/api`.

    Raises:
        RuntimeError: protoc refused the protos; it has said why on standard error.
    """
    protos = ROOT / "protos"
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"-I{protos}",
            f"-I{ROOT / 'third_party'}",
            f"-I{files('grpc_tools') / '_proto'}",
            # Beside this Python, whether or not its folder is on the PATH.
            *(
                f"--plugin={name}={Path(sys.executable).parent / name}"
                for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
            ),
            f"--python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--grpc_python_out={out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        ]
    )
    if status != 0:
        msg = f"protoc failed with status {status}"
        raise RuntimeError(msg)
    for source in sources:
        if not source.endswith("_service.proto"):  # no service, so no stub to keep
            for stub in out.glob(source.removesuffix(".proto") + "_pb2_grpc.py*"):
                stub.unlink()
    api = out / "homeward" / "api"
    for folder in {api, *(path.parent for path in api.rglob("*_pb2.py"))}:
        for package in [folder, *folder.parents][: len(folder.relative_to(api).parts) + 1]:
            (package / "__init__.py").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
