"""What the database itself testifies: each query finds the rows that break a promise, and must find none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from schema.embedded import EmbeddedPostgres

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
        SELECT p.run_id FROM positions p LEFT JOIN fills f ON f.run_id = p.run_id GROUP BY p.run_id
        HAVING p.quantity <> coalesce(sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END), 0)""",
    "an order's filled quantity is the sum of its fills": """
        SELECT o.client_order_id FROM orders o LEFT JOIN fills f ON f.client_order_id = o.client_order_id
         GROUP BY o.client_order_id HAVING o.filled_quantity <> coalesce(sum(f.quantity), 0)""",
    "a balance is the bankroll and all that was realised": """
        SELECT a.id FROM accounts a LEFT JOIN fills f ON f.account_id = a.id GROUP BY a.id
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

GAPS = """
    SELECT run_id, slot, before FROM (
        SELECT t.run_id, t.slot, r.timeframe_s, lag(t.slot) OVER (PARTITION BY t.run_id ORDER BY t.slot) AS before
          FROM strategy_tick_runs t JOIN run_rows r ON r.id = t.run_id WHERE r.status = 'active') t
     WHERE slot - before <> timeframe_s * interval '1 second'"""
"""Slots of active runs that have no row of any kind between their first and their last."""


def database_of(data_dir: Path) -> str:
    """The service's way into the one demo database of a data directory; a server must be running there."""
    (found,) = (data_dir / "demo").glob("*/postgres")
    return EmbeddedPostgres(found).service_dsn


@contextmanager
def witness(dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


def broken(
    connection: psycopg.Connection[tuple[Any, ...]], *groups: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Promise → rows that break it, of one instant."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = {
            promise: connection.execute(query).fetchmany(5)
            for group in groups
            for promise, query in group.items()
        }
    return {promise: rows for promise, rows in found.items() if rows}


def market_now(connection: psycopg.Connection[tuple[Any, ...]]) -> datetime:
    row = connection.execute("SELECT runner_now()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def number(connection: psycopg.Connection[tuple[Any, ...]], query: str, *values: object) -> int:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return int(row[0])
