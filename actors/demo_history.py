"""What a demo's candles were before its first minute, stored: a backtest begins with days, not with what was played."""

from __future__ import annotations

from actors.demo import Demo
from core.connection import Venue
from core.market import Market, Series
from exchanges.feeds.base import NoCandles, candles_of
from schema.pg_candles import PgCandles


def store_history(market: PgCandles, demo: Demo, round_: int) -> None:
    """The warm-up of a round: the demo's own perpetuals and spot, and the perpetuals of the other venues, as far as the
    source holds them. Repeatable.
    """
    timeframe, start, end = demo.stage.timeframe, demo.source.start_of(round_), demo.start_of(round_)
    elsewhere = [(venue.value, Market.PERP) for venue in Venue if venue != demo.source.venue]
    for symbol in demo.stage.symbols:
        for venue, each in [*((demo.source.venue, market) for market in Market), *elsewhere]:
            series = Series(venue=venue, market=each, symbol=symbol, timeframe=timeframe)
            if market.ends(series, start, start + timeframe.delta).first is not None:
                continue
            try:
                columns = candles_of(demo.source, series, start, end)
            except NoCandles:
                continue
            market.store(series, columns)
