"""Who acts: who calls, or whom a request states where nobody is checked."""

from __future__ import annotations

import pytest

from homeward.servicekit.errors import InvalidArgumentError
from homeward.servicekit.identity.caller import Caller, acting_for, acting_name, name_of_caller

ANNE = Caller("anne@force", frozenset())


@pytest.mark.parametrize("stated", ["", "Bob", "anne@force", "x" * 201])
def test_who_calls_acts_whatever_is_stated(stated: str) -> None:
    with acting_for(ANNE):
        assert acting_name(stated, "reviewer", most=200) == "anne@force"
        assert name_of_caller(stated) == "anne@force"


def test_where_nobody_is_checked_who_is_stated_acts() -> None:
    assert acting_name("Bob", "reviewer", most=200) == "Bob"
    assert name_of_caller("Bob") == "Bob"
    assert name_of_caller("") == ""


@pytest.mark.parametrize("stated", ["", "x" * 201])
def test_somebody_must_be_stated_where_nobody_is_checked(stated: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        acting_name(stated, "reviewer", most=200)
    assert [one.field for one in refused.value.violations] == ["reviewer"]
