"""Dashboards and alerts ask for what the services export, and for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import render_metrics
import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "k8s" / "components" / "monitoring"
RULES = MONITORING / "rules" / "homeward.yaml"
DOCUMENT = ROOT / "docs" / "observability.md"
# What Prometheus itself adds, and kube-state-metrics.
FROM_OTHERS = {
    "up": set[str](),
    "kube_job_status_failed": {"job_name"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
    "kube_cronjob_created": {"cronjob"},
    "certmanager_certificate_expiration_timestamp_seconds": {"name"},
}
TARGET_LABELS = {"job", "instance"}


@dataclass(frozen=True)
class Asked:
    """What one expression asks for: names with the labels that it chooses by, and groups by."""

    series: frozenset[str]
    labels: frozenset[str]
    """Anywhere in it."""


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if hasattr(node, name):
            yield from selectors(getattr(node, name))
    for argument in getattr(node, "args", []):
        yield from selectors(argument)


def grouped(node: Any) -> Iterator[str]:
    modifier = getattr(node, "modifier", None)
    if modifier is not None:
        yield from getattr(modifier, "labels", None) or []
        yield from getattr(getattr(modifier, "matching", None), "labels", None) or []
    for name in ("lhs", "rhs", "expr"):
        if hasattr(node, name):
            yield from grouped(getattr(node, name))
    for argument in getattr(node, "args", []):
        yield from grouped(argument)


def asked(expression: str) -> Asked:
    tree = promql.parse(expression.replace("$__rate_interval", "5m"))
    found = list(selectors(tree))
    chosen = {matcher.name for one in found for matcher in one.matchers.matchers}
    return Asked(frozenset(one.name for one in found), frozenset({*chosen, *grouped(tree)}))


def dashboards() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((MONITORING / "dashboards").glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


def rule_file() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]
    return found


def written(folder: Path) -> Path:
    """Write the rules as Prometheus without its operator takes them."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rule_file()), encoding="utf-8")
    return path


def alerts() -> list[dict[str, Any]]:
    groups = rule_file()["groups"]
    return [rule for group in groups for rule in group["rules"]]


EXPRESSIONS = {
    **{
        f"{name}: {panel['title']} {target['refId']}": target["expr"]
        for name, dashboard in dashboards()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    },
    **{rule["alert"]: rule["expr"] for rule in alerts()},
}


@pytest.fixture(scope="module")
def exported() -> dict[str, Any]:
    """What each process registers, by process."""
    return {process: render_metrics.exported(process) for process in render_metrics.PROCESSES}


@pytest.fixture(scope="module")
def known(exported: dict[str, Any]) -> dict[str, set[str]]:
    """Labels of each series that there is."""
    series = {
        name: {*one.labels, *({"le"} if name.endswith("_bucket") else ())}
        for found in exported.values()
        for one in found
        for name in one.series
    }
    return series | FROM_OTHERS


def wrong(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Return what an expression asks for and nobody exports."""
    wanted = asked(expression)
    unknown = sorted(wanted.series - known.keys())
    labels = set().union(*(known.get(name, set()) for name in wanted.series), TARGET_LABELS)
    return [*unknown, *sorted(wanted.labels - labels)]


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_an_expression_asks_for_series_and_labels_that_the_services_export(
    expression: str, known: dict[str, set[str]]
) -> None:
    assert wrong(expression, known) == []


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("sum(rate(homeward_scan_segment_total[5m]))", ["homeward_scan_segment_total"]),
        ("sum by (camera) (homeward_held)", ["camera"]),
        ('max(homeward_held{kind="footage"}) > 0', ["kind"]),
        ("homeward_overdue > 0 unless on (camera) homeward_held", ["camera"]),
    ],
)
def test_a_name_or_label_that_nobody_exports_is_found(
    expression: str, missing: list[str], known: dict[str, set[str]]
) -> None:
    assert wrong(expression, known) == missing


def test_what_does_not_parse_is_found() -> None:
    with pytest.raises(ValueError, match=r"."):
        asked("sum by (le (rate(homeward_rpcs_total[5m])")


def test_every_metric_is_on_a_dashboard_or_in_an_alert(known: dict[str, set[str]]) -> None:
    used = set[str]().union(*(asked(expression).series for expression in EXPRESSIONS.values()))
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}

    ours = {name for name in known if name.startswith("homeward_")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} <= stems


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    headings = re.findall(r"^#+ (.+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}

    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / path == DOCUMENT
    assert anchor == f"alert-{rule['alert'].lower()}"
    assert anchor in anchors
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def test_the_docs_explain_no_alert_that_there_is_not() -> None:
    headings = re.findall(r"^### Alert: (\w+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())


def test_the_docs_have_the_table_of_what_is_exported(exported: dict[str, Any]) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")

    assert document == render_metrics.rendered(document, exported)
    assert render_metrics.table(exported) in document


def test_names_follow_the_conventions_of_prometheus(exported: dict[str, Any]) -> None:
    ours = {one for found in exported.values() for one in found if one.name.startswith("homeward_")}

    assert [
        one.name for one in ours if (one.kind == "counter") != one.name.endswith("_total")
    ] == []
    assert [
        one.name for one in ours if one.kind == "histogram" and not one.name.endswith("_seconds")
    ] == []
    assert [one.name for one in ours if not one.says.endswith(".")] == []


@pytest.mark.parametrize(("name", "dashboard"), list(dashboards()), ids=lambda one: str(one)[:20])
def test_a_dashboard_names_a_unit_and_has_no_two_panels_in_one_place(
    name: str, dashboard: dict[str, Any]
) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert dashboard["uid"] == name
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert [
        p["title"] for p in dashboard["panels"] if not p["fieldConfig"]["defaults"]["unit"]
    ] == []


HOURS = "x200"  # a sample a minute; alerts are asked for after three hours
CERTIFICATE_ENDS = "certmanager_certificate_expiration_timestamp_seconds"
HEALTHY = {
    **{
        f'up{{job="homeward-{job}",instance="a"}}': f"1{HOURS}"
        for job in ("ingestion", "scanner", "embedding", "matching")
    },
    'process_start_time_seconds{job="homeward-scanner",instance="a"}': f"100{HOURS}",
    # Ten minutes older than what the sweeper removes: each measure comes as long after a sweep.
    'homeward_footage_oldest_age_seconds{job="homeward-ingestion"}': f"2398200{HOURS}",
    'homeward_overdue{job="homeward-ingestion",data="footage"}': f"0{HOURS}",
    'homeward_store_problems{job="homeward-ingestion"}': f"0{HOURS}",
    'homeward_sightings_lost{instance="a"}': f"0{HOURS}",
    'homeward_unknown_collections{instance="a"}': f"0{HOURS}",
    # Another replica has the lease.
    'homeward_sweep_success_timestamp_seconds{job="homeward-ingestion",instance="b"}': f"0{HOURS}",
    'homeward_sweep_success_timestamp_seconds{job="homeward-ingestion"}': f"0+60{HOURS}",
    'homeward_retention_measured_timestamp_seconds{job="homeward-ingestion"}': f"0+60{HOURS}",
    'kube_job_status_failed{job_name="homeward-retention-check-29"}': f"0{HOURS}",
    'kube_cronjob_created{cronjob="homeward-retention-check"}': f"0{HOURS}",
    'kube_cronjob_status_last_successful_time{cronjob="homeward-retention-check"}': (
        f"0+60{HOURS}"
    ),
    f'{CERTIFICATE_ENDS}{{name="homeward-matching"}}': f"1000000{HOURS}",
    f'{CERTIFICATE_ENDS}{{name="somebody-elses"}}': f"0{HOURS}",
    'homeward_policy_valid_until_timestamp_seconds{policy_id="p/1"}': f"9000000{HOURS}",
    "homeward_policy_in_force": f"1{HOURS}",
    "homeward_promise_broken": f"0{HOURS}",
    'homeward_scan_authorisation_deadline_timestamp_seconds{job="homeward-ingestion"}': f"0{HOURS}",
    'homeward_policy_info{policy_id="p/1",approved="true"}': f"1{HOURS}",
    'homeward_model_info{pack="p",digest="d",instance="a"}': f"1{HOURS}",
    "homeward_scan_queue_waiting_segments": f"5{HOURS}",
    'homeward_scan_segments_total{outcome="searched"}': f"0+10{HOURS}",
    'homeward_scan_segments_total{outcome="given up"}': f"0{HOURS}",
    "homeward_scan_segment_redeliveries_total": f"0{HOURS}",
    'homeward_audit_begun_total{job="homeward-matching",instance="a"}': f"0+9{HOURS}",
    'homeward_audit_events_total{job="homeward-matching",instance="a"}': f"0+9{HOURS}",
    'homeward_audit_archived_timestamp_seconds{bucket="b",instance="a"}': f"0+60{HOURS}",
    # Another replica has the lease.
    'homeward_audit_archived_timestamp_seconds{bucket="b",instance="b"}': f"0{HOURS}",
    'homeward_audit_archive_faults_total{job="homeward-matching"}': f"0{HOURS}",
    # Nobody calls it.
    'homeward_audit_begun_total{job="homeward-ingestion",instance="a"}': f"9{HOURS}",
    'homeward_audit_events_total{job="homeward-ingestion",instance="a"}': f"9{HOURS}",
    'homeward_rpcs_total{job="homeward-matching",rpc="Match",code="OK"}': f"0+100{HOURS}",
    # Up to the limit.
    'homeward_rpcs_total{job="homeward-matching",rpc="Match",code="PERMISSION_DENIED"}': (
        f"0+5{HOURS}"
    ),
    'homeward_rpc_seconds_bucket{rpc="Match",le="0.1"}': f"0+100{HOURS}",
    'homeward_rpc_seconds_bucket{rpc="Match",le="10"}': f"0+100{HOURS}",
    'homeward_rpc_seconds_bucket{rpc="Match",le="+Inf"}': f"0+100{HOURS}",
}
ILL = {
    "HomewardFootageTooOld": {
        'homeward_footage_oldest_age_seconds{job="homeward-ingestion"}': f"2405000{HOURS}"
    },
    "HomewardOverdue": {'homeward_overdue{job="homeward-ingestion",data="footage"}': f"1{HOURS}"},
    "HomewardStoreProblem": {'homeward_store_problems{job="homeward-ingestion"}': f"1{HOURS}"},
    "HomewardSightingsLost": {'homeward_sightings_lost{instance="a"}': f"1{HOURS}"},
    "HomewardUnknownCollections": {'homeward_unknown_collections{instance="a"}': f"1{HOURS}"},
    "HomewardSweepFailing": {
        'homeward_sweep_success_timestamp_seconds{job="homeward-ingestion"}': f"0{HOURS}"
    },
    "HomewardAuditFailing": {
        'homeward_audit_failures_total{job="homeward-matching"}': f"0+1{HOURS}"
    },
    "HomewardAuditStandsStill": {
        'homeward_audit_events_total{job="homeward-matching",instance="a"}': f"9{HOURS}"
    },
    "HomewardAuditArchiveStandsStill": {
        'homeward_audit_archived_timestamp_seconds{bucket="b",instance="a"}': "0+60x100 6000x100"
    },
    "HomewardAuditArchiveAtFault": {
        'homeward_audit_archive_faults_total{job="homeward-matching"}': f"0+1{HOURS}"
    },
    "HomewardRefusals": {
        'homeward_rpcs_total{job="homeward-matching",rpc="Match",code="UNAUTHENTICATED"}': (
            f"0+6{HOURS}"
        )
    },
    "HomewardRetentionNotMeasured": {
        'homeward_retention_measured_timestamp_seconds{job="homeward-ingestion"}': f"0{HOURS}"
    },
    "HomewardRetentionCheckFailed": {
        'kube_job_status_failed{job_name="homeward-retention-check-30",reason=""}': f"1{HOURS}"
    },
    "HomewardRetentionCheckMissing": {
        'kube_cronjob_status_last_successful_time{cronjob="homeward-retention-check"}': (
            "0x100 stale"
        ),
        'kube_cronjob_created{cronjob="homeward-retention-check"}': f"-3600{HOURS}",
    },
    "HomewardPolicyExpiring": {
        'homeward_policy_valid_until_timestamp_seconds{policy_id="p/1"}': f"1000000{HOURS}"
    },
    "HomewardScanUnauthorised": {
        'homeward_scan_authorisation_deadline_timestamp_seconds{job="homeward-ingestion"}': (
            f"40000{HOURS}"
        )
    },
    "HomewardPolicyExpired": {
        'homeward_policy_valid_until_timestamp_seconds{policy_id="p/1"}': f"100{HOURS}"
    },
    "HomewardNoPolicy": {"homeward_policy_in_force": f"0{HOURS}"},
    "HomewardPolicyUnapproved": {
        'homeward_policy_info{policy_id="p/1",approved="false"}': f"1{HOURS}"
    },
    "HomewardPromiseBroken": {"homeward_promise_broken": f"1{HOURS}"},
    "HomewardModelsDiffer": {'homeward_model_info{pack="p",digest="e",instance="b"}': f"1{HOURS}"},
    "HomewardQueueStuck": {'homeward_scan_segments_total{outcome="searched"}': f"9{HOURS}"},
    "HomewardSegmentsGivenUp": {'homeward_scan_segments_total{outcome="given up"}': "0x150 1x50"},
    "HomewardSegmentsRetried": {"homeward_scan_segment_redeliveries_total": f"0+2{HOURS}"},
    "HomewardServiceDown": {'up{job="homeward-scanner",instance="a"}': f"0{HOURS}"},
    "HomewardServiceMissing": {'up{job="homeward-matching",instance="a"}': "1x100 stale"},
    "HomewardCertificateExpiring": {
        f'{CERTIFICATE_ENDS}{{name="homeward-matching"}}': f"600000{HOURS}"
    },
    "HomewardRestarting": {
        'process_start_time_seconds{job="homeward-scanner",instance="a"}': f"100+60{HOURS}"
    },
    "HomewardErrors": {
        'homeward_rpcs_total{job="homeward-matching",rpc="Match",code="INTERNAL"}': f"0+9{HOURS}"
    },
    "HomewardSlowCalls": {'homeward_rpc_seconds_bucket{rpc="Match",le="0.1"}': f"0{HOURS}"},
}


def test_each_alert_has_a_case_that_makes_it_fire() -> None:
    assert sorted(ILL) == sorted(rule["alert"] for rule in alerts())


def firing(series: dict[str, str], folder: Path, *, expected: list[str]) -> str:
    """Have promtool play series, and return what it says against the alerts that are expected."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
    case = {
        "rule_files": [str(written(folder))],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "180m",
                        "exp_samples": samples,
                    }
                ],
            }
        ],
    }
    (folder / "case.yaml").write_text(yaml.safe_dump(case), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(folder / "case.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


# Where Prometheus is installed, it judges too: above, another parser has the last word.
if shutil.which("promtool"):

    def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
        checked = subprocess.run(
            ["promtool", "check", "rules", "--lint-fatal", str(written(tmp_path))],
            capture_output=True,
            check=False,
        )

        assert checked.returncode == 0, checked.stdout + checked.stderr

    def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
        assert firing(HEALTHY, tmp_path, expected=[]) == ""

    @pytest.mark.parametrize("alert", ILL)
    def test_an_alert_fires_alone_on_what_it_is_for(alert: str, tmp_path: Path) -> None:
        assert firing(HEALTHY | ILL[alert], tmp_path, expected=[alert]) == ""

    def test_footage_that_a_scanner_gave_up_before_it_was_first_asked_is_told(
        tmp_path: Path,
    ) -> None:
        given_up = {
            'homeward_scan_segments_total{outcome="given up",instance="b"}': "_x150 12x50",
        }

        assert firing(HEALTHY | given_up, tmp_path, expected=["HomewardSegmentsGivenUp"]) == ""

    def test_a_queue_without_any_scanner_is_stuck(tmp_path: Path) -> None:
        alone = {k: v for k, v in HEALTHY.items() if "scan_segment" not in k}

        assert firing(alone, tmp_path, expected=["HomewardQueueStuck"]) == ""
