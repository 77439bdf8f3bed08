"""`bench http`: requests a second of a running `serve`, beside a bare Starlette route and a bare query.

The service is the program itself in a process of its own, on a PostgreSQL of its own with a population; the bare route
is served by the same server and parser, and answers as many bytes. One client asks all in turns, each round anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, Final
from uuid import UUID

import msgspec

from bin.drill.node import NOBODY
from bin.environment import ROOT
from bin.kept_server import kept_server
from bin.tether import OWN_GROUP, tether, tethered
from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunSettings, RunStatus
from core.timeframe import Timeframe
from exchanges.http import HttpPool
from exchanges.wire import Cost, NoAnswer, Request
from facade.tokens import issue
from schema import pg_records
from schema.migrate import migrate
from schema.pg import PgStore
from schema.pg_database import SQL, Connection
from schema.records import Account, SlotReport, TickRow, TickStatus

IN_FLIGHT: Final = 8
LISTED: Final = 50
"""Strategies of the user whose list is asked for: a page of them."""
TICK_SLOTS: Final = 10
START_TIMEOUT_S: Final = 60.0
_LISTER: Final = UserId("lister")
_KEPT: Final = ("PATH", "HOME", "LANG", "RUNNER_PG_BIN")


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """One client in one round."""

    per_second: float
    p50_ms: float
    p99_ms: float


def measure(*, requests: int, rounds: int, runs: int, database: str | None) -> dict[str, Any]:
    """`bench http --json`. Ratios: how many times the bare route's, or the bare query's, time a request takes."""
    with own_database(database) as dsn, contextlib.ExitStack() as stack:
        store = PgStore(dsn, default_limits=RiskLimits(), worker="bench", pool_size=2)
        stack.callback(store.close)
        if store.runs():
            raise RunnerError("The database for the benchmark must be empty; this one holds runs.")
        seed(store, runs)
        secret = secrets.token_hex(32)
        served = stack.enter_context(serving(dsn, secret))
        admin = header(secret, "root", admin=True)
        lister = header(secret, _LISTER, admin=False)
        size = len(asyncio.run(_one(served, "/api/strategies", lister)))
        bare = stack.enter_context(_bare(size))
        took: dict[str, list[Rate]] = {"bare": [], "status": [], "strategies": [], "query": []}
        for _ in range(rounds):
            took["bare"].append(asyncio.run(_asked(bare, "/", (), requests)))
            took["status"].append(asyncio.run(_asked(served, "/api/runner/status", admin, requests)))
            took["strategies"].append(asyncio.run(_asked(served, "/api/strategies", lister, requests)))
            took["query"].append(_queried(store, requests))
    return {"runs": runs, "requests": requests, "bytes": size} | _figures(took)


@contextlib.contextmanager
def own_database(given: str | None) -> Iterator[str]:
    """As the role that may migrate, since the service does so when it starts."""
    if given is not None:
        migrate(given)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        with kept_server(Path(folder) / "postgres") as server:
            migrate(server.owner_dsn)
            yield server.owner_dsn


def _figures(took: Mapping[str, list[Rate]]) -> dict[str, Any]:
    """Medians of the rounds."""
    told: dict[str, Any] = {}
    for name, rates in took.items():
        told[name] = {
            "perSecond": round(median(rate.per_second for rate in rates)),
            "p50Ms": round(median(rate.p50_ms for rate in rates), 3),
            "p99Ms": round(median(rate.p99_ms for rate in rates), 3),
        }
    for name in ("status", "strategies"):
        told[name]["ratioToBareRoute"] = round(told["bare"]["perSecond"] / told[name]["perSecond"], 2)
        told[name]["ratioToBareQuery"] = round(told["query"]["perSecond"] / told[name]["perSecond"], 2)
    return told


def seed(store: PgStore, runs: int) -> None:
    """`runs` active runs of as many users on a tenth of as many strategies, and a page of the lister's own.

    They trade on days, so that no slot falls into the measurement.
    """
    strategies = [_definition(number, UserId(f"owner-{number}")) for number in range(max(1, runs // 10))]
    own = [_definition(1_000_000 + number, _LISTER) for number in range(LISTED)]
    plan = [
        (number, UserId(f"user-{number}"), strategies[number % len(strategies)]) for number in range(runs)
    ]
    plan += [(1_000_000 + number, _LISTER, definition) for number, definition in enumerate(own)]

    def create(connection: Connection) -> None:
        for definition in (*strategies, *own):
            pg_records.create_strategy(connection, definition)
        for number, user, definition in plan:
            id_ = RunId(UUID(int=(2 << 64) + number))
            account = Account(id=AccountId(id_), user_id=user, name="bench")
            run = Run(
                id=id_,
                user_id=user,
                strategy=definition,
                account_id=account.id,
                settings=RunSettings(),
                status=RunStatus.ACTIVE,
            )
            pg_records.create_account(connection, account)
            pg_records.create_run(connection, run)

    store.database.run(create)
    newest = Timeframe.M1.floor(datetime.now(UTC))
    for place in range(TICK_SLOTS):
        slot = newest - Timeframe.M1.delta * place
        store.report(
            SlotReport(ticks=tuple(_tick(RunId(UUID(int=(2 << 64) + n)), user, slot) for n, user, _ in plan))
        )


def _definition(number: int, owner: UserId) -> StrategyDefinition:
    return StrategyDefinition(
        id=StrategyId(UUID(int=(1 << 64) + number)),
        owner_id=owner,
        name=f"RSI {number}",
        template="rsi_oversold_overbought",
        parameters={"rsi_period": 14},
        symbol="BTCUSDT",
        timeframe=Timeframe.D1,
    )


def _tick(run_id: RunId, user: UserId, slot: datetime) -> TickRow:
    return TickRow(
        run_id=run_id,
        user_id=user,
        slot=slot,
        status=TickStatus.OK,
        signal="hold",
        scheduled_at=slot,
        finished_at=slot + timedelta(milliseconds=200),
        worker="bench",
    )


@contextlib.contextmanager
def serving(dsn: str, secret: str) -> Iterator[str]:
    """`serve`, its venue out of reach; its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        settings = {
            "DATABASE_URL": dsn,
            "RUNNER_DATA_DIR": folder,
            "BINANCE_BASE_URL": NOBODY,
            "BYBIT_BASE_URL": NOBODY,
            "JWT_SECRET": secret,
            "ENABLE_STRATEGY_RUNNER": "true",
            "RUNNER_RATE_LIMIT_USER": "0",
            "RUNNER_RATE_LIMIT_ADDRESS": "0",
            "LOG_LEVEL": "ERROR",
        }
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        log = Path(folder) / "serve.log"
        process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
            tethered("bin.commands", "serve", "--port", str(port)),
            stdin=tether(),
            stdout=subprocess.DEVNULL,
            stderr=log.open("wb"),
            env=kept | settings | {"PYTHONPATH": str(ROOT)},
            cwd=folder,
            process_group=OWN_GROUP,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _await(lambda: asyncio.run(_is_up(address)) or process.poll() is not None)
            if process.poll() is not None:
                raise RunnerError(f"The service ended: {log.read_text()[-500:]}")
            yield address
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def _bare(size: int) -> Iterator[str]:
    process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
        [sys.executable, "-P", "-m", "bin.commands.bench_http_server", str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


def _await(holds: Callable[[], bool]) -> None:
    deadline_s = perf_counter() + START_TIMEOUT_S
    while not holds():
        if perf_counter() > deadline_s:
            raise RunnerError(f"The service was not up after {START_TIMEOUT_S:g} s.")
        sleep(0.2)


async def _is_up(address: str) -> bool:
    pool = HttpPool(address)
    try:
        return (
            await pool.send(Request(method="GET", path="/healthz", cost=Cost()), timeout_s=2)
        ).status == 200
    except NoAnswer:
        return False
    finally:
        pool.close()


async def _one(address: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    pool = HttpPool(address)
    try:
        return await body_of(pool, path, headers)
    finally:
        pool.close()


async def body_of(pool: HttpPool, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    answer = await pool.send(Request(method="GET", path=path, headers=headers, cost=Cost()), timeout_s=10)
    if answer.status != 200:
        raise RunnerError(f"{path} answered {answer.status}: {answer.body[:200]!r}")
    return answer.body


async def _asked(address: str, path: str, headers: tuple[tuple[str, str], ...], requests: int) -> Rate:
    """IN_FLIGHT at a time, on kept connections."""
    pool = HttpPool(address)
    took: list[float] = []
    left = iter(range(requests))

    async def ask() -> None:
        for _ in left:
            began = perf_counter()
            await body_of(pool, path, headers)
            took.append(perf_counter() - began)

    try:
        await asyncio.gather(
            *(ask() for _ in range(IN_FLIGHT))
        )  # connections and caches, as in any later second
        left, began = iter(range(requests)), perf_counter()
        took.clear()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        return _rate(took, perf_counter() - began)
    finally:
        pool.close()


def _queried(store: PgStore, requests: int) -> Rate:
    """The list's own statement by bare psycopg: one connection, nothing made of the rows."""
    named = {"user_id": _LISTER, "limit": LISTED + 1, "before_at": None, "before_id": None}
    took: list[float] = []

    def query(connection: Connection) -> None:
        for _ in range(requests):
            began = perf_counter()
            connection.execute(SQL["strategies_seen_by"], named).fetchall()
            took.append(perf_counter() - began)

    store.database.read(query)
    return _rate(took, sum(took))


def _rate(took: list[float], seconds: float) -> Rate:
    ordered = sorted(took)
    return Rate(
        per_second=len(took) / seconds,
        p50_ms=1_000 * ordered[len(ordered) // 2],
        p99_ms=1_000 * ordered[len(ordered) * 99 // 100],
    )


def header(secret: str, user: str, *, admin: bool) -> tuple[tuple[str, str], ...]:
    token = issue(secret=secret, user_id=user, admin=admin, now=datetime.now(UTC), ttl=timedelta(hours=1))
    return (("Authorization", f"Bearer {token}"),)
