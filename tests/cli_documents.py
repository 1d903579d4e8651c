"""Holds what commands print in JSON to the schema that is documented."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

FILE = Path(__file__).parents[1] / "docs" / "cli.schema.json"


def require(document: Any, command: str) -> None:
    """Fail unless a document is as the schema says, without anything that is not in it.

    Args:
        document: What a command printed.
        command: Its words, such as `subject list`; options after them are left out.
    """
    names = _closed()["$defs"]
    name = command if command in names else command.partition(" --")[0]
    validator = jsonschema.Draft202012Validator({**_closed(), "$ref": f"#/$defs/{name}"})
    problems = [f"{one.json_path}: {one.message}" for one in validator.iter_errors(document)]
    assert not problems, problems


@functools.cache
def _closed() -> Any:
    """Return the schema, so that a field that it does not name is a problem."""
    return _without_others(json.loads(FILE.read_text(encoding="utf-8")))


def _without_others(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_others(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_others(value) for key, value in schema.items()}
    return {**inner, "additionalProperties": False} if "properties" in schema else inner
