# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "cloudcoil.models.cert_manager==1.17.1.0",
#   "cloudcoil.models.keda==2.16.1.0",
#   "cloudcoil.models.prometheus_operator==0.80.1.0",
# ]
# ///
"""Write JSON schemas of the custom resources that the manifests use; run by `uv run`.

    uv run tools/crd_schemas.py third_party/crds

Kubernetes' own resources have schemas in the `kubernetes-validate` package, these have none there.
The models that they are taken from are made from the projects' own definitions, but need more
than a test should install.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cloudcoil.models.cert_manager.v1 import Certificate
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule

_PROSE = ("title", "description", "default", "examples")


def strict(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without prose that refuses fields it does not know, and null."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kinds = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(kinds) == 1:
        return strict(kinds[0])
    kept = {key: strict(value) for key, value in schema.items() if key not in _PROSE}
    if isinstance(pattern := kept.get("pattern"), str) and pattern.startswith("^(?i)"):
        kept["pattern"] = f"(?i){pattern.replace('(?i)', '')}"  # Go's dialect
    if "properties" in schema:
        # Here keys are names of fields, which may be called as prose is.
        kept["properties"] = {key: strict(one) for key, one in schema["properties"].items()}
        kept["additionalProperties"] = False
    return kept


def of(model: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's, of no common type
    """Return the schema of a resource as it stands in a manifest."""
    schema = strict(model.model_json_schema())
    schema["properties"].pop("status", None)
    schema["properties"]["metadata"] = {"type": "object"}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    definitions: dict[str, Any] = schema.pop("$defs")
    used: dict[str, Any] = {}
    while missing := {name for name in definitions if _names(name, schema | used)} - set(used):
        used |= {name: definitions[name] for name in missing}
    return schema | {"$defs": dict(sorted(used.items()))}


def _names(definition: str, schema: dict[str, Any]) -> bool:
    return f'"#/$defs/{definition}"' in json.dumps(schema)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for model in (Certificate, PodMonitor, PrometheusRule, ScaledObject, TriggerAuthentication):
        text = json.dumps(of(model), indent=1) + "\n"
        (folder / f"{model.__name__}.json").write_text(text, encoding="utf-8")
