"""Who signs checkpoints of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.manifests import Manifests

KEY_FILE = "HOMEWARD_AUDIT_KEY_FILE"


def checkpoints(manifests: Manifests) -> Iterator[str]:
    """Matching signs checkpoints, with a key that comes from a secret."""
    for workload, container in manifests.containers():
        if workload.component != "matching":
            continue
        variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        if KEY_FILE not in variables:
            yield f"{workload.name} signs no checkpoints: {KEY_FILE} is not set"
            continue
        folder = variables[KEY_FILE].rpartition("/")[0]
        mounts = {one["mountPath"]: one["name"] for one in container.get("volumeMounts", [])}
        volumes = {one["name"]: one for one in workload.pod.get("volumes", [])}
        if "secret" not in volumes.get(mounts.get(folder), {}):
            yield f"{workload.name}: the key in {KEY_FILE} comes from no secret"
