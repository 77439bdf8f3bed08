"""What the parts of the engine share: accounts and keys, present prices, what rests per symbol, ids, listeners."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.instruments import Instrument
from exchanges.simulator.market import Market
from exchanges.simulator.model import (
    Conditional,
    Event,
    Order,
    Origin,
    Position,
    PositionSide,
    Reason,
    Refused,
)

_FIRST_ORDER_ID = 8_886_000_000
_FIRST_CONDITIONAL_ID = 1_000_000_033_000_000
_FIRST_TRADE_ID = 698_759_000
_FIRST_INCOME_ID = 9_689_322_000


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """Where venues differ in what they do, not in words.

    `ids_unique_forever`: a client id is refused when any order ever had it, else only while one is open.
    `ends_unfillable`: a post-only order that would take, or a fill-or-kill one that cannot fill, is accepted and
    ended with its reason; else it is refused. `reduce_only_in_hedge`: the flag may be
    sent there. `name_of`: client id of an order the venue makes itself.
    """

    ids_unique_forever: bool = False
    ends_unfillable: bool = False
    reduce_only_in_hedge: bool = False
    open_orders_max: int = 200
    conditionals_max: int = 200
    name_of: Callable[[Origin, int], str] = lambda origin, order_id: f"{origin}-{order_id}"


class Key(msgspec.Struct, kw_only=True):
    """An API key and what it may do."""

    key: str
    secret: bytes
    account: str
    withdraw: bool = False
    ip_bound: bool = True
    trade: bool = True
    read: bool = True


class Book(msgspec.Struct, kw_only=True, eq=False):
    """What a price of one symbol can move: resting orders, waiting conditional orders, positions."""

    resting: dict[int, Order] = msgspec.field(default_factory=dict)
    waiting: dict[int, Conditional] = msgspec.field(default_factory=dict)
    holders: dict[tuple[str, PositionSide], Position] = msgspec.field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        return not (self.resting or self.waiting or self.holders)


class Venue:
    """The shared state. `now_ms` is the market time of what is being done; prices are as of then.

    `liquidity`: how much of a symbol can be traded at one price (absent: all there is asked for), for partial
    fills. `lookup_lag_s`: process seconds during which new orders and trades stay out of look-ups.
    """

    def __init__(self, clock: VenueClock, market: Market, manners: Manners) -> None:
        self.clock = clock
        self.market = market
        self.manners = manners
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.now_ms = clock.now_ms()
        self.books = {symbol: Book() for symbol in market.instruments}
        self.last = {symbol: market.price(symbol, self.now_ms) for symbol in market.instruments}
        self.marks = {symbol: market.mark(symbol, price) for symbol, price in self.last.items()}
        self.liquidity: dict[str, Decimal] = {}
        self.lookup_lag_s = 0.0
        self.order_ids = count(_FIRST_ORDER_ID)
        self.conditional_ids = count(_FIRST_CONDITIONAL_ID)
        self.trade_ids = count(_FIRST_TRADE_ID)
        self.income_ids = count(_FIRST_INCOME_ID)

    def instrument(self, symbol: str) -> Instrument:
        found = self.market.instruments.get(symbol)
        if found is None:
            raise Refused(Reason.SYMBOL, symbol)
        return found

    def emit(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    def set_last(self, symbol: str, price: Decimal) -> None:
        self.last[symbol] = price
        self.marks[symbol] = self.market.mark(symbol, price)

    def is_visible(self, created_s: float) -> bool:
        return not self.lookup_lag_s or self.clock.process_s() - created_s >= self.lookup_lag_s
