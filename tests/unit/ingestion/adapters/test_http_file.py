from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from homeward.ingestion.adapters.http_file import BLOCK_BYTES, KEPT_BLOCKS, HttpBlocks, HttpFile
from homeward.servicekit import errors

CONTENT = bytes(range(256)) * (5 * BLOCK_BYTES // 2 // 256) + b"the end"


def test_a_file_is_read_as_it_is(server: Any) -> None:
    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        assert file.readall() == CONTENT


def test_reading_goes_on_where_it_stopped(server: Any) -> None:
    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        assert (file.read(3), file.read(3), file.tell()) == (CONTENT[:3], CONTENT[3:6], 6)


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [
        (10, io.SEEK_SET, 10),
        (-7, io.SEEK_END, len(CONTENT) - 7),
        (2, io.SEEK_CUR, 6),
        (-100, io.SEEK_CUR, 0),
    ],
)
def test_seeking_moves(server: Any, offset: int, whence: int, position: int) -> None:
    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        file.read(4)

        assert file.seek(offset, whence) == position
        assert file.read(5) == CONTENT[position : position + 5]


def test_reading_beyond_the_end_gives_nothing(server: Any) -> None:
    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        file.seek(10, io.SEEK_END)

        assert file.read(5) == b""


def test_what_was_read_lately_is_not_fetched_again(server: Any) -> None:
    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        file.readall()
        file.seek(0)
        file.readall()

    assert len(server.ranges) == 3
    assert KEPT_BLOCKS >= 3


def test_several_readers_fetch_a_block_once(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda _: HttpFile(blocks).readall(), range(8)))

    assert read == [CONTENT] * 8
    assert len(server.ranges) == 3


def test_a_block_that_could_not_be_read_is_asked_for_again(server: Any) -> None:
    blocks = HttpBlocks(server.serve(CONTENT))
    server.statuses = [500]
    with pytest.raises(errors.UnavailableError):
        blocks.block(1)

    assert blocks.block(1) == CONTENT[BLOCK_BYTES : 2 * BLOCK_BYTES]


def test_an_empty_file_is_read_as_empty(server: Any) -> None:
    with HttpFile(HttpBlocks(server.serve(b""))) as file:
        assert file.read(10) == b""


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_not_there_is_gone(server: Any, status: int) -> None:
    server.statuses = [status]

    with pytest.raises(errors.NotFoundError) as refused:
        HttpBlocks(server.serve(CONTENT))

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


def test_a_server_that_is_busy_for_a_moment_is_asked_again(server: Any) -> None:
    server.statuses = [503, 503]

    with HttpFile(HttpBlocks(server.serve(CONTENT))) as file:
        assert file.read(4) == CONTENT[:4]


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
