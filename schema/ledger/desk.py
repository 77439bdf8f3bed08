"""Strategies and runs as their owners change them: rows and events of one operation (`schema/desk.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, assert_never

from msgspec.structs import replace

from core.definition import StrategyDefinition
from core.errors import Conflict, IllegalTransition, RunnerError
from core.ids import RunId, StrategyId
from core.run import Run, RunCommand, RunStatus
from core.schedule import Schedule, ScheduleError
from schema.desk import (
    Arranged,
    CancelRun,
    DeskOp,
    MoveSubscription,
    OpenRun,
    RetireStrategy,
    ReviseStrategy,
    SetRunSettings,
)
from schema.ledger.payloads import Plain, plain, settings_payload
from schema.ledger.statuses import command_run
from schema.records import Account
from schema.tx import Tx

POLICY = "policy"


class DeskTx(Tx, Protocol):
    """What the desk writes beyond a ledger's transaction. A strategy is locked before its runs, those by id."""

    def create_strategy(self, definition: StrategyDefinition) -> None: ...

    def create_account(self, account: Account) -> None: ...

    def create_run(self, run: Run, *, subscribed: bool) -> None: ...

    def lock_strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None:
        """The latest version; None where there is none or it was archived."""
        ...

    def lock_runs_of(self, strategy_id: StrategyId) -> list[Run]:
        """Those not archived, by id."""
        ...

    def save_revision(self, definition: StrategyDefinition) -> None: ...

    def follow_revision(self, run_ids: Sequence[RunId], symbol: str) -> None:
        """Raise these runs' versions and have them trade `symbol`."""
        ...

    def archive_strategy(self, strategy_id: StrategyId) -> None: ...

    def save_run_settings(self, run: Run) -> None:
        """Also raises the row's version."""
        ...

    def tell_runs(self, runs: Sequence[Run], kind: str, *, at: datetime, payload: Mapping[str, Any]) -> None:
        """The same event to each of these locked runs."""
        ...

    def set_ending(self, run_id: RunId) -> bool:
        """Note that the run is to be archived when it can be; whether that is new."""
        ...


def arrange(tx: DeskTx, op: DeskOp) -> Arranged:
    match op:
        case OpenRun():
            return _open(tx, op)
        case ReviseStrategy():
            return _revise(tx, op)
        case RetireStrategy():
            return _retire(tx, op)
        case SetRunSettings():
            return _set_settings(tx, op)
        case MoveSubscription():
            return _move(tx, op)
        case CancelRun():
            return _cancel(tx, op)
        case _:
            assert_never(op)


def archive_if_ended(tx: Tx, run_id: RunId) -> bool:
    """Whether a cancelled run is archived now; not while it is active again, holds something or has open orders."""
    try:
        command_run(tx, run_id, RunCommand.ARCHIVE, POLICY, "cancelled, and flat")
    except IllegalTransition:
        return False
    return True


def _open(tx: DeskTx, op: OpenRun) -> Arranged:
    run = op.run
    if op.strategy is not None:
        tx.create_strategy(op.strategy)
    elif tx.lock_strategy(run.strategy.id) is None:
        raise Conflict("this strategy has been archived")
    if op.account is not None:
        tx.create_account(op.account)
    tx.create_run(run, subscribed=op.subscribed)
    if op.subscribed:
        _tell(tx, run, "subscription.created", capital=run.settings.capital, leverage=run.settings.leverage)
    if op.begin is not None:
        run = command_run(tx, run.id, op.begin, run.user_id, None)
    return Arranged(strategy=run.strategy, run=run)


def _revise(tx: DeskTx, op: ReviseStrategy) -> Arranged:
    new = op.definition
    old = _strategy(tx, new.id)
    if new.version != old.version + 1:
        raise Conflict(f"the strategy is at version {old.version} meanwhile")
    runs = tx.lock_runs_of(new.id)
    if _market(new) != _market(old):
        held = [run for run in runs if not _is_free(tx, run)]
        if held:
            raise IllegalTransition(
                f"{len(held)} of its runs have a position or an open order in {old.symbol}; "
                "what a strategy trades changes only while there is none"
            )
    _check_schedules(runs, new)
    tx.save_revision(new)
    tx.follow_revision([run.id for run in runs], new.symbol)
    told = plain(
        strategy_id=str(new.id), version=new.version, symbol=new.symbol, timeframe=str(new.timeframe)
    )
    kind, now = "strategy.settings.updated", tx.now()
    tx.tell_runs(runs, kind, at=now, payload=told)
    if all(run.user_id != new.owner_id for run in runs):
        tx.append_event(user_id=new.owner_id, run_id=None, type=kind, at=now, payload=told)
    return Arranged(strategy=new)


def _retire(tx: DeskTx, op: RetireStrategy) -> Arranged:
    strategy = _strategy(tx, op.strategy_id)
    for run in tx.lock_runs_of(strategy.id):
        command_run(tx, run.id, RunCommand.ARCHIVE, op.by, "the strategy was archived")
        if run.user_id != strategy.owner_id:
            _tell(tx, run, "subscription.cancelled", reason="the strategy was archived")
    tx.archive_strategy(strategy.id)
    return Arranged(strategy=strategy)


def _set_settings(tx: DeskTx, op: SetRunSettings) -> Arranged:
    run = _run(tx, op.run_id)
    if op.expected not in (None, run.version):
        raise Conflict(f"the run is at version {run.version} meanwhile")
    if run.status is RunStatus.ARCHIVED:
        raise IllegalTransition("an archived run keeps its settings")
    old, new = run.settings, op.settings
    tied = (new.leverage, new.margin_mode) != (old.leverage, old.margin_mode)
    if tied and not _is_free(tx, run):
        raise IllegalTransition("leverage and margin mode stay while there is a position or an open order")
    changed = replace(run, settings=new)
    tx.save_run_settings(changed)
    payload = plain(strategy_id=str(run.strategy.id), version=run.version + 1) | settings_payload(new)
    payload["before"] = settings_payload(old)  # the first settings stand nowhere else once they are changed
    tx.append_event(
        user_id=run.user_id, run_id=run.id, type="run.settings.updated", at=tx.now(), payload=payload
    )
    return Arranged(strategy=run.strategy, run=replace(changed, version=run.version + 1))


def _move(tx: DeskTx, op: MoveSubscription) -> Arranged:
    before = _run(tx, op.run_id)
    run = command_run(tx, op.run_id, op.command, op.by, None)
    kind = {RunStatus.PAUSED: "subscription.paused", RunStatus.ACTIVE: "subscription.resumed"}.get(run.status)
    if kind is not None and run.status is not before.status:
        _tell(tx, run, kind)
    return Arranged(strategy=run.strategy, run=run)


def _cancel(tx: DeskTx, op: CancelRun) -> Arranged:
    run = _run(tx, op.run_id)
    if run.status is RunStatus.ARCHIVED:
        return Arranged(strategy=run.strategy, run=run)
    if run.status is not RunStatus.DRAFT:
        run = command_run(tx, run.id, RunCommand.STOP, op.by, "cancelled")
    if tx.set_ending(run.id):
        _tell(tx, run, "subscription.cancelled", reason="cancelled")
    if _is_free(tx, run):
        run = command_run(tx, run.id, RunCommand.ARCHIVE, op.by, "cancelled")
    return Arranged(strategy=run.strategy, run=run)


def _strategy(tx: DeskTx, strategy_id: StrategyId) -> StrategyDefinition:
    strategy = tx.lock_strategy(strategy_id)
    if strategy is None:
        raise Conflict("this strategy has been archived")
    return strategy


def _run(tx: Tx, run_id: RunId) -> Run:
    run = tx.lock_run(run_id)
    if run is None:
        raise RunnerError(f"there is no run {run_id}")
    return run


def _market(definition: StrategyDefinition) -> tuple[str, str, str]:
    return definition.venue, definition.market, definition.symbol


def _is_free(tx: Tx, run: Run) -> bool:
    held = tx.position(run.id)
    return (held is None or held.position.is_flat) and not tx.has_open_orders(run.id)


def _check_schedules(runs: Sequence[Run], definition: StrategyDefinition) -> None:
    for schedule in {run.schedule for run in runs if run.schedule is not None}:
        try:
            Schedule(schedule, definition.timeframe)
        except ScheduleError as error:
            raise IllegalTransition(f"a run of it is scheduled otherwise: {error}") from error


def _tell(tx: Tx, run: Run, kind: str, **fields: Plain | Decimal) -> None:
    payload = plain(strategy_id=str(run.strategy.id), **fields)
    tx.append_event(user_id=run.user_id, run_id=run.id, type=kind, at=tx.now(), payload=payload)
