"""Reading lists to their end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

_PAGE_SIZE = 1000


class _Request(Protocol):
    page_size: int
    page_token: str


RequestT = TypeVar("RequestT", bound=_Request)
ResponseT = TypeVar("ResponseT")
ItemT = TypeVar("ItemT")


def all_pages(
    call: Callable[[RequestT], ResponseT],
    request: RequestT,
    items: Callable[[ResponseT], Sequence[ItemT]],
) -> list[ItemT]:
    """Return what a list call answers, page after page."""
    request.page_size = _PAGE_SIZE
    found: list[ItemT] = []
    while True:
        response: Any = call(request)
        found.extend(items(response))
        request.page_token = response.next_page_token
        if not request.page_token:
            return found
