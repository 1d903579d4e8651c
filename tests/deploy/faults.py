"""A fault for each check: what it is there to catch, seeded into an overlay that is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deploy import checks
from deploy.access import AUTH_FILE, access
from deploy.auditing import KEY_FILE, checkpoints
from deploy.checks import Check
from deploy.clients import alone
from deploy.lawful import STATED, lawful
from deploy.manifests import Document, Manifests


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake that somebody could make."""

    words: str
    caught_by: Check
    seed: Callable[[Manifests], object]
    """Makes it, in place."""
    overlay: str = "production"


def _deployment(manifests: Manifests, name: str = "matching") -> Document:
    return manifests.named("Deployment", f"homeward-{name}")


def _pod(manifests: Manifests, name: str = "matching") -> Document:
    spec: Document = _deployment(manifests, name)["spec"]["template"]["spec"]
    return spec


def _container(manifests: Manifests, name: str = "matching") -> Document:
    container: Document = _pod(manifests, name)["containers"][0]
    return container


def _job(manifests: Manifests) -> Document:
    job = manifests.named("Job", "homeward-matching-setup")["spec"]["template"]
    container: Document = job["spec"]["containers"][0]
    return container


def _check(manifests: Manifests) -> Document:
    job = manifests.named("CronJob", "homeward-retention-check")["spec"]["jobTemplate"]["spec"]
    container: Document = job["template"]["spec"]["containers"][0]
    return container


def _variable(manifests: Manifests, name: str, of: str = "matching") -> Document:
    return next(one for one in _container(manifests, of)["env"] if one["name"] == name)


def _auth(manifests: Manifests) -> Document:
    """Return the ConfigMap that says whom servers trust; its name ends with a hash."""
    return next(
        one
        for one in manifests.of("ConfigMap")
        if one["metadata"]["name"].startswith("homeward-auth")
    )


def _rule(manifests: Manifests, line: str) -> None:
    """Have the file that says whom servers trust begin with a line, in place of its own."""
    data = _auth(manifests)["data"]
    name = line.partition(" ")[0]
    others = [one for one in data["auth.toml"].splitlines() if not one.startswith(name)]
    data["auth.toml"] = "\n".join([line, *others])


def _places(manifests: Manifests) -> Document:
    """Return the ConfigMap that says where the engines are; its name ends with a hash."""
    return next(
        one
        for one in manifests.of("ConfigMap")
        if one["metadata"]["name"].startswith("homeward-engines")
    )


def _policy(manifests: Manifests, name: str) -> Document:
    spec: Document = manifests.named("NetworkPolicy", name)["spec"]
    return spec


def _bundled(manifests: Manifests) -> None:
    engine = manifests.named("Deployment", "homeward-embedding")
    copy: dict[str, Any] = {**engine, "metadata": {"name": "homeward-nats"}}
    manifests.documents.append(copy)
    template = {**engine["spec"]["template"], "metadata": {"labels": {"homeward-engine": "nats"}}}
    copy["spec"] = {**engine["spec"], "template": template}


def _drop(manifests: Manifests, kind: str, name: str) -> None:
    manifests.documents.remove(manifests.named(kind, name))


def _forgetful(manifests: Manifests) -> None:
    volume = next(one for one in _pod(manifests, "webhook")["volumes"] if one["name"] == "state")
    del volume["persistentVolumeClaim"]
    volume["emptyDir"] = {"sizeLimit": "64Mi"}


_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "homeward-nats", "namespace": "homeward"},
    "stringData": {"url": "nats://nats:4222"},
}

_EVERYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}

FAULTS: Sequence[Fault] = (
    Fault(
        "a field that Kubernetes does not know",
        checks.schemas,
        lambda m: _pod(m).update(terminationGracePeriod=60),
    ),
    Fault(
        "a kind without a schema",
        checks.schemas,
        lambda m: m.named("ConfigMap", m.of("ConfigMap")[0]["metadata"]["name"]).update(
            kind="ConfigMaps"
        ),
    ),
    Fault(
        "a field that KEDA does not know",
        checks.schemas,
        lambda m: m.named("ScaledObject", "homeward-scanner")["spec"].update(minReplicas=0),
    ),
    Fault(
        "a label that the selector does not match",
        checks.selectors,
        lambda m: _deployment(m)["spec"]["template"]["metadata"]["labels"].update(
            {"app.kubernetes.io/component": "matcher"}
        ),
    ),
    Fault(
        "a Service on a port that no pod has",
        checks.selectors,
        lambda m: m.named("Service", "homeward-matching")["spec"]["ports"][0].update(
            targetPort="http"
        ),
    ),
    Fault(
        "a setup Job whose pods the Service takes for the service's",
        checks.selectors,
        lambda m: m.named("Job", "homeward-matching-setup")["spec"]["template"]["metadata"][
            "labels"
        ].update({"app.kubernetes.io/component": "matching"}),
    ),
    Fault(
        "a disruption budget for no pod",
        checks.chosen,
        lambda m: m.named("PodDisruptionBudget", "homeward-matching")["spec"]["selector"].update(
            matchLabels={"app": "matching"}
        ),
    ),
    Fault(
        "a network policy for no pod",
        checks.chosen,
        lambda m: _policy(m, "from-callers-of-matching").update(
            podSelector={"matchLabels": {"app": "matching"}}
        ),
    ),
    Fault(
        "metrics scraped from a port that is not there",
        checks.chosen,
        lambda m: m.named("PodMonitor", "homeward")["spec"]["podMetricsEndpoints"][0].update(
            port="http"
        ),
    ),
    Fault(
        "an autoscaler of something that is not there",
        checks.targets,
        lambda m: m.named("HorizontalPodAutoscaler", "homeward-embedding")["spec"][
            "scaleTargetRef"
        ].update(name="embedding"),
    ),
    Fault(
        "a number of replicas that KEDA sets too",
        checks.targets,
        lambda m: _deployment(m, "scanner")["spec"].update(replicas=1),
    ),
    Fault(
        "embedding that nothing scales",
        checks.scaled,
        lambda m: _drop(m, "HorizontalPodAutoscaler", "homeward-embedding"),
        overlay="evaluation",
    ),
    Fault(
        "scanners that nothing scales",
        checks.scaled,
        lambda m: _drop(m, "ScaledObject", "homeward-scanner"),
    ),
    Fault(
        "scanners of a fixed number in production",
        checks.scaled,
        lambda m: [
            _drop(m, "ScaledObject", "homeward-scanner"),
            _deployment(m, "scanner")["spec"].update(replicas=1),
        ],
    ),
    Fault(
        "scanners whose scaling is paused",
        checks.scaled,
        lambda m: m.named("ScaledObject", "homeward-scanner")["metadata"].update(
            annotations={"autoscaling.keda.sh/paused": "true"}
        ),
    ),
    Fault(
        "embedding that cannot grow",
        checks.scaled,
        lambda m: m.named("HorizontalPodAutoscaler", "homeward-embedding")["spec"].update(
            maxReplicas=2
        ),
    ),
    Fault(
        "no check of what is held",
        checks.scheduled,
        lambda m: _drop(m, "CronJob", "homeward-retention-check"),
    ),
    Fault(
        "a check of what is held that is suspended",
        checks.scheduled,
        lambda m: m.named("CronJob", "homeward-retention-check")["spec"].update(suspend=True),
    ),
    Fault(
        "scanners scaled by another queue",
        checks.queue,
        lambda m: m.named("ScaledObject", "homeward-scanner")["spec"]["triggers"][0][
            "metadata"
        ].update(valueLocation='stream_detail.#(name=="SCAN_PLANS").state.messages'),
    ),
    Fault(
        "scanners that are not scaled to zero",
        checks.queue,
        lambda m: m.named("ScaledObject", "homeward-scanner")["spec"].update(minReplicaCount=1),
    ),
    Fault(
        "a namespace that does not enforce Pod Security",
        checks.restricted,
        lambda m: m.named("Namespace", "homeward")["metadata"].update(labels={}),
    ),
    Fault(
        "a pod that may run as root",
        checks.restricted,
        lambda m: _pod(m)["securityContext"].update(runAsNonRoot=False),
    ),
    Fault(
        "a pod without seccomp",
        checks.restricted,
        lambda m: _pod(m)["securityContext"].pop("seccompProfile"),
    ),
    Fault(
        "a container that may write to its image",
        checks.confined,
        lambda m: _container(m)["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    Fault(
        "a container that may gain privileges",
        checks.confined,
        lambda m: _container(m)["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    Fault(
        "a container that keeps a capability",
        checks.confined,
        lambda m: _container(m)["securityContext"].update(capabilities={"drop": ["NET_RAW"]}),
    ),
    Fault(
        "a token for the Kubernetes API",
        checks.restricted,
        lambda m: _pod(m).pop("automountServiceAccountToken"),
    ),
    Fault(
        "an upgrade that takes a replica away first",
        checks.pace,
        lambda m: _deployment(m)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    ),
    Fault(
        "replicas replaced faster than clients find the new ones",
        checks.pace,
        lambda m: _deployment(m)["spec"].update(minReadySeconds=5),
    ),
    Fault("no liveness probe", checks.probes, lambda m: _container(m).pop("livenessProbe")),
    Fault(
        "a liveness probe that follows the engines",
        checks.probes,
        lambda m: _container(m)["livenessProbe"]["grpc"].pop("service"),
    ),
    Fault(
        "a readiness probe that does not",
        checks.probes,
        lambda m: _container(m)["readinessProbe"]["grpc"].update(service="live"),
    ),
    Fault(
        "probes on the port that speaks TLS",
        checks.probes,
        lambda m: _container(m)["readinessProbe"]["grpc"].update(port=50051),
    ),
    Fault(
        "a declared port that nothing listens on",
        checks.ports,
        lambda m: _container(m)["ports"][0].update(containerPort=50061),
    ),
    Fault(
        "no memory limit",
        checks.resources,
        lambda m: _container(m)["resources"]["limits"].pop("memory"),
    ),
    Fault(
        "a quantity that is none",
        checks.resources,
        lambda m: _container(m)["resources"]["limits"].update(memory="1GB"),
    ),
    Fault(
        "more asked for than allowed",
        checks.resources,
        lambda m: _container(m)["resources"]["requests"].update(memory="8Gi"),
    ),
    Fault(
        "more decoders than there is memory for",
        checks.caged,
        lambda m: _container(m, "scanner")["env"].append(
            {"name": "HOMEWARD_SCANNER_SEGMENTS", "value": "3"}
        ),
    ),
    Fault(
        "less memory than two examined recordings may take",
        checks.caged,
        lambda m: _container(m, "ingestion")["resources"]["limits"].update(memory="6Gi"),
    ),
    Fault(
        "a scratch volume without a bound",
        checks.resources,
        lambda m: _pod(m)["volumes"][0].update(emptyDir={}),
    ),
    Fault(
        "a budget that keeps every node from being drained",
        checks.disruption,
        lambda m: m.named("PodDisruptionBudget", "homeward-matching").update(
            spec={
                "minAvailable": 2,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": {"app.kubernetes.io/component": "matching"}},
            }
        ),
    ),
    Fault(
        "a budget that no pod may be missing from, in percent",
        checks.disruption,
        lambda m: m.named("PodDisruptionBudget", "homeward-matching")["spec"].update(
            maxUnavailable="0%"
        ),
    ),
    Fault(
        "a budget that keeps nodes while an engine is away",
        checks.disruption,
        lambda m: m.named("PodDisruptionBudget", "homeward-matching")["spec"].pop(
            "unhealthyPodEvictionPolicy"
        ),
    ),
    Fault(
        "a service without a budget",
        checks.disruption,
        lambda m: _drop(m, "PodDisruptionBudget", "homeward-embedding"),
    ),
    Fault(
        "replicas that may all be on one node",
        checks.spread,
        lambda m: _pod(m)["topologySpreadConstraints"].pop(0),
    ),
    Fault(
        "replicas that wait for nodes that do not take them",
        checks.spread,
        lambda m: _pod(m)["topologySpreadConstraints"][0].pop("nodeTaintsPolicy"),
    ),
    Fault(
        "less time to end than the service takes",
        checks.grace,
        lambda m: _pod(m).update(terminationGracePeriodSeconds=10),
    ),
    Fault(
        "an address that no Service has",
        checks.addresses,
        lambda m: _variable(m, "HOMEWARD_MATCHING_TARGET", of="scanner").update(
            value="dns:///homeward-matchin:50052"
        ),
    ),
    Fault(
        "an address at the port of health",
        checks.addresses,
        lambda m: _variable(m, "HOMEWARD_MATCHING_TARGET", of="scanner").update(
            value="dns:///homeward-matching:50052"
        ),
    ),
    Fault(
        "the address of another service",
        checks.addresses,
        lambda m: _variable(m, "HOMEWARD_MATCHING_TARGET", of="scanner").update(
            value="dns:///homeward-embedding:50051"
        ),
    ),
    Fault(
        "a Service on another port than that which is called",
        checks.addresses,
        lambda m: m.named("Service", "homeward-matching")["spec"]["ports"][0].update(port=50099),
    ),
    Fault(
        "a service that runs another's program",
        checks.commands,
        lambda m: _container(m).update(command=["python", "-m", "homeward.ingestion"]),
    ),
    Fault(
        "a module that does not exist",
        checks.commands,
        lambda m: _job(m).update(command=["python", "-m", "homeward.matching.setpu"]),
    ),
    Fault(
        "the image of another service",
        checks.commands,
        lambda m: _container(m).update(image="homeward-embedding:0.1.0"),
    ),
    Fault(
        "an image without the module that a Job runs",
        checks.commands,
        lambda m: _job(m).update(image="homeward-embedding:0.1.0"),
    ),
    Fault(
        "an image that is not built",
        checks.commands,
        lambda m: _container(m).update(image="registry.example:5000/homeward-matchin:0.1.0"),
    ),
    Fault(
        "a command that the command line does not have",
        checks.commands,
        lambda m: _check(m).update(args=["retentoin"]),
    ),
    Fault(
        "an option that the command does not have",
        checks.commands,
        lambda m: _check(m).update(args=["retention", "--strict"]),
    ),
    Fault(
        "a check of what is held that looks at something else",
        checks.commands,
        lambda m: _check(m).update(args=["status"]),
    ),
    Fault(
        "a variable that is no setting",
        checks.settings,
        lambda m: _variable(m, "HOMEWARD_LISTEN").update(name="HOMEWARD_BIND"),
    ),
    Fault(
        "a setting of another service",
        checks.settings,
        lambda m: _container(m, "embedding")["env"].append(
            {"name": "HOMEWARD_QDRANT_URL", "value": "https://qdrant:6333"}
        ),
    ),
    Fault(
        "a setting that is missing",
        checks.settings,
        lambda m: _container(m)["env"].remove(_variable(m, "HOMEWARD_EMBEDDING_TARGET")),
    ),
    Fault(
        "a value that the service refuses",
        checks.settings,
        lambda m: _places(m)["data"].update({"nats-replicas": "7"}),
    ),
    Fault(
        "a variable that is set twice",
        checks.settings,
        lambda m: _container(m)["env"].append({"name": "HOMEWARD_LISTEN", "value": "0.0.0.0:1"}),
    ),
    Fault(
        "a key that the ConfigMap lacks",
        checks.references,
        lambda m: _variable(m, "HOMEWARD_S3_ENDPOINT")["valueFrom"]["configMapKeyRef"].update(
            key="s3-url"
        ),
    ),
    Fault(
        "a secret that nobody is told to make",
        checks.references,
        lambda m: _variable(m, "HOMEWARD_NATS_URL")["valueFrom"]["secretKeyRef"].update(
            name="homeward-queue"
        ),
    ),
    Fault(
        "a key file where nothing is mounted",
        checks.mounts,
        lambda m: _variable(m, "HOMEWARD_GALLERY_KEY_FILE").update(value="/etc/gallery-key"),
    ),
    Fault(
        "a service in plain text among others with TLS",
        checks.certificates,
        lambda m: [_container(m)["env"].remove(_variable(m, name)) for name in checks.TLS_FILES],
    ),
    Fault(
        "TLS without an authority",
        checks.certificates,
        lambda m: _container(m)["env"].remove(_variable(m, "HOMEWARD_TLS_CA_FILE")),
    ),
    Fault(
        "a service's certificate that is for clients alone",
        checks.certificates,
        lambda m: m.named("Certificate", "homeward-scanner")["spec"].update(usages=["client auth"]),
    ),
    Fault(
        "a certificate without the name that is called",
        checks.certificates,
        lambda m: m.named("Certificate", "homeward-matching")["spec"]["dnsNames"].pop(0),
    ),
    Fault(
        "a certificate that nobody makes",
        checks.certificates,
        lambda m: _drop(m, "Certificate", "homeward-embedding"),
    ),
    Fault("a secret in the manifests", checks.secrets, lambda m: m.documents.append(_SECRET)),
    Fault(
        "a secret's value in a variable",
        checks.secrets,
        lambda m: [
            _variable(m, "HOMEWARD_S3_SECRET_KEY").pop("valueFrom"),
            _variable(m, "HOMEWARD_S3_SECRET_KEY").update(value="hunter2"),
        ],
    ),
    Fault(
        "a token in an address",
        checks.secrets,
        lambda m: _places(m)["data"].update({"s3-endpoint": "https://a:b@s3:9000"}),
    ),
    Fault(
        "an image of whatever version",
        checks.images,
        lambda m: _container(m).update(image="homeward-matching:latest"),
    ),
    Fault(
        "a Service with one address for all pods",
        checks.headless,
        lambda m: m.named("Service", "homeward-embedding")["spec"].pop("clusterIP"),
    ),
    Fault(
        "a Service whose port would have to be translated",
        checks.headless,
        lambda m: m.named("Service", "homeward-s3")["spec"]["ports"][0].update(port=443),
        overlay="evaluation",
    ),
    Fault(
        "a server that lets everybody in",
        access,
        lambda m: _container(m)["env"].remove(_variable(m, AUTH_FILE)),
    ),
    Fault(
        "a server that does not know the scanner",
        access,
        lambda m: _auth(m)["data"].update(
            {"auth.toml": 'services = ["homeward-ingestion", "homeward-matching"]'}
        ),
    ),
    Fault(
        "a file of rules with a misspelt name",
        access,
        lambda m: _auth(m)["data"].update({"auth.toml": 'service = ["homeward-ingestion"]'}),
    ),
    Fault(
        "reflection in production",
        access,
        lambda m: _variable(m, "HOMEWARD_REFLECTION").update(value="true"),
    ),
    Fault(
        "one reviewer in production",
        lawful,
        lambda m: _container(m)["env"].remove(_variable(m, "HOMEWARD_TWO_REVIEWERS")),
    ),
    Fault(
        "a reviewer of their own search in production",
        lawful,
        lambda m: _variable(m, "HOMEWARD_SEPARATE_REVIEWERS").update(value="false"),
    ),
    Fault(
        "searches for anybody anywhere in production",
        lawful,
        lambda m: _variable(m, "HOMEWARD_TARGETED_SCANS", of="ingestion").update(value="false"),
    ),
    Fault(
        "an overlay that lost the settings for lawful searches",
        lawful,
        lambda m: [
            _container(m, "ingestion")["env"].remove(_variable(m, name, of="ingestion"))
            for name in STATED["ingestion"]
        ],
    ),
    Fault(
        "searches that nobody authorises in production",
        lawful,
        lambda m: _container(m, "ingestion")["env"].remove(
            _variable(m, "HOMEWARD_SCAN_AUTHORISATION_HOURS", of="ingestion")
        ),
    ),
    Fault(
        "searches that are authorised after a week",
        lawful,
        lambda m: _variable(m, "HOMEWARD_SCAN_AUTHORISATION_HOURS", of="ingestion").update(
            value="168"
        ),
    ),
    Fault(
        "searches that people authorise for themselves",
        lawful,
        lambda m: _variable(m, "HOMEWARD_AUTHORISE_OWN_SCANS", of="ingestion").update(value="true"),
    ),
    Fault(
        "searches without a purpose in production",
        lawful,
        lambda m: _rule(m, "require_purpose = false"),
    ),
    Fault(
        "cases that everybody sees in production",
        lawful,
        lambda m: _rule(m, "restrict_to_cases = false"),
    ),
    Fault(
        "two webhooks, which send events out of order",
        alone,
        lambda m: _deployment(m, "webhook")["spec"].update(replicas=2),
        overlay="production-connected",
    ),
    Fault(
        "a webhook that an upgrade starts beside the old one",
        alone,
        lambda m: _deployment(m, "webhook")["spec"].update(strategy={"type": "RollingUpdate"}),
        overlay="production-connected",
    ),
    Fault(
        "a webhook that forgets which event was delivered last",
        alone,
        _forgetful,
        overlay="production-connected",
    ),
    Fault(
        "a webhook without a token of its own",
        alone,
        lambda m: _container(m, "webhook")["env"].remove(
            _variable(m, "HOMEWARD_TOKEN_FILE", of="webhook")
        ),
        overlay="production-connected",
    ),
    Fault(
        "a webhook that may reach the internet",
        checks.arrows,
        lambda m: _policy(m, "to-receiver")["egress"][0]["to"].append(_EVERYWHERE),
        overlay="production-connected",
    ),
    Fault(
        "an intake of footage that reaches matching",
        checks.arrows,
        lambda m: [
            _policy(m, "webhook-to-matching").update(podSelector={}),
            _policy(m, "from-webhook-to-matching")["ingress"][0].pop("from"),
        ],
        overlay="production-connected",
    ),
    Fault(
        "an intake of footage that ingestion does not know",
        access,
        lambda m: _drop(m, "Certificate", "homeward-footage-intake"),
        overlay="production-connected",
    ),
    Fault(
        "a trail whose checkpoints nobody signs",
        checkpoints,
        lambda m: _container(m)["env"].remove(_variable(m, KEY_FILE)),
    ),
    Fault(
        "a key that is no secret",
        checkpoints,
        lambda m: _variable(m, KEY_FILE).update(value="/tmp/audit.key"),
    ),
    Fault("a bundled engine in production", checks.engines, _bundled),
    Fault(
        "evaluation mode in production",
        checks.engines,
        lambda m: _container(m)["env"].append({"name": "HOMEWARD_EVALUATION", "value": "true"}),
    ),
    Fault(
        "streams with one copy in production",
        checks.engines,
        lambda m: _places(m)["data"].update({"nats-replicas": "1"}),
    ),
    Fault(
        "rules for a direction that the policy is not for",
        checks.policy_types,
        lambda m: _policy(m, "to-matching").update(policyTypes=["Ingress"]),
    ),
    Fault(
        "no default deny",
        checks.policy_types,
        lambda m: _drop(m, "NetworkPolicy", "default-deny"),
    ),
    Fault(
        "matching that may reach the internet",
        checks.arrows,
        lambda m: _policy(m, "to-embedding")["egress"].append({"ports": [{"port": 443}]}),
    ),
    Fault(
        "matching that may reach every address",
        checks.arrows,
        lambda m: _policy(m, "to-embedding")["egress"].append({"to": [_EVERYWHERE]}),
    ),
    Fault(
        "every address as that of the object store",
        checks.arrows,
        lambda m: _policy(m, "to-s3")["egress"][0]["to"].append(_EVERYWHERE),
    ),
    Fault(
        "every address that may call matching",
        checks.arrows,
        lambda m: _policy(m, "from-callers-of-matching")["ingress"][0]["from"].append(_EVERYWHERE),
    ),
    Fault(
        "calls that are let through as UDP",
        checks.arrows,
        lambda m: _policy(m, "to-matching")["egress"][0]["ports"][0].update(protocol="UDP"),
    ),
    Fault(
        "a range of ports, with the monitoring of NATS in it",
        checks.arrows,
        lambda m: _policy(m, "to-nats")["egress"][0]["ports"][0].update(endPort=8222),
    ),
    Fault(
        "anybody in the cluster who may call matching",
        checks.arrows,
        lambda m: _policy(m, "from-callers-of-matching")["ingress"][0].pop("from"),
    ),
    Fault(
        "an arrow at one end alone",
        checks.arrows,
        lambda m: _drop(m, "NetworkPolicy", "to-embedding"),
    ),
    Fault(
        "ingestion that reaches Qdrant",
        checks.arrows,
        lambda m: _policy(m, "to-qdrant")["podSelector"]["matchExpressions"][0]["values"].append(
            "ingestion"
        ),
    ),
    Fault(
        "services that reach no issuer of tokens",
        checks.arrows,
        lambda m: _drop(m, "NetworkPolicy", "to-issuer"),
    ),
    Fault(
        "a scanner, which nobody calls, that reaches the issuer",
        checks.arrows,
        lambda m: _policy(m, "to-issuer")["podSelector"]["matchExpressions"][0]["values"].append(
            "scanner"
        ),
    ),
    Fault(
        "every address as that of the issuer",
        checks.arrows,
        lambda m: _policy(m, "to-issuer")["egress"][0]["to"].append(_EVERYWHERE),
    ),
    Fault(
        "metrics for everybody",
        checks.arrows,
        lambda m: _policy(m, "from-prometheus")["ingress"][0].pop("from"),
    ),
    Fault(
        "an engine that everybody in the namespace reaches",
        checks.arrows,
        lambda m: [
            _policy(m, "from-callers-of-nats")["ingress"][0].pop("from"),
            _policy(m, "to-nats").update(podSelector={}),
        ],
        overlay="evaluation",
    ),
    Fault(
        "something in another namespace",
        checks.namespaced,
        lambda m: _deployment(m)["metadata"].update(namespace="default"),
    ),
    Fault(
        "the node's network for a pod (which only Checkov looks for)",
        checks.policy,
        lambda m: _pod(m).update(hostNetwork=True),
    ),
)


def caught(fault: Fault, by: Sequence[Check] = checks.CHECKS) -> dict[str, list[str]]:
    """Seed a fault and return what each check that sees it says.

    Args:
        fault: Seeded into an overlay of its own.
        by: The checks that look.
    """
    from deploy.manifests import load  # noqa: PLC0415 - not to read YAML for a list of faults

    manifests = load(fault.overlay)
    fault.seed(manifests)
    found = {check.__name__: list(check(manifests)) for check in by}
    return {name: problems for name, problems in found.items() if problems}
