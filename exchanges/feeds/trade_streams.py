"""Trades of one venue's markets of a kind, kept: heard on a stream, filled up and polled over REST, summed by second.

Everything is called on one event loop. REST is asked for one market at a time, `REST_EVERY_S` apart, so that a
reconnection with many markets costs the host no more than one with few.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from core.clock import Clock
from core.errors import RunnerError
from core.public_trade import PublicTrade
from core.timeframe import to_ms
from core.trade_flow import FlowColumns
from exchanges.feeds.public_rest import FeedError
from exchanges.feeds.topic_connection import TopicConnection, TopicDialect
from exchanges.feeds.trade_rest import TradeRest
from exchanges.feeds.trade_series import TradeSeries
from exchanges.web_socket import Sleep

MAX_SYMBOLS: Final = 50
"""Markets of a venue and kind that are followed at a time: one connection, and 4 MB of sums each."""
REST_EVERY_S: Final = 2.0
POLL_EVERY_S: Final = 5.0
"""How often it is looked for markets that REST has to be asked for: each, while no stream is open."""
MAX_ASKED: Final = 20
"""How often REST is asked for what is missing before that is given up."""
LAG_MS: Final = 2_000
"""A second without trades counts as quiet so long after its end."""

_log: Final = logging.getLogger("exchanges.market")


class TooManyMarkets(RunnerError):
    """As many markets' trades are followed already as may be."""


class TradeDialect(TopicDialect, Protocol):
    """What differs from venue to venue in trades."""

    def topic(self, symbol: str) -> str: ...

    def unsubscriptions(self, topics: Sequence[str]) -> Iterable[str]: ...

    def trades(self, message: bytes) -> Sequence[PublicTrade]:
        """What the message tells, in order; nothing for a message of another kind. Raises RunnerError."""
        ...

    def series(self, now_ms: Callable[[], int]) -> TradeSeries: ...


class _Followed:
    def __init__(self, series: TradeSeries) -> None:
        self.series = series
        self.followers = 0


class TradeStreams:
    """`run` it until cancelled; what is followed before is subscribed to then."""

    def __init__(
        self,
        dialect: TradeDialect,
        rest: TradeRest,
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dialect = dialect
        self._rest = rest
        self._clock = clock
        self._sleep = sleep
        self._followed: dict[str, _Followed] = {}
        self._wanted: dict[str, int] = {}  # symbols to ask REST for, in turn, and how often that was in vain
        self._is_wanted = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._alone = asyncio.Lock()
        self._connection = TopicConnection(
            dialect, self._heard, on_open=self._opened, clock=clock, sleep=sleep, jitter=jitter
        )

    async def run(self) -> None:
        """One at a time: a second caller takes over when the first ends. Connected while any market is followed."""
        async with self._alone, asyncio.TaskGroup() as group:
            self._group = group
            try:
                group.create_task(self._fill())
                group.create_task(self._poll())
                self._keep()
                await asyncio.Event().wait()
            finally:
                self._group = self._keeping = None

    def follow(self, symbol: str) -> None:
        """Once more; `leave` as often. Raises TooManyMarkets."""
        followed = self._followed.get(symbol)
        if followed is None:
            if len(self._followed) >= MAX_SYMBOLS:
                raise TooManyMarkets(f"The trades of {MAX_SYMBOLS} markets are followed already.")
            followed = self._followed[symbol] = _Followed(self._dialect.series(self._now_ms))
            is_due = self._connection.add(self._dialect.topic(symbol))
            if self._keeping is None:
                self._keep()
            elif is_due and self._group is not None:
                self._group.create_task(self._connection.subscribe_added())
        followed.followers += 1

    def leave(self, symbol: str) -> None:
        followed = self._followed[symbol]
        followed.followers -= 1
        if followed.followers:
            return
        del self._followed[symbol]
        self._wanted.pop(symbol, None)
        topic = self._dialect.topic(symbol)
        self._connection.remove(topic)
        if not self._followed and self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        elif self._group is not None:
            self._group.create_task(self._connection.say(self._dialect.unsubscriptions((topic,))))

    def columns(self, symbol: str, start: datetime, end: datetime) -> FlowColumns | None:
        """What is known of the seconds in [start, end); None: the market is not followed."""
        followed = self._followed.get(symbol)
        if followed is None:
            return None
        series = followed.series
        if self._connection.is_open and not series.missing:
            series.flow.quiet_until(self._now_ms() - LAG_MS)
        return series.flow.columns(to_ms(start), to_ms(end))

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())

    def _keep(self) -> None:
        if self._group is not None and self._followed:
            self._keeping = self._group.create_task(self._connection.keep())

    # -- the stream -----------------------------------------------------------------------------

    def _opened(self, since: datetime | None) -> None:
        for symbol, followed in self._followed.items():
            followed.series.reopened()
            if followed.series.missing:
                self._want(symbol)

    def _heard(self, message: bytes) -> bool:
        try:
            trades = self._dialect.trades(message)
        except RunnerError as error:
            _log.warning("market_message_unusable venue=%s error=%s", self._dialect.name, error)
            return True
        for trade in trades:
            followed = self._followed.get(trade.symbol)
            if followed is not None:
                followed.series.told(trade)
                if followed.series.missing:
                    self._want(trade.symbol)
        return bool(trades)

    # -- REST -----------------------------------------------------------------------------------

    def _want(self, symbol: str) -> None:
        self._wanted.setdefault(symbol, 0)
        self._is_wanted.set()

    async def _poll(self) -> None:
        while True:
            await self._sleep(POLL_EVERY_S)
            for symbol, followed in self._followed.items():
                if followed.series.missing or not self._connection.is_open:
                    self._want(symbol)

    async def _fill(self) -> None:
        while True:
            await self._is_wanted.wait()
            while self._wanted:
                symbol, asked = next(iter(self._wanted.items()))
                del self._wanted[symbol]
                followed = self._followed.get(symbol)
                if followed is not None and (followed.series.missing or not self._connection.is_open):
                    await self._ask_for(symbol, followed.series, asked + 1)
                    await self._sleep(REST_EVERY_S)
            self._is_wanted.clear()

    async def _ask_for(self, symbol: str, series: TradeSeries, asked: int) -> None:
        try:
            is_told = series.answered(await self._rest.after(symbol, series.last))
        except FeedError as error:
            _log.warning("market_trades_unanswered venue=%s error=%s", self._dialect.name, error)
            is_told = False
        if not is_told and asked >= MAX_ASKED:
            series.give_up()
        elif not is_told:
            self._wanted[symbol] = asked
