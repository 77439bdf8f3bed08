"""The paper adapter under the suite: a market moved by hand, coroutines driven by hand on a virtual clock."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from core.candles import Candle
from core.order import Order, OrderStatus
from core.timeframe import Timeframe, to_ms
from exchanges.base import News, OrderReport
from exchanges.paper.account import Holding
from exchanges.paper.adapter import PaperExchange
from exchanges.paper.book import Opening
from exchanges.paper.terms import Terms
from exchanges.wire import unconditional
from tests.exchanges.conformance.books import Books
from tests.exchanges.conformance.traits import PAPER
from tests.exchanges.conformance.venue import BANKROLL, RULES, START, SYMBOL

T = TypeVar("T")


class HandClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.at).total_seconds())


@types.coroutine
def hand_sleep(seconds: float) -> Generator[float, None, None]:
    yield seconds


def drive(coroutine: Coroutine[Any, Any, T], clock: HandClock) -> T:
    """Runs a coroutine that awaits nothing but `hand_sleep`; anything else it awaits fails the test."""
    while True:
        try:
            seconds = coroutine.send(None)
        except StopIteration as done:
            value: T = done.value
            return value
        assert isinstance(seconds, float), f"awaited something that was not injected: {seconds!r}"
        clock.at += timedelta(seconds=seconds)


class HandPrices:
    """Openings the test has named."""

    def __init__(self) -> None:
        self.openings: dict[datetime, Opening] = {}

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        later = [known for known in self.openings if known >= at]
        return self.openings[min(later)] if later else None

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        opened = [known for known in self.openings if known <= at]
        return msgspec.structs.replace(self.openings[max(opened)], at=at) if opened else None


class PaperVenue:
    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.traits = PAPER
        self.clock = HandClock(START)
        self.prices = HandPrices()
        self.books = Books(BANKROLL)
        self.news: list[News] = []
        self.outage_left: list[int] = []
        self.slot = START
        self.exchange = self.open()

    def open(self, *, outage_orders: int = 0) -> PaperExchange:
        return PaperExchange(
            terms=self.terms,
            rules={SYMBOL: RULES},
            prices=self.prices,
            clock=self.clock,
            sleep=hand_sleep,
            on_news=self._heard,
            balance=self.books.balance,
            outage_orders=outage_orders,
            outage_left=self.outage_left.append,
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return drive(coroutine, self.clock)

    def place(self, order: Order) -> OrderReport:
        self.books.sent[order.client_order_id] = order
        report = self.run(self.exchange.place(order, unconditional))
        self.books.told(report)
        return report

    def opens(self, price: float, volume: float = 1e6) -> None:
        self.prices.openings[self.slot] = Opening(at=self.slot, price=price, volume=volume)

    def trades(self, open_: float, high: float, low: float, close: float, volume: float = 1e6) -> None:
        candle = self.candle(open_, high, low, close, volume)
        self.slot += Timeframe.M1.delta
        self.clock.at = max(self.clock.at, self.slot)
        self.exchange.apply_candle(SYMBOL, candle, Timeframe.M1)

    def candle(self, open_: float, high: float, low: float, close: float, volume: float = 1e6) -> Candle:
        """The candle that opens at `slot`, not yet applied."""
        return Candle(
            open_time_ms=to_ms(self.slot), open=open_, high=high, low=low, close=close, volume=volume
        )

    def restart(self) -> None:
        self.exchange = self.open()
        self.exchange.restore(
            balance=self.books.balance, holdings=self._holdings(), open_orders=self._open_orders()
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _heard(self, news: News) -> None:
        self.news.append(news)
        self.books.told(news)

    def _holdings(self) -> list[Holding]:
        position = self.books.position(SYMBOL)
        if position.is_flat:
            return []
        protection = self.books.protections[SYMBOL]
        return [
            Holding(
                symbol=SYMBOL,
                position=position,
                leverage=self.books.leverages[SYMBOL],
                since=self.clock.at,
                protection=protection,
            )
        ]

    def _open_orders(self) -> list[Order]:
        return [self._stored(self.books.sent[key]) for key in self.books.resting]

    def _stored(self, order: Order) -> Order:
        filled = self.books.filled(order.client_order_id)
        status = OrderStatus.PARTIAL if filled else OrderStatus.SUBMITTED
        return msgspec.structs.replace(order, filled_quantity=filled, status=status)
