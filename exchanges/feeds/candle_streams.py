"""A venue's public candle streams, kept: how many a connection carries, and the candles that closed lately.

A candle is final as the venue says so in its message; nothing is concluded from the clock. What a stream does not have,
as after a gap, is for REST: `kept` says None then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from core.candles import Candle, CandleColumns, check_candle
from core.clock import Clock
from core.errors import RunnerError
from core.timeframe import Timeframe
from exchanges.feeds.topic_connection import TopicConnection, TopicDialect
from exchanges.web_socket import Sleep

MAX_TOPICS: Final = 2_000
"""Series of one venue that are streamed; further ones are asked for over REST."""
TOPICS_PER_CONNECTION: Final = 200
KEPT_CANDLES: Final = 16
"""Per series: what closes while somebody asks elsewhere. Older ones are asked for over REST."""
SILENT_AFTER_S: Final = 30.0
"""A connection that has told no candle, open or closed, for so long is not waited for."""

_log: Final = logging.getLogger("exchanges.market")


class Dialect(TopicDialect, Protocol):
    """What differs from venue to venue in candles."""

    def topic(self, symbol: str, timeframe: Timeframe) -> str: ...

    def is_candle(self, message: bytes) -> bool:
        """Whether it tells of a candle at all, open or closed; cheap."""
        ...

    def closed(self, message: bytes) -> Sequence[tuple[str, Candle]]:
        """Topic and candle of each that the message says is final. Raises RunnerError for what cannot be used."""
        ...


class CandleStreams:
    """`run` it until cancelled, on the loop that everything else is called on."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dialect = dialect
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._kept: dict[str, _Kept] = {}
        self._connections: list[TopicConnection] = []
        self._group: asyncio.TaskGroup | None = None
        self._alone = asyncio.Lock()

    async def run(self) -> None:
        """One at a time: a second caller takes over when the first ends."""
        async with self._alone, asyncio.TaskGroup() as group:
            self._group = group
            try:
                for connection in self._connections:
                    group.create_task(connection.keep())
                await asyncio.Event().wait()
            finally:
                self._group = None

    def follow(self, symbol: str, timeframe: Timeframe) -> None:
        """Have its candles streamed from now on. A symbol the venue lacks may keep others of the same message off."""
        topic = self._dialect.topic(symbol, timeframe)
        if topic in self._kept or len(self._kept) >= MAX_TOPICS:
            return
        connection = self._connections[-1] if self._connections else None
        if connection is None or len(connection.topics) >= TOPICS_PER_CONNECTION:
            connection = TopicConnection(
                self._dialect, self._heard, clock=self._clock, sleep=self._sleep, jitter=self._jitter
            )
            self._connections.append(connection)
            if self._group is not None:
                self._group.create_task(connection.keep())
        self._kept[topic] = _Kept(timeframe, connection)
        if connection.add(topic) and self._group is not None:
            self._group.create_task(connection.subscribe_added())

    def kept(self, symbol: str, timeframe: Timeframe, start_ms: int, end_ms: int) -> CandleColumns | None:
        """The candles that open in [start, end), where each of them is held; None: one is missing."""
        series = self._kept.get(self._dialect.topic(symbol, timeframe))
        if series is None or end_ms - start_ms > KEPT_CANDLES * timeframe.ms:
            return None
        opens = range(start_ms, end_ms, timeframe.ms)
        if not all(open_ms in series.candles for open_ms in opens):
            return None
        return CandleColumns.of(series.candles[open_ms] for open_ms in opens)

    def is_expected(self, symbol: str, timeframe: Timeframe) -> bool:
        """Whether the next candle can be waited for: its connection tells candles, and it did not fail us last time."""
        series = self._kept.get(self._dialect.topic(symbol, timeframe))
        return series is not None and not series.failed and series.connection.tells_within(SILENT_AFTER_S)

    async def closes(self, symbol: str, timeframe: Timeframe, open_ms: int, within_s: float) -> bool:
        """Waits for the candle that opens then; whether it is here now."""
        series = self._kept[self._dialect.topic(symbol, timeframe)]
        sleeping = asyncio.ensure_future(self._sleep(within_s))
        try:
            while open_ms not in series.candles and not sleeping.done():
                await asyncio.wait({sleeping, series.next()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
        return open_ms in series.candles

    def failed(self, symbol: str, timeframe: Timeframe) -> None:
        """REST had the candle first: it is not waited for again until it has told one."""
        self._kept[self._dialect.topic(symbol, timeframe)].failed = True

    def _heard(self, message: bytes) -> bool:
        if not self._dialect.is_candle(message):
            return False
        try:
            for topic, candle in self._dialect.closed(message):
                series = self._kept.get(topic)
                if series is not None:
                    check_candle(candle, series.timeframe)
                    series.keep(candle)
        except RunnerError as error:
            _log.warning("market_message_unusable venue=%s error=%s", self._dialect.name, error)
        return True


class _Kept:
    """One series; `failed`: it was waited for in vain since it last told a candle."""

    def __init__(self, timeframe: Timeframe, connection: TopicConnection) -> None:
        self.timeframe = timeframe
        self.connection = connection
        self.candles: dict[int, Candle] = {}
        self.failed = False
        self._next: asyncio.Future[None] | None = None

    def keep(self, candle: Candle) -> None:
        """The first that is told stays: it may have been handed on."""
        self.failed = False
        self.candles.setdefault(candle.open_time_ms, candle)
        while len(self.candles) > KEPT_CANDLES:
            del self.candles[min(self.candles)]
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    def next(self) -> asyncio.Future[None]:
        """Done when a candle has come; shared by all who wait."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next
