"""Times of requests, within what candles there can be: arithmetic on years 1 and 9999 would overflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from facade.errors import bad_field

FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2100, 1, 1, tzinfo=UTC)


def sane(field: str, moment: datetime | None) -> datetime | None:
    """`moment`, or ApiError 400 where no market's candles can be."""
    if moment is not None and not FIRST <= moment <= LAST:
        raise bad_field(field, f"must lie in {FIRST:%Y} to {LAST:%Y}")
    return moment


def sane_range(start: datetime | None, end: datetime | None) -> None:
    """ApiError 400 for a range `from`, `to` that cannot be."""
    sane("from", start)
    sane("to", end)
    if start is not None and end is not None and start >= end:
        raise bad_field("to", "must lie after from")
