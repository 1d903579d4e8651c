"""The overlays as Kubernetes would get them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
NAMESPACE = "homeward"
COMPONENT = "app.kubernetes.io/component"
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that makes pods."""

    document: Document
    template: Document
    """Of its pods."""

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.document['metadata']['name']}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Of its pods."""
        return self.template["metadata"].get("labels", {})

    @property
    def component(self) -> str:
        """Of Homeward; empty for an engine."""
        return self.labels.get(COMPONENT, "")

    @property
    def pod(self) -> Document:
        spec: Document = self.template["spec"]
        return spec

    @property
    def containers(self) -> Sequence[Document]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def runs_on(self) -> bool:
        """Whether it does not end by itself."""
        return self.kind in ("Deployment", "StatefulSet")


class Manifests:
    """What one overlay renders."""

    def __init__(self, overlay: str, documents: Sequence[Document]) -> None:
        self.overlay = overlay
        self.documents = list(documents)

    def of(self, kind: str) -> list[Document]:
        """Return the documents of a kind."""
        return [one for one in self.documents if one["kind"] == kind]

    def named(self, kind: str, name: str) -> Document:
        """Return one document.

        Raises:
            StopIteration: There is none.
        """
        return next(one for one in self.of(kind) if one["metadata"]["name"] == name)

    @property
    def workloads(self) -> list[Workload]:
        return [Workload(one, _template(one)) for one in self.documents if one["kind"] in WORKLOADS]

    def containers(self) -> Iterator[tuple[Workload, Document]]:
        """Yield each container with what makes it."""
        for workload in self.workloads:
            for container in workload.containers:
                yield workload, container

    @property
    def is_production(self) -> bool:
        return self.overlay.startswith("production")

    def text(self) -> str:
        """Return it as YAML."""
        return yaml.safe_dump_all(self.documents)


def overlays() -> list[str]:
    """Return the names of all overlays."""
    return sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))


@cache
def rendered(overlay: str) -> str:
    """Return what kustomize makes of an overlay, as YAML.

    Raises:
        FileNotFoundError: There is no kubectl.
        subprocess.CalledProcessError: It cannot be rendered; the message is on standard error.
    """
    beside = Path(sys.executable).with_name("kubectl")
    program = str(beside) if beside.is_file() else shutil.which("kubectl")
    if program is None:
        raise FileNotFoundError("kubectl is not installed: `make test` puts it into .venv")
    return subprocess.run(
        [program, "kustomize", str(K8S / "overlays" / overlay)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def load(overlay: str) -> Manifests:
    """Return an overlay's documents, to be changed at will."""
    return Manifests(overlay, deepcopy(_parsed(overlay)))


@cache
def _parsed(overlay: str) -> list[Document]:
    return list(yaml.safe_load_all(rendered(overlay)))


def _template(document: Document) -> Document:
    spec = document["spec"]
    template: Document = (
        spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
    )
    return template


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes what has these labels; an empty one takes all."""
    selector = selector or {}
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_holds(one, labels) for one in selector.get("matchExpressions", []))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"no such operator: {other}")
