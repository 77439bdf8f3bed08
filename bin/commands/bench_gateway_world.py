"""Users, connections, runs and leases for `bench gateway --simulator`, in the database and at the simulator."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Final
from uuid import UUID

import httpx
import msgspec

from core.connection import Environment, Venue
from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.key_rights import KeyRights
from core.market import Market
from core.redact import Secret
from core.run import Run, RunCommand, TradingMode
from core.timeframe import Timeframe, from_ms
from schema.connections import NewConnection, StoredKeys
from schema.pg import PgStore
from schema.vault import Owner, Vault

USERS: Final = 4
SYMBOLS: Final = 8
NOTIONAL: Final = Decimal(500)
"""USDT of an order, about: above every symbol's least."""
TIMEOUT_S: Final = 30.0


class Trader(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its order is always as large."""

    run: Run
    fence: int
    quantity: Decimal


def traders_of(store: PgStore, vault: Vault, url: str, rng: random.Random) -> list[Trader]:
    """Users with a connection each, and a run on each of their symbols."""
    quantities = _quantities(url)
    strategies = [
        StrategyDefinition(
            id=StrategyId(UUID(int=number + 1)),
            owner_id=UserId("bench"),
            name=symbol,
            template="sma_trend",
            parameters={},
            symbol=symbol,
            timeframe=Timeframe.M1,
            venue=Venue.BINANCE.value,
            market=Market.PERP.value,
        )
        for number, symbol in enumerate(quantities)
    ]
    for strategy in strategies:
        store.create_strategy(strategy)
    traders = []
    for number in range(USERS):
        user, account_id = UserId(f"user-{number}"), AccountId(UUID(int=(1 << 64) + number))
        key, secret = rng.randbytes(32).hex(), rng.randbytes(32).hex()
        opening = {"key": key, "secret": secret, "account": user, "balance": "1000000000"}
        httpx.put(f"{url}/simulator/keys", json=opening, timeout=TIMEOUT_S).raise_for_status()
        sealed = vault.seal(
            Owner(user_id=user, account_id=account_id), key=Secret(key), secret=Secret(secret)
        )
        rights = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)
        store.connections.add(
            NewConnection(name=user, venue=Venue.BINANCE, environment=Environment.LIVE, max_leverage=5),
            StoredKeys(sealed=sealed, key_hint=key[-4:], rights=rights),
        )
        for at, strategy in enumerate(strategies):
            run = Run(
                id=RunId(UUID(int=(2 << 64) + number * SYMBOLS + at)),
                user_id=user,
                strategy=strategy,
                account_id=account_id,
                trading_mode=TradingMode.LIVE,
            )
            store.create_run(run)
            store.command(run.id, RunCommand.START, by="bench")
            fence = store.acquire(run.id, owner="bench", ttl_s=86_400.0)
            if fence is None:
                raise RunnerError(f"The lease of run {run.id} is not free.")
            traders.append(Trader(run=run, fence=fence, quantity=quantities[strategy.symbol]))
    return traders


def venue_ahead(url: str) -> timedelta:
    """How far the simulator's clock, by which orders are signed, runs ahead of ours."""
    told = httpx.get(f"{url}/fapi/v1/time", timeout=TIMEOUT_S).raise_for_status().json()
    return from_ms(told["serverTime"]) - datetime.now(UTC)


def _quantities(url: str) -> Mapping[str, Decimal]:
    """What about `NOTIONAL` buys of the first symbols there, on their grids."""
    told = httpx.get(f"{url}/fapi/v1/exchangeInfo", timeout=TIMEOUT_S).raise_for_status().json()
    prices = httpx.get(f"{url}/fapi/v1/ticker/price", timeout=TIMEOUT_S).raise_for_status().json()
    price_of = {each["symbol"]: Decimal(each["price"]) for each in prices}
    found: dict[str, Decimal] = {}
    for listed in told["symbols"][:SYMBOLS]:
        steps = [each["stepSize"] for each in listed["filters"] if each["filterType"].endswith("LOT_SIZE")]
        step = max(Decimal(each) for each in steps)
        wanted = NOTIONAL / price_of[listed["symbol"]]
        found[listed["symbol"]] = (wanted / step).to_integral_value(ROUND_UP) * step
    return found
