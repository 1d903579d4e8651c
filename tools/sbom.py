#!/usr/bin/env python3
"""Write the bill of materials of an image: its packages and models, with their licences.

    sbom.py TARGET ENVIRONMENT FILE

CycloneDX, as JSON. ENVIRONMENT is what deploy/install.sh made for the target. What the base image
has is not in it: see docs/images.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

MODELS = """
import dataclasses, json
from homeward.embedding.adapters.yunet_sface import SFACE, YUNET
print(json.dumps([dataclasses.asdict(file) for file in (YUNET, SFACE)]))
"""


def output(*command: str) -> Any:  # noqa: ANN401 - whatever JSON it prints
    """Run a program, without what this process's Python was told, and return the JSON it prints."""
    env = {"PATH": os.environ["PATH"]}
    run = subprocess.run(command, env=env, check=True, capture_output=True, text=True)  # noqa: S603 - our own commands
    return json.loads(run.stdout)


def packages(python: str) -> dict[str, Any]:
    """Return the bill of the packages of an environment."""
    generator = Path(sys.executable).with_name("cyclonedx-py")
    # The texts, because some packages declare their licence in no other form.
    options = ("--gather-license-texts", "--output-reproducible", "--spec-version", "1.6")
    bill: dict[str, Any] = output(str(generator), "environment", *options, python)
    return bill


def models(python: str) -> list[dict[str, Any]]:
    """Return what the embedding image has of models, from the environment's own constants."""
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": file["name"],
            "name": file["name"],
            "description": f"{file['role']} of yunet-sface; prepared from this file",
            "hashes": [{"alg": "SHA-256", "content": file["sha256"]}],
            "licenses": [{"license": {"id": file["licence"]}}],
        }
        for file in output(python, "-c", MODELS)
    ]


def main(target: str, environment: str, file: str) -> None:
    """Write one bill."""
    python = str(Path(environment, "bin", "python"))
    bill = packages(python)
    (homeward,) = (part for part in bill["components"] if part["name"] == "homeward-cctv")
    bill["metadata"]["component"] = {
        "type": "container",
        "bom-ref": f"homeward-{target}",
        "name": f"homeward-{target}",
        "version": homeward["version"],
    }
    if target == "embedding":
        bill["components"] += models(python)
    text = json.dumps(bill, indent=2) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"sbom.py: what was written for {target} is not CycloneDX: {problem}")
    Path(file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
