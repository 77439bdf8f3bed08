"""A venue's candles as they close: from its stream as soon as they are told, from REST where it does not tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from core.candles import Candle, CandleColumns, aggregate
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.candle_streams import CandleStreams
from exchanges.feeds.public_candles import PublicCandles, base_of

PATIENCE_S: Final = 1.0
"""How long a closing candle is waited for before REST is asked for it as well."""
ASK_AGAIN_S: Final = 0.5
MAX_ASKED: Final = 10
"""How often REST is asked while the stream is waited for; whoever wants the candle still then asks anew."""


class LiveCandles:
    """`follow` it until cancelled; without, everything comes over REST."""

    def __init__(self, rest: PublicCandles, streams: CandleStreams) -> None:
        self._rest = rest
        self._streams = streams
        self.venue = rest.venue
        self.name = rest.name

    async def follow(self) -> None:
        await self._streams.run()

    async def candles(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
    ) -> CandleColumns:
        """Closed candles that open at or after `start` and close at or before `end`, as far as they are final.

        Where only the last one is missing and the stream is about to tell it, it is waited for. Raises FeedError.
        """
        base = base_of(timeframe)
        start_ms, end_ms = -(-to_ms(start) // timeframe.ms) * timeframe.ms, to_ms(timeframe.floor(end))
        last_ms = end_ms - base.ms
        is_next = (
            self._streams.is_expected(symbol, base)
            and self._streams.kept(symbol, base, start_ms, last_ms) is not None
        )
        for attempt in range(MAX_ASKED if is_next else 1):
            if is_next:
                await self._streams.closes(symbol, base, last_ms, ASK_AGAIN_S if attempt else PATIENCE_S)
            kept = self._streams.kept(symbol, base, start_ms, end_ms)
            if kept is not None:
                return aggregate(kept, base, timeframe)
            columns = await self._rest.candles(symbol, timeframe, start, end)
            if not is_next or (len(columns) and columns.open_time[-1] >= end_ms - timeframe.ms):
                break
        if is_next:
            self._streams.failed(symbol, base)
        # Only what REST has answered for, as a venue may refuse to stream anything beside a symbol it lacks.
        self._streams.follow(symbol, base)
        return columns

    async def opening(
        self, symbol: str, timeframe: Timeframe, at: datetime, timeout_s: float
    ) -> Candle | None:
        return await self._rest.opening(symbol, timeframe, at, timeout_s)

    async def forming(self, symbol: str, timeframe: Timeframe) -> Candle | None:
        return await self._rest.forming(symbol, timeframe)
