"""The only place that names venues: from a venue, its environment and a way to open keys to an account's adapter.

Addresses as the venues publish them (Binance USDⓈ-M Futures "General Info", Bybit v5 "Integration Guidance"); one
given by the operator, such as a simulator's, stands for every environment of its venue.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from core.clock import Clock
from core.connection import Environment, Venue
from core.errors import RunnerError
from core.leverage import LeverageTier
from core.market import Market
from exchanges import limits
from exchanges.base import Listener, LiveExchange
from exchanges.binance.adapter import BinanceExchange
from exchanges.binance.instruments import Instruments
from exchanges.binance.mark_feed import BinanceMarks
from exchanges.binance.market_feed import BinanceCandles
from exchanges.binance.trade_feed import BinanceTrades
from exchanges.budgets import CEILINGS, SharedBudget
from exchanges.bybit.adapter import BybitExchange
from exchanges.bybit.mark_feed import BybitMarks
from exchanges.bybit.market_feed import BybitCandles
from exchanges.bybit.trade_feed import BybitTrades
from exchanges.credentials import KeyRights, Unseal
from exchanges.feeds.binance_public import BinancePublic, BinanceSpot
from exchanges.feeds.bybit_public import BybitPublic
from exchanges.feeds.candle_streams import CandleStreams
from exchanges.feeds.live_candles import LiveCandles
from exchanges.feeds.mark_streams import MarkStreams
from exchanges.feeds.market_marks import MarketMarks
from exchanges.feeds.market_trades import MarketTrades
from exchanges.feeds.public_candles import PublicCandles
from exchanges.feeds.public_turn import LIVE_WAIT_S, PublicTurn
from exchanges.feeds.trade_rest import BinanceTradeRest, BybitTradeRest
from exchanges.feeds.trade_streams import TradeStreams
from exchanges.http import HttpPool
from exchanges.stream import Stream
from exchanges.venue_host import HostLoad, VenueHost
from exchanges.wire import Purpose


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """REST and stream base URLs. `rights`: the host that says what a key may do, where it is another; None: none.
    `spot_rest`, `spot_ws`: those of the venue's spot market, where they are others."""

    rest: str
    ws: str
    rights: str | None = None
    spot_rest: str | None = None
    spot_ws: str | None = None


_BINANCE_TEST: Final = Address(rest="https://demo-fapi.binance.com", ws="wss://demo-fstream.binance.com")
ADDRESSES: Final[Mapping[tuple[Venue, Environment], Address]] = {
    (Venue.BINANCE, Environment.LIVE): Address(
        rest="https://fapi.binance.com",
        ws="wss://fstream.binance.com",
        rights="https://api.binance.com",
        spot_rest="https://api.binance.com",
        spot_ws="wss://stream.binance.com:9443",
    ),
    (Venue.BINANCE, Environment.TESTNET): _BINANCE_TEST,
    (Venue.BINANCE, Environment.DEMO): _BINANCE_TEST,
    (Venue.BYBIT, Environment.LIVE): Address(rest="https://api.bybit.com", ws="wss://stream.bybit.com"),
    (Venue.BYBIT, Environment.TESTNET): Address(
        rest="https://api-testnet.bybit.com", ws="wss://stream-testnet.bybit.com"
    ),
    (Venue.BYBIT, Environment.DEMO): Address(
        rest="https://api-demo.bybit.com", ws="wss://stream-demo.bybit.com"
    ),
}
SPOT_VENUES: Final = (Venue.BINANCE,)
"""Whose spot candles tell takers, which is all that spot is looked at for."""
_LIMITS: Final = {Venue.BINANCE: limits.BINANCE, Venue.BYBIT: limits.BYBIT}


def address(venue: Venue, environment: Environment, given: Mapping[Venue, Address]) -> Address:
    """An operator's own address before the venue's."""
    return given.get(venue) or ADDRESSES[venue, environment]


def given_address(rest: str | None, ws: str | None) -> Address | None:
    """From settings. A stand-in for a venue answers for all of its hosts, so also for the rights of a key."""
    if rest is None:
        return None
    ws = ws or rest.replace("http", "ws", 1)
    return Address(rest=rest, ws=ws, rights=rest, spot_rest=rest, spot_ws=f"{ws}/spot")


def public_turn(
    venue: Venue,
    rest: str,
    shared: SharedBudget | None,
    *,
    clock: Clock,
    share: float = CEILINGS[Purpose.READ],
    max_wait_s: float = LIVE_WAIT_S,
) -> PublicTurn | None:
    """A host's public reads within what all processes have there; None where nothing is shared."""
    if shared is None:
        return None
    return PublicTurn(rest, _LIMITS[venue], shared, clock=clock, share=share, max_wait_s=max_wait_s)


def rest_of(there: Address, market: Market) -> str:
    return (there.spot_rest or there.rest) if market is Market.SPOT else there.rest


def public_candles(
    venue: Venue, rest: str, turn: PublicTurn | None, market: Market = Market.PERP
) -> PublicCandles:
    """A venue's candles over REST alone, spot of those of SPOT_VENUES; `aclose` it."""
    if market is Market.SPOT:
        if venue not in SPOT_VENUES:
            raise RunnerError(f"There are no spot candles of {venue}.")
        return BinanceSpot(rest, turn=turn)
    return BinancePublic(rest, turn=turn) if venue is Venue.BINANCE else BybitPublic(rest, turn=turn)


def live_candles(
    given: Mapping[Venue, Address], *, clock: Clock, shared: SharedBudget | None = None
) -> tuple[LiveCandles, ...]:
    """The candles of every venue, from its streams and over REST; market data of test networks are nobody's."""
    binance, bybit = (address(venue, Environment.LIVE, given) for venue in (Venue.BINANCE, Venue.BYBIT))
    return (
        LiveCandles(
            public_candles(
                Venue.BINANCE, binance.rest, public_turn(Venue.BINANCE, binance.rest, shared, clock=clock)
            ),
            CandleStreams(BinanceCandles(binance.ws), clock=clock),
        ),
        LiveCandles(
            public_candles(
                Venue.BYBIT, bybit.rest, public_turn(Venue.BYBIT, bybit.rest, shared, clock=clock)
            ),
            CandleStreams(BybitCandles(bybit.ws), clock=clock),
        ),
    )


def spot_candles(
    given: Mapping[Venue, Address], *, clock: Clock, shared: SharedBudget | None = None
) -> Mapping[str, PublicCandles]:
    """Spot candles over REST, of the venues whose candles tell takers."""
    rests = {venue: rest_of(address(venue, Environment.LIVE, given), Market.SPOT) for venue in SPOT_VENUES}
    return {
        str(venue): public_candles(venue, rest, public_turn(venue, rest, shared, clock=clock), Market.SPOT)
        for venue, rest in rests.items()
    }


def market_trades(
    given: Mapping[Venue, Address], *, clock: Clock, shared: SharedBudget | None = None
) -> MarketTrades:
    """The trades of every venue's perpetuals and spot markets."""
    binance, bybit = (address(venue, Environment.LIVE, given) for venue in (Venue.BINANCE, Venue.BYBIT))
    streams: dict[tuple[str, Market], TradeStreams] = {}
    for market in Market:
        is_spot = market is Market.SPOT
        rest, ws = (binance.spot_rest, binance.spot_ws) if is_spot else (binance.rest, binance.ws)
        streams[str(Venue.BINANCE), market] = TradeStreams(
            BinanceTrades(ws or binance.ws, market),
            BinanceTradeRest(
                rest or binance.rest,
                market,
                sleep=asyncio.sleep,
                turn=public_turn(Venue.BINANCE, rest or binance.rest, shared, clock=clock),
            ),
            clock=clock,
        )
        streams[str(Venue.BYBIT), market] = TradeStreams(
            BybitTrades(bybit.ws, market),
            BybitTradeRest(
                bybit.rest,
                market,
                sleep=asyncio.sleep,
                turn=public_turn(Venue.BYBIT, bybit.rest, shared, clock=clock),
            ),
            clock=clock,
        )
    return MarketTrades(streams)


def market_marks(given: Mapping[Venue, Address], *, clock: Clock) -> MarketMarks:
    """The mark prices of every venue's perpetuals."""
    binance, bybit = (address(venue, Environment.LIVE, given).ws for venue in (Venue.BINANCE, Venue.BYBIT))
    return MarketMarks(
        {
            Venue.BINANCE: lambda held: MarkStreams(BinanceMarks(binance), held, clock=clock),
            Venue.BYBIT: lambda held: MarkStreams(BybitMarks(bybit), held, clock=clock),
        }
    )


class Venues:
    """Hosts shared by all accounts of the process, on one event loop; `close` it there."""

    def __init__(
        self,
        *,
        clock: Clock,
        given: Mapping[Venue, Address],
        shared: SharedBudget | None = None,
        only_given: bool = False,
        jitter: Callable[[], float] = random.random,
        allowed: Mapping[Venue, limits.Limits] = _LIMITS,
    ) -> None:
        """`only_given`: no venue's own address is ever used, as in a demo. `allowed`: by each venue, in requests."""
        self._clock = clock
        self._given = given
        self._only_given = only_given
        self._shared = shared
        self._jitter = jitter
        self._allowed = allowed
        self._hosts: dict[str, VenueHost] = {}  # by base URL: at most two a venue and environment
        self._instruments: dict[str, Instruments] = {}

    def open(
        self,
        venue: Venue,
        environment: Environment,
        *,
        tenant: str,
        account: str,
        unseal: Unseal,
        on_news: Listener,
    ) -> LiveExchange:
        """An account's adapter, not connected yet. `tenant`: whose turn a request is; `account`: whose order budget."""
        if self._only_given and venue not in self._given:
            raise RunnerError(f"A demo trades at stand-ins alone, and there is none for {venue}.")
        there = address(venue, environment, self._given)
        send = self._host(venue, there.rest).bound(tenant=tenant, account=account)
        if venue is Venue.BYBIT:
            return BybitExchange(
                send=send,
                unseal=unseal,
                clock=self._clock,
                sleep=asyncio.sleep,
                on_news=on_news,
                stream_url=f"{there.ws.rstrip('/')}/v5/private",
            )
        rights = None if there.rights is None else self._host(venue, there.rights)
        return BinanceExchange(
            send=send,
            unseal=unseal,
            clock=self._clock,
            sleep=asyncio.sleep,
            on_news=on_news,
            make_stream=partial(Stream, clock=self._clock, jitter=self._jitter),
            ws_url=there.ws,
            send_rights=None if rights is None else rights.bound(tenant=tenant, account=account),
            instruments=self._instruments.setdefault(there.rest, Instruments(self._clock)),
        )

    async def probe(self, venue: Venue, environment: Environment, unseal: Unseal) -> KeyRights:
        """What the venue says a key may do. Raises ExchangeError."""
        async with self._opened_once(venue, environment, unseal) as exchange:
            return await exchange.key_rights()

    async def leverage_tiers(
        self, venue: Venue, environment: Environment, unseal: Unseal, symbol: str
    ) -> tuple[LeverageTier, ...]:
        """The account's. Raises ExchangeError."""
        async with self._opened_once(venue, environment, unseal) as exchange:
            return await exchange.leverage_tiers(symbol)

    @asynccontextmanager
    async def _opened_once(
        self, venue: Venue, environment: Environment, unseal: Unseal
    ) -> AsyncIterator[LiveExchange]:
        exchange = self.open(
            venue, environment, tenant="probe", account="probe", unseal=unseal, on_news=lambda news: None
        )
        try:
            await exchange.connect()
            yield exchange
        finally:
            await exchange.close()

    def loads(self) -> tuple[HostLoad, ...]:
        """Of each address spoken to; may be read from another thread."""
        return tuple(host.load(urlsplit(base).netloc) for base, host in tuple(self._hosts.items()))

    async def close(self) -> None:
        for host in self._hosts.values():
            await host.close()
        self._hosts.clear()

    def _host(self, venue: Venue, base_url: str) -> VenueHost:
        host = self._hosts.get(base_url)
        if host is None:
            pool = HttpPool(base_url)
            host = VenueHost(pool, self._allowed[venue], clock=self._clock, shared=self._shared)
            self._hosts[base_url] = host
        return host
