"""`PgFlattens`: requests to close positions on PostgreSQL, each with the event of its run (I11)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from core.ids import AccountId, RunId, UserId
from core.risk import RiskLimits
from schema.flattens import MAX_OPEN, Flatten, FlattenOutcome
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, many
from schema.pg_tx import PgTx

FLATTEN_EVENT = "run.flatten"


class PgFlattens:
    """A `FlattenStore`."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    def ask(
        self,
        *,
        by: UserId,
        by_operator: bool,
        run_id: RunId | None = None,
        user_id: UserId | None = None,
        account_id: AccountId | None = None,
    ) -> list[Flatten]:
        """A request for each position that is open and named; one that is under way already is answered as it is, but
        an operator makes an owner's their own.
        """
        named: dict[str, Any] = {"run_id": run_id, "user_id": user_id, "account_id": account_id}
        named |= {"by": by, "by_operator": by_operator}

        def ask(connection: Connection) -> list[Flatten]:
            for row in many(connection, "ask_flattens", named):
                self._tell(connection, row, plain(action="asked", by=by, symbol=row["symbol"]))
            return [as_type(Flatten)(row) for row in many(connection, "flattens_asked", named)]

        return self._database.run(ask)

    def open(self) -> list[Flatten]:
        rows = self._database.read(lambda connection: many(connection, "open_flattens", {"limit": MAX_OPEN}))
        return [as_type(Flatten)(row) for row in rows]

    def latest(self, limit: int) -> list[Flatten]:
        """Newest first, whether under way or ended."""
        rows = self._database.read(lambda connection: many(connection, "latest_flattens", {"limit": limit}))
        return [as_type(Flatten)(row) for row in rows]

    def end(self, flatten_id: UUID, outcome: FlattenOutcome) -> None:
        def end(connection: Connection) -> None:
            for row in many(connection, "end_flatten", {"id": flatten_id, "outcome": outcome.value}):
                self._tell(connection, row, plain(action=outcome.value, symbol=row["symbol"]))

        self._database.run(end)

    def _tell(self, connection: Connection, row: Row, payload: dict[str, Any]) -> None:
        tx = PgTx(connection, self._database.months, self._limits)
        tx.append_event(
            user_id=row["user_id"], run_id=row["run_id"], type=FLATTEN_EVENT, at=tx.now(), payload=payload
        )
