"""`bench pages`: how long the service's pages take with millions of events and ticks in the database.

The rows are put in by one statement after the other with the events' triggers off: what is measured is reading them.
Half are of one user's run, so that its pages have the most to leave out; the rest are of all the others'.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from bin.commands.bench_http import body_of, header, own_database, seed, serving
from core.errors import RunnerError
from core.ids import RunId, StrategyId, UserId
from core.risk import RiskLimits
from exchanges.http import HttpPool
from schema.pg import PgStore
from schema.pg_database import Connection

LIMIT_MS: Final = 300
RUNS: Final = 1_000
AT_ONCE: Final = 50_000
ASKED: Final = 20
"""Of each page, one after the other."""
_LISTER: Final = UserId("lister")
_RUN: Final = RunId(UUID(int=(2 << 64) + 1_000_000))
_STRATEGY: Final = StrategyId(UUID(int=(1 << 64) + 1_000_000))

_TRIGGERS: Final = "ALTER TABLE strategy_events {} TRIGGER USER"
_OTHERS: Final = "('00000000-0000-0002-0000-' || lpad(to_hex(mod(n, %(runs)s)), 12, '0'))::uuid"
_EVENTS: Final = f"""
INSERT INTO strategy_events (id, user_id, run_id, seq, type, at, payload)
SELECT n, r.user_id, r.id, n, CASE mod(n, 5) WHEN 0 THEN 'order_fill' WHEN 1 THEN 'signal' ELSE 'run.status' END,
       runner_now() - make_interval(secs => (%(last)s - n) * 1728000.0 / %(last)s),
       jsonb_build_object('n', n, 'status', 'active')
  FROM generate_series(%(first)s::bigint, %(until)s::bigint) n
  JOIN strategy_runs r ON r.id = CASE WHEN mod(n, 2) = 0 THEN %(run)s ELSE {_OTHERS} END
""".encode()  # noqa: S608 (its parts are constants of this file)
_TICKS: Final = f"""
INSERT INTO strategy_tick_runs (run_id, user_id, slot, status, signal, source, scheduled_at, finished_at, latency_ms,
                                worker, fence)
SELECT r.id, r.user_id, slot, 'ok', 'hold', 'timer', slot, slot + interval '0.2 s', 1.0, 'bench', 0
  FROM generate_series(%(first)s::bigint, %(until)s::bigint) n
 CROSS JOIN LATERAL (SELECT date_trunc('minute', runner_now())
                            - make_interval(mins => (20 + n / %(runs)s)::int) AS slot) s
  JOIN strategy_runs r ON r.id = {_OTHERS}
ON CONFLICT DO NOTHING
""".encode()  # noqa: S608 (likewise)


def measure(*, events: int, database: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """`bench pages --json`; milliseconds, `withinLimit` for the slowest answer of all."""
    with own_database(database) as dsn, contextlib.ExitStack() as stack:
        store = PgStore(dsn, default_limits=RiskLimits(), worker="bench", pool_size=2)
        stack.callback(store.close)
        if store.runs():
            raise RunnerError("The database for the benchmark must be empty; this one holds runs.")
        seed(store, RUNS)
        began = perf_counter()
        fill(store, events, say)
        filled_s = perf_counter() - began
        secret = secrets.token_hex(32)
        address = stack.enter_context(serving(dsn, secret))
        pages = asyncio.run(_timed(address, secret))
    slowest = max(page["maxMs"] for page in pages.values())
    return {
        "events": events,
        "ticks": events,
        "fillSeconds": round(filled_s, 1),
        "pages": pages,
        "withinLimit": slowest <= LIMIT_MS,
    }


def fill(store: PgStore, events: int, say: Callable[[str], None]) -> None:
    def triggers(state: str) -> None:
        store.database.run(lambda connection: connection.execute(_TRIGGERS.format(state).encode()))

    triggers("DISABLE")
    for first in range(1, events + 1, AT_ONCE):
        until = min(events, first + AT_ONCE - 1)
        named = {"first": first, "until": until, "last": events, "run": _RUN, "runs": RUNS}

        def put(connection: Connection, named: dict[str, Any] = named) -> None:
            connection.execute(_EVENTS, named)

        def tick(connection: Connection, named: dict[str, Any] = named) -> None:
            connection.execute(_TICKS, named)

        store.database.run(put)
        store.database.run(tick)
        say(f"{until:,} of {events:,} events and ticks")
    triggers("ENABLE")
    store.database.run(
        lambda connection: connection.execute(b"SELECT setval('strategy_event_ids', %s)", (events,))
    )
    store.database.run(lambda connection: connection.execute(b"ANALYZE strategy_events, strategy_tick_runs"))


async def _timed(address: str, secret: str) -> dict[str, Any]:
    admin, own = header(secret, "root", admin=True), header(secret, _LISTER, admin=False)
    pages = {
        "/api/runner/status": admin,
        "/api/runner/tick-runs": admin,
        "/api/strategies": own,
        f"/api/strategies/{_STRATEGY}": own,
        f"/api/strategies/{_STRATEGY}/events": own,
        f"/api/strategies/{_STRATEGY}/logs": own,
    }
    told: dict[str, Any] = {}
    pool = HttpPool(address)
    try:
        for path, headers in pages.items():
            took = []
            for _ in range(ASKED):
                began = perf_counter()
                await body_of(pool, path, headers)
                took.append(1_000 * (perf_counter() - began))
                if path == "/api/runner/status":
                    await asyncio.sleep(0.55)  # beyond the moment an answer is kept
            name = path.replace(str(_STRATEGY), "{id}")
            told[name] = {"p50Ms": round(median(took), 1), "maxMs": round(max(took), 1)}
    finally:
        pool.close()
    return told
