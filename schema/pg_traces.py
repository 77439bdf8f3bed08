"""`PgTraces`: the orders a tick led to, read after it is durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from core.ids import RunId, StrategyId
from schema.pg_database import Connection, Database
from schema.pg_rows import as_type, many
from schema.records import TickRow

MAX_ORDERS = 1_000


class TracedOrder(msgspec.Struct, frozen=True, kw_only=True):
    run_id: RunId
    slot: datetime
    client_order_id: str
    leg: str
    attempt: int
    side: str
    status: str
    created_at: datetime
    updated_at: datetime
    first_fill: datetime | None
    last_fill: datetime | None
    fills: int


class Led(msgspec.Struct, frozen=True, kw_only=True):
    """What ticks led to, and the strategy of each run."""

    orders: Sequence[TracedOrder]
    strategies: Mapping[RunId, StrategyId]


class PgTraces:
    def __init__(self, database: Database) -> None:
        self._database = database

    def led_to(self, ticks: Sequence[TickRow]) -> Led:
        """Blocks; at most MAX_ORDERS orders."""
        named = {"run_id": [tick.run_id for tick in ticks], "slot": [tick.slot for tick in ticks]}

        def read(connection: Connection) -> Led:
            orders = many(connection, "traced_orders", named | {"limit": MAX_ORDERS})
            runs = many(connection, "traced_strategies", named)
            return Led(
                orders=[as_type(TracedOrder)(row) for row in orders],
                strategies={row["run_id"]: row["strategy_id"] for row in runs},
            )

        return self._database.run(read)
