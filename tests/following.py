"""Those who follow what becomes of sightings, in tests."""

from __future__ import annotations

import asyncio
from typing import Any


class Followers(list[Any]):
    """Says when somebody follows."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Semaphore(0)

    def append(self, follower: Any) -> None:
        super().append(follower)
        self.came.release()
