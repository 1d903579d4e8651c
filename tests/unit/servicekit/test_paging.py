from __future__ import annotations

import base64
import json

import pytest

from homeward.api.ingestion.v1.camera_service_pb2 import ListCamerasRequest
from homeward.api.ingestion.v1.scan_service_pb2 import ListScansRequest
from homeward.api.matching.v1.subject_service_pb2 import ListSubjectsRequest
from homeward.servicekit.errors import InvalidArgumentError, Reason
from homeward.servicekit.paging import PageQuery, page, page_by

ITEMS = list(range(1205))


def token_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def digest_of(token: str) -> str:
    _, digest = json.loads(base64.urlsafe_b64decode(token))
    return str(digest)


def next_token(request: ListSubjectsRequest) -> str:
    _, token = page(request, ITEMS)
    return token


@pytest.mark.parametrize(
    ("page_size", "count"),
    [(0, 100), (1, 1), (999, 999), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)],
)
def test_a_page_has_as_many_items_as_asked_for_up_to_a_thousand(page_size: int, count: int) -> None:
    found, following = page(ListSubjectsRequest(page_size=page_size), ITEMS)

    assert list(found) == ITEMS[:count]
    assert following != ""


@pytest.mark.parametrize("page_size", [-1, -(2**31)])
def test_a_negative_page_size_is_refused(page_size: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        page(ListSubjectsRequest(page_size=page_size), ITEMS)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert [violation.field for violation in refused.value.violations] == ["page_size"]


def test_a_token_gives_the_page_after() -> None:
    token = next_token(ListSubjectsRequest(page_size=1000))

    found, following = page(ListSubjectsRequest(page_size=1000, page_token=token), ITEMS)

    assert (list(found), following) == (ITEMS[1000:], "")


def test_the_size_may_change_between_pages() -> None:
    token = next_token(ListSubjectsRequest(page_size=10))

    found, _ = page(ListSubjectsRequest(page_size=2, page_token=token), ITEMS)

    assert list(found) == [10, 11]


@pytest.mark.parametrize(("count", "following"), [(99, False), (100, False), (101, True)])
def test_the_last_page_has_no_token(count: int, following: bool) -> None:  # noqa: FBT001 - a case
    _, token = page(ListSubjectsRequest(page_size=100), ITEMS[:count])

    assert bool(token) is following


def test_an_empty_list_is_one_empty_page() -> None:
    assert page(ListSubjectsRequest(), []) == ([], "")


def test_a_list_that_became_shorter_ends() -> None:
    token = next_token(ListSubjectsRequest(page_size=1000))

    assert page(ListSubjectsRequest(page_token=token), ITEMS[:10]) == ([], "")


def test_the_token_of_another_filter_is_refused() -> None:
    token = next_token(ListSubjectsRequest())

    with pytest.raises(InvalidArgumentError) as refused:
        page(ListSubjectsRequest(show_closed=True, page_token=token), ITEMS)

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID


def test_the_token_of_another_list_is_refused() -> None:
    _, token = page(ListScansRequest(), ITEMS)

    with pytest.raises(InvalidArgumentError) as refused:
        page(ListCamerasRequest(page_token=token), ITEMS)

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
        token_of(["1", "digest", 2]),
        token_of({"a": 1, "b": 2}),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_token_that_no_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        page(ListSubjectsRequest(page_token=token), ITEMS)

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID


@pytest.mark.parametrize("place", [7, "", "-1", "1.5", "\N{SUPERSCRIPT TWO}", None])
def test_a_token_of_no_place_in_the_list_is_refused(place: object) -> None:
    digest = digest_of(next_token(ListSubjectsRequest()))

    with pytest.raises(InvalidArgumentError) as refused:
        page(ListSubjectsRequest(page_token=token_of([place, digest])), ITEMS)

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID


def test_a_list_that_a_store_pages_goes_on_after_the_place_that_it_named() -> None:
    first = PageQuery.of(ListCamerasRequest(page_size=2))
    second = PageQuery.of(ListCamerasRequest(page_token=first.token("camera/gate")))

    assert (first.size, first.after) == (2, "")
    assert (second.size, second.after) == (100, "camera/gate")


def number(item: int) -> tuple[int, str]:
    return (item, "")


def test_what_comes_and_goes_between_pages_makes_no_item_be_left_out_or_repeated() -> None:
    _, token = page_by(ListSubjectsRequest(page_size=10), ITEMS, number)
    request = ListSubjectsRequest(page_size=2, page_token=token)

    shorter, _ = page_by(request, ITEMS[5:], number)
    longer, _ = page_by(request, [-2, -1, *ITEMS], number)
    without, _ = page_by(request, [one for one in ITEMS if one != 9], number)

    assert list(shorter) == list(longer) == list(without) == [10, 11]


@pytest.mark.parametrize(("count", "following"), [(99, False), (100, False), (101, True)])
def test_the_last_page_by_places_has_no_token(count: int, following: bool) -> None:  # noqa: FBT001 - a case
    found, token = page_by(ListSubjectsRequest(page_size=100), ITEMS[:count], number)

    assert list(found) == ITEMS[: min(count, 100)]
    assert bool(token) is following


@pytest.mark.parametrize(
    "place", ["no JSON", "7", "null", '["text", 1]', '[[1], ""]', "[" * 100_000]
)
def test_a_token_of_no_place_in_a_list_by_places_is_refused(place: str) -> None:
    digest = digest_of(next_token(ListSubjectsRequest()))

    with pytest.raises(InvalidArgumentError) as refused:
        page_by(ListSubjectsRequest(page_token=token_of([place, digest])), ITEMS, number)

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID
