"""Numbers as people read them: the headline, the table of months, and the formats of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from core.candles import CandleColumns

UNKNOWN: Final = "—"
MAX_PRICE_DIGITS: Final = 8
_SAMPLED_CLOSES: Final = 500


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the headline; `tone` is `up`, `down` or empty."""

    name: str
    value: str
    tone: str = ""
    note: str = ""


class YearRow(msgspec.Struct, frozen=True, kw_only=True):
    """Twelve monthly returns in percent, None without candles, and what they compound to."""

    name: str
    months: tuple[float | None, ...]
    total: float


def headline(summary: Mapping[str, Any], *, funding_known: bool) -> list[Figure]:
    """The figures above the charts, from the summary of the JSON document."""
    traded = f"{summary['wins']} won, {summary['losses']} lost"
    return [
        Figure(
            name="PnL, USDT",
            value=money(summary["pnl"]),
            tone=tone(summary["pnl"]),
            note="closed trades, net",
        ),
        Figure(name="ROI", value=percent(summary["roiPct"]), tone=tone(summary["roiPct"])),
        Figure(
            name="Final equity, USDT",
            value=money(summary["finalEquity"], signed=False),
            note=f"from {money(summary['startingCapital'], signed=False)}",
        ),
        Figure(name="Trades", value=whole(summary["trades"]), note=traded),
        Figure(name="Win rate", value=share(summary["winRatePct"])),
        Figure(name="Profit factor", value=ratio(summary["profitFactor"])),
        Figure(name="Expectancy, USDT", value=money(summary["expectancy"]), tone=tone(summary["expectancy"])),
        Figure(name="Sharpe", value=ratio(summary["sharpe"]), note="daily, × √365"),
        Figure(name="Sortino", value=ratio(summary["sortino"]), note="daily, × √365"),
        Figure(
            name="Max drawdown",
            value=share(summary["maxDrawdownPct"]),
            note=f"{money(summary['maxDrawdown'], signed=False)} USDT",
        ),
        Figure(name="Exposure", value=share(summary["exposurePct"]), note="time in a position"),
        Figure(name="Average hold", value=duration(summary["averageHoldSeconds"])),
        Figure(name="Best trade, USDT", value=money(summary["bestTrade"]), tone=tone(summary["bestTrade"])),
        Figure(
            name="Worst trade, USDT", value=money(summary["worstTrade"]), tone=tone(summary["worstTrade"])
        ),
        Figure(name="Fees, USDT", value=money(summary["fees"], signed=False)),
        Figure(
            name="Funding, USDT",
            value=money(summary["funding"]),
            note="" if funding_known else "unknown, counted as 0",
        ),
    ]


def monthly_table(months: Sequence[Mapping[str, Any]]) -> list[YearRow]:
    """One row per year of the summary's `monthlyReturns`."""
    found = {str(month["month"]): month["returnPct"] for month in months}
    rows = []
    for year in sorted({name[:4] for name in found}):
        returns = tuple(found.get(f"{year}-{number:02}") for number in range(1, 13))
        growth = 1.0
        for change in returns:
            growth *= 1 + (change or 0.0) / 100
        rows.append(YearRow(name=year, months=returns, total=100 * (growth - 1)))
    return rows


def price_digits(candles: CandleColumns) -> int:
    """Decimals the newest closes are quoted with."""
    closes = candles.close[-_SAMPLED_CLOSES:].tolist()
    decimals = (-int(Decimal(repr(close)).normalize().as_tuple().exponent) for close in closes)
    return min(MAX_PRICE_DIGITS, max(0, *decimals, 0))


def money(amount: Decimal | str | None, *, signed: bool = True) -> str:
    """USDT to the cent; gains carry their sign, so that colour is never the only one to tell."""
    if amount is None:
        return UNKNOWN
    cents = Decimal(amount).quantize(Decimal("0.01"))
    if not cents:
        return "0.00"
    return f"{cents:+,.2f}" if signed else f"{cents:,.2f}"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+,.2f} %"


def share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.1f} %"


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def whole(count: int) -> str:
    return f"{count:,}"


def number(value: float) -> str:
    """A parameter: 30 for 30.0."""
    return repr(int(value)) if value == int(value) else repr(value)


def price(value: Decimal | str, digits: int) -> str:
    return f"{Decimal(value):,.{digits}f}"


def moment(at: datetime) -> str:
    """To the minute, or to the second where that is not 0; UTC."""
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return text.removesuffix(":00")


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration(seconds: float | None) -> str:
    """The two largest units: 3 d 4 h, 2 h 5 min, 45 s."""
    if seconds is None:
        return UNKNOWN
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def tone(value: Decimal | float | str | None) -> str:
    number = Decimal(0) if value is None else Decimal(value)
    return "up" if number > 0 else "down" if number < 0 else ""


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "money": money,
    "percent": percent,
    "share": share,
    "ratio": ratio,
    "whole": whole,
    "price": price,
    "number": number,
    "moment": moment,
    "rfc3339": rfc3339,
    "tone": tone,
}
