"""What a venue says of a key, asked on connections of its own: on whichever event loop, of whichever process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from actors.keys import KeyProbe, Keys
from actors.market_clock import MarketClock
from actors.runtime.process_time import process_s
from actors.venue_budgets import SharedVenueBudgets
from actors.venue_numbers import venue_numbers
from core.connection import Environment, Venue
from core.key_rights import KeyRights
from core.leverage import LeverageTier
from exchanges.credentials import Unseal
from exchanges.venues import Address, Venues
from schema.pg import PgStore
from schema.vault import Vault

Opened = Callable[[], AbstractAsyncContextManager[Venues]]


def keys_of(store: PgStore, vault: Vault, given: Mapping[Venue, Address]) -> Keys:
    """Users' keys over this store and vault, for one event loop; `given`: the operator's own addresses of venues."""
    opened = _venues(store, given)

    async def tiers(
        venue: Venue, environment: Environment, unseal: Unseal, symbol: str
    ) -> tuple[LeverageTier, ...]:
        async with opened() as venues:
            return await venues.leverage_tiers(venue, environment, unseal, symbol)

    numbers = venue_numbers(store, given)
    return Keys(store, store.connections, vault, _probe(opened), tiers=tiers, read_numbers=numbers)


def venue_probe(store: PgStore, given: Mapping[Venue, Address]) -> KeyProbe:
    return _probe(_venues(store, given))


def _venues(store: PgStore, given: Mapping[Venue, Address]) -> Opened:
    # A venue's time is real time, in a demo's database too.
    clock = MarketClock(msgspec.structs.replace(store.clock(), demo=False), process_s)
    # Questions about keys use up what the address may ask as all else does, and wait out its bans.
    budgets = SharedVenueBudgets(store.venue_budgets, ThreadPoolExecutor(1, thread_name_prefix="probes"))

    only_given = store.platform().demo

    @asynccontextmanager
    async def opened() -> AsyncIterator[Venues]:
        venues = Venues(clock=clock, given=given, shared=budgets, only_given=only_given)
        try:
            yield venues
        finally:
            await venues.close()

    return opened


def _probe(opened: Opened) -> KeyProbe:
    async def probe(venue: Venue, environment: Environment, unseal: Unseal) -> KeyRights:
        async with opened() as venues:
            return await venues.probe(venue, environment, unseal)

    return probe
