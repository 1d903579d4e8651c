from __future__ import annotations

from collections.abc import Iterable

import pytest

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.ids import full_id

KNOWN = ("3f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10", "3f2a91c0-ffff-4f9e-9d55-aa3b8c9a1f10")


def known() -> Iterable[str]:
    return KNOWN


def never() -> Iterable[str]:
    raise AssertionError


def test_who_may_not_list_is_told_to_give_the_whole_id() -> None:
    def refused() -> Iterable[str]:
        raise CliError("one of the roles x may", reason="ROLE_MISSING")

    with pytest.raises(CliError, match="is no whole id of a scan, and you may not list") as told:
        full_id("scan", "3f2a91c0", refused)

    assert (told.value.reason, told.value.advice) == ("ROLE_MISSING", "give the whole id")


def test_a_full_id_is_taken_as_it_is() -> None:
    assert full_id("subject", KNOWN[0], never) == KNOWN[0]


def test_too_short_a_beginning_is_refused_with_what_is_needed() -> None:
    with pytest.raises(CliError, match="at least 4 characters"):
        full_id("subject", "3f2", never)


def test_the_only_id_that_begins_so_is_meant() -> None:
    assert full_id("subject", "3f2a91c0-5", known) == KNOWN[0]


def test_four_characters_do_where_one_id_begins_so() -> None:
    assert full_id("scan", "8c41", lambda: ("8c41f7d2-1", "8c42f7d2-1")) == "8c41f7d2-1"


def test_several_ids_that_begin_so_are_refused_by_name() -> None:
    with pytest.raises(CliError, match=f"several .*{KNOWN[0]}, {KNOWN[1]}"):
        full_id("subject", "3f2a91c0", known)


def test_no_id_that_begins_so_is_not_found() -> None:
    with pytest.raises(CliError, match="no scan has an id") as caught:
        full_id("scan", "00000000", known)
    assert caught.value.exit_code is ExitCode.NOT_FOUND
    assert caught.value.reason == "SCAN_NOT_FOUND"
