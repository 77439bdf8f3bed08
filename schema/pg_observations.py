"""`PgObservations`: the installation in numbers, over all users and without naming any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from schema.pg_database import Connection, Database, DatabaseTimes
from schema.pg_published import ReceiverState
from schema.pg_rows import as_type, many, one, value

LAG_WINDOW = timedelta(minutes=15)


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """`slot_lag_*`: from a slot to the end of its ticks, of the last 15 minutes of market time."""

    runs: Mapping[str, int]
    orders: Mapping[str, int]
    open_positions: int
    unprotected_positions: int
    unprotected_s: float
    slot_lag_p50_ms: float | None
    slot_lag_p99_ms: float | None
    open_alerts: int
    minimum_version: str | None
    kill_switch: bool
    receivers: tuple[ReceiverState, ...]


class PgObservations:
    """Each reading is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Observed:
        def read(connection: Connection) -> Observed:
            held = one(connection, "observed_positions") or {}
            now = value(connection, "market_now")
            lag = one(connection, "slot_lag", {"since": now - LAG_WINDOW}) or {}
            platform = one(connection, "platform") or {}
            return Observed(
                runs={row["status"]: row["many"] for row in many(connection, "observed_runs")},
                orders={row["status"]: row["many"] for row in many(connection, "observed_orders")},
                open_positions=held["open"],
                unprotected_positions=held["unprotected"],
                unprotected_s=held["unprotected_s"],
                slot_lag_p50_ms=lag["p50"],
                slot_lag_p99_ms=lag["p99"],
                open_alerts=value(connection, "observed_alerts"),
                minimum_version=platform["minimum_version"],
                kill_switch=platform["kill_switch"],
                receivers=tuple(
                    as_type(ReceiverState)(row) for row in many(connection, "observed_receivers")
                ),
            )

        return self._database.run(read)

    def times(self) -> DatabaseTimes:
        """Does not block."""
        return self._database.times()
