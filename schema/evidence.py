"""What a database itself testifies: each query finds the rows that break a promise, and must find none.

For drills and tests. `ALWAYS` holds at any instant, whatever is under way or has been killed; `SETTLED`, `GAPS` and
`RECOUNTED` once market time stands and nothing is under way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

ALWAYS: Mapping[str, str] = {
    "I1: at most one tick row per (run, slot)": """
        SELECT run_id, slot FROM strategy_tick_runs GROUP BY 1, 2 HAVING count(*) > 1""",
    "I1: at most one live intent per (run, slot, leg)": """
        SELECT run_id, slot, leg FROM orders WHERE status IN ('intent', 'submitted', 'partial', 'unknown')
         GROUP BY 1, 2, 3 HAVING count(*) > 1""",
    "I1: a further attempt follows only one that was not placed": """
        SELECT later.client_order_id FROM orders later
          JOIN orders earlier USING (run_id, slot, leg)
         WHERE earlier.attempt < later.attempt AND earlier.status <> 'not_placed' AND later.leg = 'entry'""",
    "I1: no two entries of one slot filled": """
        SELECT run_id, slot FROM orders WHERE leg = 'entry' AND filled_quantity > 0
         GROUP BY 1, 2 HAVING count(*) > 1""",
    "I2: what was submitted or filled had its intent event before": """
        SELECT o.client_order_id FROM orders o
         WHERE o.leg IN ('entry', 'exit', 'flatten', 'repair')
           AND (o.fence IS NULL OR o.sign_ts IS NULL OR 1 <> (
                SELECT count(*) FROM strategy_events e
                 WHERE e.run_id = o.run_id AND e.type = 'order_submit'
                   AND e.payload ->> 'client_order_id' = o.client_order_id
                   AND e.payload ->> 'status' = 'intent'
                   AND NOT EXISTS (SELECT FROM strategy_events n
                                    WHERE n.run_id = o.run_id AND n.seq < e.seq
                                      AND n.payload ->> 'client_order_id' = o.client_order_id)))""",
    "I11: events of a run are numbered without gap": """
        SELECT r.id FROM strategy_runs r LEFT JOIN strategy_events e ON e.run_id = r.id GROUP BY r.id
        HAVING count(e.seq) <> count(DISTINCT e.seq) OR count(e.seq) <> coalesce(max(e.seq), 0)
            OR coalesce(max(e.seq), 0) <> r.event_seq""",
    "I11: events of a user are numbered without gap": """
        SELECT u.user_id FROM risk_users u
          LEFT JOIN strategy_events e ON e.user_id = u.user_id AND e.run_id IS NULL GROUP BY u.user_id
        HAVING count(e.seq) <> count(DISTINCT e.seq) OR count(e.seq) <> coalesce(max(e.seq), 0)
            OR coalesce(max(e.seq), 0) <> u.event_seq""",
    "I11: every fill has its event, every event its fill": """
        SELECT client_order_id, trade_id FROM fills WHERE client_order_id IS NOT NULL
        EXCEPT ALL
        SELECT payload ->> 'client_order_id', payload ->> 'trade_id' FROM strategy_events
         WHERE type = 'order_fill'""",
    "I11: a status is that of its last status event": """
        SELECT r.id FROM strategy_runs r
         WHERE r.status <> (SELECT e.payload ->> 'status' FROM strategy_events e
                             WHERE e.run_id = r.id AND e.type = 'run.status' ORDER BY seq DESC LIMIT 1)""",
    "a position is the sum of its fills": """
        SELECT p.run_id FROM positions p
          LEFT JOIN fills f ON f.run_id = p.run_id AND f.client_order_id IS NOT NULL  -- the rest is funding
         GROUP BY p.run_id
        HAVING p.quantity <> coalesce(sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END), 0)""",
    "an order's filled quantity is the sum of its fills": """
        SELECT o.client_order_id FROM orders o LEFT JOIN fills f ON f.client_order_id = o.client_order_id
         GROUP BY o.client_order_id HAVING o.filled_quantity <> coalesce(sum(f.quantity), 0)""",
    "a portfolio's balance is its bankroll and all that was realised": """
        SELECT a.id FROM accounts a LEFT JOIN fills f ON f.account_id = a.id WHERE a.kind = 'portfolio' GROUP BY a.id
        HAVING a.balance <> a.bankroll + coalesce(sum(f.realised), 0)""",
    "I7: a risk day is the sum of what was realised on it": """
        SELECT coalesce(d.user_id, f.user_id), coalesce(d.day, f.day), d.realized_pnl_usdt, f.realised
          FROM risk_days d
          FULL JOIN (SELECT user_id, (executed_at AT TIME ZONE 'UTC')::date AS day, sum(realised) AS realised
                       FROM fills GROUP BY 1, 2) f ON f.user_id = d.user_id AND f.day = d.day
         WHERE coalesce(d.realized_pnl_usdt, 0) <> coalesce(f.realised, 0)""",
    "I7: a risk day counts the entries that hold a reservation": """
        SELECT d.user_id, d.day, d.trades_count FROM risk_days d
         WHERE d.trades_count <> (SELECT count(*) FROM orders o WHERE o.user_id = d.user_id AND o.reserved
                                     AND (o.created_at AT TIME ZONE 'UTC')::date = d.day)""",
    "I6: a later intent of a run never has a lower fence": """
        SELECT run_id FROM (SELECT run_id, fence, lag(fence) OVER (PARTITION BY run_id ORDER BY number) AS before
                              FROM orders WHERE leg IN ('entry', 'exit')) o WHERE fence < before""",
    "I9: no entry was decided later than 30 s after its slot": """
        SELECT client_order_id FROM orders WHERE leg = 'entry' AND created_at > slot + interval '30 s'""",
    "I1: a slot that was missed was never decided: it has no order": """
        SELECT o.client_order_id FROM orders o JOIN strategy_tick_runs t USING (run_id, slot)
         WHERE t.status = 'missed' AND o.leg IN ('entry', 'exit')""",
    "a slot is missed for a reason, and interrupted under the fence it was claimed with": """
        SELECT run_id, slot, status, reason, fence FROM strategy_tick_runs
         WHERE (status = 'missed' AND reason IS NULL)
            OR (reason = 'interrupted' AND (status <> 'error' OR fence = 0))""",
    "a tick row is of its run's own slots, and of its user": """
        SELECT t.run_id, t.slot FROM strategy_tick_runs t JOIN run_rows r ON r.id = t.run_id
         WHERE extract(epoch FROM t.slot)::bigint % r.timeframe_s <> 0 OR t.user_id <> r.user_id""",
    "I12: what belongs to a run is its user's": """
        SELECT o.client_order_id FROM orders o JOIN strategy_runs r ON r.id = o.run_id
          JOIN accounts a ON a.id = o.account_id WHERE o.user_id <> r.user_id OR a.user_id <> r.user_id""",
}

SETTLED: Mapping[str, str] = {
    "no order is left as intent or unknown": """
        SELECT client_order_id, status, slot FROM orders WHERE status IN ('intent', 'unknown')""",
    "a claimed slot has its row": """
        SELECT l.run_id, l.last_slot FROM strategy_locks l
         WHERE l.last_slot < runner_now() - interval '1 minute' AND NOT EXISTS (
               SELECT FROM strategy_tick_runs t WHERE t.run_id = l.run_id AND t.slot = l.last_slot)""",
}

# Of runs that may tick at any slot, where market time stands.
DECIDED: Mapping[str, str] = {
    "every claimed slot has its row, the latest one too": """
        SELECT l.run_id, l.last_slot FROM strategy_locks l
         WHERE l.last_slot IS NOT NULL AND NOT EXISTS (
               SELECT FROM strategy_tick_runs t WHERE t.run_id = l.run_id AND t.slot = l.last_slot)""",
    "every run has been claimed for its latest slot": """
        SELECT r.id, due.slot FROM run_rows r
         CROSS JOIN LATERAL (
               SELECT to_timestamp(floor(extract(epoch FROM runner_now()) / r.timeframe_s) * r.timeframe_s) AS slot) due
         WHERE r.status = 'active' AND r.execution_mode <> 'MANUAL' AND r.kind <> 'external'
           AND r.activated_at < due.slot AND r.last_slot IS DISTINCT FROM due.slot""",
}

GAPS: Mapping[str, str] = {
    "every slot of an active run from its first row to its last has one": """
        SELECT run_id, slot, before FROM (
            SELECT t.run_id, t.slot, r.timeframe_s,
                   lag(t.slot) OVER (PARTITION BY t.run_id ORDER BY t.slot) AS before
              FROM strategy_tick_runs t JOIN run_rows r ON r.id = t.run_id WHERE r.status = 'active') t
         WHERE slot - before <> timeframe_s * interval '1 second'""",
}

RECOUNTED: Mapping[str, str] = {
    "I7: a risk day counts the entry legs that were filled": """
        SELECT d.user_id, d.day, d.trades_count, f.entries FROM risk_days d
          FULL JOIN (SELECT user_id, day, count(*) AS entries
                       FROM (SELECT o.user_id, o.run_id, o.slot, min((o.created_at AT TIME ZONE 'UTC')::date) AS day
                               FROM orders o JOIN fills f USING (client_order_id) WHERE o.leg = 'entry'
                              GROUP BY 1, 2, 3) legs GROUP BY 1, 2) f ON f.user_id = d.user_id AND f.day = d.day
         WHERE coalesce(d.trades_count, 0) <> coalesce(f.entries, 0)""",
    "I7: what was realised is what was sold less what was bought and paid, where a run is flat": """
        SELECT p.run_id, f.realised, f.paid FROM positions p
          JOIN (SELECT run_id, sum(realised) AS realised,
                       sum(CASE WHEN client_order_id IS NULL THEN realised
                                ELSE CASE side WHEN 'sell' THEN 1 ELSE -1 END * quantity * price - commission
                           END) AS paid
                  FROM fills GROUP BY 1) f ON f.run_id = p.run_id
         WHERE p.quantity = 0 AND round(f.realised, 6) <> round(f.paid, 6)""",
    "I7: round trips add up to what their fills realised, where a run is flat": """
        SELECT p.run_id FROM positions p
          LEFT JOIN (SELECT run_id, sum(realised) AS realised FROM fills GROUP BY 1) f ON f.run_id = p.run_id
          LEFT JOIN (SELECT run_id, sum(pnl) AS pnl FROM trades GROUP BY 1) t ON t.run_id = p.run_id
         WHERE p.quantity = 0
           AND round(coalesce(f.realised, 0), 6) <> round(coalesce(t.pnl, 0) + p.funding, 6)""",
    # Losses and pauses in the order they were committed: one operation's rows share their transaction (xmin), and in
    # it a pause that has run out ends before the trade counts.
    "I7: a streak is the losses in a row since a win or an expired pause": """
        WITH RECURSIVE told AS MATERIALIZED (
            SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY operation, NOT expired, id) AS n, expired,
                   (payload ->> 'pnl')::numeric AS pnl
              FROM (SELECT e.user_id, e.id, e.payload, e.payload ->> 'action' IS NOT DISTINCT FROM 'expired' AS expired,
                           min(e.id) OVER (PARTITION BY e.user_id, e.xmin::text) AS operation
                      FROM strategy_events e
                     WHERE e.type = 'trade.closed'
                        OR (e.type = 'risk_block' AND e.payload ->> 'action' = 'expired')) ordered
        ), counted AS (
            SELECT user_id, 0::bigint AS n, 0 AS streak FROM risk_users
            UNION ALL
            SELECT t.user_id, t.n,
                   CASE WHEN t.expired THEN CASE WHEN c.streak >= q.max_consecutive_losses THEN 0 ELSE c.streak END
                        WHEN t.pnl < 0 THEN c.streak + 1 ELSE 0 END
              FROM counted c JOIN told t ON t.user_id = c.user_id AND t.n = c.n + 1
              JOIN risk_limits q ON q.user_id = c.user_id
        )
        SELECT u.user_id, u.streak, c.streak FROM risk_users u JOIN risk_limits q USING (user_id)
          JOIN (SELECT DISTINCT ON (user_id) user_id, streak FROM counted ORDER BY user_id, n DESC) c USING (user_id)
         WHERE u.streak <> c.streak""",
    "I11: every round trip has its event, every event its round trip": """
        (SELECT run_id, exit_time, pnl FROM trades EXCEPT ALL
         SELECT run_id, (payload ->> 'exit_time')::timestamptz, (payload ->> 'pnl')::numeric FROM strategy_events
          WHERE type = 'trade.closed')
        UNION ALL
        (SELECT run_id, (payload ->> 'exit_time')::timestamptz, (payload ->> 'pnl')::numeric FROM strategy_events
          WHERE type = 'trade.closed' EXCEPT ALL SELECT run_id, exit_time, pnl FROM trades)""",
}
"""Totals counted anew from orders, fills and round trips, for a database in which nothing is under way."""


_TABLES: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
       AND pg_relation_size(c.oid) > 0 ORDER BY 1, 2"""


@contextmanager
def witness(dsn: str) -> Iterator[Connection]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def table_texts(connection: psycopg.Connection[Any]) -> Iterator[tuple[str, bytes]]:
    """All rows of all tables as text, table by table, whoever may see which of them."""
    for names in connection.execute(_TABLES).fetchall():
        copying = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*names))
        with connection.cursor().copy(copying) as rows:
            yield names[1], b"".join(rows)


def broken(connection: Connection, *groups: Mapping[str, str]) -> dict[str, list[Any]]:
    """Promise → rows that break it, of one instant."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = {
            promise: connection.execute(query).fetchmany(5)
            for group in groups
            for promise, query in group.items()
        }
    return {promise: rows for promise, rows in found.items() if rows}


def market_now(connection: Connection) -> datetime:
    row = connection.execute("SELECT runner_now()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def number(connection: Connection, query: str, *values: object) -> int:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return int(row[0])


def held_by(dsn: str) -> str | None:
    """A table of the database that holds rows of anybody's; None where a drill may write what it likes."""
    with witness(dsn) as connection:
        tables = connection.execute(
            """SELECT format('%I.%I', n.nspname, c.relname)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                  AND n.nspname NOT LIKE 'pg_toast%' AND c.relpersistence <> 't'
                  AND c.relname NOT IN ('schema_migrations', 'platform_settings', 'monthly_tables')
                ORDER BY 1"""
        ).fetchall()
        for (table,) in tables:
            found = connection.execute(f"SELECT FROM {table} LIMIT 1".encode()).fetchone()
            if found is not None:
                return str(table)
    return None


def claims(connection: Connection) -> list[tuple[UUID, datetime]]:
    """The slot each run was last claimed for."""
    return connection.execute(
        "SELECT run_id, last_slot FROM strategy_locks WHERE last_slot IS NOT NULL"
    ).fetchall()


def beating(connection: Connection, since: datetime) -> list[str]:
    """Processes whose last beat is younger than `since`, by id."""
    rows = connection.execute(
        "SELECT id FROM runner_nodes WHERE beat_at > %s ORDER BY id", [since]
    ).fetchall()
    return [row[0] for row in rows]


def process_now(connection: Connection) -> datetime:
    """The database's own clock, by which leases and beats go."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


_BOOKS: Mapping[str, str] = {
    "fills": """
        SELECT account_id, trade_id, client_order_id, side, quantity, price, commission, realised,
               (executed_at AT TIME ZONE 'UTC')::date
          FROM fills""",
    "positions": "SELECT account_id, sum(quantity) FROM positions GROUP BY 1",
    "risk": "SELECT user_id, day, realized_pnl_usdt FROM risk_days",
}


class OrderRow(NamedTuple):
    """An order of a live run, as far as a venue knows it too."""

    client_order_id: str
    account_id: UUID
    run_id: UUID
    leg: str
    status: str
    filled: Decimal


def live_orders(connection: Connection) -> list[OrderRow]:
    """Of runs that trade at a venue, those the venue made by itself left out."""
    rows = connection.execute(
        """SELECT client_order_id, account_id, run_id, leg, status, filled_quantity FROM orders
            WHERE leg IN ('entry', 'exit', 'flatten', 'repair')
              AND run_id IN (SELECT id FROM strategy_runs WHERE trading_mode = 'live')"""
    ).fetchall()
    return [OrderRow(*row) for row in rows]


def counts(connection: Connection, query: str) -> dict[str, int]:
    """What a query of (name, count) answers."""
    return dict(connection.execute(query).fetchall())


def books(connection: Connection) -> dict[str, list[Any]]:
    """Fills with funding, open positions and risk days, of one instant: what a venue's own books are held against."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return {name: connection.execute(query).fetchall() for name, query in _BOOKS.items()}
