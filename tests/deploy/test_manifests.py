"""The overlays hold what they must, and each check would tell if they did not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy import checks
from deploy.checks import CHECKS, QUICK, Check
from deploy.faults import FAULTS, Fault, caught
from deploy.manifests import K8S, Manifests, load, overlays, rendered

QUICK_FAULTS = [one for one in FAULTS if one.caught_by in QUICK]


@pytest.mark.parametrize("overlay", overlays())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_overlay_holds(check: Check, overlay: str) -> None:
    assert list(check(load(overlay))) == []


@pytest.mark.parametrize("fault", QUICK_FAULTS, ids=lambda fault: fault.words.replace(" ", "-"))
def test_a_fault_is_caught(fault: Fault) -> None:
    assert fault.caught_by.__name__ in caught(fault, [fault.caught_by])


def test_what_readme_says_of_engines_outside_of_the_cluster_passes(tmp_path: Path) -> None:
    text = (K8S / "README.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"```yaml\n(patches:\n.*?)```", text, re.DOTALL)
    (store,) = yaml.safe_load(documented)["patches"]
    replaced = yaml.safe_load(store["patch"])[:1]  # "in the same way", at the port that it has
    names = {"target": {"kind": "NetworkPolicy", "name": "to-dns"}, "patch": json.dumps(replaced)}
    overlay = {"resources": ["rendered.yaml"], "patches": [store, names]}
    (tmp_path / "rendered.yaml").write_text(rendered("production"), encoding="utf-8")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")

    patched = Manifests("production-outside", load(str(tmp_path)).documents)

    spec = patched.named("NetworkPolicy", "to-s3")["spec"]
    assert spec["egress"][0]["ports"] == [{"protocol": "TCP", "port": 443}]
    assert {check.__name__: list(check(patched)) for check in QUICK} == {
        check.__name__: [] for check in QUICK
    }


def test_checkov_catches_what_no_other_check_looks_for() -> None:
    (fault,) = [one for one in FAULTS if one.caught_by is checks.policy]

    assert list(caught(fault)) == ["policy"]


def test_every_check_has_a_fault() -> None:
    assert {fault.caught_by for fault in FAULTS} == set(CHECKS)


def test_checkov_leaves_no_rule_out_without_a_reason() -> None:
    lines = (K8S / ".checkov.yaml").read_text(encoding="utf-8").splitlines()
    skipped = yaml.safe_load("\n".join(lines))["skip-check"]

    assert len([line for line in lines if line.startswith("  - CKV") and "  # " in line]) == len(
        skipped
    )


def test_every_dashboard_is_deployed() -> None:
    files = {path.name for path in K8S.glob("components/monitoring/dashboards/*.json")}
    maps = [
        one
        for one in load("production").of("ConfigMap")
        if one["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]

    assert {name for one in maps for name in one["data"]} == files
    assert all(json.loads(text) for one in maps for text in one["data"].values())
