"""What the tests of scans may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from segment_stage import Stage, built

from homeward.ingestion.footage.layout import footage_folder


@pytest.fixture
async def stage(make: Any, matcher: Any, clock: Any) -> AsyncIterator[Stage]:
    async with built(make, matcher, clock) as stage:
        yield stage


@pytest.fixture
async def kept(bucket: Any, make: Any) -> str:
    """The folder of a recording whose manifest is in the store."""
    folder = footage_folder(make.footage().footage_id)
    await bucket.put(f"{folder}manifest.json", b"{}", content_type="application/json")
    return f"{folder}"
