"""What callers state of themselves in gRPC metadata, beside `authorization`."""

from __future__ import annotations

PURPOSE = "homeward-purpose"
"""Says why a call is made; may be percent-encoded UTF-8."""

CASE = "homeward-case"
"""Says for which case; may be percent-encoded UTF-8."""

MAX_TOKEN_BYTES = 16 * 1024
"""Of an access token; those of most issuers have one or two thousand."""
