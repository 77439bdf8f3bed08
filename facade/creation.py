"""A create request as rows: strategy, and for the "go live" body a paper portfolio and a draft run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.run import Run, RunSettings, TradingMode
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.bridge import Account, AccountKind, Store
from facade.code import Content
from facade.errors import bad_field, not_found
from facade.making import checked
from facade.run_settings import settings_of
from facade.schemas.strategies import CreateStrategy

GO_LIVE: Final = RunSettings(take_profit_pct=Decimal(3), stop_loss_pct=Decimal("1.5"))
"""What holds for a "go live" body that says nothing else (decision 17)."""


class Created(msgspec.Struct, frozen=True, kw_only=True):
    strategy: StrategyDefinition
    run: Run | None


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to be; `portfolio` None with a run means the connection it names."""

    strategy: StrategyDefinition
    settings: RunSettings | None
    connection_id: AccountId | None


def plan(
    body: CreateStrategy,
    owner: UserId,
    new_id: Callable[[], UUID],
    *,
    venues: Sequence[str],
    content: Content,
) -> Creation:
    """The checked request. Raises ApiError or RunnerError with the field or the sentence.

    `venues`: whose candles there are; `content`: what it is to be made of.
    """
    symbol = parse_symbol(body.symbol)
    timeframe = Timeframe.parse(body.timeframe)
    if body.venue is not None and body.venue not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    definition = StrategyDefinition(
        id=StrategyId(new_id()),
        owner_id=owner,
        name=body.name or f"{content.template} {symbol} {timeframe}",
        template=content.template,
        kind=content.kind,
        source=content.source,
        parameters={**content.defaults, **body.strategy_params},
        symbol=symbol,
        timeframe=timeframe,
        venue=body.venue or venues[0],
        visibility=body.visibility,
        description=body.description,
    )
    connection = body.exchange_connection_id
    return Creation(
        strategy=checked(definition),
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
    new = paper_account(AccountId(new_id()), owner, creation.strategy, creation.settings.capital)
    return new, True


def paper_account(
    account_id: AccountId, owner: UserId, strategy: StrategyDefinition, bankroll: Decimal
) -> Account:
    """A portfolio whose orders meet the prices the strategy decides on."""
    return Account(
        id=account_id,
        user_id=owner,
        name=f"Paper, {strategy.name}"[:120],
        venue=strategy.venue,
        bankroll=bankroll,
        balance=bankroll,
        max_leverage=125,
    )


def _run_settings(body: CreateStrategy) -> RunSettings:
    capital = body.initial_capital_usdt
    return settings_of(body, GO_LIVE, capital=capital, capital_field="initialCapitalUsdt")
