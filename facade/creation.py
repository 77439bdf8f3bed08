"""A create request as rows: strategy, and for the "go live" body a paper portfolio and a draft run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UnsetType

from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.position import ZERO
from core.protection import (
    CALLBACK_STEP_PCT,
    LEAST_CALLBACK_PCT,
    MOST_ACTIVATION_PCT,
    MOST_CALLBACK_PCT,
    is_callback,
)
from core.run import Run, RunSettings, TradingMode
from core.strategies import template
from core.strategy import strategy_parameters
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.bridge import Account, AccountKind, Store
from facade.decoding import within
from facade.errors import bad_field, not_found
from facade.schemas.strategies import CreateStrategy

T = TypeVar("T")

GO_LIVE_TAKE_PROFIT_PCT: Final = Decimal(3)
GO_LIVE_STOP_LOSS_PCT: Final = Decimal("1.5")
MAX_CAPITAL: Final = 1_000_000_000
SMALLEST: Final = Decimal("0.0001")


class Created(msgspec.Struct, frozen=True, kw_only=True):
    strategy: StrategyDefinition
    run: Run | None


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to be; `portfolio` None with a run means the connection it names."""

    strategy: StrategyDefinition
    settings: RunSettings | None
    connection_id: AccountId | None


def plan(
    body: CreateStrategy, owner: UserId, new_id: Callable[[], UUID], *, venues: Sequence[str]
) -> Creation:
    """The checked request. Raises ApiError or RunnerError with the field or the sentence.

    `venues`: whose candles there are.
    """
    chosen = template(body.strategy_template)
    symbol = parse_symbol(body.symbol)
    timeframe = Timeframe.parse(body.timeframe)
    if body.venue is not None and body.venue not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    definition = StrategyDefinition(
        id=StrategyId(new_id()),
        owner_id=owner,
        name=body.name or f"{chosen.name} {symbol} {timeframe}",
        template=chosen.name,
        parameters=strategy_parameters(chosen, body.strategy_params),
        symbol=symbol,
        timeframe=timeframe,
        venue=body.venue or venues[0],
        visibility=body.visibility,
        description=body.description,
    )
    connection = body.exchange_connection_id
    return Creation(
        strategy=definition,
        settings=_run_settings(body) if body.goes_live else None,
        connection_id=AccountId(connection) if isinstance(connection, UUID) else None,
    )


def carry_out(store: Store, creation: Creation, new_id: Callable[[], UUID]) -> Created:
    """Writes the rows. A named connection is the caller's own, or 404."""
    definition = creation.strategy
    if creation.settings is None:
        store.create_strategy(definition)
        return Created(strategy=definition, run=None)
    account, is_new = _account(store, creation, new_id)
    run = Run(
        id=RunId(new_id()),
        user_id=definition.owner_id,
        strategy=definition,
        account_id=account.id,
        trading_mode=TradingMode.PAPER if account.kind is AccountKind.PORTFOLIO else TradingMode.LIVE,
        settings=creation.settings,
    )
    store.create_together(strategy=definition, account=account if is_new else None, run=run)
    return Created(strategy=definition, run=run)


def _account(store: Store, creation: Creation, new_id: Callable[[], UUID]) -> tuple[Account, bool]:
    """The account the run will trade on, and whether it has still to be created."""
    owner = creation.strategy.owner_id
    if creation.connection_id is not None:
        found = store.account(creation.connection_id)
        if found is None or found.user_id != owner:
            raise not_found()
        return found, False
    assert creation.settings is not None
    bankroll = creation.settings.capital
    portfolio = Account(
        id=AccountId(new_id()),
        user_id=owner,
        name=f"Paper, {creation.strategy.name}"[:120],
        venue=creation.strategy.venue,  # its orders meet the prices the strategy decides on
        bankroll=bankroll,
        balance=bankroll,
        max_leverage=125,
    )
    return portfolio, True


def _run_settings(body: CreateStrategy) -> RunSettings:
    default = RunSettings()
    take_profit = _checked("takeProfitPct", body.take_profit_pct, 1_000)
    stop_loss = _checked("stopLossPct", body.stop_loss_pct, 100)
    return RunSettings(
        direction=_or(body.direction, default.direction),
        leverage=_or(body.leverage, default.leverage),
        margin_mode=_or(body.margin_mode, default.margin_mode),
        position_mode=_or(body.position_mode, default.position_mode),
        order_size_pct=_or(_checked("orderSizePct", body.order_size_pct, 100), default.order_size_pct),
        capital=_or(_checked("initialCapitalUsdt", body.initial_capital_usdt, MAX_CAPITAL), default.capital),
        take_profit_pct=_or(take_profit, GO_LIVE_TAKE_PROFIT_PCT),
        stop_loss_pct=_or(stop_loss, GO_LIVE_STOP_LOSS_PCT),
        trailing_callback_pct=_callback(body),
        trailing_activation_pct=_activation(body),
        missing_stop=_or(body.missing_stop, default.missing_stop),
    )


def _callback(body: CreateStrategy) -> Decimal | None:
    percent = _or(body.trailing_callback_pct, None)
    if percent is not None and not is_callback(percent):
        bounds = f"{LEAST_CALLBACK_PCT} to {MOST_CALLBACK_PCT} in steps of {CALLBACK_STEP_PCT}"
        raise bad_field("trailingCallbackPct", f"must lie in {bounds}")
    return percent


def _activation(body: CreateStrategy) -> Decimal:
    percent = body.trailing_activation_pct
    if isinstance(percent, UnsetType):
        return ZERO
    if not isinstance(body.trailing_callback_pct, Decimal):
        raise bad_field(
            "trailingActivationPct", "says when a trailing stop begins: it needs trailingCallbackPct"
        )
    return within("trailingActivationPct", percent, 0, MOST_ACTIVATION_PCT)


def _or(value: T | UnsetType, default: T) -> T:
    return default if isinstance(value, UnsetType) else value


def _checked(field: str, value: T, most: int) -> T:
    if isinstance(value, Decimal):
        within(field, value, SMALLEST, most)
    return value
