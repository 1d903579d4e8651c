"""Returning free memory of the heap to the system."""

from __future__ import annotations

import ctypes


def trim_heap() -> None:
    """Give what is free in the heap back to the system: in milliseconds, by glibc's own call.

    gRPC's messages leave holes of tens of megabytes, which glibc otherwise returns only if they are
    at the end of the heap. Another C library, which has no such call, is left alone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
