"""A file behind a URL, read in blocks: how recordings are read without a copy on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from urllib.parse import urlsplit

import urllib3

from homeward.servicekit import errors

BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes of a block. An mp4 interleaves its tracks, so the next bytes are nearly always in the same
block; and an object store takes longer for many small ranges."""

KEPT_BLOCKS = 8
"""Blocks in memory: enough for several demuxers that go back and forth between the index and the
pictures, each at a place of its own."""

_GONE = frozenset({403, 404})  # an expired URL answers 403, and so does S3 for an absent object
_PARTIAL = 206
_UNSATISFIABLE = 416


class HttpBlocks:
    """The blocks of a file behind a URL that honours ranges, for several threads.

    Attributes:
        url: Where the file is; may be set anew, for a URL that expires.

    Raises:
        UnavailableError: The server does not answer.
        NotFoundError: `FOOTAGE_NOT_FOUND`, when there is nothing at the URL, or no longer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = urllib3.PoolManager(
            maxsize=8,
            timeout=urllib3.Timeout(connect=2.0, read=30.0),
            retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
        )
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self.size = 0
        self.block(0)

    def block(self, number: int) -> bytes:
        """Return a block; the first caller reads it, and others wait for it."""
        with self._lock:
            known = self._blocks.get(number)
            block = known or Future()
            self._blocks[number] = block
            self._blocks.move_to_end(number)
            while len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        if known is None:
            try:
                block.set_result(self._read(number))
            except BaseException as error:  # noqa: BLE001 - raised below, for all who wait
                with self._lock:
                    self._blocks.pop(number, None)
                block.set_exception(error)
        return block.result()

    def close(self) -> None:
        """Close the connections and drop the blocks."""
        with self._lock:
            self._blocks.clear()
        self._http.clear()

    def _read(self, number: int) -> bytes:
        first = number * BLOCK_BYTES
        try:
            response = self._http.request(
                "GET", self.url, headers={"Range": f"bytes={first}-{first + BLOCK_BYTES - 1}"}
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
        self.size = int(response.headers["Content-Range"].rpartition("/")[2])
        return response.data

    def _unavailable(self) -> errors.UnavailableError:
        server = urlsplit(self.url)
        return errors.unavailable("S3", f"{server.scheme}://{server.netloc}", "see its log")
