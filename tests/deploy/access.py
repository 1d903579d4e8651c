"""Whom the servers of an overlay trust."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.manifests import COMPONENT, Manifests, Workload
from deploy.network import CALLS, CLIENTS
from homeward.servicekit.identity.rules import AuthFileError, AuthRules, read_rules

AUTH_FILE = "HOMEWARD_AUTH_FILE"
BY_TOKEN = ("client", "webhook")
"""Callers whom a token names, and no certificate: they see cases."""


def access(manifests: Manifests) -> Iterator[str]:
    """In production every server checks its callers, and knows those that are Homeward's own."""
    names = {
        one["metadata"]["labels"][COMPONENT]: {*one["spec"]["dnsNames"]}
        for one in manifests.of("Certificate")
    }
    present = {one.component for one in manifests.workloads}
    for workload, container in manifests.containers():
        callers = [
            one
            for one, called in CALLS.items()
            if workload.component in called and (one not in CLIENTS or one in present)
        ]
        if not callers:
            continue
        variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        if AUTH_FILE not in variables:
            if manifests.is_production:
                yield f"{workload.name} lets everybody in"
            continue
        if variables.get("HOMEWARD_REFLECTION") != "false":
            yield f"{workload.name} describes its RPCs to anybody"
        try:
            rules = rules_of(manifests, workload, container, variables[AUTH_FILE])
        except AuthFileError as error:
            yield f"{workload.name}: {error}"
            continue
        for caller in callers:
            known = names.get(caller.removesuffix("-setup"), set())
            if caller not in BY_TOKEN and not known & {*rules.services, *rules.programs}:
                yield f"{workload.name} does not know {caller}"


def rules_of(
    manifests: Manifests, workload: Workload, container: Mapping[str, Any], file: str
) -> AuthRules:
    """Return the rules that a container reads from a ConfigMap."""
    mounts = {one["mountPath"]: one["name"] for one in container.get("volumeMounts", [])}
    folder, _, name = file.rpartition("/")
    volumes = {one["name"]: one for one in workload.pod.get("volumes", [])}
    config = volumes.get(mounts.get(folder), {}).get("configMap", {}).get("name")
    data = {one["metadata"]["name"]: one["data"] for one in manifests.of("ConfigMap")}
    if name not in data.get(config, {}):
        raise AuthFileError(f"there is no ConfigMap with its {name}")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / name
        path.write_text(data[config][name], encoding="utf-8")
        return read_rules(path)
