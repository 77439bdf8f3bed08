"""Scripted candles: one character a candle, and `sma_trend` over two closes reads it back as a signal.

`u` closes higher than the candle before (long), `d` lower (short), `-` where it was (hold).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from core.candles import Candle, CandleColumns
from core.market import Market, Series, SymbolRules
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource, FundingRate

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SYMBOL = "BTCUSDT"
PRICE = 1_000.0
STEP = 10.0
WARM_UP = 3
"""Unchanged candles before START, so that the first scripted one finds its average."""

RULES = SymbolRules(
    symbol=SYMBOL,
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(10_000),
    min_notional=Decimal(5),
    market_step_size=Decimal("0.001"),
    max_market_quantity=Decimal(10_000),
)

Wicks = Mapping[int, tuple[float, float]]
"""Low and high of single candles by index, where they differ from open and close."""


def scripted(
    path: str,
    *,
    start: datetime = START,
    timeframe: Timeframe = Timeframe.M1,
    wicks: Wicks | None = None,
    holes: Sequence[int] = (),
    price: float = PRICE,
    step: float = STEP,
    volume: float = 1e6,
) -> CandleColumns:
    candles = []
    close = price
    for index in range(-WARM_UP, len(path)):
        move = path[index] if index >= 0 else "-"
        open_ = close
        close = open_ + {"u": step, "d": -step, "-": 0.0}[move]
        low, high = (wicks or {}).get(index, (min(open_, close), max(open_, close)))
        if index in holes:
            continue
        candles.append(
            Candle(
                open_time_ms=to_ms(start) + index * timeframe.ms,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=volume,
            )
        )
    return CandleColumns.of(candles)


def source(
    columns: CandleColumns,
    *,
    timeframe: Timeframe = Timeframe.M1,
    symbols: Sequence[str] = (SYMBOL,),
    funding: Mapping[str, Sequence[FundingRate]] | None = None,
) -> ColumnSource:
    series = {
        Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=timeframe): columns
        for symbol in symbols
    }
    return ColumnSource(origin="scripted", venue="binance", series=series, funding=funding)


def rules(symbols: Sequence[str] = (SYMBOL,)) -> dict[str, SymbolRules]:
    fields = {name: getattr(RULES, name) for name in SymbolRules.__struct_fields__ if name != "symbol"}
    return {symbol: SymbolRules(symbol=symbol, **fields) for symbol in symbols}
