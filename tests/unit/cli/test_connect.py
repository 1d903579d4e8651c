from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from homeward.cli.connect import CALLS, Places
from homeward.cli.errors import CliError, ExitCode

SETTINGS = '[profiles.force]\nmatching = "profile:1"\n'


def places(
    tmp_path: Path,
    *,
    options: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    profile: str | None = None,
) -> Places:
    settings = tmp_path / "config.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    return Places(
        options=options or {},
        environment=environment or {},
        profile=profile,
        settings_file=settings,
        data=tmp_path,
    )


def write_stack(tmp_path: Path, content: object) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(content), encoding="utf-8")


def test_an_option_counts_more_than_a_variable(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        options={"matching": "option:1"},
        environment={"HOMEWARD_MATCHING_TARGET": "variable:1"},
    ).find("matching")
    assert (found.address, found.origin) == ("option:1", "--matching")


def test_a_variable_counts_more_than_a_profile(tmp_path: Path) -> None:
    environment = {"HOMEWARD_MATCHING_TARGET": "variable:1"}
    found = places(tmp_path, environment=environment, profile="force").find("matching")
    assert (found.address, found.origin) == ("variable:1", "HOMEWARD_MATCHING_TARGET")


def test_a_profile_counts_more_than_the_local_stack(tmp_path: Path) -> None:
    write_stack(tmp_path, {"matching": "stack:1"})
    found = places(tmp_path, profile="force").find("matching")
    assert (found.address, found.origin) == ("profile:1", "profile force")


def test_the_local_stack_is_found_by_its_folder(tmp_path: Path) -> None:
    write_stack(tmp_path, {"pid": 1, "matching": "127.0.0.1:5002"})
    assert places(tmp_path).find("matching").address == "127.0.0.1:5002"


def test_without_a_stack_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no Homeward stack runs") as caught:
        places(tmp_path).find("matching")
    assert f"homeward up --data {tmp_path}" in caught.value.advice
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_a_stack_file_without_the_service_is_told(tmp_path: Path) -> None:
    write_stack(tmp_path, {"pid": 1})
    with pytest.raises(CliError, match="does not say where matching is"):
        places(tmp_path).find("matching")


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"no profile city .* it has: force"):
        places(tmp_path, profile="city").find("matching")


def test_a_profile_without_the_service_is_told(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="does not say where embedding is"):
        places(tmp_path, profile="force").find("embedding")


@pytest.mark.parametrize("call", [call for _, _, calls in CALLS for call in calls])
def test_every_call_with_a_deadline_of_its_own_exists(call: str) -> None:
    service, method = call.split("/")
    package, _, name = service.rpartition(".")
    stem = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    module = importlib.import_module(f"{package}.{stem.lstrip('_')}_pb2")
    assert method in module.DESCRIPTOR.services_by_name[name].methods_by_name
