"""What a venue allows per address and per account, and what its answers say of it. Pure.

Sources: Binance USDⓈ-M Futures "General Info / Limits" and error codes -1003, -1015; Bybit v5 "Rate Limit Rules".
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from core.timeframe import from_ms
from exchanges.wire import Answer

MAX_PAUSE_S: Final = 600.0
MAX_BAN: Final = timedelta(days=3)
"""The longest ban Binance speaks of."""
_CLOSE_ENOUGH: Final = timedelta(seconds=5)
SHORT_BODY: Final = 512
"""A refusal is short; longer bodies are not searched for one."""
_UNTIL: Final = re.compile(rb"until (\d{13})\b")


class OrderLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of one account; `header` (lower case) says how many the venue has counted."""

    count: int
    window_s: float
    header: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`weight` per `window_s` and address. `account_marks` in the body of a refusal: the account's limit alone.

    Processes share the weight by windows of `shared_window_s` with `shared_weight` each, so chosen that no window of
    `window_s` the venue may count by holds more than 9/10 of `weight`.
    """

    weight: int
    window_s: float
    shared_weight: int
    shared_window_s: float
    orders: tuple[OrderLimit, ...]
    ban_s: float
    pause_s: float
    """Where a refusal names no time."""
    weight_header: str | None = None
    account_marks: tuple[bytes, ...] = ()


# Binance counts by the minute of the clock, so its minutes can be shared as they are.
BINANCE: Final = Limits(
    weight=2400,
    window_s=60.0,
    shared_weight=2160,
    shared_window_s=60.0,
    orders=(
        OrderLimit(count=300, window_s=10.0, header="x-mbx-order-count-10s"),
        OrderLimit(count=1200, window_s=60.0, header="x-mbx-order-count-1m"),
    ),
    weight_header="x-mbx-used-weight-1m",
    account_marks=(b'"code":-1015', b'"code": -1015'),
    ban_s=120.0,
    pause_s=5.0,
)

# Any five seconds touch six whole ones: 6 × 90 is 9/10 of 600.
BYBIT: Final = Limits(
    weight=600,
    window_s=5.0,
    shared_weight=90,
    shared_window_s=1.0,
    orders=(OrderLimit(count=10, window_s=1.0),),
    account_marks=(b'"retCode":10006', b'"retCode": 10006'),
    ban_s=600.0,
    pause_s=1.0,
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of the budgets. `orders`: counts by the order limits' place."""

    weight_used: int | None = None
    orders: tuple[int | None, ...] = ()
    host_pause_s: float | None = None
    account_pause_s: float | None = None
    banned_until: datetime | None = None


def said(limits: Limits, answer: Answer, now: datetime) -> Said:
    """`now`: by our clock, which bans are kept by."""
    headers, status = answer.headers, answer.status
    account = host = banned = None
    if status == 429:
        pause_s = _pause_s(limits, answer)
        account, host = (pause_s, None) if _names_account(limits, answer) else (None, pause_s)
    elif status in (403, 418):
        banned = _banned_until(limits, answer, now)
    elif status == 200 and len(answer.body) < SHORT_BODY and _names_account(limits, answer):
        account = _pause_s(limits, answer)
    return Said(
        weight_used=_count(headers.get(limits.weight_header)) if limits.weight_header else None,
        orders=tuple(
            [_count(headers.get(limit.header)) if limit.header else None for limit in limits.orders]
        ),
        host_pause_s=host,
        account_pause_s=account,
        banned_until=banned,
    )


def _names_account(limits: Limits, answer: Answer) -> bool:
    return any(mark in answer.body[:SHORT_BODY] for mark in limits.account_marks)


def _pause_s(limits: Limits, answer: Answer) -> float:
    named = _count(answer.headers.get("retry-after"))
    return limits.pause_s if named is None else min(float(named), MAX_PAUSE_S)


def _banned_until(limits: Limits, answer: Answer, now: datetime) -> datetime:
    """As the text names it, else after Retry-After, else after the venue's usual time; three days at most.

    The text's time is the venue's: what our clock is off by, as the answer's date shows, is taken off. A ban that
    seems to be over as it is told lasts the usual time.
    """
    named = _UNTIL.search(answer.body[:SHORT_BODY])
    until = None if named is None else from_ms(int(named[1])) - _ahead(answer, now)
    if until is None:
        after = _count(answer.headers.get("retry-after"))
        until = now + timedelta(seconds=limits.ban_s if after is None else after)
    elif until <= now:
        until = now + timedelta(seconds=limits.ban_s)
    return min(until, now + MAX_BAN)


def _ahead(answer: Answer, now: datetime) -> timedelta:
    """By how much the venue's clock, which tells whole seconds, is ahead of ours; nothing where it says none."""
    try:
        ahead = parsedate_to_datetime(answer.headers["date"]) - now
    except (KeyError, ValueError, TypeError):
        return timedelta(0)
    return ahead if abs(ahead) > _CLOSE_ENOUGH else timedelta(0)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 9 else None
