"""The overlays hold what they must, and each check would tell if they did not."""

from __future__ import annotations

import json

import pytest
import yaml

from deploy import checks
from deploy.checks import CHECKS, QUICK, Check
from deploy.faults import FAULTS, Fault, caught
from deploy.manifests import K8S, load, overlays

QUICK_FAULTS = [one for one in FAULTS if one.caught_by in QUICK]


@pytest.mark.parametrize("overlay", overlays())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_overlay_holds(check: Check, overlay: str) -> None:
    assert list(check(load(overlay))) == []


@pytest.mark.parametrize("fault", QUICK_FAULTS, ids=lambda fault: fault.words.replace(" ", "-"))
def test_a_fault_is_caught(fault: Fault) -> None:
    assert fault.caught_by.__name__ in caught(fault, [fault.caught_by])


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
