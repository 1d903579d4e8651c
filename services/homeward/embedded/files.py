"""Files of a stack that only their owner may read; see `core.private_files`."""

from __future__ import annotations

from homeward.core.private_files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    make_private_folder,
    write_private,
)

__all__ = ["PRIVATE_FILE", "PRIVATE_FOLDER", "make_private_folder", "write_private"]
