"""What docs/operations.md tells an operator to add to a copy of the production overlay."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.manifests import K8S, load
from homeward.servicekit.identity.rules import read_rules

OPERATIONS = K8S.parents[1] / "docs" / "operations.md"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The overlay as the page says to make it, rendered."""
    place = tmp_path_factory.mktemp("deploy") / "k8s"
    shutil.copytree(K8S, place)
    own = place / "overlays" / "production-own"
    shutil.copytree(place / "overlays" / "production", own)
    block = re.search(r"(?ms)^   ```yaml\n(   patches:.*?)^   ```", OPERATIONS.read_text("utf-8"))
    assert block is not None, "the page has the entries to add"
    file = own / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text(encoding="utf-8"))
    kustomization["patches"] += yaml.safe_load(block[1])["patches"]
    file.write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    rendered = subprocess.run(
        [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(own)],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(yaml.safe_load_all(rendered.stdout))


def of(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in documents if one["kind"] == kind]


def test_certificates_come_from_the_operators_issuer(documents: list[dict[str, Any]]) -> None:
    issuers = {one["spec"]["issuerRef"]["name"] for one in of(documents, "Certificate")}

    assert issuers == {"YOURS"}


def test_the_servers_trust_the_operators_issuer_of_tokens(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    (auth,) = (one for one in of(documents, "ConfigMap") if "auth.toml" in one["data"])
    (tmp_path / "auth.toml").write_text(auth["data"]["auth.toml"], encoding="utf-8")
    rules = read_rules(tmp_path / "auth.toml")
    name = auth["metadata"]["name"]
    servers = [one for one in of(documents, "Deployment") if name in str(one)]

    assert rules.tokens is not None
    assert rules.tokens.issuer == "https://login.example.police.uk/realms/force"
    assert len(servers) == 3


def test_the_rules_of_lawful_searches_are_still_there(documents: list[dict[str, Any]]) -> None:
    (ingestion,) = (
        one
        for one in of(documents, "Deployment")
        if one["metadata"]["name"] == "homeward-ingestion"
    )
    container = ingestion["spec"]["template"]["spec"]["containers"][0]
    names = {one["name"] for one in container["env"]}

    assert {"HOMEWARD_SCAN_AUTHORISATION_HOURS", "HOMEWARD_LOG_LEVEL"} <= names


def number(quantity: str) -> float:
    """Return processors, or GiB, of a quantity of Kubernetes."""
    units = {"m": 1 / 1000, "Mi": 1 / 1024, "Gi": 1.0}
    digits = quantity.rstrip("miGM")
    return float(digits) * units.get(quantity.removeprefix(digits), 1.0)


def test_the_page_says_what_a_trial_requests() -> None:
    asked = [
        (one.document["spec"].get("replicas", 1), container["resources"]["requests"])
        for one, container in load("evaluation").containers()
        if one.runs_on
    ]
    processors, memory = (
        round(sum(replicas * number(each[what]) for replicas, each in asked), 1)
        for what in ("cpu", "memory")
    )

    said = f"requests are {processors} processors and {memory} GiB"
    assert said in OPERATIONS.read_text(encoding="utf-8")
