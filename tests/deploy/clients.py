"""Clients that run as Deployments: one at a time, with what they go on from kept."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.manifests import Manifests
from deploy.network import CLIENTS
from homeward.cli.identification import TOKEN_FILE

KEPT = {"webhook": "/state", "footage-intake": "/exports"}
"""By component, where a new pod finds what the one before has left."""


def alone(manifests: Manifests) -> Iterator[str]:
    """A client is one pod, never two at a time, on a volume that outlives it.

    Two would send events out of their order, or take the same file in at once.
    """
    for workload, container in manifests.containers():
        if workload.component not in CLIENTS:
            continue
        spec = workload.document["spec"]
        if spec.get("replicas") != 1:
            yield f"{workload.name} has {spec.get('replicas', 'an unknown number of')} replicas"
        if spec.get("strategy", {}).get("type") != "Recreate":
            yield f"{workload.name} has two pods during an upgrade"
        volumes = {one["name"]: one for one in workload.pod.get("volumes", [])}
        mounted = {
            one["mountPath"]: volumes.get(one["name"], {}) for one in container["volumeMounts"]
        }
        kept = KEPT[workload.component]
        if "persistentVolumeClaim" not in mounted.get(kept, {}):
            yield f"{workload.name} forgets where it was: {kept} goes with its pod"
        variables = {one["name"]: one.get("value", "") for one in container["env"]}
        folder = variables.get(TOKEN_FILE, "").rpartition("/")[0]
        if workload.component == "webhook" and "secret" not in mounted.get(folder, {}):
            yield f"{workload.name} has no token of its own"
