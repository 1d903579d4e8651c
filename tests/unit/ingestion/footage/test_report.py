"""What a retention report tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from footage_uploading import CONTENT, put, upload

from homeward.core.inventory import ABANDONED_AFTER, FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.staging import CLOCKS_APART


async def test_the_report_of_nothing_says_so(resource: FootageResource, clock: Any) -> None:
    report = await resource.reporter.report()

    footage, *_ = report.held
    assert (footage.count, footage.size_bytes, footage.oldest, report.overdue) == (0, 0, None, ())
    assert (report.lifecycle.longest_days, report.made) == (29, clock.now())


async def test_the_report_counts_what_is_held_and_names_what_is_overdue(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    old, _ = await upload(resource, make.header(b"old"), b"old", request_id="1")
    clock.advance(timedelta(days=1))
    await upload(resource, make.header(b"newer"), b"newer", request_id="2")
    clock.advance(FOOTAGE_LIMIT - timedelta(days=1))

    report = await resource.reporter.report()

    footage, *_ = report.held
    assert (footage.name, footage.count, footage.size_bytes, footage.overdue) == (
        "footage",
        2,
        8,
        1,
    )
    assert (footage.oldest, report.overdue) == (old.receive_time, (old.footage_id,))


async def test_the_report_counts_what_belongs_to_nothing(
    *, resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    await upload(resource, make.header(), request_id="up-0")
    other = make.header(b"another")
    await put(resource, bucket, other, b"another")
    known = {one.name: one for one in (await resource.reporter.report()).held}
    for key in ("staging/x", "by-sha256/0", "elsewhere", "footage/cam-1/2026/11/20/x/original"):
        await bucket.put(key, b"12", content_type="x/y")
    clock.advance(2 * ABANDONED_AFTER)

    told = {one.name: one for one in (await resource.reporter.report()).held}

    staged, unclaimed = known["staged files"], known["unclaimed objects"]
    assert (staged.count, staged.size_bytes, staged.overdue, unclaimed.count) == (1, 7, 0, 0)
    assert told["staged files"].overdue == 1
    unclaimed = told["unclaimed objects"]
    assert (unclaimed.count, unclaimed.size_bytes, unclaimed.overdue) == (4, 8, 4)
    assert told["footage"].overdue == 0


@pytest.mark.parametrize(("ahead", "overdue"), [(CLOCKS_APART, 0), (2 * CLOCKS_APART, 1)])
async def test_what_is_dated_ahead_is_told_as_a_breach(
    *,
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    clock: Any,
    make: Any,
    ahead: timedelta,
    overdue: int,
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(ahead)
    await bucket.put("elsewhere", b"12", content_type="x/y")
    file = f"{footage_folder(footage.footage_id)}original"
    await bucket.put(file, CONTENT, content_type="x/y")
    clock.advance(-ahead)

    report = await resource.reporter.report()

    told = {one.name: one.overdue for one in report.held}
    assert (told["footage"], told["unclaimed objects"]) == (overdue, overdue)
    assert report.overdue == (footage.footage_id,) * overdue


async def test_the_report_counts_what_scans_keep_beside_recordings(
    resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    folder = footage_folder(footage.footage_id)
    await bucket.put(f"{folder}presence/v-0-1.json", b"12", content_type="")
    await bucket.put(f"{folder}incomparable/scan-0-1.json", b"123", content_type="")
    clock.advance(FOOTAGE_LIMIT)

    report = await resource.reporter.report()

    beside = report.held[1:3]
    assert [(one.name, one.count, one.size_bytes, one.overdue) for one in beside] == [
        ("presence index", 1, 2, 1),
        ("times without comparison", 1, 3, 1),
    ]
