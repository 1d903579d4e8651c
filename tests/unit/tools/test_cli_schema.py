"""The documented JSON of the command line is that of the API and of the commands."""

from __future__ import annotations

from pathlib import Path

import cli_documents
import click
import jsonschema
import pytest
import render_cli_schema

from homeward.cli.app import app

SILENT = {
    *("audit export", "completion", "demo", "evaluate", "login", "token create", "up"),
}
"""Commands that print no document, or one of their own that is no resource."""


def commands(group: click.Group = app, before: str = "") -> set[str]:
    context = click.Context(group)
    found = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= commands(command, f"{name} ")
        else:
            found.add(f"{before}{name}")
    return found


def test_the_file_is_as_it_is_rendered() -> None:
    assert cli_documents.FILE.read_text(encoding="utf-8") == render_cli_schema.text()


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(render_cli_schema.schema())


def test_it_has_every_command_that_prints_json() -> None:
    documented = {words for each in render_cli_schema.DOCUMENTS for words in each.split(", ")}
    assert commands() - SILENT == {words.partition(" --")[0] for words in documented}


def test_a_document_that_is_not_as_documented_is_found() -> None:
    with pytest.raises(AssertionError, match=r"\$\.subjects\[0\]: .*'name' was unexpected"):
        cli_documents.require({"subjects": [{"name": "Anna"}]}, "subject list")


def test_the_manual_links_it() -> None:
    manual = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")
    assert "(cli.schema.json)" in manual
