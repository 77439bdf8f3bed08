"""What a demo's candles were before its first minute, stored: a backtest begins with days, not with what was played."""

from __future__ import annotations

from actors.demo import Demo
from core.market import Market, Series
from exchanges.feeds.base import NoCandles, candles_of
from schema.pg_candles import PgCandles


def store_history(market: PgCandles, demo: Demo, round_: int) -> None:
    """The warm-up of a round, perpetual and spot as far as the source holds them. Repeatable."""
    timeframe, start, end = demo.stage.timeframe, demo.source.start_of(round_), demo.start_of(round_)
    for symbol in demo.stage.symbols:
        for each in Market:
            series = Series(venue=demo.source.venue, market=each, symbol=symbol, timeframe=timeframe)
            if market.ends(series, start, start + timeframe.delta).first is not None:
                continue
            try:
                columns = candles_of(demo.source, series, start, end)
            except NoCandles:
                continue
            market.store(series, columns)
