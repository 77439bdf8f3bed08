"""The application with an account at a venue beyond it: an engine that outlives processes, and failures on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from actors.live.venue import LiveVenue
from actors.runtime.spec import ChildSpec
from actors.system import Parts
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.ids import ClientOrderId, RunId
from core.leverage import LeverageTier
from core.market import SymbolRules
from core.order import Order
from core.protection import Protection
from core.run import RunSettings, TradingMode
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    MarginMode,
    News,
    OrderReport,
    PositionMode,
    StreamGap,
    TrailMoved,
    VenuePosition,
)
from exchanges.binance.mark_feed import BinanceMarks
from exchanges.credentials import KeyRights
from exchanges.errors import ExchangeError
from exchanges.feeds.mark_streams import MarkStreams
from exchanges.feeds.market_marks import MarketMarks
from exchanges.paper.adapter import PaperExchange
from exchanges.wire import Leave, unconditional
from schema.records import AccountKind
from tests.actors.candles import RULES, SYMBOL
from tests.actors.world import World

AHEAD = timedelta(seconds=3)
_BARE = dict.fromkeys(
    ("stop_loss", "take_profit", "stop_loss_pct", "take_profit_pct", "trailing_callback_pct")
)


class Venue:
    """One account there. `fails` holds, by method, what its next calls raise; None: this one goes well."""

    def __init__(self, engine: PaperExchange, clock: Any) -> None:
        self.engine = engine
        self.clock = clock
        self.fails: dict[str, deque[ExchangeError | None]] = {}
        self.calls: list[tuple[str, Any]] = []
        self.silent = False
        """News reaches nobody."""
        self.streaming = True
        self.funding: list[FundingPaid] = []
        self.sessions: list[Session] = []
        self.foreign: dict[str, Decimal] = {}
        """What somebody else holds, by symbol: added to the engine's own."""
        self.orphans: set[str] = set()
        """Symbols in which a stop stands that an earlier process left."""
        self.sweep_s = 0.0

    def fail(self, method: str, *errors: ExchangeError | None) -> None:
        self.fails.setdefault(method, deque()).extend(errors)

    def asked(self, method: str) -> list[Any]:
        return [what for name, what in self.calls if name == method]

    def tell(self, news: News) -> None:
        if not self.silent and not isinstance(news, TrailMoved):
            for session in self.sessions[-1:]:
                session.on_news(news)


class Session:
    """A LiveExchange."""

    def __init__(self, venue: Venue, on_news: Callable[[News], None], sleep: Callable[[float], Any]) -> None:
        self._venue = venue
        self.on_news = on_news
        self._sleep = sleep
        self.closed = False
        venue.sessions.append(self)

    async def _called(self, method: str, what: Any = None) -> None:
        self._venue.calls.append((method, what))
        await self._sleep(0.05)
        waiting = self._venue.fails.get(method)
        error = waiting.popleft() if waiting else None
        if error is not None:
            raise error

    def venue_now(self) -> datetime:
        now: datetime = self._venue.clock.now()
        return now + AHEAD

    @property
    def is_streaming(self) -> bool:
        return self._venue.streaming

    async def connect(self) -> None:
        await self._called("connect")

    async def follow(self) -> None:
        while not self.closed:
            await self._sleep(600.0)

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        await leave()
        await self._called("place", order)
        report = await self._venue.engine.place(replace(order, **_BARE), unconditional)
        if self._venue.fails.get("lost"):
            error = self._venue.fails["lost"].popleft()
            assert error is not None
            raise error
        return report

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        await self._called("cancel", client_order_id)
        return await self._venue.engine.cancel(symbol, client_order_id)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        await self._called("find", client_order_id)
        return await self._venue.engine.find(symbol, client_order_id)

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        await self._called("open_orders", symbol)
        return await self._venue.engine.open_orders(symbol)

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        await self._called("executions", since)
        return await self._venue.engine.executions(symbol, since)

    async def positions(self) -> list[VenuePosition]:
        await self._called("positions")
        held = {each.symbol: each for each in await self._venue.engine.positions()}
        for symbol, extra in self._venue.foreign.items():
            mine = held.get(symbol) or VenuePosition(
                symbol=symbol, quantity=Decimal(0), entry_price=Decimal(1000), leverage=1
            )
            held[symbol] = replace(mine, quantity=mine.quantity + extra)
        return [each for each in held.values() if each.quantity]

    async def balance(self) -> Balance:
        return await self._venue.engine.balance()

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        await self._called("configure", (symbol, leverage, margin_mode))

    async def rules(self, symbol: str) -> SymbolRules:
        await self._called("rules", symbol)
        return await self._venue.engine.rules(symbol)

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        await self._called("protect", wanted)
        return self._venue.engine.protect(symbol, wanted)

    async def sweep(self, symbol: str) -> bool:
        await self._called("sweep", symbol)
        await self._sleep(self._venue.sweep_s)
        any_stood = symbol in self._venue.orphans
        self._venue.orphans.discard(symbol)
        self._venue.calls.append(("swept", symbol))
        return any_stood

    async def funding(self, since: datetime) -> list[FundingPaid]:
        await self._called("funding", since)
        return [paid for paid in self._venue.funding if paid.at >= since]

    async def leverage_tiers(self, symbol: str) -> tuple[LeverageTier, ...]:
        return (LeverageTier(up_to=Decimal("1E9"), max_leverage=Decimal(125), maintenance_rate=None),)

    async def key_rights(self) -> KeyRights:
        return KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)

    async def close(self) -> None:
        self.closed = True


class LiveWorld(World):
    """One live account, made before the first run; `rules` of the venue are coarser than the shipped ones."""

    STEP = Decimal("0.01")

    def __init__(self, path: str, **fields: Any) -> None:
        super().__init__(path, **fields)
        self.held: list[Callable[[], frozenset[str]]] = []
        self.live_account = self.account(kind=AccountKind.CONNECTION, venue="simulated")
        self._venue: Venue | None = None
        self.scripted: list[tuple[str, tuple[ExchangeError | None, ...]]] = []

    @property
    def venue(self) -> Venue:
        assert self._venue is not None, "the account has not been followed yet"
        return self._venue

    def fail(self, method: str, *errors: ExchangeError | None) -> None:
        if self._venue is None:
            self.scripted.append((method, errors))
        else:
            self._venue.fail(method, *errors)

    def live_run(self, **settings: Any) -> RunId:
        wanted = RunSettings(order_size_pct=Decimal(10), **settings)
        return self.run(account=self.live_account, settings=wanted, trading_mode=TradingMode.LIVE)

    def _gateway(self, parts: Parts) -> ChildSpec:
        """`held`: what live accounts say they hold positions in, for its mark prices to be heard."""

        def streams(held: Callable[[], frozenset[str]]) -> MarkStreams:
            self.held.append(held)
            return MarkStreams(BinanceMarks("ws://127.0.0.1:1"), held, clock=self.clock)

        self.feed.marks = MarketMarks({"simulated": streams})
        return super()._gateway(parts)

    def venue_of(
        self, state: VenueState, on_news: Callable[[News], None], make_paper: MakeVenue
    ) -> PaperVenue:
        if state.account.kind is AccountKind.PORTFOLIO:
            return super().venue_of(state, on_news, make_paper)
        if self._venue is None:
            coarse = {SYMBOL: replace(RULES, step_size=self.STEP, market_step_size=self.STEP)}
            paper = make_paper(state, self._told)
            assert isinstance(paper, PaperExchange)
            paper._rules = coarse
            self._venue = Venue(paper, self.clock)
            for method, errors in self.scripted:
                self._venue.fail(method, *errors)
        return LiveVenue(Session(self._venue, on_news, self.system.effects.sleep))

    def _told(self, news: News) -> None:
        self.venue.tell(news)

    def gap(self) -> None:
        """The private stream begins anew."""
        self.venue.tell(StreamGap(since=self.clock.now()))
