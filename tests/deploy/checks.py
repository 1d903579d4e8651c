"""What must hold of every overlay. A check yields what is wrong, in words that say where."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import click
import jsonschema
import kubernetes_validate
from pydantic import SecretStr, ValidationError

from deploy import images as built
from deploy import network
from deploy.access import AUTH_FILE, access
from deploy.auditing import checkpoints
from deploy.clients import alone
from deploy.lawful import lawful
from deploy.manifests import K8S, NAMESPACE, ROOT, Manifests, Workload, selects
from homeward.cli.app import app
from homeward.cli.identification import STATED, TOKEN_FILE
from homeward.cli.shared import SERVICES
from homeward.core.tls import VARIABLES as TLS_FILES
from homeward.embedding.settings import EmbeddingSettings
from homeward.ingestion.adapters import work_queue
from homeward.ingestion.adapters.caged import DECODING, EXAMINING
from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.settings import IngestionSettings, ScannerSettings
from homeward.matching.settings import MatchingSettings
from homeward.servicekit.clients import RECONNECT_MS, RESOLVE_MS
from homeward.servicekit.health import LIVE
from homeward.servicekit.settings import ServiceSettings

Problems = Iterator[str]
Check = Callable[[Manifests], Problems]

KUBERNETES = "1.37"
"""Version whose schemas are asked."""

SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "ingestion": IngestionSettings,
    "ingestion-setup": IngestionSettings,
    "scanner": ScannerSettings,
    "embedding": EmbeddingSettings,
    "matching": MatchingSettings,
    "matching-setup": MatchingSettings,
}
"""By component. The retention check is the command line, which has no settings class."""

RUNS: Mapping[str, Sequence[str]] = {
    "ingestion": ("python", "-m", "homeward.ingestion"),
    "ingestion-setup": ("python", "-m", "homeward.ingestion.setup"),
    "scanner": ("python", "-m", "homeward.ingestion.scanner"),
    "embedding": ("python", "-m", "homeward.embedding"),
    "matching": ("python", "-m", "homeward.matching"),
    "matching-setup": ("python", "-m", "homeward.matching.setup"),
    "retention-check": ("homeward", "retention"),
    "webhook": ("homeward", "watch", "--webhook"),
    "footage-intake": ("homeward", "footage", "watch"),
}
"""By component, how its program begins."""

CALLED = ("ingestion", "embedding", "matching")
"""Components that serve gRPC."""

GROW = ("embedding", "scanner")
"""Components with more replicas the more there is to do, in production."""

COMMAND_LINE = {
    *(f"HOMEWARD_{service.upper()}_TARGET" for service in SERVICES),
    *TLS_FILES,
    TOKEN_FILE,
    *STATED,
}

ITSELF_BYTES = 2**30
"""Memory of a service that reads recordings, beside its cages, at the least."""

_TARGET = re.compile(r"HOMEWARD_(?:NEXT_)?(?P<service>\w+)_TARGET")
_ADDRESS = re.compile(  # with the names that certificates have
    rf"(?:dns:///)?(?P<host>[\w-]+)(?:\.{NAMESPACE}\.svc(?:\.cluster\.local)?)?:(?P<port>\d+)"
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {"": Fraction(1), "m": Fraction(1, 1000)}
_UNITS |= {unit: Fraction(1000 ** (n + 1)) for n, unit in enumerate(("k", "M", "G", "T"))}
_UNITS |= {unit: Fraction(1024 ** (n + 1)) for n, unit in enumerate(("Ki", "Mi", "Gi", "Ti"))}


def quantity(value: object) -> Fraction:
    """Return what a quantity of Kubernetes amounts to.

    Raises:
        ValueError: It is none.
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None:
        raise ValueError(f"{value!r} is no quantity")
    return Fraction(found[1]) * _UNITS[found[2] or ""]


def schemas(manifests: Manifests) -> Problems:
    """Every document follows the schema of its kind, without fields that it does not know."""
    for one in manifests.documents:
        where = f"{one['kind']}/{one['metadata']['name']}"
        own = ROOT / "third_party" / "crds" / f"{one['kind']}.json"
        try:
            if own.is_file():
                jsonschema.validate(one, json.loads(own.read_text(encoding="utf-8")))
            else:
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{where}: there is no schema for it"
        except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
            yield f"{where}: {error.message}"


def policy(manifests: Manifests) -> Problems:
    """Checkov finds nothing, but for what .checkov.yaml leaves out with its reasons."""
    program = Path(os.environ.get("HOMEWARD_CHECKOV") or ROOT / ".venv-checkov/bin/checkov")
    if not program.is_file():
        yield f"{program} is not installed: `make .venv-checkov/.done`"
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rendered.yaml").write_text(manifests.text(), encoding="utf-8")
        done = subprocess.run(
            [
                str(program),
                "--config-file",
                str(K8S / ".checkov.yaml"),
                "--directory",
                folder,
                "--output",
                "json",
                "--quiet",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    report = json.loads(done.stdout)
    if not report["summary"]["passed"]:
        yield f"Checkov has looked at nothing: {done.stderr}"
    for failed in report["results"]["failed_checks"]:
        yield f"{failed['resource']}: {failed['check_id']} {failed['check_name']}"


def selectors(manifests: Manifests) -> Problems:
    """What selects pods selects some; a workload selects its own, and no other's."""
    workloads = manifests.workloads
    for one in workloads:
        if one.runs_on:
            taken = [
                other.name
                for other in workloads
                if selects(one.document["spec"]["selector"], other.labels)
            ]
            if taken != [one.name]:
                yield f"{one.name} selects the pods of {taken}"
    for service in manifests.of("Service"):
        pods = [
            one
            for one in workloads
            if selects({"matchLabels": service["spec"]["selector"]}, one.labels)
        ]
        named = {port["name"] for one in pods for port in _ports(one)}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in named:
                yield f"Service/{service['metadata']['name']}: no pod has port {port['targetPort']}"


def chosen(manifests: Manifests) -> Problems:
    """Budgets, network policies and monitors are about pods that there are."""
    workloads = manifests.workloads
    for kind, key in (
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodMonitor", "selector"),
    ):
        for one in manifests.of(kind):
            if not any(selects(one["spec"][key], other.labels) for other in workloads):
                yield f"{kind}/{one['metadata']['name']} selects no pod"
    for monitor in manifests.of("PodMonitor"):
        for other in workloads:
            if selects(monitor["spec"]["selector"], other.labels):
                wanted = {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]}
                for port in wanted - {port["name"] for port in _ports(other)}:
                    yield f"{other.name} is monitored, and has no port {port}"


def targets(manifests: Manifests) -> Problems:
    """What scales has something to scale, which states no number of its own."""
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for one in manifests.of(kind):
            ref = one["spec"]["scaleTargetRef"]
            found = [
                each
                for each in manifests.of(ref.get("kind", "Deployment"))
                if each["metadata"]["name"] == ref["name"]
            ]
            where = f"{kind}/{one['metadata']['name']}"
            if not found:
                yield f"{where}: there is no {ref['name']}"
            for each in found:
                if "replicas" in each["spec"]:
                    yield f"{where}: {ref['name']} states `replicas`, which each apply sets back"


def scaled(manifests: Manifests) -> Problems:
    """What states no number of replicas is scaled; in production, all that has to grow can."""
    scalers = [*manifests.of("HorizontalPodAutoscaler"), *manifests.of("ScaledObject")]
    of = {one["spec"]["scaleTargetRef"]["name"] for one in scalers}
    for workload in manifests.workloads:
        if workload.kind != "Deployment" or workload.document["metadata"]["name"] in of:
            continue
        must_grow = manifests.is_production and workload.component in GROW
        if must_grow or "replicas" not in workload.document["spec"]:
            yield f"nothing scales {workload.name}"
    for one in scalers:
        where, spec = f"{one['kind']}/{one['metadata']['name']}", one["spec"]
        for name, value in one["metadata"].get("annotations", {}).items():
            if name.startswith("autoscaling.keda.sh/paused") and value != "false":
                yield f"{where} is paused"
        least = spec.get("minReplicas", spec.get("minReplicaCount", 0))
        most = spec.get("maxReplicas", spec.get("maxReplicaCount", 100))
        if manifests.is_production and most <= least:
            yield f"{where} keeps to {least} replicas"


def scheduled(manifests: Manifests) -> Problems:
    """What is held is checked again and again, and no Job waits for somebody to let it run."""
    checked = [one for one in manifests.workloads if one.component == "retention-check"]
    if not any(one.kind == "CronJob" for one in checked):
        yield "nothing checks what is held"
    for workload in manifests.workloads:
        if workload.document["spec"].get("suspend"):
            yield f"{workload.name} is suspended"


def queue(manifests: Manifests) -> Problems:
    """Scanners are scaled by the queue that they work."""
    for one in manifests.of("ScaledObject"):
        (trigger,) = one["spec"]["triggers"]
        followed = trigger["metadata"]["valueLocation"]
        if f'(name=="{work_queue.STREAM}").state.messages' not in followed:
            yield f"ScaledObject/{one['metadata']['name']} follows {followed}"
        if one["spec"].get("minReplicaCount") != 0:
            yield f"ScaledObject/{one['metadata']['name']} keeps scanners with nothing to do"


def restricted(manifests: Manifests) -> Problems:
    """Pods follow the restricted Pod Security standard, and the namespace enforces it."""
    for namespace in manifests.of("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace/{namespace['metadata']['name']} does not enforce `restricted`"
    for workload in manifests.workloads:
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield f"{workload.name} gets a token for the Kubernetes API"
        context = workload.pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{workload.name} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{workload.name} has no seccomp profile"


def confined(manifests: Manifests) -> Problems:
    """Containers follow the restricted Pod Security standard, and write to volumes alone."""
    for workload, container in manifests.containers():
        context = container.get("securityContext", {})
        where = f"{workload.name} {container['name']}"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{where} may gain privileges"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{where} may write to its image"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{where} keeps capabilities"


def probes(manifests: Manifests) -> Problems:
    """What runs on has three probes; readiness follows the engines, liveness does not."""
    for workload, container in manifests.containers():
        where = f"{workload.name} {container['name']}"
        if not workload.runs_on or workload.component in network.CLIENTS:
            continue
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind)
            if probe is None:
                yield f"{where} has no {kind}"
            elif workload.component:
                asked = probe["grpc"].get("service", "")
                if asked != ("" if kind == "readinessProbe" else LIVE):
                    yield f"{where}: {kind} asks for the health of {asked!r}"
                if probe["grpc"]["port"] != _listens(container, "HOMEWARD_HEALTH_LISTEN"):
                    yield f"{where}: {kind} asks at another port than that of health"


def ports(manifests: Manifests) -> Problems:
    """A container declares the ports that its settings have it listen on, and no other."""
    names = {"grpc": "HOMEWARD_LISTEN", "health": "HOMEWARD_HEALTH_LISTEN"}
    names["metrics"] = "HOMEWARD_METRICS_LISTEN"
    for workload, container in manifests.containers():
        if workload.component in SETTINGS and workload.runs_on:
            declared = {one["name"]: one["containerPort"] for one in container["ports"]}
            listened = {
                name: _listens(container, variable)
                for name, variable in names.items()
                if _listens(container, variable)
            }
            if declared != listened:
                yield f"{workload.name} declares {declared} and listens on {listened}"


def resources(manifests: Manifests) -> Problems:
    """Every container asks for, and is limited in, processor and memory; quantities are ones."""
    for workload, container in manifests.containers():
        where = f"{workload.name} {container['name']}"
        stated = container.get("resources", {})
        for kind in ("cpu", "memory"):
            try:
                least = quantity(stated["requests"][kind])
                if least > quantity(stated["limits"][kind]):
                    yield f"{where} asks for more {kind} than it may have"
            except KeyError:
                yield f"{where} does not state {kind}"
            except ValueError as error:
                yield f"{where}: {error}"
    for workload in manifests.workloads:
        for volume in workload.pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{workload.name}: volume {volume['name']} may fill the node's disk"


def caged(manifests: Manifests) -> Problems:
    """What reads recordings has room for all of its cages, each at its bound, and for itself.

    Kubernetes ends all of a container that reaches its limit: a recording that exhausts a decoder
    would end the service.
    """
    for workload, container in manifests.containers():
        cages = 0
        if workload.component == "scanner":
            # Not by `_settings`: whether others are valid is for another check.
            set_to = _environment(manifests, container)
            usual = ScannerSettings.model_fields["scanner_segments"].default
            segments = int(set_to.get("HOMEWARD_SCANNER_SEGMENTS", usual))
            decoders = int(set_to.get("HOMEWARD_DECODERS", "64"))  # else as many as the node has
            cages = segments * decoders * DECODING.memory_bytes
        elif workload.component == "ingestion":
            cages = MAX_EXAMINED_AT_ONCE * EXAMINING.memory_bytes + DECODING.memory_bytes
        if not cages:
            continue
        limit = quantity(container["resources"]["limits"].get("memory", "0"))  # see `resources`
        if limit < cages + ITSELF_BYTES:
            where = f"{workload.name} {container['name']}"
            yield f"{where}: its decoders may take {cages / 2**30:.0f} GiB, all may {limit / 2**30}"


def disruption(manifests: Manifests) -> Problems:
    """Each service has a budget, which keeps no node from being drained."""
    budgets = manifests.of("PodDisruptionBudget")
    for one in budgets:
        # Readiness follows the engines: while one is away, no pod is ready, and none could go.
        if one["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget/{one['metadata']['name']} keeps pods that are not ready"
    for workload in manifests.workloads:
        if workload.kind != "Deployment" or workload.component in network.CLIENTS:
            continue
        own = [one["spec"] for one in budgets if selects(one["spec"]["selector"], workload.labels)]
        if len(own) != 1:
            yield f"{workload.name} has {len(own)} disruption budgets"
        fewest = _fewest(manifests, workload)
        for spec in own:
            least, lost = spec.get("minAvailable"), spec.get("maxUnavailable", 1)
            if least is not None and _pods(least, of=fewest) >= fewest:
                yield f"{workload.name}: minAvailable {least} of {fewest}: no node can be drained"
            if not _pods(lost, of=fewest):
                yield f"{workload.name}: maxUnavailable {lost}: no node can be drained"


def spread(manifests: Manifests) -> Problems:
    """The pods of a service are spread over nodes and zones, of those that take them."""
    for workload in manifests.workloads:
        constraints = workload.pod.get("topologySpreadConstraints", [])
        for one in constraints:
            # By default a tainted node counts as one without a pod, which the next has to go to.
            is_strict = one["whenUnsatisfiable"] == "DoNotSchedule"
            if is_strict and one.get("nodeTaintsPolicy") != "Honor":
                yield f"{workload.name} waits for nodes that do not take it: {one['topologyKey']}"
        if workload.kind == "Deployment" and workload.component not in network.CLIENTS:
            keys = {
                one["topologyKey"]
                for one in constraints
                if selects(one["labelSelector"], workload.labels)
            }
            for key in {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} - keys:
                yield f"{workload.name} is not spread over {key}"


def grace(manifests: Manifests) -> Problems:
    """A pod is given longer to end than its service takes."""
    for workload, container in manifests.containers():
        if workload.component in SETTINGS and workload.runs_on:
            try:
                settings = _settings(manifests, workload, container)
            except ValidationError:
                continue  # which `settings` tells
            takes = settings.grace_seconds + getattr(settings, "drain_seconds", 0.0)
            given = workload.pod.get("terminationGracePeriodSeconds", 30)
            if given <= takes:
                yield f"{workload.name} is killed after {given} s, and takes {takes:g}"


def pace(manifests: Manifests) -> Problems:
    """A replica goes no sooner than clients have found the one that replaces it."""
    needed = (RECONNECT_MS + RESOLVE_MS) / 1000
    for workload in manifests.workloads:
        given = workload.document["spec"].get("minReadySeconds", 0)
        if workload.component in CALLED and given < needed:
            yield f"{workload.name} is ready after {given} s, and clients find it in {needed:g}"
        strategy = workload.document["spec"].get("strategy", {}).get("rollingUpdate", {})
        if workload.component in CALLED and strategy.get("maxUnavailable") != 0:
            yield f"{workload.name} has fewer replicas during an upgrade"


def addresses(manifests: Manifests) -> Problems:
    """The address of a service is that of a Service for its pods, at a port that this has."""
    services = {one["metadata"]["name"]: one["spec"] for one in manifests.of("Service")}
    for workload, container in manifests.containers():
        for name, value in _environment(manifests, container).items():
            variable = _TARGET.fullmatch(name)
            if variable is None:
                continue
            where = f"{workload.name}: {name} is {value}, and"
            address = _ADDRESS.fullmatch(value)
            service = services.get(address["host"]) if address else None
            if address is None or service is None:
                yield f"{where} there is no such Service"
                continue
            if int(address["port"]) not in {one["port"] for one in service["ports"]}:
                yield f"{where} that Service has no such port"
            wanted = {"matchLabels": service["selector"]}
            pods = {one.component for one in manifests.workloads if selects(wanted, one.labels)}
            if variable["service"].lower() not in pods:
                yield f"{where} that Service is for {', '.join(sorted(pods)) or 'no pod'}"


def commands(manifests: Manifests) -> Problems:
    """A container runs the program of its component, which there is, in an image that has it."""
    programs = built.programs()
    for workload, container in manifests.containers():
        if workload.component not in RUNS:
            continue
        where = f"{workload.name} {container['name']}"
        path, _, _ = container["image"].partition("@")
        words = path.rpartition("/")[2].partition(":")[0].split("-")
        started = next((programs[word] for word in words if word in programs), None)
        if started is None:
            yield f"{where}: deploy/Dockerfile makes no {container['image']}"
            continue
        ran = (*container.get("command", started), *container.get("args", []))
        if problem := _unknown(ran):
            yield f"{where} runs {' '.join(ran)}: {problem}"
        wanted = RUNS[workload.component]
        if ran[: len(wanted)] != wanted:
            yield f"{where} runs {' '.join(ran)}, not {' '.join(wanted)}"
        # An image of a service has the modules beneath its own, and what these need.
        *way, entry = started
        *own, program = ran[: len(started)]
        if own != way or not f"{program}.".startswith(f"{entry}."):
            yield f"{where}: {container['image']} does not have {' '.join(ran)}"


def settings(manifests: Manifests) -> Problems:
    """Every variable is a setting of its service, and all that it needs are there and valid."""
    for workload, container in manifests.containers():
        names = [one["name"] for one in container.get("env", [])]
        where = f"{workload.name} {container['name']}"
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{where} sets {name} {count} times"
        own = {name for name in names if name.startswith("HOMEWARD_")}
        if workload.component in SETTINGS:
            model = SETTINGS[workload.component]
            known = {f"HOMEWARD_{field.upper()}" for field in model.model_fields}
            try:
                _settings(manifests, workload, container)
            except ValidationError as error:
                for one in error.errors():
                    yield f"{where}: {'.'.join(map(str, one['loc']))}: {one['msg']}"
        else:
            known = COMMAND_LINE
        for name in own - known:
            yield f"{where}: {name} is no setting of it"


def references(manifests: Manifests) -> Problems:
    """ConfigMaps, keys and accounts that are named are there; secrets are documented."""
    documented = (K8S / "README.md").read_text(encoding="utf-8")
    accounts = {one["metadata"]["name"] for one in manifests.of("ServiceAccount")}
    for workload, container in manifests.containers():
        where = f"{workload.name} {container['name']}"
        if workload.pod.get("serviceAccountName") not in accounts:
            yield f"{where}: there is no such service account"
        for name, source in _sources(container):
            if "configMapKeyRef" in source:
                ref = source["configMapKeyRef"]
                if _configured(manifests, ref) is None and not ref.get("optional"):
                    yield f"{where}: {name} has no {ref['name']}/{ref['key']} to come from"
            if "secretKeyRef" in source:
                ref = source["secretKeyRef"]
                if not re.search(rf"\| `{ref['name']}` \|[^\n]*`{ref['key']}`", documented):
                    yield f"{where}: README.md does not say what {ref['name']}/{ref['key']} is"


def mounts(manifests: Manifests) -> Problems:
    """What is mounted is there; secrets are documented; files are where something is mounted."""
    documented = (K8S / "README.md").read_text(encoding="utf-8")
    made = {one["spec"]["secretName"] for one in manifests.of("Certificate")}
    configured = {one["metadata"]["name"] for one in manifests.of("ConfigMap")}
    for workload, container in manifests.containers():
        where = f"{workload.name} {container['name']}"
        volumes = {one["name"]: one for one in workload.pod.get("volumes", [])}
        claims = workload.document["spec"].get("volumeClaimTemplates", [])
        volumes |= {one["metadata"]["name"]: one for one in claims}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{where}: there is no volume {mount['name']}"
        for volume in volumes.values():
            secret = volume.get("secret", {}).get("secretName")
            if secret and secret not in made and f"| `{secret}` |" not in documented:
                yield f"{where}: README.md does not say what {secret} is"
            config = volume.get("configMap", {}).get("name")
            if config and config not in configured:
                yield f"{where}: there is no ConfigMap {config}"
        mounted = tuple(f"{one['mountPath']}/" for one in container.get("volumeMounts", []))
        for one in container.get("env", []):
            if str(one.get("value", "")).startswith("/") and not one["value"].startswith(mounted):
                yield f"{where}: nothing is mounted where {one['name']} points"


def certificates(manifests: Manifests) -> Problems:
    """Where there are certificates, whoever calls or serves has one that its peers accept."""
    made = {one["spec"]["secretName"]: one["spec"] for one in manifests.of("Certificate")}
    for workload, container in manifests.containers():
        where = f"{workload.name} {container['name']}"
        speaks = made and workload.component in {*network.CALLS, *network.SERVICES}
        files = {
            one["name"]: one["value"]
            for one in container.get("env", [])
            if one["name"] in TLS_FILES
        }
        if files.keys() != (set(TLS_FILES) if speaks else set()):
            yield f"{where} sets {sorted(files)} of what TLS needs"
        for secret in {_mounted(workload, container, file) for file in files.values()}:
            if secret not in made:
                yield f"{where}: nobody makes the certificate in {secret}"
                continue
            # A service calls and serves with the same one, and tries it out as a server's.
            serves = {"server auth"} if workload.component in SETTINGS else set()
            for usage in ({"client auth"} | serves) - {*made[secret]["usages"]}:
                yield f"{where}: its certificate is not for {usage}"
            for service in manifests.of("Service"):
                name = service["metadata"]["name"]
                called = selects({"matchLabels": service["spec"]["selector"]}, workload.labels)
                if called and name not in made[secret]["dnsNames"]:
                    yield f"{where}: its certificate does not name {name}"


def secrets(manifests: Manifests) -> Problems:
    """No secret stands in a manifest."""
    for one in manifests.of("Secret"):
        yield f"Secret/{one['metadata']['name']} is in the manifests"
    secret = {
        f"HOMEWARD_{name.upper()}"
        for model in SETTINGS.values()
        for name, field in model.model_fields.items()
        if field.annotation in (SecretStr, SecretStr | None)
    }
    for workload, container in manifests.containers():
        for one in container.get("env", []):
            if one["name"] in secret and "secretKeyRef" not in one.get("valueFrom", {}):
                yield f"{workload.name}: {one['name']} does not come from a secret"
    for text in _texts(manifests.documents):
        if re.search(r"\w+://[^\s/]+@", text):
            yield f"an address carries credentials: {text.partition('://')[0]}://…"


def images(manifests: Manifests) -> Problems:
    """Images are of a fixed version."""
    for workload, container in manifests.containers():
        image = container["image"]
        name, _, tag = image.rpartition(":")
        if not name or "/" in tag or tag == "latest":
            yield f"{workload.name}: {image} is of no fixed version"


def headless(manifests: Manifests) -> Problems:
    """Services give out the addresses of their pods, so that clients can spread their calls."""
    for one in manifests.of("Service"):
        where, spec = f"Service/{one['metadata']['name']}", one["spec"]
        if spec.get("clusterIP") != "None":
            yield f"{where} is not headless"
        wanted = {"matchLabels": spec["selector"]}
        for workload in manifests.workloads:
            if selects(wanted, workload.labels):
                listens = {port["name"]: port["containerPort"] for port in _ports(workload)}
                for port in spec["ports"]:
                    number = listens.get(port["targetPort"], port["port"])
                    if number != port["port"]:
                        yield f"{where}: {port['port']} is not {number}, and nothing translates it"


def engines(manifests: Manifests) -> Problems:
    """Production has no engine of its own, and no evaluation mode."""
    if manifests.is_production:
        for workload in manifests.workloads:
            if not workload.component:
                yield f"{workload.name} is a bundled engine"
        for workload, container in manifests.containers():
            if any(one["name"] == "HOMEWARD_EVALUATION" for one in container.get("env", [])):
                yield f"{workload.name} is in evaluation mode"
        names = {"nats-replicas": "3"}
        for config in manifests.of("ConfigMap"):
            if config["metadata"]["name"].startswith("homeward-engines"):
                for key, value in names.items():
                    if config["data"].get(key) != value:
                        yield f"{key} is {config['data'].get(key)}, not {value}"


def policy_types(manifests: Manifests) -> Problems:
    """A network policy states the directions that it has rules for, and all are denied to begin."""
    policies = {one["metadata"]["name"]: one["spec"] for one in manifests.of("NetworkPolicy")}
    for name, spec in policies.items():
        ruled = {kind for kind in ("Ingress", "Egress") if kind.lower() in spec}
        if not ruled <= set(spec["policyTypes"]):
            yield f"NetworkPolicy/{name} has rules for {ruled}, and is for {spec['policyTypes']}"
    denied = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if denied not in policies.values():
        yield "there is no policy that denies all"


def arrows(manifests: Manifests) -> Problems:
    """The network lets through what docs/architecture.md draws, and nothing else."""
    let, wanted = network.arrows(manifests), network.expected(manifests)
    for source, to, (protocol, number) in sorted(let - wanted):
        yield f"{source} reaches {to}:{number}/{protocol}, and must not"
    for source, to, (protocol, number) in sorted(wanted - let):
        yield f"{source} does not reach {to}:{number}/{protocol}"


def namespaced(manifests: Manifests) -> Problems:
    """Everything is in Homeward's namespace."""
    for one in manifests.documents:
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != NAMESPACE:
            yield f"{one['kind']}/{one['metadata']['name']} is in another namespace"


QUICK: Sequence[Check] = (
    schemas,
    selectors,
    chosen,
    targets,
    scaled,
    scheduled,
    queue,
    restricted,
    confined,
    probes,
    ports,
    resources,
    caged,
    disruption,
    spread,
    grace,
    pace,
    addresses,
    commands,
    settings,
    references,
    mounts,
    certificates,
    access,
    lawful,
    alone,
    checkpoints,
    secrets,
    images,
    headless,
    engines,
    policy_types,
    arrows,
    namespaced,
)
CHECKS: Sequence[Check] = (*QUICK, policy)
"""All; Checkov takes seconds for each overlay."""


def _ports(workload: Workload) -> list[Any]:
    return [port for one in workload.containers for port in one.get("ports", [])]


def _listens(container: Mapping[str, Any], variable: str) -> int | None:
    for one in container.get("env", []):
        if one["name"] == variable:
            return int(one["value"].rpartition(":")[2])
    return None


def _fewest(manifests: Manifests, workload: Workload) -> int:
    name = workload.document["metadata"]["name"]
    for one in manifests.of("HorizontalPodAutoscaler"):
        if one["spec"]["scaleTargetRef"]["name"] == name:
            return int(one["spec"]["minReplicas"])
    return int(workload.document["spec"].get("replicas", 1))


def _pods(number: int | str, *, of: int) -> int:
    """Return how many pods a number or a percentage is; Kubernetes rounds up."""
    if isinstance(number, int):
        return number
    return math.ceil(of * int(number.removesuffix("%")) / 100)


def _mounted(workload: Workload, container: Mapping[str, Any], file: str) -> str:
    """Return the secret that a file comes from; empty for none."""
    folders = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volume = folders.get(str(Path(file).parent))
    names = {one["name"]: one for one in workload.pod["volumes"]}
    return str(names.get(volume, {}).get("secret", {}).get("secretName", ""))


def _sources(container: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    env = container.get("env", [])
    return [(one["name"], one["valueFrom"]) for one in env if "valueFrom" in one]


def _configured(manifests: Manifests, ref: Mapping[str, Any]) -> str | None:
    for one in manifests.of("ConfigMap"):
        if one["metadata"]["name"] == ref["name"]:
            value: str | None = one["data"].get(ref["key"])
            return value
    return None


def _environment(manifests: Manifests, container: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a container gets, with stand-ins for secrets."""
    environment = {}
    for one in container.get("env", []):
        source = one.get("valueFrom", {})
        if "configMapKeyRef" in source:
            value = _configured(manifests, source["configMapKeyRef"])
        elif "secretKeyRef" in source:
            value = "stand-in"
        elif "resourceFieldRef" in source:
            of, _, kind = source["resourceFieldRef"]["resource"].partition(".")
            value = str(math.ceil(quantity(container["resources"][of][kind])))
        else:
            value = one.get("value")
        if value is not None:
            environment[one["name"]] = value
    return environment


def _settings(
    manifests: Manifests, workload: Workload, container: Mapping[str, Any]
) -> ServiceSettings:
    """Return the settings that a container gets."""
    environment = _environment(manifests, container)
    for name in (*TLS_FILES, AUTH_FILE):
        environment.pop(name, None)  # the files are the cluster's: settings read them at once
    with mock.patch.dict(os.environ, environment, clear=True):
        return SETTINGS[workload.component]()


def _unknown(program: Sequence[str]) -> str:
    """Return what is not there of a module, or of the command line; empty if all is."""
    match program:
        case ["python", "-m", module, *_]:
            return "" if _is_runnable(module) else f"there is no {module}"
        case ["homeward", *arguments]:
            try:
                context = click.Context(app)
                name, command, rest = app.resolve_command(context, arguments)
                assert command is not None
                command.make_context(name, rest, parent=context)
            except click.UsageError as error:
                return error.format_message()
    return ""


def _is_runnable(module: str) -> bool:
    """Tell whether `python -m` would find a module, which is not imported."""
    try:
        found = find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return found is not None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
