"""The application on its threads, trading over real HTTP and WebSocket at a venue's stand-in, faster than the clock.

The venue has a thread of its own; its account is also in another hand's reach: `venue.exchange`, an adapter nobody
else knows of, and `venue.foreign`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from actors.feed import HeldFeed
from actors.live.venue import LiveVenue
from actors.runtime.spec import StopMode
from actors.runtime.system import ActorSystem
from actors.system import Parts, start
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.clock import Clock
from core.connection import Environment
from core.ids import RunId
from core.redact import Secret
from core.run import RunSettings, TradingMode
from core.timeframe import to_ms
from exchanges.base import News
from exchanges.credentials import Credentials
from exchanges.simulator.clock import VenueClock
from exchanges.venues import Venues
from schema.memory import MemoryStore
from schema.records import AccountKind, OpenPosition
from tests.actors.candles import START, rules
from tests.actors.world import LIVE as LIVE_OPTIONS
from tests.actors.world import OPEN_LIMITS, World
from tests.canaries import KEYS, SECRETS
from tests.exchanges.conformance.live_venues import BINANCE, BYBIT
from tests.exchanges.conformance.simulated_venue import SimulatedVenue

T = TypeVar("T")

RATE = 20.0
"""Market seconds a second: a one-minute candle closes every three."""
LEAD_S = 10.0
"""Market time from the beginning to the first slot; who misses it enters at the next."""
PLACES = {"binance": BINANCE, "bybit": BYBIT}


class ThreadedVenue(SimulatedVenue):
    """Goes on by itself, whoever asks it."""

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if not self.loop.is_running():
            threading.Thread(target=self.loop.run_forever, name="venue", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60.0)

    def close(self) -> None:
        self.run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        while self.loop.is_running():
            time.sleep(0.001)
        self.loop.close()


class WireWorld(World):
    """One live run with a stop of 5 % and a target of 10 %, long from the first slot on for `path`."""

    poll_s = 1.0
    """How often actors look by themselves; set it before `begin`."""

    def __init__(
        self,
        venue: str,
        path: str = "u" * 6 + "-" * 300,
        *,
        lead_s: float = LEAD_S,
        poll_s: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(path)
        at_ms = to_ms(START + self.timeframe.delta) - int(lead_s * 1000)
        clock = VenueClock(time.monotonic, at_ms=at_ms, rate=RATE)
        self.venue = ThreadedVenue(*PLACES[venue], venue_clock=clock)
        self.venue.set_price(1000.0)
        self.market_clock = cast(Clock, self.venue.clock)
        self.memory = MemoryStore(self.market_clock, OPEN_LIMITS)
        account = self.account(kind=AccountKind.CONNECTION, venue=venue)
        wanted = {"stop_loss_pct": Decimal(5), "take_profit_pct": Decimal(10), "leverage": 2, **settings}
        self.run_id: RunId = self.run(
            account=account,
            settings=RunSettings(order_size_pct=Decimal(10), **wanted),
            trading_mode=TradingMode.LIVE,
        )
        self.account_id = account.id

    def begin(self) -> None:
        self.system = ActorSystem.live(self.market_clock, sink=self._report)
        self.feed = HeldFeed(self.candles, (self.first_open, self._data_end()))
        self.venues = Venues(clock=self.market_clock, given=self.venue.given)
        options = replace(LIVE_OPTIONS, poll_s=self.poll_s, safety_s=1.0)
        parts = Parts(
            store=self.memory, feed=self.feed, rules=rules(), options=options, venues=self._live_venues
        )
        start(self.system, parts)
        self._begun = True

    def end(self, mode: StopMode = StopMode.NOW) -> None:
        asyncio.run_coroutine_threadsafe(self.venues.close(), self._loop()).result(10.0)
        assert self.system.stop(mode)
        self._begun = False

    def close(self) -> None:
        if self._begun:
            self.end()
        self.venue.close()

    def until(self, so: Callable[[], Any], within_s: float = 20.0) -> None:
        end = time.monotonic() + within_s
        while not so():
            assert time.monotonic() < end, (
                self.legs(self.run_id),
                self.held(),
                self.events(self.run_id)[-5:],
            )
            time.sleep(0.02)

    def enter(self) -> None:
        """Begin, and wait until the position stands with its stop."""
        self.begin()
        self.until(lambda: self.standing_stop() is not None and self.is_streaming())

    def is_streaming(self) -> bool:
        return any(exchange.is_streaming for exchange in self.opened)

    def held(self) -> OpenPosition | None:
        found = self.memory.open_positions(account_id=self.account_id)
        return found[0] if found else None

    def standing_stop(self) -> Decimal | None:
        held = self.held()
        return None if held is None else held.standing_stop

    def quantity(self) -> Decimal:
        held = self.held()
        return Decimal(0) if held is None else held.position.quantity

    def types(self) -> list[str]:
        return [event.type for event in self.events(self.run_id)]

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self.system.effects.loop  # type: ignore[attr-defined]
        return loop

    opened: list[Any]

    def _live_venues(self, paper: MakeVenue) -> MakeVenue:
        self.opened = []

        def make(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
            exchange = self.venues.open(
                self.venue.name,
                Environment.TESTNET,
                tenant=state.account.user_id,
                account=str(state.account.id),
                unseal=lambda: Credentials(key=Secret(KEYS[0]), secret=Secret(SECRETS[0])),
                on_news=on_news,
            )
            self.opened.append(exchange)
            return LiveVenue(exchange)

        return make
