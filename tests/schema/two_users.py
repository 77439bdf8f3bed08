"""Two users who have done all there is to do: each has rows in every table that knows its user."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import psycopg
from msgspec.structs import replace

from core.ids import OrderKey, UserId, client_order_id
from core.job import JobKind
from core.limit_change import LimitChange
from core.notice import Notice
from core.order import Leg
from core.position import OrderSide
from core.risk import RiskLimits
from core.run import Run
from schema.idempotency import Asked
from schema.jobs import JobId
from schema.notices import NoticeSettings
from schema.ops import ProposeIntent
from schema.pg import PgStore
from schema.records import Ask, ExecutionRow, ExecutionStatus, LostAsk, SlotReport, TickSource
from schema.vault import Vault
from tests.schema.conftest import Database
from tests.schema.pg_world import START, entry, fill_of, make_run, open_store, stand_at, tick_of
from tests.schema.test_connections import NEW, stored
from tests.schema.test_vault import master, vault_of

ANN, BOB = UserId("user-ann"), UserId("user-bob")


def two_users(database: Database) -> tuple[PgStore, dict[UserId, list[str]]]:
    """The store, and of each user what gives a row away: the name, and ids of strategies, runs and accounts."""
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    vault = vault_of(master("m1", 1))
    told = {user: live(store, user, vault) for user in (ANN, BOB)}
    store.notices.gather(frozenset())
    while (held := store.jobs.claim("node-1")) is not None:
        store.jobs.finish(held, {}, {"report.html": b"x"})
    with psycopg.connect(database.owner_dsn, connect_timeout=10) as owner:
        # What retention writes of months that have gone.
        owner.execute("INSERT INTO dropped_links SELECT unnest(%s::text[]), 1", [[ANN, BOB]])
        # Of strategies that take signals, which neither has here.
        owner.execute(
            "INSERT INTO alert_keys SELECT id, owner_id, sha256(id::text::bytea), runner_now() FROM strategies"
        )
    return store, told


def live(store: PgStore, user: UserId, vault: Vault) -> list[str]:
    store.notices.put(NoticeSettings(user_id=user, webhook_url="https://x.test/", wanted=frozenset(Notice)))
    store.set_limits(user, replace(RiskLimits(), cooldown_after_trade_s=Decimal(0)))
    open_, ended = make_run(store, user), make_run(store, user, symbol="ETHUSDT")
    for run in (open_, ended):
        trade(store, run)
    store.flattens.ask(by=user, by_operator=False, run_id=open_.id)
    connection = store.connections.add(NEW, stored(vault, user))
    store.limits.set_ceiling(user, LimitChange(max_trades_per_day=9), by=UserId("root"))
    store.jobs.add(JobId(uuid4()), user, JobKind.BACKTEST, {})
    asked = Asked(user_id=user, key="a-key-of-mine", operation="POST /x", content=b"")
    store.idempotency.begin(asked, seed=uuid4())
    ids = [each for run in (open_, ended) for each in (run.id, run.strategy.id, run.account_id)]
    return [user, str(connection.id), *(str(each) for each in ids)]


def trade(store: PgStore, run: Run) -> None:
    """An entry, and of the second run an exit."""
    (claim,) = store.claim([run.id], slot=START, owner="node-1", ttl_s=60)
    opened = entry(run, claim.fence)
    store.settle([opened])
    store.settle([fill_of(opened.order, "100", trade_id=f"in-{run.id}")])
    if run.strategy.symbol == "ETHUSDT":
        key = OrderKey(run_id=run.id, slot=START, leg=Leg.EXIT, attempt=1)
        exit_ = replace(
            opened.order,
            client_order_id=client_order_id(key),
            leg=Leg.EXIT,
            side=OrderSide.SELL,
            reduce_only=True,
        )
        store.settle([ProposeIntent(order=exit_, deadline=opened.deadline)])
        store.settle([fill_of(exit_, "90", trade_id=f"out-{run.id}")])
    ask = Ask(slot=START, source=TickSource.TIMER, at=START)
    done = ExecutionRow(
        evaluation_key=f"of {run.id}",
        strategy_id=run.strategy.id,
        slot=START,
        worker="node-1",
        duration_ms=1.0,
        status=ExecutionStatus.SUCCESS,
        action="long",
    )
    tick = tick_of(run, claim.fence, START, signal="long")
    lost = LostAsk(ask=ask, node="node-2", run_ids=[run.id])
    store.report(SlotReport(ticks=(tick,), executions=(done,), lost=(lost,)))
