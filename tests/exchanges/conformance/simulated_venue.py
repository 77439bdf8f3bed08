"""A live adapter under the suite: the real one over HTTP and WebSocket at the venue's stand-in, a market moved by hand.

Venue time stands still unless the test moves it. The venue's server shares the test's event loop, so it goes on while
the adapter is asked and at no other time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

import msgspec

from core.connection import Environment
from core.connection import Venue as VenueName
from core.order import Leg, Order, OrderKind, OrderStatus
from core.position import OrderSide
from core.protection import protection_of
from core.redact import Secret
from core.timeframe import Timeframe, to_ms
from exchanges.base import (
    Execution,
    LiveExchange,
    MarginMode,
    News,
    OrderReport,
    PositionMode,
    ProtectionMoved,
    StreamGap,
)
from exchanges.credentials import Credentials
from exchanges.errors import ErrorKind, OutcomeUnknown, Unreachable
from exchanges.simulator import model
from exchanges.simulator.account import Account
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.engine import Engine
from exchanges.simulator.face import Face
from exchanges.simulator.instruments import instrument_of
from exchanges.simulator.market import Market
from exchanges.simulator.server import Server
from exchanges.simulator.tape import Tape
from exchanges.simulator.venue import Manners
from exchanges.venues import Venues, given_address
from exchanges.wire import unconditional
from tests.canaries import KEYS, SECRETS, scan
from tests.exchanges.conformance.books import Books
from tests.exchanges.conformance.hand_market import FlatTape, MarketClock, stopped_clock
from tests.exchanges.conformance.traits import Traits
from tests.exchanges.conformance.venue import BANKROLL, RULES, START, SYMBOL

T = TypeVar("T")

ENDLESS = 1e6
_UNDER_WAY = (OrderStatus.SUBMITTED, OrderStatus.PARTIAL)
OTHER_SYMBOL, FEE_SYMBOL = "ETHUSDT", "BNBUSDT"
PRICES = {SYMBOL: Decimal(1000), OTHER_SYMBOL: Decimal(100), FEE_SYMBOL: Decimal(500)}


class SimulatedVenue:
    """`account` is the venue's own book of what `exchange` trades; `news` is all the adapter has told by itself."""

    def __init__(
        self,
        name: VenueName,
        make_face: Callable[[Engine], Face],
        manners: Manners,
        traits: Traits,
        *,
        venue_clock: VenueClock | None = None,
    ) -> None:
        self.name = name
        self.traits = traits
        self.venue_clock = venue_clock or stopped_clock()
        self.loop = asyncio.new_event_loop()
        instruments = {symbol: instrument_of(symbol) for symbol in PRICES}
        instruments[SYMBOL] = msgspec.structs.replace(instruments[SYMBOL], quantity_min=RULES.min_quantity)
        tapes: dict[str, Tape] = {symbol: FlatTape(price) for symbol, price in PRICES.items()}
        self.engine = Engine(self.venue_clock, Market(instruments, tapes), manners)
        self.face = make_face(self.engine)
        self.server = Server(self.face)
        self.clock = MarketClock(self.venue_clock)
        self.books = Books(BANKROLL)
        self.news: list[News] = []
        self.slot = START
        self._foreign = count(1)
        self._following: asyncio.Task[None] | None = None
        self._port = self.run(self.server.start("127.0.0.1", 0))
        self._serving = self.do(lambda: asyncio.ensure_future(self.server.run()))
        given = given_address(f"http://127.0.0.1:{self._port}", None)
        assert given is not None
        self.given = {name: given}
        self._venues = Venues(clock=self.clock, given=self.given)
        self.allow("main")
        self.account: Account = self.engine.account("main")
        self.exchange = self.open()
        self.run(self.exchange.connect())

    # -- the suite's hand on it

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Fails where an error's traceback tells a secret (I13)."""
        try:
            return self.on_loop(asyncio.wait_for(coroutine, 60.0))
        except Exception as error:
            traces = scan("a traceback", "".join(traceback.format_exception(error)))
            assert not traces, traces
            raise

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def do(self, what: Callable[[], T]) -> T:
        """On the venue's loop, where nothing else goes on meanwhile."""
        return self.run(_called(what))

    def place(self, order: Order) -> OrderReport:
        """As the runner does: settings before an entry, protection after it, an id known already is looked up."""
        self.books.sent[order.client_order_id] = order
        if order.leg is Leg.ENTRY:
            self.configure(order.symbol, leverage=order.leverage)
        try:
            report = self.run(self.exchange.place(order, unconditional))
        except OutcomeUnknown as error:
            if error.kind is not ErrorKind.DUPLICATE_ID:
                raise
            report = self.found(order)
        if self.traits.acknowledges and (report.status is OrderStatus.SUBMITTED or not _is_whole(report)):
            report = self.found(order)
        self.books.told(report)
        position = self.books.position(order.symbol)
        wanted = self.books.protections.get(order.symbol)
        if order.leg is Leg.ENTRY and wanted is not None and not position.is_flat:
            self.run(self.exchange.protect(order.symbol, protection_of(order, position.entry_price)))
        return report

    def found(self, order: Order) -> OrderReport:
        """The order as the venue lists it, once it does; a market order once it has ended."""
        return self.run(self._found(order))

    def opens(self, price: float, volume: float = ENDLESS) -> None:
        self.set_price(price)
        self._offer(volume)

    def trades(self, open_: float, high: float, low: float, close: float, volume: float = ENDLESS) -> None:
        """Past every price on the way, first to the extreme that is worse for what is held."""
        had = self._traded()
        self.set_price(open_)
        for price in (high, low, close) if self.held() < 0 else (low, high, close):
            self._offer(volume - (self._traded() - had))
            self.set_price(price, jump=False)
        self._offer(volume - (self._traded() - had))
        self.slot += Timeframe.M1.delta
        self.time_is(self.slot)
        self._offer(ENDLESS)
        self.catch_up()

    def restart(self) -> None:
        self.run(self.exchange.close())
        self.exchange = self.open()
        self.run(self.exchange.connect())

    def new_process(self) -> None:
        """Nothing is remembered of budgets, pauses, bans and orders sent."""
        self.run(self._venues.close())
        self._venues = Venues(clock=self.clock, given=self.given)
        self.restart()

    def close(self) -> None:
        self.run(self._close())
        self.loop.close()

    # -- what a live venue has besides

    def open(self, number: int = 0) -> LiveExchange:
        """The adapter of the account whose keys are canary `number`; not connected."""
        return self._venues.open(
            self.name,
            Environment.TESTNET,
            tenant=f"user {number}",
            account=f"account {number}",
            unseal=lambda: Credentials(key=Secret(KEYS[number]), secret=Secret(SECRETS[number])),
            on_news=self._heard,
        )

    def allow(self, account: str, number: int = 0, **settings: Any) -> None:
        """The venue knows the canary keys `number` as this account's."""
        keys = {"key": KEYS[number], "secret": SECRETS[number], "account": account}
        self.control("PUT", "keys", {**keys, "balance": str(BANKROLL), **settings})

    def control(self, method: str, name: str, body: object = None) -> Any:
        """One of the venue's controls."""
        content = b"" if body is None else msgspec.json.encode(body)
        return self.run(self._control(method, name, content))

    def fault(self, kind: str, **fields: Any) -> None:
        self.control("POST", "faults", {"kind": kind, **fields})

    def set_price(self, price: float, *, jump: bool = True, symbol: str = SYMBOL) -> None:
        self.control("PUT", "price", {"symbol": symbol, "price": str(price), "jump": jump})

    def time_is(self, at: datetime) -> None:
        """Venue time goes there and stands."""
        self.control("PUT", "clock", {"at": to_ms(at), "ceiling": to_ms(at)})

    def wait(self, seconds: float) -> None:
        """Venue time passes, and with it the windows of all budgets."""
        self.slot += timedelta(seconds=seconds)
        self.time_is(self.slot)

    def configure(self, symbol: str = SYMBOL, *, leverage: int = 1, mode: str = "one_way") -> None:
        self.run(
            self.exchange.configure(
                symbol,
                leverage=leverage,
                margin_mode=MarginMode.ISOLATED,
                position_mode=PositionMode(mode),
            )
        )

    def catch_up(self) -> None:
        """Books what the venue lists, once it lists all."""
        for execution in self.run(self._listed()):
            self.books.told(execution)

    def foreign(self, side: OrderSide, quantity: str, **changes: Any) -> model.Order:
        """Somebody else's order on the same account, as by hand on the venue's page."""
        fields: dict[str, Any] = {"symbol": SYMBOL, "kind": model.OrderKind.MARKET, **changes}
        request = model.OrderRequest(
            side=model.Side(side.value),
            quantity=Decimal(quantity),
            client_id=f"web_{next(self._foreign)}",
            **fields,
        )

        def placed() -> model.Order:
            self.engine.advance()
            return self.engine.place(self.account, request)

        return self.do(placed)

    def stands(self) -> dict[str, Decimal | None]:
        """Conditional orders the venue has waiting in SYMBOL: price by kind. Two of one kind fail the test."""
        waiting = self.do(lambda: self.engine.open_conditionals(self.account, SYMBOL))
        found = {one.request.kind.value: one.request.trigger_price for one in waiting}
        assert len(found) == len(waiting), waiting
        return found

    def held(self) -> Decimal:
        """What the account holds in SYMBOL as the venue has it, both sides of a hedge together."""
        held = self.do(lambda: [p.quantity for p in self.account.open_positions() if p.symbol == SYMBOL])
        return sum(held, Decimal(0))

    def created(self, client_order_id: str) -> int:
        """How many orders of that id have come into being."""
        return self.server.journal.created[client_order_id]

    def requests(self, method: str = "", since: int = 0) -> list[str]:
        """Paths the venue was asked since, the clock's left out."""
        found = [entry for entry in self.server.journal.since(since) if method in ("", entry.method)]
        return [entry.path for entry in found if entry.path not in self.traits.clock_paths]

    def seen(self) -> int:
        """Where the journal stands."""
        entries = self.server.journal.since(0)
        return entries[-1].seq if entries else 0

    def stream(self) -> None:
        """News by stream from here on."""
        self._following = self.do(lambda: asyncio.ensure_future(self.exchange.follow()))
        self.until(lambda: self.exchange.is_streaming and StreamGap(since=None) in self.news)

    def until(self, so: Callable[[], bool], within_s: float = 10.0) -> None:
        """Lets adapter and venue go on until it is so."""
        self.run(self._until(so, within_s))

    def eventually(self, ask: Callable[[], Awaitable[Any]], within_s: float = 5.0) -> Any:
        """The first answer that is not empty: some venues list a little later what they have done."""
        end = time.monotonic() + within_s
        while not (answer := self.run(_awaited(ask))):
            assert time.monotonic() < end
            self.run(asyncio.sleep(0.02))
        return answer

    def told(self) -> list[Execution]:
        """Executions heard as news, by trade once, in the order they came."""
        found = {news.trade_id: news for news in self.news if isinstance(news, Execution)}
        return list(found.values())

    async def _until(self, so: Callable[[], bool], within_s: float) -> None:
        end = time.monotonic() + within_s
        while not so():
            assert time.monotonic() < end, self.news
            await asyncio.sleep(0.005)

    async def _found(self, order: Order) -> OrderReport:
        end = time.monotonic() + 5.0
        while True:
            assert time.monotonic() < end, order
            with contextlib.suppress(Unreachable):
                report = await self.exchange.find(order.symbol, order.client_order_id)
                ended = report is not None and report.status not in _UNDER_WAY
                if report is not None and (ended or order.kind is OrderKind.LIMIT) and _is_whole(report):
                    return report
            await asyncio.sleep(0.02)

    async def _listed(self) -> list[Execution]:
        end = time.monotonic() + 5.0
        done = sum(trade.symbol == SYMBOL for trade in self.account.trades)
        while True:
            listed = await self.exchange.executions(SYMBOL, START)
            if len(listed) >= done:
                return listed
            assert time.monotonic() < end, listed
            await asyncio.sleep(0.02)

    async def _control(self, method: str, name: str, content: bytes) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"{method} /simulator/{name} HTTP/1.1\r\nHost: venue\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().splitlines() if line.startswith(b"content-length:"))
        said = await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()
        await writer.wait_closed()
        assert b" 200 " in answer.splitlines()[0], said
        return msgspec.json.decode(said)

    async def _close(self) -> None:
        tasks = [task for task in (self._following, self._serving) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.exchange.close()
        await self._venues.close()

    def _heard(self, news: News) -> None:
        self.news.append(news)
        if not isinstance(news, StreamGap | ProtectionMoved):
            self.books.told(news)

    def _traded(self) -> float:
        return float(sum(trade.quantity for trade in self.account.trades))

    def _offer(self, volume: float) -> None:
        quantity = None if volume >= ENDLESS / 2 else f"{volume:.3f}"
        self.control("PUT", "liquidity", {"symbol": SYMBOL, "quantity": quantity})


def _is_whole(report: OrderReport) -> bool:
    """Whether all that was executed is listed."""
    listed = sum((execution.fill.quantity for execution in report.executions), Decimal(0))
    return listed == report.filled_quantity


async def _called(what: Callable[[], T]) -> T:
    return what()


async def _awaited(ask: Callable[[], Awaitable[Any]]) -> Any:
    return await ask()
