"""What services say to callers: what is wrong and where, and nothing that only operators can do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client.http.exceptions import UnexpectedResponse

from homeward.matching.adapters import refusals
from homeward.servicekit import errors

SOURCES = Path(__file__).parents[3] / "services/homeward"
MODULES = [
    file
    for room in ("servicekit", "matching", "ingestion", "embedding")
    for file in sorted((SOURCES / room).rglob("*.py"))
]
FOR_OPERATORS = re.compile(
    r"HOMEWARD_[A-Z]|SSL_CERT_FILE|docs/|(start|restart) it\b|restart Homeward|see (its|the) log"
)
OF_STATUSES = "|".join(
    name.removesuffix("Error")
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.DomainError)
)
MAKES_ONE = re.compile(rf"(^|\.)(({OF_STATUSES})Error|_error|_store_error|_not_written)$")


def messages(module: Path) -> Iterator[tuple[int, str]]:
    """Yield where a module makes messages for callers, and those without what is filled in."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and MAKES_ONE.search(ast.unparse(node.func)):
            for part in node.args[:2]:  # what comes third is advice
                words = (one for one in ast.walk(part) if isinstance(one, ast.Constant))
                yield node.lineno, "".join(str(one.value) for one in words)


def test_messages_are_found() -> None:
    assert sum(1 for module in MODULES for _ in messages(module)) > 100


@pytest.mark.parametrize("module", MODULES, ids=lambda file: str(file.relative_to(SOURCES)))
def test_no_message_for_callers_tells_them_to_mend_the_service(module: Path) -> None:
    assert [said for said in messages(module) if FOR_OPERATORS.search(said[1])] == []


def test_the_advice_of_an_error_is_for_the_log_alone() -> None:
    error = errors.unavailable("NATS", "nats://n:4222", "start it")

    assert error.message == "NATS does not answer at nats://n:4222"
    assert str(error) == "NATS does not answer at nats://n:4222: start it"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 507])
def test_what_an_engine_refuses_is_told_without_what_its_operator_does(status: int) -> None:

    answer = UnexpectedResponse(status, "", b"{}", {})  # type: ignore[arg-type]

    error = refusals.translated(answer, "http://q:6333", timeout_seconds=5)

    assert error.message.startswith("Qdrant at http://q:6333 ")
    assert error.advice
    assert error.advice not in error.message
    assert not FOR_OPERATORS.search(error.message)
