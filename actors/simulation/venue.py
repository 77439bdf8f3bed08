"""Venues that outlive processes: one engine per account, as a real exchange keeps it, and sessions to it.

A request that left a process arrives whatever becomes of the process; news goes to the sessions that live. So a fill
during a crash is learnt only by asking afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from actors.simulation.faults import Faults, PlaceFault, ProtectFault, ReadFault
from actors.simulation.market import FINEST, SimulatedMarket
from core.candles import Candle
from core.clock import Clock
from core.ids import AccountId, ClientOrderId, RunId, UserId, parse_client_order_id
from core.leverage import LeverageTier
from core.lookup import RECV_WINDOW
from core.market import SymbolRules
from core.order import Leg, Order, OrderKind
from core.position import OrderSide
from core.protection import Protection
from core.timeframe import to_ms
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    Listener,
    MarginMode,
    News,
    OrderReport,
    PositionMode,
    TrailMoved,
    VenuePosition,
)
from exchanges.credentials import KeyRights
from exchanges.errors import (
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.paper.adapter import PaperExchange
from exchanges.paper.book import Opening
from exchanges.paper.terms import Terms
from exchanges.wire import Leave, unconditional
from schema.records import Account

Later = Callable[[float, Callable[[], None]], None]
"""Do something in so many seconds, whatever becomes of the processes."""
Sleep = Callable[[float], Awaitable[None]]
T = TypeVar("T")
NOBODY = RunId(UUID(int=0))

AHEAD = timedelta(seconds=1.7)
"""More than a venue lets a time stamp be off: an order signed by another clock than its own is refused."""
EARLIEST = timedelta(seconds=1)
_BARE: dict[str, None] = dict.fromkeys(
    ("stop_loss", "take_profit", "stop_loss_pct", "take_profit_pct", "trailing_callback_pct")
)
"""An order of the wire carries no protection: that is set for the position it opens."""

LATE_S = 30.0
SLOW_REPLY_S = 40.0
NEWS_LATEST_S = 40.0


class VenueWatch(msgspec.Struct, kw_only=True):
    """Who is told what orders were sent and what the venue made of them."""

    sending: Callable[[Order, str], None]
    """An order's first byte leaves process so-and-so."""
    arrived: Callable[[Order, OrderReport | ExchangeError], None]
    news: Callable[[AccountId, News], None]


class _Now:
    """The price a market order meets at a venue: where the market stands now."""

    def __init__(self, market: SimulatedMarket, clock: Clock) -> None:
        self._market = market
        self._clock = clock

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        now = self._clock.now()
        candle = self._market.candle_at(symbol, now)
        return Opening(at=now, price=candle.open, volume=candle.volume)

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        return await self.opening(symbol, at, 0.0)


class SimulatedVenue:
    """All accounts at the venue, and who is connected to them."""

    def __init__(
        self, *, market: SimulatedMarket, clock: Clock, faults: Faults, later: Later, watch: VenueWatch
    ) -> None:
        self.market = market
        self.clock = clock
        self.faults = faults
        self.later = later
        self.watch = watch
        self.down_until: datetime | None = None
        self.engines: dict[AccountId, PaperExchange] = {}
        self._sessions: dict[AccountId, list[Session]] = {}

    def open_account(self, account: Account) -> None:
        account_id = account.id
        self._sessions[account_id] = []
        self.engines[account_id] = PaperExchange(
            terms=terms_of(account),
            rules=self.market.rules,
            prices=_Now(self.market, self.clock),
            clock=self.clock,
            sleep=_nobody_sleeps,
            on_news=lambda news: self._tell(account_id, news),
            balance=account.balance,
        )

    def connect(self, account_id: AccountId, process: str, sleep: Sleep, on_news: Listener) -> Session:
        """A new session of `process`; the one it had to this account ends."""
        self.disconnect(process, account_id)
        session = Session(self, account_id, process, sleep, on_news)
        self._sessions[account_id].append(session)
        return session

    def disconnect(self, process: str, account_id: AccountId | None = None) -> None:
        for each, sessions in self._sessions.items():
            if account_id in (None, each):
                sessions[:] = [session for session in sessions if session.process != process]

    def is_connected(self, session: Session) -> bool:
        return session in self._sessions[session.account_id]

    @property
    def is_down(self) -> bool:
        return self.down_until is not None and self.clock.now() < self.down_until

    def candle(self, symbol: str, candle: Candle) -> None:
        for engine in self.engines.values():
            engine.apply_candle(symbol, candle, FINEST)

    def arrive(
        self, account_id: AccountId, order: Order, news_after_s: float = 0.0
    ) -> OrderReport | ExchangeError:
        """The request is here: taken, or refused for a reason; its executions are news for every session."""
        outcome = self._taken(account_id, order)
        self.watch.arrived(order, outcome)
        if isinstance(outcome, OrderReport):
            for execution in outcome.executions:
                self._tell(account_id, execution, news_after_s)
        return outcome

    def bare_by_hand(self, account_id: AccountId) -> None:
        """The account's owner cancels the stops and the target of all that is open."""
        engine = self.engines[account_id]
        for held in engine.holdings():
            engine.protect(held.symbol, Protection())

    def close_by_hand(self, account_id: AccountId, *, half: bool) -> None:
        """The account's owner closes the first of its positions, or half of it, with an order of his own."""
        engine = self.engines[account_id]
        held = next(iter(engine.holdings()), None)
        if held is None:
            return
        rules = self.market.rules[held.symbol]
        quantity = rules.quantity(held.position.size / 2 if half else held.position.size)
        if not quantity:
            return
        now = self.clock.now()
        order = Order(
            client_order_id=ClientOrderId(f"by-hand-{to_ms(now)}"),
            run_id=NOBODY,
            user_id=UserId("by hand"),
            account_id=account_id,
            symbol=held.symbol,
            slot=now,
            leg=Leg.EXIT,
            attempt=1,
            side=OrderSide.SELL if held.position.quantity > 0 else OrderSide.BUY,
            kind=OrderKind.MARKET,
            quantity=quantity,
            reference_price=held.position.entry_price,
            reduce_only=True,
        )
        report = at_once(engine.place(order, unconditional))
        for execution in report.executions:
            self._tell(account_id, foreign(execution))

    def now(self) -> datetime:
        """The venue's own clock, which nobody else's is in step with."""
        return self.clock.now() + AHEAD

    def _taken(self, account_id: AccountId, order: Order) -> OrderReport | ExchangeError:
        assert order.sign_ts is not None
        if not order.sign_ts - EARLIEST < self.now() <= order.sign_ts + RECV_WINDOW:
            return ClockSkew(f"order {order.client_order_id} came too late", resynced=True)
        try:
            bare = msgspec.structs.replace(order, **_BARE)
            return at_once(self.engines[account_id].place(bare, unconditional))
        except ExchangeError as refused:
            return refused

    def _tell(self, account_id: AccountId, news: News, after_s: float = 0.0) -> None:
        if isinstance(news, TrailMoved):
            return  # a venue keeps this to itself
        self.watch.news(account_id, news)
        for session in tuple(self._sessions[account_id]):
            for delay_s in self.faults.news_delays_s():
                self.later(after_s + delay_s, lambda session=session: session.hear(news))  # type: ignore[misc]


class Session:
    """One process's connection to one account: what `Connection` takes for its venue."""

    def __init__(
        self, venue: SimulatedVenue, account_id: AccountId, process: str, sleep: Sleep, on_news: Listener
    ) -> None:
        self.account_id = account_id
        self.process = process
        self._venue = venue
        self._engine = venue.engines[account_id]
        self._sleep = sleep
        self._on_news = on_news

    def hear(self, news: News) -> None:
        if self._venue.is_connected(self):
            self._on_news(news)

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        venue, faults, what = self._venue, self._venue.faults, f"order {order.client_order_id}"
        turn_s = faults.turn_s()
        if turn_s:
            await self._sleep(turn_s)
        await leave()
        fault = PlaceFault.REFUSED if venue.is_down else faults.place()
        venue.watch.sending(order, self.process)
        if fault is PlaceFault.REFUSED:
            raise NotPlaced(ErrorKind.CONNECTION, what)
        if fault is PlaceFault.LIMITED:
            raise RateLimited(what, retry_after_s=1.0)
        if fault is PlaceFault.REJECTED:
            raise Rejected(Refusal.OTHER, what)
        if fault is PlaceFault.REQUEST_LOST:
            await self._sleep(faults.between(0.1, 20.0))
            raise OutcomeUnknown(ErrorKind.TIMEOUT, what)
        out_s = faults.between(0.01, 0.2)
        if fault is PlaceFault.REQUEST_LATE:
            out_s = faults.between(0.5, LATE_S)
        back_s = faults.between(0.01, 0.2)
        if fault is PlaceFault.REPLY_SLOW:
            back_s = SLOW_REPLY_S
        # What loses the answer often holds up the news too: then only looking the order up tells what became of it.
        news_after_s = faults.between(0.0, NEWS_LATEST_S) if fault is PlaceFault.REPLY_LOST else 0.0
        answers: list[OrderReport | ExchangeError] = []
        venue.later(out_s, lambda: answers.append(venue.arrive(self.account_id, order, news_after_s)))
        await self._sleep(out_s + back_s)
        [answer] = answers
        if fault is PlaceFault.REPLY_LOST:
            raise OutcomeUnknown(ErrorKind.TIMEOUT, what)
        if isinstance(answer, ExchangeError):
            raise answer
        return answer

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        await self._read()
        return await self._engine.find(symbol, client_order_id)

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        await self._read()
        return [foreign(execution) for execution in await self._engine.executions(symbol, since)]

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        await self._read()
        return await self._engine.open_orders(symbol)

    async def positions(self) -> list[VenuePosition]:
        await self._read()
        return await self._engine.positions()

    async def balance(self) -> Balance:
        await self._read()
        return await self._engine.balance()

    async def rules(self, symbol: str) -> SymbolRules:
        return await self._engine.rules(symbol)

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        await self._read()
        return await self._engine.cancel(symbol, client_order_id)

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        await self._read()
        await self._engine.configure(
            symbol, leverage=leverage, margin_mode=margin_mode, position_mode=position_mode
        )

    async def _read(self) -> None:
        faults = self._venue.faults
        fault = ReadFault.UNREACHABLE if self._venue.is_down else faults.read()
        await self._sleep(faults.between(0.5, 15.0) if fault is ReadFault.SLOW else faults.between(0.01, 0.2))
        if fault is ReadFault.UNREACHABLE:
            raise Unreachable(ErrorKind.CONNECTION, "the venue did not answer")

    # -- what makes it a venue beyond the process

    def venue_now(self) -> datetime:
        return self._venue.now()

    async def connect(self) -> None:
        await self._read()

    async def follow(self) -> None:
        while True:
            await self._sleep(3_600.0)

    @property
    def is_streaming(self) -> bool:
        return self._venue.is_connected(self)

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        await self._read()
        match self._venue.faults.protect():
            case ProtectFault.UNREACHABLE:
                raise Unreachable(ErrorKind.CONNECTION, "the venue did not answer")
            case ProtectFault.PASSED if wanted.limits_loss:
                raise Rejected(Refusal.WOULD_TRIGGER, "the market has passed the stop")
        return self._engine.protect(symbol, wanted)

    async def sweep(self, symbol: str) -> bool:
        await self._read()
        return False

    async def funding(self, since: datetime) -> list[FundingPaid]:
        await self._read()
        return []

    async def leverage_tiers(self, symbol: str) -> tuple[LeverageTier, ...]:
        return (LeverageTier(up_to=Decimal("1E9"), max_leverage=Decimal(125), maintenance_rate=None),)

    async def key_rights(self) -> KeyRights:
        return KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)

    async def close(self) -> None:
        self._venue.disconnect(self.process, self.account_id)


class WatchedPaper:
    """A process's own paper account, its orders watched and now and then refused, failed or answered late."""

    def __init__(
        self, paper: PaperExchange, *, faults: Faults, process: str, sleep: Sleep, watch: VenueWatch
    ) -> None:
        self._paper = paper
        self._faults = faults
        self._process = process
        self._sleep = sleep
        self._watch = watch
        self.find = paper.find
        self.cancel = paper.cancel
        self.open_orders = paper.open_orders
        self.executions = paper.executions
        self.positions = paper.positions
        self.balance = paper.balance
        self.configure = paper.configure
        self.rules = paper.rules
        self.apply_candle = paper.apply_candle
        self.apply_funding = paper.apply_funding
        self.following = paper.following

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        await leave()
        fault, what = self._faults.place(), f"order {order.client_order_id}"
        self._watch.sending(order, self._process)
        if fault in (PlaceFault.REFUSED, PlaceFault.REQUEST_LOST):
            raise NotPlaced(ErrorKind.CONNECTION, what)
        if fault is PlaceFault.LIMITED:
            raise RateLimited(what, retry_after_s=1.0)
        if fault is PlaceFault.REJECTED:
            raise Rejected(Refusal.OTHER, what)
        if fault is PlaceFault.REQUEST_LATE:
            await self._sleep(self._faults.between(0.5, 14.0))
        try:
            report = await self._paper.place(order, unconditional)
        except ExchangeError as refused:
            self._watch.arrived(order, refused)
            raise
        self._watch.arrived(order, report)
        if fault is PlaceFault.REPLY_SLOW:
            await self._sleep(self._faults.between(0.5, 14.0))
        if fault is PlaceFault.REPLY_LOST:
            raise OutcomeUnknown(ErrorKind.TIMEOUT, what)
        return report


def foreign(execution: Execution) -> Execution:
    """As an adapter tells it: an order that is none of ours is somebody's own doing."""
    client_order_id = execution.client_order_id
    if client_order_id is None or parse_client_order_id(client_order_id) is not None:
        return execution
    return msgspec.structs.replace(execution, client_order_id=None, venue_leg=Leg.MANUAL)


def at_once(asking: Coroutine[Any, Any, T]) -> T:
    """What an engine answers, which waits for nothing; raises what it raises."""
    try:
        asking.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("the venue's engine waits for nothing")


def terms_of(account: Account) -> Terms:
    return Terms(
        maker_fee_pct=account.maker_fee_pct,
        taker_fee_pct=account.taker_fee_pct,
        slippage_pct=account.slippage_pct,
        participation_pct=account.participation_pct,
        max_leverage=account.max_leverage,
    )


async def _nobody_sleeps(seconds: float) -> None:
    raise AssertionError(f"the venue's engine would sleep {seconds} s")
