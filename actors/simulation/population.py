"""Who trades in a seed: users with tight limits, accounts of both kinds, strategies that trade a lot."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from actors.simulation.market import PRICES
from core.definition import StrategyDefinition, StrategyKind
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Direction, MissingStop, Run, RunSettings, TradingMode
from core.strategies.external import EXTERNAL
from core.timeframe import Timeframe
from schema.records import Account, AccountKind

STRATEGIES: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("sma_trend", {"period": 2}),
    ("sma_trend", {"period": 5}),
    ("donchian_breakout", {"entry_period": 4, "exit_period": 2}),
    ("bollinger_reversion", {"period": 6, "deviations": 1.0}),
    ("rsi_oversold_overbought", {}),
    (EXTERNAL, {}),
)
RUNS_PER_USER = 5


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """All rows there are when a seed begins."""

    strategies: tuple[StrategyDefinition, ...]
    accounts: tuple[Account, ...]
    runs: tuple[Run, ...]
    limits: Mapping[UserId, RiskLimits]


def drawn_limits(rng: random.Random) -> RiskLimits:
    return RiskLimits(
        daily_max_loss_usdt=Decimal(rng.choice((20, 60, 200, 600))),
        max_trades_per_day=rng.choice((4, 15, 60, 200)),
        max_consecutive_losses=rng.choice((2, 3, 5)),
        cooldown_after_trade_s=Decimal(rng.choice((0, 0, 30, 400))),
        pause_duration_min=Decimal(rng.choice((5, 20, 120))),
    )


def populate(rng: random.Random, *, users: int) -> Population:
    """`users` users with five runs each: three on a paper portfolio, two on an account at a venue."""
    strategies: dict[tuple[int, str, Timeframe], StrategyDefinition] = {}
    accounts: list[Account] = []
    runs: list[Run] = []
    limits = {}
    for number in range(users):
        user = UserId(f"user-{number + 1}")
        limits[user] = drawn_limits(rng)
        paper, venue = (
            _account(rng, len(accounts) + each, user, kind) for each, kind in enumerate(AccountKind)
        )
        accounts += [paper, venue]
        places = [(account, symbol) for account in (paper, venue) for symbol in PRICES][:RUNS_PER_USER]
        for account, symbol in places:
            timeframe = Timeframe.M5 if len(runs) % 2 else Timeframe.M15
            kind = rng.randrange(len(STRATEGIES))
            strategy = strategies.get((kind, symbol, timeframe))
            if strategy is None:
                strategy = _strategy(len(strategies), kind, symbol, timeframe)
                strategies[kind, symbol, timeframe] = strategy
            runs.append(_run(rng, len(runs), user, account, strategy))
    return Population(
        strategies=tuple(strategies.values()), accounts=tuple(accounts), runs=tuple(runs), limits=limits
    )


def _account(rng: random.Random, number: int, user: UserId, kind: AccountKind) -> Account:
    return Account(
        id=AccountId(UUID(int=0xA000 + number)),
        user_id=user,
        name=str(kind),
        kind=kind,
        venue="paper" if kind is AccountKind.PORTFOLIO else "simulated",
        slippage_pct=Decimal(rng.choice(("0", "0.02"))),
        participation_pct=Decimal(rng.choice((100, 40))),
        max_leverage=20,
    )


def _strategy(number: int, kind: int, symbol: str, timeframe: Timeframe) -> StrategyDefinition:
    template, parameters = STRATEGIES[kind]
    return StrategyDefinition(
        id=StrategyId(UUID(int=0x5000 + number)),
        owner_id=UserId("owner"),
        name=f"{template} {symbol} {timeframe}",
        template=template,
        kind=StrategyKind.EXTERNAL if template == EXTERNAL else StrategyKind.TEMPLATE,
        parameters=parameters,
        symbol=symbol,
        timeframe=timeframe,
    )


def _run(
    rng: random.Random, number: int, user: UserId, account: Account, strategy: StrategyDefinition
) -> Run:
    settings = RunSettings(
        direction=rng.choice((Direction.BOTH, Direction.BOTH, Direction.LONG)),
        leverage=rng.choice((1, 3, 20)),
        order_size_pct=Decimal(rng.choice((3, 8, 15))),
        stop_loss_pct=rng.choice((None, Decimal("0.4"), Decimal(1))),
        take_profit_pct=rng.choice((None, Decimal("0.6"), Decimal(2))),
        trailing_callback_pct=rng.choice((None, None, Decimal("0.3"), Decimal(1))),
        trailing_activation_pct=rng.choice((Decimal(0), Decimal("0.3"))),
        missing_stop=rng.choice((MissingStop.REPAIR, MissingStop.REPAIR, MissingStop.CLOSE)),
    )
    return Run(
        id=RunId(UUID(int=0xF000 + number)),
        user_id=user,
        strategy=strategy,
        account_id=account.id,
        trading_mode=TradingMode.LIVE if account.kind is AccountKind.CONNECTION else TradingMode.PAPER,
        settings=settings,
    )
