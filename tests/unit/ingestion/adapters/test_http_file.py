from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from homeward.ingestion.adapters.http_file import BLOCK_BYTES, KEPT_BLOCKS, HttpBlocks
from homeward.servicekit import errors

CONTENT = bytes(range(256)) * (5 * BLOCK_BYTES // 2 // 256) + b"the end"
ALL = range(3)


def read(blocks: HttpBlocks) -> bytes:
    return b"".join(blocks.block(number) for number in ALL)


def test_a_file_is_read_as_it_is(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))

    assert (read(blocks), blocks.size) == (CONTENT, len(CONTENT))


def test_a_block_beyond_the_end_is_empty(server: Any) -> None:
    assert HttpBlocks(server.serve(CONTENT)).block(3) == b""


def test_what_was_read_lately_is_not_fetched_again(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))
    read(blocks)

    read(blocks)

    assert len(server.ranges) == 3
    assert KEPT_BLOCKS >= 3


def test_what_is_closed_holds_on_to_nothing(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))

    blocks.close()
    blocks.block(0)

    assert len(server.ranges) == 2


def test_several_readers_fetch_a_block_once(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: read(blocks), range(8)))

    assert given == [CONTENT] * 8
    assert len(server.ranges) == 3


def test_a_block_that_could_not_be_read_is_asked_for_again(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))
    server.statuses = [500]
    with pytest.raises(errors.UnavailableError):
        blocks.block(1)

    assert blocks.block(1) == CONTENT[BLOCK_BYTES : 2 * BLOCK_BYTES]


def test_an_empty_file_is_read_as_empty(server: Any) -> None:
    blocks = HttpBlocks(server.serve(b""))

    assert (blocks.block(0), blocks.size) == (b"", 0)


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_not_there_is_gone(server: Any, status: int) -> None:
    server.statuses = [status]

    with pytest.raises(errors.NotFoundError) as refused:
        HttpBlocks(server.serve(CONTENT))

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


def test_a_server_that_is_busy_for_a_moment_is_asked_again(server: Any) -> None:
    server.statuses = [503, 503]

    assert HttpBlocks(server.serve(CONTENT)).block(0) == CONTENT[:BLOCK_BYTES]


@pytest.mark.parametrize("statuses", [[503] * 9, [500], [200]])
def test_a_server_that_does_not_give_ranges_is_unavailable(
    server: Any, statuses: list[int]
) -> None:
    server.statuses = statuses

    with pytest.raises(errors.UnavailableError) as refused:
        HttpBlocks(server.serve(CONTENT))

    assert refused.value.metadata["address"] == f"http://localhost:{server.server_port}"
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(errors.UnavailableError):
        HttpBlocks("http://localhost:1/file")
