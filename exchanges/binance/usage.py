"""What an answer's headers say of the budgets. Source: USDⓈ-M Futures, "General Info / Limits"."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_LONGEST_S = 3600.0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Used so far in the present window, as the venue counts; None: it does not say."""

    weight_1m: int | None = None
    orders_10s: int | None = None
    orders_1m: int | None = None


def usage(headers: Mapping[str, str]) -> Usage:
    """Weight of the address, orders of the account. Header names are in lower case."""
    return Usage(
        weight_1m=_count(headers, "x-mbx-used-weight-1m"),
        orders_10s=_count(headers, "x-mbx-order-count-10s"),
        orders_1m=_count(headers, "x-mbx-order-count-1m"),
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, where the venue says so, one hour at most."""
    seconds = _count(headers, "retry-after")
    return None if seconds is None else min(float(seconds), _LONGEST_S)


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
