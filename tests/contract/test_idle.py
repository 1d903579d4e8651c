"""What the embedded engines take while nobody asks anything of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil

from engines import running
from homeward.embedded.weed import weed_spec

MOST_PERCENT = 2.0
"""Of a core. SeaweedFS took 8 while its garbage collector had less memory than it always holds."""

SECONDS = 5.0


def test_the_embedded_store_is_at_rest_when_nobody_asks_for_anything(
    tmp_path: Path, ports: Mapping[str, int]
) -> None:
    spec = weed_spec(tmp_path, ports=ports, access_key="homeward", secret_key="a-secret-of-a-test")

    with running(spec, logs=tmp_path / "logs") as stack:
        store = psutil.Process(stack.pids()[spec.name])
        store.cpu_percent(interval=SECONDS)  # what a start leaves to do

        assert store.cpu_percent(interval=SECONDS) <= MOST_PERCENT
