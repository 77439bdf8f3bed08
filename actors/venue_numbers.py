"""What a connection's venue says of its money and positions now, asked for its owner on connections of its own.

Within the same budgets as all else, in the turns of its tenant; whether runs trade on the account does not matter.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import msgspec

from actors.market_clock import MarketClock
from actors.runtime.process_time import process_s
from actors.venue_budgets import SharedVenueBudgets
from core.connection import Venue
from core.ids import AccountId
from exchanges.base import Balance, VenuePosition
from exchanges.credentials import Unseal
from exchanges.venues import Address, Venues
from schema.connections import Connection
from schema.pg import PgStore

FRESH_S: Final = 3.0
"""A page that asks for balance and positions, or twice, is one question to the venue."""
MAX_KEPT: Final = 1_000


class VenueNumbers(msgspec.Struct, frozen=True, kw_only=True):
    balance: Balance
    positions: tuple[VenuePosition, ...]
    read_at: datetime


ReadNumbers = Callable[[Connection, Unseal], Awaitable[VenueNumbers]]
"""Raises ExchangeError."""


class FreshNumbers:
    """Numbers of accounts, each kept for FRESH_S; for one event loop."""

    def __init__(self, read: ReadNumbers, monotonic: Callable[[], float] = process_s) -> None:
        self._read = read
        self._monotonic = monotonic
        self._kept: OrderedDict[AccountId, tuple[float, VenueNumbers]] = OrderedDict()

    async def __call__(self, connection: Connection, unseal: Unseal) -> VenueNumbers:
        now_s = self._monotonic()
        kept = self._kept.get(connection.id)
        if kept is not None and now_s - kept[0] < FRESH_S:
            return kept[1]
        numbers = await self._read(connection, unseal)
        self._kept[connection.id] = (self._monotonic(), numbers)
        self._kept.move_to_end(connection.id)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return numbers


def venue_numbers(store: PgStore, given: Mapping[Venue, Address]) -> ReadNumbers:
    """`given`: the operator's own addresses of venues."""
    # A venue's time is real time, in a demo's database too.
    clock = MarketClock(msgspec.structs.replace(store.clock(), demo=False), process_s)
    budgets = SharedVenueBudgets(store.venue_budgets, ThreadPoolExecutor(1, thread_name_prefix="numbers"))
    only_given = store.platform().demo

    async def read(connection: Connection, unseal: Unseal) -> VenueNumbers:
        venues = Venues(clock=clock, given=given, shared=budgets, only_given=only_given)
        exchange = venues.open(
            connection.venue,
            connection.environment,
            tenant=connection.user_id,
            account=str(connection.id),
            unseal=unseal,
            on_news=lambda news: None,
        )
        try:
            await exchange.connect()
            balance, positions = await exchange.balance(), await exchange.positions()
            return VenueNumbers(balance=balance, positions=tuple(positions), read_at=clock.now())
        finally:
            await exchange.close()
            await venues.close()

    return FreshNumbers(read)
