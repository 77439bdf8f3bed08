"""Writes a plan of `import legacy`: one transaction, and nothing that was imported before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import RunId, StrategyId
from core.legacy.plan import Imported, Plan, Refused
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from schema import pg_records
from schema.ledger.payloads import plain
from schema.ledger.statuses import command_run
from schema.pg_database import Connection, Database
from schema.pg_desk import PgDeskTx
from schema.records import Account

BY = "import"
MOST_LEVERAGE = 125
_LONG = (
    b"SET LOCAL statement_timeout = '60s'",
    b"SET LOCAL transaction_timeout = 0",
    b"SET LOCAL transaction_timeout = '600s'",
)
"""0 first: the bound that runs already is not moved by another one, only ended."""
_BOUNDED_SINCE = 170_000


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to. `there`: runs that were imported before, as they stood."""

    strategies: tuple[StrategyId, ...]
    runs: tuple[RunId, ...]
    activated: tuple[RunId, ...]
    there: Mapping[RunId, RunStatus]
    refused: tuple[Refused, ...]


def write_plan(
    database: Database,
    limits: RiskLimits,
    plan: Plan,
    *,
    activate: Callable[[Imported], bool],
    dry_run: bool = False,
    told: Callable[[int], None] = lambda done: None,
) -> Written:
    """All of the plan that is not there yet. `activate`: whether a run that traded there is to trade here.

    `dry_run`: everything is written and taken back. `told` hears how many runs are done.
    """

    def write(connection: Connection) -> Written:
        for statement in _LONG if connection.info.server_version >= _BOUNDED_SINCE else _LONG[:1]:
            connection.execute(statement)
        written = _Writer(connection, PgDeskTx(connection, database.months, limits), activate).write(
            plan, told
        )
        if dry_run:
            raise _TakenBack(written)
        return written

    try:
        return database.run(write)
    except _TakenBack as back:
        return back.written


class _TakenBack(RunnerError):
    """Ends the transaction of a dry run."""

    def __init__(self, written: Written) -> None:
        super().__init__("Nothing was written: this was a dry run.")
        self.written = written


class _Writer:
    def __init__(self, connection: Connection, tx: PgDeskTx, activate: Callable[[Imported], bool]) -> None:
        self._connection = connection
        self._tx = tx
        self._activate = activate
        self._strategies: list[StrategyId] = []
        self._runs: list[RunId] = []
        self._activated: list[RunId] = []
        self._there: dict[RunId, RunStatus] = {}
        self._refused: list[Refused] = []

    def write(self, plan: Plan, told: Callable[[int], None]) -> Written:
        changed = self._write_strategies(plan.strategies)
        for done, each in enumerate(plan.runs, start=1):
            self._write_run(each, changed)
            told(done)
        return Written(
            strategies=tuple(self._strategies),
            runs=tuple(self._runs),
            activated=tuple(self._activated),
            there=self._there,
            refused=tuple(self._refused),
        )

    def _write_strategies(self, strategies: Sequence[StrategyDefinition]) -> set[StrategyId]:
        """Those that are no longer what they were imported as."""
        changed = set()
        for each in strategies:
            found = pg_records.strategy(self._connection, each.id)
            if found is None:
                self._tx.create_strategy(each)
                self._strategies.append(each.id)
            elif self._tx.lock_strategy(each.id) is None or _traded(found) != _traded(each):
                changed.add(each.id)
        return changed

    def _write_run(self, each: Imported, changed: set[StrategyId]) -> None:
        run = each.run
        found = pg_records.run(self._connection, run.id)
        if found is not None:
            self._there[run.id] = found.status
        elif run.strategy.id in changed:
            reason = "The strategy it shared with others has been edited or archived here since."
            self._refused.append(Refused(row=each.row, reason=reason))
            return
        else:
            self._create(each)
            found = run
        if found.status is RunStatus.DRAFT and each.was_active and self._activate(each):
            command_run(self._tx, run.id, RunCommand.START, BY, None)
            self._activated.append(run.id)

    def _create(self, each: Imported) -> None:
        run, tx = each.run, self._tx
        tx.create_account(portfolio_of(run))
        tx.create_run(run, subscribed=each.subscribed)
        now = tx.now()
        if each.subscribed:
            capital, leverage = run.settings.capital, run.settings.leverage
            payload = plain(strategy_id=str(run.strategy.id), capital=capital, leverage=leverage, by=BY)
            tx.append_event(
                user_id=run.user_id, run_id=run.id, type="subscription.created", at=now, payload=payload
            )
        if run.status is RunStatus.PAUSED:
            payload = plain(
                status=run.status.value, before=RunStatus.DRAFT.value, by=BY, reason=run.status_reason
            )
            tx.append_event(user_id=run.user_id, run_id=run.id, type="run.status", at=now, payload=payload)
        self._runs.append(run.id)


def portfolio_of(run: Run) -> Account:
    """Paper, however it traded there: keys are not imported."""
    assert run.account_id is not None
    return Account(
        id=run.account_id,
        user_id=run.user_id,
        name=f"Paper, {run.strategy.name}"[:120],
        venue=run.strategy.venue,
        bankroll=run.settings.capital,
        balance=run.settings.capital,
        max_leverage=MOST_LEVERAGE,
    )


def _traded(strategy: StrategyDefinition) -> tuple[object, ...]:
    parameters = {name: float(value) for name, value in strategy.parameters.items()}
    return strategy.template, parameters, strategy.symbol, strategy.timeframe, strategy.venue
