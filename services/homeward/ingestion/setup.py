"""Create the buckets and queues of ingestion, and exit: `python -m homeward.ingestion.setup`.

The service makes what it misses when it starts. This does the same once, to be waited for before an
installation or an upgrade goes on: the bucket of recordings, key-value stores and the work queue.
What is there is left as it is. It fails if the object store would keep what is deleted.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from functools import partial

from homeward.core import inventory
from homeward.ingestion.assembly import assemble
from homeward.ingestion.settings import IngestionSettings
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.startup import eventually, run


async def main() -> list[str]:
    """Return what keeps the object store from forgetting, once all is there."""
    settings = IngestionSettings()  # the environment has the rest
    configure_logging("ingestion-setup", settings.log_level)
    async with AsyncExitStack() as stack:
        parts = await assemble(settings, SystemClock(), stack, role="ingestion-setup")
        await eventually(
            partial(parts.bus.bucket_of, inventory.LEASES, replicas=settings.nats_replicas)
        )
        return await eventually(parts.store.deviations)


if __name__ == "__main__":
    sys.exit("\n".join(run(main())) or 0)
