"""Live candles that tell who took: spot made of its trades by the second, perpetuals where their candles do not say.

What lies before the first trade heard, and what a hole in the seconds spoils, is REST's to tell where the venue's
candles know takers. Where they do not it stays missing or unknown, and slots that look at it are skipped by name.
Everything is called on the loop that the trades are followed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from core.candles import CandleColumns, empty
from core.clock import Clock
from core.market import Market, Series
from core.timeframe import from_ms, to_ms
from core.volume_delta import candles_of_seconds
from exchanges.feeds.base import NoCandles
from exchanges.feeds.market_trades import MarketTrades
from exchanges.feeds.public_candles import PublicCandles
from exchanges.feeds.trade_streams import TooManyMarkets
from exchanges.web_socket import Sleep

PATIENCE: Final = timedelta(seconds=5)
"""How long the last seconds of a candle may take to be known whole; a quiet one takes two."""
LINGER: Final = timedelta(hours=1)
"""How long trades are followed beyond the next close at which somebody would have asked: what was heard is not lost
to a run that stops and starts.
"""
LOOK_EVERY_S: Final = 60.0
_LEAD: Final = timedelta(minutes=1)
"""Before the first candle, so that a quiet one has a price."""
_TAKERS: Final = 6

_log: Final = logging.getLogger("exchanges.market")


class FlowCandles:
    def __init__(
        self,
        trades: MarketTrades,
        rest: Mapping[str, PublicCandles],
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`rest`: spot candles that know takers, by venue."""
        self._sleep = sleep
        self._trades = trades
        self._rest = rest
        self._clock = clock
        # Whoever keeps a window asks at every close of it; until when what was asked for once is followed.
        self._asked: dict[tuple[str, Market, str], datetime] = {}
        self._followed: set[tuple[str, Market, str]] = set()

    async def run(self) -> None:
        """Leaves what nobody asks for any more, until cancelled."""
        while True:
            await self._sleep(LOOK_EVERY_S)
            await self.leave_unasked()

    async def spot(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        """Closed candles that open at or after `start` and close at or before `end`. Raises FeedError.

        The newest is left out while its last seconds may still come: whoever asked asks again.
        """
        await self._follow(series)
        heard = await self._heard(series, start, end)
        step, end_ms = series.timeframe, to_ms(series.timeframe.floor(end))
        first_ms = -(-to_ms(start) // step.ms) * step.ms
        missing = max(0, (end_ms - first_ms) // step.ms) - len(heard)
        has_newest = len(heard) > 0 and heard.open_time[-1] == end_ms - step.ms
        if not missing or (missing == 1 and not has_newest and self._may_come(end_ms)):
            return heard
        rest = self._rest.get(series.venue)
        if rest is None:
            return heard
        told = await rest.candles(series.symbol, step, start, end)
        unheard = CandleColumns(told.data[:, ~np.isin(told.open_time, heard.open_time)])
        both = CandleColumns.joined([heard, unheard])
        return CandleColumns(both.data[:, np.argsort(both.open_time)])

    async def with_takers(self, series: Series, columns: CandleColumns) -> CandleColumns:
        """A perpetual's candles, with takers where spot beside it is looked at and the venue's candles lack them."""
        is_wanted = (series.venue, Market.SPOT, series.symbol) in self._asked
        if not is_wanted or not len(columns) or not np.isnan(columns.taker_buy_volume).any():
            return columns
        await self._follow(series)
        end_ms = int(columns.open_time[-1]) + series.timeframe.ms
        heard = await self._heard(series, from_ms(int(columns.open_time[0])), from_ms(end_ms))
        data = np.array(columns.data)
        places = np.searchsorted(columns.open_time, heard.open_time)
        is_there = np.isin(heard.open_time, columns.open_time)
        bought = heard.taker_buy_volume[is_there]
        data[_TAKERS, places[is_there]] = np.minimum(bought, columns.volume[places[is_there]])
        filled = CandleColumns(data)
        if np.isnan(data[_TAKERS, -1]) and self._may_come(end_ms):
            return filled.part(0, len(filled) - 1)
        return filled

    def _may_come(self, end_ms: int) -> bool:
        return self._clock.now() < from_ms(end_ms) + PATIENCE

    async def _follow(self, series: Series) -> None:
        key = (series.venue, series.market, series.symbol)
        is_new, until = key not in self._asked, self._clock.now() + series.timeframe.delta + LINGER
        self._asked[key] = max(until, self._asked.get(key, until))
        if key in self._followed:
            return
        try:
            await self._trades.follow(*key)
        except TooManyMarkets as error:
            if is_new:
                _log.warning("market_trades_not_followed symbol=%s error=%s", series.symbol, error)
        else:
            self._followed.add(key)

    async def leave_unasked(self) -> None:
        now = self._clock.now()
        for key in [key for key, until in self._asked.items() if until < now]:
            del self._asked[key]
            if key in self._followed:
                self._followed.discard(key)
                await self._trades.leave(*key)

    async def _heard(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        try:
            flow = await self._trades.columns(series.venue, series.market, series.symbol, start - _LEAD, end)
        except NoCandles:
            return empty()
        step = series.timeframe
        return candles_of_seconds(flow, step).between(to_ms(start), to_ms(end) - step.ms + 1)
