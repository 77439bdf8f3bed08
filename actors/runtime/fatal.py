"""Which exceptions end the process rather than one actor."""

from __future__ import annotations

import asyncio


def is_fatal(error: BaseException) -> bool:
    """True for KeyboardInterrupt, SystemExit, MemoryError and other non-Exceptions; a cancellation is a failure."""
    if isinstance(error, Exception):
        return isinstance(error, MemoryError)
    return not isinstance(error, asyncio.CancelledError)
