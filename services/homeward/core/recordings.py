"""How large a recording may be, as services check it and clients tell before they read it."""

from __future__ import annotations

MAX_FOOTAGE_BYTES = 50 * 1024**3
MAX_URL_BYTES = 5 * 1024**3
"""Of a recording that is put straight into the object store: S3 takes no more in one piece."""
