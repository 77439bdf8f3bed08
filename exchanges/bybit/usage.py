"""How long a refusal by budget lasts. Pure.

Source: Bybit v5 API documentation, "Rate Limit Rules": per account and second in headers; per address 600 requests
in 5 seconds, then 403 and a pause of ten minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from core.timeframe import from_ms, to_ms

BAN: Final = timedelta(minutes=10)
DEFAULT_RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 60.0
_UNTIL: Final = re.compile(r"until (\d{13})\b")


def retry_after_s(headers: Mapping[str, str], venue_now: datetime) -> float:
    """Seconds until the account's window ends, as its headers say, between 0 and a minute; else 5."""
    after = _number(headers.get("retry-after"))
    if after is not None:
        return min(float(after), MAX_RETRY_S)
    reset = _number(headers.get("x-bapi-limit-reset-timestamp"))
    if reset is None:
        return DEFAULT_RETRY_S
    return min(max((reset - to_ms(venue_now)) / 1000, 0.0), MAX_RETRY_S)


def banned_until(text: str, venue_now: datetime) -> datetime:
    """When an address blocked at `venue_now` may ask again: as the text says, else ten minutes later."""
    named = _UNTIL.search(text)
    return from_ms(int(named[1])) if named else venue_now + BAN


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 15 else None
