"""A file behind a URL, read in blocks: how recordings are read without a copy on disk."""

from __future__ import annotations

import io
from collections import OrderedDict
from urllib.parse import urlsplit

import urllib3

from homeward.servicekit import errors

BLOCK_BYTES = 2 * 1024 * 1024
"""Read at once. An mp4 interleaves, so what comes next is nearly always in the same block."""

KEPT_BLOCKS = 4
"""Enough for a demuxer that goes back and forth between the index and the pictures."""

_GONE = frozenset({403, 404})  # an expired URL answers 403, and so does S3 for an absent object
_PARTIAL = 206
_UNSATISFIABLE = 416


class HttpFile(io.RawIOBase):
    """A seekable, read-only file behind a URL that honours ranges.

    Raises:
        UnavailableError: The server does not answer.
        NotFoundError: `FOOTAGE_NOT_FOUND`, when there is nothing at the URL, or no longer.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=2.0, read=30.0),
            retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
        )
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._size = 0
        self._block(0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer at the end of a block; all that are left if negative."""
        if size is None or size < 0:
            return self.readall()
        number, start = divmod(self._position, BLOCK_BYTES)
        if self._position >= self._size or size == 0:
            return b""
        data = self._block(number)[start : start + size]
        self._position += len(data)
        return data

    def close(self) -> None:
        """Let go of the connection and of what was read."""
        self._blocks.clear()
        self._http.clear()
        super().close()

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        first = number * BLOCK_BYTES
        try:
            response = self._http.request(
                "GET", self._url, headers={"Range": f"bytes={first}-{first + BLOCK_BYTES - 1}"}
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unavailable() from error
        if response.status in _GONE:
            raise errors.NotFoundError(
                "the recording is no longer in the store",
                reason=errors.Reason.FOOTAGE_NOT_FOUND,
            )
        if response.status == _UNSATISFIABLE:  # an empty file
            return b""
        if response.status != _PARTIAL:
            raise self._unavailable()
        self._size = int(response.headers["Content-Range"].rpartition("/")[2])
        self._blocks[number] = response.data
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return response.data

    def _unavailable(self) -> errors.UnavailableError:
        server = urlsplit(self._url)
        return errors.unavailable("S3", f"{server.scheme}://{server.netloc}", "see its log")
