"""Who trades in a drill: one-minute runs of users under limits that bite, each on a paper account of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from actors.demo import Demo
from actors.launch import open_demo
from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings
from core.timeframe import Timeframe
from schema.pg import PgStore
from schema.records import Account

RUNS_PER_USER: Final = 10
OWNER: Final = UserId("drill")

Templates = Sequence[tuple[str, dict[str, int | float]]]
TEMPLATES: Final[Templates] = (
    ("sma_trend", {"period": 5}),
    ("rsi_oversold_overbought", {"rsi_period": 3, "rsi_oversold": 25.0, "rsi_overbought": 75.0}),
    ("ema_cross", {"fast_period": 3, "slow_period": 8}),
    ("bollinger_reversion", {"period": 10, "deviations": 1.5}),
    ("donchian_breakout", {"entry_period": 10, "exit_period": 5}),
    ("macd", {}),
    ("sma_trend", {"period": 50}),
)

LOOSE: Final = RiskLimits(
    daily_max_loss_usdt=Decimal(5_000),
    max_trades_per_day=1_000,
    max_consecutive_losses=50,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(5),
)
LIMITS: Final[tuple[RiskLimits, ...]] = (
    LOOSE,
    RiskLimits(
        daily_max_loss_usdt=Decimal(5_000),
        max_trades_per_day=1_000,
        max_consecutive_losses=3,
        cooldown_after_trade_s=Decimal(0),
        pause_duration_min=Decimal(4),
    ),
    LOOSE,
    RiskLimits(max_trades_per_day=25, max_consecutive_losses=50, cooldown_after_trade_s=Decimal(0)),
    LOOSE,
    RiskLimits(
        daily_max_loss_usdt=Decimal(15),
        max_trades_per_day=1_000,
        max_consecutive_losses=50,
        cooldown_after_trade_s=Decimal(90),
        pause_duration_min=Decimal(10),
    ),
)
"""Of the users in turn: nothing in the way, streaks and their pauses, a cap of trades, a daily loss with cool-down."""


def make_world(
    store: PgStore,
    demo: Demo,
    *,
    runs: int,
    speed: float,
    before_midnight: timedelta,
    templates: Templates = TEMPLATES,
    limits: Sequence[RiskLimits] = LIMITS,
) -> Mapping[RunId, UserId]:
    """A demo's database that stands `before_midnight` ahead of a day's end, with its own few runs and `runs` more.

    Runs take the strategies in turn, users the limits.
    """
    midnight = Timeframe.D1.floor(demo.stage.start) + Timeframe.D1.delta
    store.mark_demo(start=midnight - before_midnight, rate=speed)
    store.set_clock(ceiling=midnight - before_midnight)  # no time passes before somebody is there to tick
    open_demo(store, demo, speed=speed)
    strategies = _strategies(demo, templates)
    for strategy in strategies:
        store.create_strategy(strategy)
    owners = {}
    for number in range(runs):
        user = UserId(f"drill-{number // RUNS_PER_USER:03}")
        if number % RUNS_PER_USER == 0:
            store.set_limits(user, limits[number // RUNS_PER_USER % len(limits)])
        owners[_engage(store, number, user, strategies[number % len(strategies)])] = user
    return owners


def _strategies(demo: Demo, templates: Templates) -> list[StrategyDefinition]:
    return [
        StrategyDefinition(
            id=StrategyId(_id("strategy", f"{number}/{symbol}")),
            owner_id=OWNER,
            name=f"{template} {number}",
            template=template,
            parameters=parameters,
            symbol=symbol,
            timeframe=Timeframe.M1,
            venue=demo.source.venue,
            market=demo.source.market(symbol).value,
        )
        for number, (template, parameters) in enumerate(templates)
        for symbol in demo.stage.symbols
    ]


def _engage(store: PgStore, number: int, user: UserId, strategy: StrategyDefinition) -> RunId:
    account = Account(
        id=AccountId(_id("account", str(number))),
        user_id=user,
        name="drill",
        slippage_pct=Decimal("0.01"),
    )
    store.create_account(account)
    run = Run(
        id=RunId(_id("run", str(number))),
        user_id=user,
        strategy=strategy,
        account_id=account.id,
        settings=RunSettings(order_size_pct=Decimal(20), leverage=1 + number % 3),
    )
    store.create_run(run)
    store.command(run.id, RunCommand.START, by="drill")
    return run.id


def _id(kind: str, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"strategy-runner/drill/{kind}/{key}")
