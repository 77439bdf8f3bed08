"""On the real store: folding everything up to now equals the rows of now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.ids import UserId
from core.limit_change import LimitChange
from core.order import Leg, Rejected
from core.risk import RiskLimits, risk_day
from core.run import Run, RunCommand
from schema.desk import SetRunSettings
from schema.ops import ObserveOrder, ResumeUser, SimulateTrade
from schema.pg import PgStore
from tests.schema.conformance.world import START, World
from tests.schema.conftest import Database

STEPS = (
    "gain",
    "loss",
    "rejected",
    "held",
    "settings",
    "simulated",
    "resumed",
    "limits",
    "moved",
    "midnight",
)


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    limits = RiskLimits(
        cooldown_after_trade_s=Decimal(0), max_consecutive_losses=2, pause_duration_min=Decimal(2)
    )
    store = PgStore(database.service_dsn, default_limits=limits, worker="node-1", pool_size=2)
    store.mark_demo(start=START - timedelta(minutes=1), rate=1.0)

    def nothing(_: Any) -> None:
        raise NotImplementedError

    yield World(
        store,
        set_now=lambda at: store.set_clock(at=at, ceiling=at),
        expire_leases=nothing,
        forget_lease=nothing,
    )
    store.close()


def take(world: World, store: PgStore, user: UserId, step: str, number: int) -> None:
    blocked = store.risk(user).blocked is not None
    match step:
        case "gain" | "loss" if not blocked:
            world.trade(world.run(user), "7" if step == "gain" else "-5")
        case "held" if not blocked:
            run = world.run(user)
            fence = world.held(
                run,
                quantity="3",
                price="101",
                leverage=2,
                stop_loss_pct=Decimal(1 + number),
                take_profit=Decimal(150),
            )
            world.filled(world.committed(run, fence, leg=Leg.EXIT), "99.7", commission="0.03")
        case "rejected" if not blocked:
            run = world.run(user)
            world.next_slot()
            order = world.committed(run, world.claim(run).fence)
            world.settle(
                ObserveOrder(
                    client_order_id=order.client_order_id, event=Rejected("no"), no_further_attempt=True
                )
            )
        case "settings":
            run = world.run(user)
            store.arrange(SetRunSettings(run_id=run.id, settings=replace(run.settings, leverage=2 + number)))
        case "moved":
            store.command(world.run(user).id, RunCommand.PAUSE, by=user)
        case "simulated":
            store.settle([SimulateTrade(user_id=user, delta=Decimal(-8))])
        case "resumed":
            store.settle([ResumeUser(user_id=user, by=user)])
        case "limits":
            change = LimitChange(max_trades_per_day=20 - number)
            store.limits.set_ceiling(user, change, by=user)
        case "midnight":
            world.set_now(world.now + timedelta(days=1))
    world.set_now(world.now + timedelta(seconds=20))


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=9))
def test_folding_every_event_up_to_now_equals_the_rows_of_now(world: World, steps: list[str]) -> None:
    store = world.store
    assert isinstance(store, PgStore)
    user = UserId(f"user-{world.id()}")
    for number, step in enumerate(steps):
        take(world, store, user, step, number)
    now = world.now
    for run in store.runs(user_id=user):
        assert store.reads.run_then(run, now) == run
        _position_equals(store, run, now)
    then, view = store.reads.risk_then(user, now), store.risk(user)
    assert then.limits in (None, view.limits)
    today = {risk_day(now): view.state.day(now)}
    assert then.state == replace(view.state, days=today)


def _position_equals(store: PgStore, run: Run, now: datetime) -> None:
    then = store.reads.position_then(run, now)
    summary = store.reads.run(run.id, run.user_id)
    assert summary is not None
    if summary.position is None:
        assert then is None
        return
    assert then is not None
    held = summary.position
    assert (then.held.position, then.leverage, then.symbol, then.held.drift, then.wanted) == (
        held.position,
        held.leverage,
        held.symbol,
        held.drift,
        held.protection,
    )
