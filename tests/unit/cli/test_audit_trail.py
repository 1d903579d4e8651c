"""Verifying files of a trail: what holds, and that no tampering passes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from audit_tampering import (
    EXPORT,
    KEY,
    KINDS,
    OTHER_KEY,
    TRAIL,
    chain,
    checkpoint,
    exported,
    passed,
    verify,
)

from homeward.cli.audit_trail import verify_lines
from homeward.core.audit.checkpoints import Checkpoint
from homeward.core.audit.trail import Fault

TAMPERINGS = 500
"""`bench/audit_tampering.py` tries 10,000."""


def test_a_trail_as_it_was_exported_holds() -> None:
    check = verify(EXPORT)

    assert check.problems == []
    assert check.count == len(TRAIL)


@pytest.mark.parametrize("tamper", KINDS, ids=lambda kind: kind.__name__)
def test_no_tampering_passes(tamper: Callable[[list[bytes], random.Random], list[bytes]]) -> None:
    assert passed(tamper, TAMPERINGS // len(KINDS)) == 0


def test_an_empty_trail_has_its_checkpoint() -> None:
    assert verify(exported([])).intact


def test_a_trail_whose_first_events_are_too_old_to_be_kept_holds() -> None:
    assert verify(exported(chain("matching-1", 3, begin=5))).intact


def kept(lines: list[bytes], checkpoint: Checkpoint) -> list[Fault]:
    found, _ = verify_lines(lines, key=KEY.verifier, kept={"yesterday": checkpoint})
    return [problem.fault for problem in found.problems]


def test_a_trail_that_went_on_agrees_with_the_checkpoint_of_before() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 8)), before) == []


def test_a_trail_that_was_cut_short_and_signed_anew_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 2)), before) == [Fault.TRUNCATED]


def test_a_writer_that_is_gone_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(TRAIL)

    assert kept(exported(chain("matching-1", 6)), before) == [Fault.TRUNCATED] * 2


def test_a_trail_that_was_written_anew_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 8, actor="other")), before) == [Fault.FORKED]


def test_a_fork_is_found_where_the_events_of_before_are_not_kept_any_more() -> None:
    before = checkpoint(chain("matching-1", 4))

    assert kept(exported(chain("matching-1", 3, begin=5)), before) == [Fault.FORKED]


def test_without_a_noted_key_the_file_is_compared_with_the_key_that_it_names() -> None:
    check, named = verify_lines(exported(TRAIL, OTHER_KEY), key=None, kept={})

    assert check.intact
    assert named == OTHER_KEY.verifier.text()


def test_an_event_of_another_format_is_refused() -> None:
    plain = json.loads(EXPORT[0]) | {"format": 2}
    line = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    (problem, *_) = verify([line, *EXPORT[1:]]).problems
    assert problem.fault is Fault.CHANGED
    assert "format" in problem.description
