"""What is not finished yet."""

from __future__ import annotations


class ChangedError(Exception):
    """A file or an object changed while it was read: it was not finished, or has gone since."""
