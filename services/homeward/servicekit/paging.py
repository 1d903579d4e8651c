"""Opaque page tokens that belong to one list request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

T = TypeVar("T")


def page_of(
    items: Sequence[T], *, page_size: int, page_token: str, request: bytes
) -> tuple[Sequence[T], str]:
    """Cut one page out of a list that is in a stable order.

    Args:
        items: The whole list.
        page_size: Most items, 1 to `MAX_PAGE_SIZE`; 0 means `DEFAULT_PAGE_SIZE`.
        page_token: Token of the page before, or "" for the first page.
        request: What the list was asked for, without page fields; a token serves no other request.

    Returns:
        The items of the page, and the token of the next, or "" after the last.

    Raises:
        InvalidArgumentError: `FIELD_INVALID` for the size, `PAGE_TOKEN_INVALID` for the token.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise invalid_field("page_size", f"must be 0 to {MAX_PAGE_SIZE}, is {page_size}")
    digest = hashlib.sha256(request).hexdigest()[:16]
    start = _decode(page_token, digest) if page_token else 0
    end = start + (page_size or DEFAULT_PAGE_SIZE)
    following = _encode(end, digest) if end < len(items) else ""
    return items[start:end], following


def _encode(start: int, digest: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([start, digest]).encode()).decode()


def _decode(token: str, digest: str) -> int:
    try:
        start, of = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error):
        start, of = -1, ""
    if of != digest or not isinstance(start, int) or start < 0:
        raise InvalidArgumentError(
            "page_token is not one that this list gave for the same request; start from the first"
            " page",
            reason=Reason.PAGE_TOKEN_INVALID,
        )
    return start
