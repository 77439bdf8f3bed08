"""Takes out what is older than is kept, a bounded piece at a time; of all processes one at a time does so.

Months of ticks, events, signals and lost asks go whole, as partitions. Executions, what their code
printed, warnings of the time limit and candles are deleted in batches.
Orders, fills, trades, positions, balances and risk days stay for good: they are the account.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schema.pg_database import Connection, Database
from schema.pg_rows import changed, one, value

BATCH_ROWS: Final = 5_000
DELETIONS: Final = (
    "delete_old_executions",
    "delete_old_prints",
    "delete_old_warnings",
    "delete_old_candles",
)


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """What one step took out. `more`: there may be more to take."""

    month: str | None = None
    executions: int = 0
    prints: int = 0
    warnings: int = 0
    candles: int = 0
    more: bool = False


class PgRetention:
    """Raises StoreUnavailable, also where a month's table is in use right now: the next pass tries again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def step(self, days: int) -> Retired:
        """The oldest month that ended `days` ago, or else some rows; nothing while another process is at it."""

        def step(connection: Connection) -> Retired:
            if not value(connection, "retention_turn"):
                return Retired()
            month = one(connection, "oldest_month", {"days": days})
            if month is not None:
                one(connection, "retention_patience")
                one(connection, "retention_without_bound")
                one(connection, "drop_month", month)
                return Retired(month=month["month"], more=True)
            named = {"days": days, "rows": BATCH_ROWS}
            gone = [changed(connection, query, named) for query in DELETIONS]
            executions, prints, warnings, candles = gone
            return Retired(
                executions=executions,
                prints=prints,
                warnings=warnings,
                candles=candles,
                more=BATCH_ROWS in gone,
            )

        return self._database.run(step)
