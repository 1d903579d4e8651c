"""Who may talk to whom, as the network policies have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.manifests import COMPONENT, NAMESPACE, Manifests, selects

Arrow = tuple[str, str, int]
"""Source, destination, port."""

PORTS = (53, 443, 4222, 6333, 6334, 8222, 9000, 9090, 50051, 50052)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A kind of pod."""

    name: str
    labels: Mapping[str, str]
    namespace: Mapping[str, str]
    governed: bool = True
    """Whether the policies of Homeward's namespace are about it."""


CALLS = {
    "client": ("ingestion", "matching"),
    "retention-check": ("ingestion", "matching"),
    "ingestion": ("matching",),
    "scanner": ("embedding", "matching"),
    "matching": ("embedding",),
    "matching-setup": ("embedding",),
}
STORES = {
    "ingestion": ("s3", "nats"),
    "scanner": ("s3", "nats"),
    "matching": ("qdrant", "s3", "nats"),
    "ingestion-setup": ("s3", "nats"),
    "matching-setup": ("qdrant", "s3", "nats"),
}
ENGINE_PORTS = {"s3": 9000, "nats": 4222, "qdrant": 6333}
SERVICES = ("ingestion", "scanner", "embedding", "matching")


def expected(manifests: Manifests) -> set[Arrow]:
    """Return the arrows of docs/architecture.md, names of hosts, and metrics where they are on."""
    inside = [one.name for one in endpoints(manifests) if one.governed]
    arrows = {(source, to, 50051) for source, all_of in CALLS.items() for to in all_of}
    arrows |= {(source, to, ENGINE_PORTS[to]) for source, all_of in STORES.items() for to in all_of}
    arrows |= {(source, "dns", 53) for source in inside}
    if manifests.of("PodMonitor"):
        arrows |= {("prometheus", service, 9090) for service in SERVICES}
    return arrows


def endpoints(manifests: Manifests) -> list[Endpoint]:
    """Return all that runs, and who else may want to talk to it."""
    labels = next(
        one["metadata"].get("labels", {})
        for one in manifests.of("Namespace")
        if one["metadata"]["name"] == NAMESPACE
    )
    own = {**labels, "kubernetes.io/metadata.name": NAMESPACE}
    inside = [
        Endpoint(one.component or one.labels["homeward-engine"], one.labels, own)
        for one in manifests.workloads
    ]
    elsewhere = {"kubernetes.io/metadata.name": "engines", "homeward-engines": "true"}
    return [
        *inside,
        *(
            Endpoint(name, {"homeward-engine": name}, elsewhere, governed=False)
            for name in ENGINE_PORTS
            if name not in {one.name for one in inside}
        ),
        _outsider("dns", "kube-system", {"k8s-app": "kube-dns"}),
        _outsider("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
        _outsider("grafana", "monitoring", {"app.kubernetes.io/name": "grafana"}),
        _outsider("client", "case-management", {}, {"homeward-client": "true"}),
        _outsider("stranger", "default", {COMPONENT: "ingestion"}),
    ]


def arrows(manifests: Manifests) -> set[Arrow]:
    """Return all connections that the policies let through, at both ends."""
    everybody = endpoints(manifests)
    policies = manifests.of("NetworkPolicy")
    return {
        (source.name, to.name, port)
        for source in everybody
        for to in everybody
        for port in PORTS
        if (source.governed or to.governed)
        and (source.name != to.name)
        and _lets(policies, "Egress", source, to, port)
        and _lets(policies, "Ingress", to, source, port)
    }


def _outsider(
    name: str, namespace: str, labels: Mapping[str, str], more: Mapping[str, str] | None = None
) -> Endpoint:
    return Endpoint(
        name, labels, {"kubernetes.io/metadata.name": namespace, **(more or {})}, governed=False
    )


def _lets(
    policies: list[dict[str, Any]], direction: str, own: Endpoint, peer: Endpoint, port: int
) -> bool:
    about = [
        one["spec"]
        for one in policies
        if own.governed
        and direction in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], own.labels)
    ]
    if not about:
        return True
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _open(rule, port) and _meets(rule.get(peers), peer)
        for spec in about
        for rule in spec.get(key, [])
    )


def _open(rule: Mapping[str, Any], port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(one.get("port", port) == port for one in ports)


def _meets(peers: list[Mapping[str, Any]] | None, peer: Endpoint) -> bool:
    if not peers:
        return True
    return any(
        "ipBlock" not in one
        and selects(one.get("podSelector"), peer.labels)
        and (
            selects(one["namespaceSelector"], peer.namespace)
            if "namespaceSelector" in one
            else peer.governed
        )
        for one in peers
    )
