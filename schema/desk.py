"""What owners and subscribers change about strategies and runs. One operation, one transaction, events included."""

from __future__ import annotations

import msgspec

from core.definition import StrategyDefinition
from core.ids import RunId, StrategyId, UserId
from core.run import Run, RunCommand, RunSettings
from schema.records import Account


class OpenRun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A run, with its strategy and its account unless those are there; and `begin`, so that it is active at once.

    `subscribed`: made by subscribing, with event `subscription.created`. Raises Conflict for a strategy that has
    been archived, and where an unarchived run already trades this (account, symbol).
    """

    run: Run
    strategy: StrategyDefinition | None = None
    account: Account | None = None
    subscribed: bool = False
    begin: RunCommand | None = None


class ReviseStrategy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`definition` is the strategy's next version, which every run of it follows from its next slot on.

    Each run's version rises with it, so that claims tell of it, and each has an event `strategy.settings.updated`.
    Raises Conflict unless the version before is the latest; IllegalTransition where symbol, venue or market change
    while a run has a position or an open order (decision 15), or a run's schedule does not fit the timeframe.
    """

    definition: StrategyDefinition


class RetireStrategy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Archive a strategy with its runs. Raises IllegalTransition while one is active or not flat (decision 15)."""

    strategy_id: StrategyId
    by: UserId


class SetRunSettings(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How a run trades from its next slot on, with event `run.settings.updated`.

    `expected`: the row's version it was read at; another one raises Conflict. Leverage and margin stay while there
    is a position or an open order: IllegalTransition.
    """

    run_id: RunId
    settings: RunSettings
    expected: int | None = None


class MoveSubscription(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A status change as `Store.command` makes it, with event `subscription.paused` or `.resumed` where it is one."""

    run_id: RunId
    command: RunCommand
    by: UserId


class CancelRun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop a run at once, and archive it now or, by `archive_ended`, as soon as it is flat without open orders.

    Event `subscription.cancelled`, once. Whoever starts the run anew before that takes it back.
    """

    run_id: RunId
    by: UserId


DeskOp = OpenRun | ReviseStrategy | RetireStrategy | SetRunSettings | MoveSubscription | CancelRun


class Arranged(msgspec.Struct, frozen=True, kw_only=True):
    """What the operation was about, as the rows now say."""

    strategy: StrategyDefinition | None = None
    run: Run | None = None
