"""Who may talk to whom, as the network policies have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from deploy.manifests import COMPONENT, NAMESPACE, Document, Manifests, selects

Port = tuple[str, int]
"""Protocol and number."""
Arrow = tuple[str, str, Port]
"""Source, destination, port."""

PORTS = frozenset(
    (protocol, number)
    for protocol in ("TCP", "UDP")
    for number in (53, 443, 4222, 6333, 6334, 8222, 8443, 9000, 9090, 50051, 50052)
)
"""That are tried, with those that policies name."""

INTERNET = "internet"
SHORTEST_PREFIX = 8
"""Bits. More addresses than a /8 has are no engine's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A kind of pod, or what is outside of the cluster."""

    name: str
    labels: Mapping[str, str]
    namespace: Mapping[str, str] | None
    """Labels of its namespace; none for what is no pod, which addresses alone let through."""
    governed: bool = True
    """Whether the policies of Homeward's namespace are about it."""


CALLS = {
    "client": ("ingestion", "matching"),
    "retention-check": ("ingestion", "matching"),
    "webhook": ("matching",),
    "footage-intake": ("ingestion",),
    "ingestion": ("embedding", "matching"),
    "scanner": ("embedding", "matching"),
    "matching": ("embedding",),
    "matching-setup": ("embedding",),
}
CLIENTS = ("webhook", "footage-intake")
"""Components that overlays may have, of one replica each, which nobody calls."""

STORES = {
    "webhook": ("receiver",),
    "ingestion": ("s3", "nats", "issuer"),
    "scanner": ("s3", "nats"),
    "matching": ("qdrant", "s3", "nats", "issuer"),
    "ingestion-setup": ("s3", "nats"),
    "matching-setup": ("qdrant", "s3", "nats"),
}
ENGINES: Mapping[str, frozenset[Port]] = {
    "s3": frozenset({("TCP", 9000)}),
    "nats": frozenset({("TCP", 4222)}),
    "qdrant": frozenset({("TCP", 6333)}),
    "issuer": frozenset({("TCP", 8443)}),
    "receiver": frozenset({("TCP", 8443)}),
}
DNS = frozenset({("UDP", 53), ("TCP", 53)})
SERVICES = ("ingestion", "scanner", "embedding", "matching")


def expected(manifests: Manifests) -> set[Arrow]:
    """Return the arrows of docs/architecture.md, names of hosts, and metrics where they are on."""
    inside = [one.name for one in endpoints(manifests) if one.governed]
    asked = [*STORES.items(), *((source, ("dns",)) for source in inside)]
    absent = {*CLIENTS} - {*inside}
    arrows = {(source, to, ("TCP", 50051)) for source, all_of in CALLS.items() for to in all_of}
    arrows |= {
        (source, to, port)
        for source, all_of in asked
        for to in all_of
        for port in _listens(manifests, to)
    }
    if manifests.of("PodMonitor"):
        arrows |= {("prometheus", service, ("TCP", 9090)) for service in SERVICES}
    return {one for one in arrows if one[0] not in absent}


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
            for name in ENGINES
            if name not in {one.name for one in inside}
        ),
        _outsider("dns", "kube-system", {"k8s-app": "kube-dns"}),
        _outsider("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
        _outsider("grafana", "monitoring", {"app.kubernetes.io/name": "grafana"}),
        _outsider("client", "case-management", {}, {"homeward-client": "true"}),
        _outsider("stranger", "default", {COMPONENT: "ingestion"}),
        Endpoint(INTERNET, {}, None, governed=False),
    ]


def arrows(manifests: Manifests) -> set[Arrow]:
    """Return all connections that the policies let through, at both ends."""
    everybody = endpoints(manifests)
    policies = manifests.of("NetworkPolicy")
    named = {
        port
        for policy in policies
        for key in ("egress", "ingress")
        for rule in policy["spec"].get(key, [])
        for port in _named(rule)
    }
    return {
        (source.name, to.name, port)
        for source in everybody
        for to in everybody
        for port in PORTS | named
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


def _listens(manifests: Manifests, name: str) -> frozenset[Port]:
    """Return the ports of an engine or of DNS: its own, or outside those that its policy names."""
    outside = frozenset(
        port
        for policy in manifests.of("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        if any("ipBlock" in one and _behind(policy, one) == name for one in rule.get("to", []))
        for port in _named(rule)
    )
    return outside or ENGINES.get(name, DNS)


def _named(rule: Document) -> list[Port]:
    return [
        (one.get("protocol", "TCP"), one["port"])
        for one in rule.get("ports", [])
        if isinstance(one.get("port"), int)
    ]


def _lets(
    policies: list[Document], direction: str, own: Endpoint, peer: Endpoint, port: Port
) -> bool:
    about = [
        one
        for one in policies
        if own.governed
        and direction in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], own.labels)
    ]
    if not about:
        return True
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _open(rule, port) and _meets(policy, rule.get(peers), peer)
        for policy in about
        for rule in policy["spec"].get(key, [])
    )


def _open(rule: Document, port: Port) -> bool:
    """Tell whether a rule is about a port; one that it has by name counts as all."""
    protocol, number = port
    if not rule.get("ports"):
        return True
    for one in rule["ports"]:
        least = one.get("port")
        is_number = isinstance(least, int)
        among = not is_number or least <= number <= one.get("endPort", least)
        if among and one.get("protocol", "TCP") == protocol:
            return True
    return False


def _meets(policy: Document, peers: list[Document] | None, peer: Endpoint) -> bool:
    if not peers:
        return True
    return any(
        peer.name == _behind(policy, one) if "ipBlock" in one else _is_pod_of(one, peer)
        for one in peers
    )


def _is_pod_of(one: Document, peer: Endpoint) -> bool:
    if peer.namespace is None or not selects(one.get("podSelector"), peer.labels):
        return False
    if "namespaceSelector" in one:
        return selects(one["namespaceSelector"], peer.namespace)
    return peer.governed


def _behind(policy: Document, one: Document) -> str:
    """Return who is at a peer's addresses: what the policy is named for, or the internet.

    README.md has an engine outside of the cluster, and DNS on the node, named by an address in
    the policy `to-…` of its own. Other addresses are nobody's, nor are so many one engine's.
    """
    name = str(policy["metadata"]["name"]).removeprefix("to-")
    is_one = ip_network(one["ipBlock"]["cidr"], strict=False).prefixlen >= SHORTEST_PREFIX
    return name if is_one and name in {*ENGINES, "dns"} else INTERNET
