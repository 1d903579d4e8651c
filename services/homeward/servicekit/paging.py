"""Pages of lists: their size, and opaque tokens that belong to one list request.

`page` and `page_by` cut a page out of a list that is in memory. A list that is read page by page
from a store asks `PageQuery` for the size and where to go on, and for the next page's token.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from google.protobuf.message import Message

from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
"""A larger one is answered with pages of this size (AIP-158)."""

_PAGE_FIELDS = ("page_size", "page_token")

T = TypeVar("T")

Place = tuple[float | str, ...]
"""Where an item is in a list: of numbers and texts, of the same kinds for all of its items."""


class ListRequest(Protocol):
    """The request of an RPC that lists: a protobuf message with `page_size` and `page_token`."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page of a list is asked for."""

    size: int
    """Most items, 1 to `MAX_PAGE_SIZE`."""
    after: str
    """Where the page before ended, as the list names places; empty for the first page."""
    _digest: str

    @classmethod
    def of(cls, request: ListRequest) -> Self:
        """Return what a request asks for.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for a negative size; `PAGE_TOKEN_INVALID` for a
                token that was given for another request, or by no list.
        """
        if request.page_size < 0:
            raise invalid_field("page_size", f"must not be negative, is {request.page_size}")
        digest = _digest(request)
        return cls(
            size=min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE),
            after=_decode(request.page_token, digest) if request.page_token else "",
            _digest=digest,
        )

    def token(self, after: str) -> str:
        """Return the token of the page that follows an item.

        Args:
            after: Place of that item, not empty. A holder of the token can read it.
        """
        return base64.urlsafe_b64encode(json.dumps([after, self._digest]).encode()).decode()


def page(request: ListRequest, items: Sequence[T]) -> tuple[Sequence[T], str]:
    """Cut the page that a request asks for out of a list that is in a stable order.

    Args:
        request: What the list was asked for; a token serves no other request.
        items: The whole list.

    Returns:
        The items of the page, and the token of the next, or "" after the last.

    Raises:
        InvalidArgumentError: As `PageQuery.of`.
    """
    query = PageQuery.of(request)
    start = _number(query.after) if query.after else 0
    end = start + query.size
    return items[start:end], query.token(str(end)) if end < len(items) else ""


def page_by(
    request: ListRequest, items: Sequence[T], key: Callable[[T], Place]
) -> tuple[Sequence[T], str]:
    """Cut the page that a request asks for out of a list that may change from page to page.

    The token names the last item by its place, and not by its number: what comes and goes meanwhile
    makes no other item be left out or listed twice.

    Args:
        request: As of `page`.
        items: The whole list, in the order of their keys.
        key: Returns the place of an item, which no other has. Anybody who has the token can read
            it.

    Returns:
        The items of the page, and the token of the next, or "" after the last.

    Raises:
        InvalidArgumentError: As `PageQuery.of`.
    """
    query = PageQuery.of(request)
    start = _place_after(query.after, items, key) if query.after else 0
    found = items[start : start + query.size]
    more = start + query.size < len(items)
    return found, query.token(json.dumps(key(found[-1]))) if more else ""


def _place_after(after: str, items: Sequence[T], key: Callable[[T], Place]) -> int:
    try:
        return bisect.bisect_right(items, tuple(json.loads(after)), key=key)
    except (ValueError, TypeError, RecursionError) as error:  # no place, or one of another list
        raise invalid_token() from error


def _digest(request: ListRequest) -> str:
    filters = type(request)()
    assert isinstance(request, Message), "every list request is one"
    assert isinstance(filters, Message), "as the request"
    filters.CopyFrom(request)
    for field in _PAGE_FIELDS:
        filters.ClearField(field)
    asked = request.DESCRIPTOR.full_name.encode() + filters.SerializeToString(deterministic=True)
    return hashlib.sha256(asked).hexdigest()[:16]


def _decode(token: str, digest: str) -> str:
    try:
        after, of = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        after, of = "", ""
    if of != digest or not isinstance(after, str) or not after:
        raise invalid_token()
    return after


def _number(after: str) -> int:
    if not (after.isascii() and after.isdigit()):
        raise invalid_token()
    return int(after)


def invalid_token() -> InvalidArgumentError:
    """Return the error for a token that no page of the list was given."""
    return InvalidArgumentError(
        "page_token is not one that this list gave for the same request; start from the first page",
        reason=Reason.PAGE_TOKEN_INVALID,
    )
