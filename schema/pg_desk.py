"""The desk's operations on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.definition import StrategyDefinition
from core.ids import RunId, StrategyId
from core.run import Run
from schema import pg_records
from schema.ledger.desk import archive_if_ended
from schema.pg_database import Connection
from schema.pg_rows import changed, fields, json_rows, many, one, run_parameters, runs_of
from schema.pg_tx import PgTx
from schema.records import Account

_MOST_AT_ONCE = 100


class PgDeskTx(PgTx):
    """`DeskTx`: locks are the statements' own; what is returned is read after them."""

    def create_strategy(self, definition: StrategyDefinition) -> None:
        pg_records.create_strategy(self._connection, definition)

    def create_account(self, account: Account) -> None:
        pg_records.create_account(self._connection, account)

    def create_run(self, run: Run, *, subscribed: bool) -> None:
        pg_records.create_run(self._connection, run)
        if subscribed:
            changed(self._connection, "mark_subscribed", {"id": run.id})

    def lock_strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None:
        if one(self._connection, "lock_strategy", {"id": strategy_id}) is None:
            return None
        return pg_records.strategy(self._connection, strategy_id)

    def lock_runs_of(self, strategy_id: StrategyId) -> list[Run]:
        rows = many(self._connection, "lock_runs_of", {"strategy_id": strategy_id})
        wanted = {"run_ids": [row["id"] for row in rows]}
        return sorted(runs_of(many(self._connection, "runs_by_id", wanted)), key=lambda run: run.id)

    def save_revision(self, definition: StrategyDefinition) -> None:
        row = fields(definition) | {"timeframe_s": definition.timeframe.seconds}
        changed(self._connection, "insert_strategy_version", row)
        changed(self._connection, "save_revision", row)

    def follow_revision(self, run_ids: Sequence[RunId], symbol: str) -> None:
        changed(self._connection, "follow_revision", {"run_ids": list(run_ids), "symbol": symbol})

    def archive_strategy(self, strategy_id: StrategyId) -> None:
        changed(self._connection, "archive_strategy", {"id": strategy_id})

    def save_run_settings(self, run: Run) -> None:
        changed(self._connection, "save_run_settings", run_parameters(run))

    def tell_runs(self, runs: Sequence[Run], kind: str, *, at: datetime, payload: Mapping[str, Any]) -> None:
        """One statement, however many subscribers there are."""
        self._months.cover(self._connection, [at])
        event = {"type": kind, "at": at, "payload": payload}
        rows = [event | {"user_id": run.user_id, "run_id": run.id} for run in runs]
        changed(self._connection, "append_events", {"rows": json_rows(rows)})

    def set_ending(self, run_id: RunId) -> bool:
        return changed(self._connection, "set_ending", {"id": run_id}) == 1


def archive_ended(connection: Connection, tx: PgTx) -> list[RunId]:
    """A hundred at once; the rest at the next call."""
    rows = many(connection, "ending_runs", {"limit": _MOST_AT_ONCE})
    return [row["id"] for row in rows if archive_if_ended(tx, row["id"])]
