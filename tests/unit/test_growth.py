"""What `bench/growth.py` prints, and the files that it uploads."""

from __future__ import annotations

from growth import table
from growth_uploads import padded

COST = {"services": 0.25, "engines": 0.5, "s3_requests": 12.0, "nats_messages": 3.0}
ROW = {"part": "recordings", "size": 1500, "what": "GetFootage", "seconds": 0.02, **COST}


def test_the_table_puts_both_versions_side_by_side() -> None:
    slower = ROW | {"seconds": 2.0, "s3_requests": 1500.0}

    lines = table([slower], [ROW]).splitlines()

    assert lines[-1] == (
        "| GetFootage | 1,500 | 2.0 s, processor 750 ms, 1500 S3, 3 NATS"
        " | 20 ms, processor 750 ms, 12 S3, 3 NATS |"
    )


def test_the_table_keeps_the_order_of_the_measurements_and_sorts_by_size() -> None:
    rows = [ROW | {"what": what, "size": size} for size in (20, 3) for what in ("b", "a")]

    lines = table(rows, []).splitlines()

    assert [line.split(" | ")[:2] for line in lines[-4:]] == [
        ["| b", "3"],
        ["| b", "20"],
        ["| a", "3"],
        ["| a", "20"],
    ]


def test_a_call_that_failed_says_how_and_after_how_long() -> None:
    failed = ROW | {"failed": "DEADLINE_EXCEEDED", "seconds": 300.0}

    assert "**DEADLINE_EXCEEDED** after 300 s" in table([failed], [])


def test_a_padded_recording_has_the_size_and_a_box_that_players_skip() -> None:
    file = padded(b"video", 1000)

    assert len(file) == 1000
    assert file.startswith(b"video")
    assert file[5:13] == (995).to_bytes(4) + b"free"
