"""A backtest as JSON: the document of `backtest --json`, of report.json, and the rows of the CSV files.

Money and prices are decimal strings without exponent, times RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from actors.backtest import BacktestResult
from core.statistics import PERIODS_A_YEAR, Statistics, statistics
from core.timeframe import from_ms
from facade.report.equity import equity_curve, last_price, still_open
from schema.records import Trade

Row = dict[str, Any]

_DIGITS = Decimal("1E-12")
RATIOS = f"daily returns of equity, annualised by the square root of {PERIODS_A_YEAR}"


def document(result: BacktestResult) -> Row:
    """Everything a program may want of a backtest, in the keys of the command line's contract."""
    return {
        "candles": len(result.candles),
        "signals": signal_rows(result),
        "trades": trade_rows(result),
        "summary": summary(result),
        "seconds": round(result.seconds, 6),
        "replayed": replayed(result),
        "openPosition": open_position(result),
        "ticks": tick_rows(result),
    }


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def replayed(result: BacktestResult) -> Row:
    """What was replayed, and under which assumptions."""
    request, settings = result.request, result.request.settings
    start, end = span(result)
    return {
        "template": request.template,
        "parameters": dict(request.parameters),
        "symbol": request.symbol,
        "timeframe": request.timeframe,
        "from": start,
        "to": end,
        "origin": result.origin,
        "direction": settings.direction,
        "capital": plain(settings.capital),
        "leverage": settings.leverage,
        "orderSizePct": plain(settings.order_size_pct),
        "takeProfitPct": _plain(settings.take_profit_pct),
        "stopLossPct": _plain(settings.stop_loss_pct),
        "trailingCallbackPct": _plain(settings.trailing_callback_pct),
        "trailingActivationPct": plain(settings.trailing_activation_pct),
        "takerFeePct": plain(request.taker_fee_pct),
        "makerFeePct": plain(request.maker_fee_pct),
        "slippagePct": plain(request.slippage_pct),
        "participationPct": plain(request.participation_pct),
        "gates": None if request.limits is None else camel(msgspec.structs.asdict(request.limits)),
        "fundingKnown": result.funding_known,
        "path": result.path,
        "pathReason": result.path_reason,
    }


def measured(result: BacktestResult) -> Statistics:
    start, end = span(result)
    return statistics(
        capital=result.request.settings.capital,
        trades=result.trades,
        curve=equity_curve(result),
        start=start,
        end=end,
        still_open=still_open(result),
    )


def summary(result: BacktestResult) -> Row:
    """The statistics, and what the gates and the rest of the system did with the slots."""
    return {**camel(msgspec.structs.asdict(measured(result))), "ratios": RATIOS, **counts(result)}


def counts(result: BacktestResult) -> Row:
    return {
        "runSlots": result.run_slots,
        "signals": len(result.signals),
        "blocked": {row["reason"]: row["count"] for row in tick_rows(result) if row["status"] == "blocked"},
    }


def signal_rows(result: BacktestResult) -> list[Row]:
    return [{"slot": signal.slot, "action": signal.action} for signal in result.signals]


def trade_rows(result: BacktestResult) -> list[Row]:
    return [_trade(trade) for trade in result.trades]


def tick_rows(result: BacktestResult) -> list[Row]:
    """How many ticks ended how, and why; the most frequent first."""
    rows = [
        {"status": status, "reason": reason, "count": count}
        for (status, reason), count in result.ticks.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["status"], row["reason"]))


def open_position(result: BacktestResult) -> Row | None:
    """What the end of the data left open, marked at the last close."""
    held, marked = result.open_position, still_open(result)
    if held is None or marked is None:
        return None
    return {
        "side": held.position.side,
        "entryTime": marked.opened_at,
        "entryPrice": plain(held.position.entry_price),
        "quantity": plain(held.position.size),
        "lastPrice": plain(last_price(result)),
        "fees": plain(marked.fees),
        "funding": plain(marked.funding),
        "pnl": plain(marked.net),
    }


def span(result: BacktestResult) -> tuple[datetime, datetime]:
    """First open and last close of what was replayed; at least one candle."""
    opens = result.candles.open_time
    return from_ms(int(opens[0])), from_ms(int(opens[-1]) + result.request.timeframe.ms)


def plain(amount: Decimal) -> str:
    """As people and spreadsheets write it: no exponent, no trailing zeros, at most 12 decimals."""
    exponent = amount.as_tuple().exponent
    rounded = amount.quantize(_DIGITS) if isinstance(exponent, int) and exponent < -12 else amount
    text = f"{rounded:f}" if rounded else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def camel(fields: Row) -> Row:
    """Field names as JSON spells them; money as plain text, structs inside likewise."""
    return {_camel(name): _value(value) for name, value in fields.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, msgspec.Struct):
        return camel(msgspec.structs.asdict(value))
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    return value


def _trade(trade: Trade) -> Row:
    return {
        "side": trade.side,
        "entryTime": trade.entry_time,
        "entryPrice": plain(trade.entry_price),
        "exitTime": trade.exit_time,
        "exitPrice": plain(trade.exit_price),
        "quantity": plain(trade.quantity),
        "fees": plain(trade.fees),
        "funding": plain(trade.funding),
        "pnl": plain(trade.pnl),
        "exitReason": trade.exit_reason,
    }
