"""Make what matching stores in, and end: `python -m homeward.matching.setup`.

The service makes what it misses when it starts. This does the same once, to be waited for before an
installation or an upgrade goes on: buckets, key-value stores and collections. What is there is left
as it is. It fails if the object store would keep what is deleted.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

from homeward.matching.assembly import assemble
from homeward.matching.settings import MatchingSettings
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.startup import eventually, run


async def main() -> list[str]:
    """Return what keeps the object store from forgetting, once all is there."""
    settings = MatchingSettings()  # the environment has the rest
    configure_logging("matching-setup", settings.log_level)
    async with AsyncExitStack() as stack:
        stores = (await assemble(settings, SystemClock(), stack, role="matching-setup")).stores
        # Embedding tells how long templates are, so this waits for it too.
        await eventually(stores.gallery.count)
        await eventually(stores.index.count)
        return await eventually(stores.buckets.deviations)


if __name__ == "__main__":
    sys.exit("\n".join(run(main())) or 0)
