from __future__ import annotations

import base64
import json

import pytest

from homeward.servicekit.errors import InvalidArgumentError, Reason
from homeward.servicekit.paging import page_of

ITEMS = list(range(1205))


def token_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(("page_size", "count"), [(0, 100), (1, 1), (999, 999), (1000, 1000)])
def test_a_page_has_as_many_items_as_asked_for(page_size: int, count: int) -> None:
    page, following = page_of(ITEMS, page_size=page_size, page_token="", request=b"")

    assert list(page) == ITEMS[:count]
    assert following != ""


@pytest.mark.parametrize("page_size", [-1, 1001, 2**31 - 1])
def test_another_page_size_is_refused(page_size: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        page_of(ITEMS, page_size=page_size, page_token="", request=b"")

    assert refused.value.reason is Reason.FIELD_INVALID
    assert [violation.field for violation in refused.value.violations] == ["page_size"]


def test_a_token_gives_the_page_after() -> None:
    _, token = page_of(ITEMS, page_size=1000, page_token="", request=b"a")

    page, following = page_of(ITEMS, page_size=1000, page_token=token, request=b"a")

    assert (list(page), following) == (ITEMS[1000:], "")


def test_the_size_may_change_between_pages() -> None:
    _, token = page_of(ITEMS, page_size=10, page_token="", request=b"a")

    page, _ = page_of(ITEMS, page_size=2, page_token=token, request=b"a")

    assert list(page) == [10, 11]


@pytest.mark.parametrize(("count", "following"), [(99, False), (100, False), (101, True)])
def test_the_last_page_has_no_token(count: int, following: bool) -> None:  # noqa: FBT001 - a case
    _, token = page_of(ITEMS[:count], page_size=100, page_token="", request=b"")

    assert bool(token) is following


def test_an_empty_list_is_one_empty_page() -> None:
    assert page_of([], page_size=10, page_token="", request=b"") == ([], "")


def test_a_list_that_became_shorter_ends() -> None:
    _, token = page_of(ITEMS, page_size=1000, page_token="", request=b"a")

    assert page_of(ITEMS[:10], page_size=10, page_token=token, request=b"a") == ([], "")


def test_the_token_of_another_request_is_refused() -> None:
    _, token = page_of(ITEMS, page_size=10, page_token="", request=b"open alone")

    with pytest.raises(InvalidArgumentError) as refused:
        page_of(ITEMS, page_size=10, page_token=token, request=b"closed too")

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize(
    "token",
    [
        "no base64!",
        "\N{SNOWMAN}",
        "AAAA",
        token_of(7),
        token_of(None),
        token_of([1]),
        token_of([1, "digest", 2]),
        token_of([-1, "ca978112ca1bbdca"]),
        token_of(["1", "ca978112ca1bbdca"]),
        token_of({"a": 1, "b": 2}),
    ],
)
def test_a_token_that_no_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        page_of(ITEMS, page_size=10, page_token=token, request=b"a")

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID
