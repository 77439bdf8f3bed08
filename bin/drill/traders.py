"""Live accounts for a drill: keys made up at the stand-in venues, sealed in the database, and a run on each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from actors.demo import Demo
from bin.drill.stand_in import StandIn
from bin.drill.world import TEMPLATES
from core.connection import Environment, Venue
from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.key_rights import KeyRights
from core.redact import Secret
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings, TradingMode
from core.timeframe import Timeframe
from schema.connections import NewConnection, StoredKeys
from schema.pg import PgStore
from schema.vault import Owner, Vault

WALLET: Final = Decimal(10_000)
RIGHTS: Final = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)
LIMITS: Final = RiskLimits(
    daily_max_loss_usdt=Decimal(2_000),
    max_trades_per_day=2_000,
    max_consecutive_losses=200,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(30),
)


class Trader(msgspec.Struct, frozen=True, kw_only=True):
    """A user with one connection and one run. `name`: of the account at the venue."""

    name: str
    venue: Venue
    user_id: UserId
    account_id: AccountId
    run_id: RunId


def make_traders(
    store: PgStore,
    vault: Vault,
    demo: Demo,
    venues: Mapping[Venue, StandIn],
    users: int,
    timeframes: Sequence[Timeframe],
) -> list[Trader]:
    """One after the other on each venue and symbol, with stops and targets of different widths."""
    strategies = _strategies(demo, timeframes)
    for strategy in strategies:
        store.create_strategy(strategy)
    names: Sequence[Venue] = sorted(venues)
    return [
        _trader(
            store, vault, venues[names[number % len(names)]], strategies[number % len(strategies)], number
        )
        for number in range(users)
    ]


def _strategies(demo: Demo, timeframes: Sequence[Timeframe]) -> list[StrategyDefinition]:
    return [
        StrategyDefinition(
            id=StrategyId(_id("strategy", f"{number}/{symbol}")),
            owner_id=UserId("drill"),
            name=f"{template} {number}",
            template=template,
            parameters=parameters,
            symbol=symbol,
            timeframe=timeframes[number % len(timeframes)],
            venue=demo.source.venue,
            market=demo.source.market(symbol).value,
        )
        for number, (template, parameters) in enumerate(TEMPLATES)
        for symbol in demo.stage.symbols
    ]


def _trader(
    store: PgStore, vault: Vault, venue: StandIn, strategy: StrategyDefinition, number: int
) -> Trader:
    user, name = UserId(f"trader-{number:03}"), f"trader-{number:03}"
    key, secret = os.urandom(32).hex(), os.urandom(32).hex()
    venue.open_account(name, key=key, secret=secret, balance=WALLET)
    account_id = AccountId(_id("account", name))
    sealed = vault.seal(Owner(user_id=user, account_id=account_id), key=Secret(key), secret=Secret(secret))
    store.connections.add(
        NewConnection(name=name, venue=venue.venue, environment=Environment.LIVE, max_leverage=5),
        StoredKeys(sealed=sealed, key_hint=key[-4:], rights=RIGHTS),
    )
    store.set_limits(user, LIMITS)
    run = Run(
        id=RunId(_id("run", name)),
        user_id=user,
        strategy=strategy,
        account_id=account_id,
        trading_mode=TradingMode.LIVE,
        settings=RunSettings(
            capital=WALLET,
            order_size_pct=Decimal(20),
            leverage=1 + number % 3,
            stop_loss_pct=(Decimal("0.3"), Decimal(1), Decimal(2))[number % 3],
            take_profit_pct=(None, Decimal("0.5"), Decimal(2))[number // 2 % 3],
            trailing_callback_pct=(None, None, Decimal("0.3"))[number // 4 % 3],
            trailing_activation_pct=(Decimal(0), Decimal("0.2"))[number % 2],
        ),
    )
    store.create_run(run)
    store.command(run.id, RunCommand.START, by="drill")
    return Trader(name=name, venue=venue.venue, user_id=user, account_id=account_id, run_id=run.id)


def _id(kind: str, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"strategy-runner/drill/wires/{kind}/{key}")
