"""What HTTP and the page read: the user's own, bounded, and true to the rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from core.errors import Reason
from core.ids import StrategyId, UserId
from core.risk import RiskLimits
from schema.ops import FillSettled, IntentCommitted, SimulateTrade
from schema.pg import PgStore
from schema.records import SlotReport
from tests.schema.conftest import Database
from tests.schema.pg_world import START, entry, fill_of, make_run, open_store, stand_at, tick_of

ANN, BOB = UserId("ann"), UserId("bob")


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    yield store
    store.close()


def test_i12_a_user_lists_and_opens_only_what_they_may_see(store: PgStore) -> None:
    anns, bobs = make_run(store, ANN), make_run(store, BOB)
    [view] = store.reads.strategies(ANN)
    assert view.strategy == anns.strategy
    assert [summary.run.id for summary in view.runs] == [anns.id]
    assert store.reads.strategy(bobs.strategy.id, ANN) is None
    assert store.reads.strategy(StrategyId(anns.id), ANN) is None
    assert [summary.run.user_id for summary in store.reads.overview(user_id=ANN).runs] == [ANN]


def test_strategies_page_by_cursor_without_repeats(store: PgStore) -> None:
    made = {make_run(store, ANN, name=str(number)).strategy.id for number in range(5)}
    first = store.reads.strategies(ANN, limit=3)
    last = first[-1]
    rest = store.reads.strategies(ANN, limit=3, before=(last.created_at, last.strategy.id))
    assert len(first) == 3
    assert {view.strategy.id for view in first + rest} == made


def test_detail_and_overview_show_position_pnl_equity_and_events(store: PgStore) -> None:
    run = make_run(store, ANN)
    [claim] = store.claim([run.id], slot=START, owner="node-1", ttl_s=120)
    [committed] = store.settle([entry(run, claim.fence)])
    assert isinstance(committed, IntentCommitted)
    [settled] = store.settle([fill_of(committed.order, "100")])
    assert isinstance(settled, FillSettled)
    store.report(SlotReport(ticks=(tick_of(run, claim.fence, START, signal="long"),)))
    detail = store.reads.strategy(run.strategy.id, ANN)
    assert detail is not None
    assert [event.type for event in detail.events] == [
        "signal",
        "trade.filled",
        "trade.created",
        "order_fill",
        "order_submit",
    ]
    assert (detail.subscribers, detail.executions, detail.average_execution_ms) == (1, 0, None)
    [summary] = detail.view.runs
    assert summary.position is not None
    assert summary.position.position == settled.position
    assert summary.realised == Decimal("-0.04")
    assert (summary.last_status, summary.last_signal, summary.last_signal_at) == ("ok", "long", START)
    overview = store.reads.overview()
    assert overview.runs == (summary,)
    [curve] = overview.accounts
    assert curve.account == settled.account
    assert [point.balance for point in curve.equity] == [settled.account.balance]


def test_numbers_count_runs_lag_and_who_is_blocked(store: PgStore) -> None:
    runs = [make_run(store, user) for user in (ANN, BOB)]
    store.set_limits(ANN, RiskLimits(daily_max_loss_usdt=Decimal(5)))
    store.settle([SimulateTrade(user_id=ANN, delta=Decimal(-5))])
    store.report(SlotReport(ticks=tuple(tick_of(run, 0, START) for run in runs)))
    numbers = store.reads.numbers()
    assert (numbers.active_runs, numbers.active_strategies) == (2, 2)
    assert numbers.blocked == {ANN: Reason.PAUSED}
    assert (numbers.last_tick_at, numbers.last_tick_status) == (START + timedelta(seconds=1), "ok")
    assert (numbers.slot_lag_p50_ms, numbers.slot_lag_p99_ms) == (1_000, 1_000)
    [series] = numbers.series
    assert (series.symbol, series.timeframe, series.strategies, series.runs) == ("BTCUSDT", "1m", 2, 2)


def test_an_empty_installation_reads_as_nothing(store: PgStore) -> None:
    numbers = store.reads.numbers()
    assert (numbers.active_runs, numbers.last_tick_at, numbers.slot_lag_p99_ms, numbers.series) == (
        0,
        None,
        None,
        (),
    )
    assert store.reads.overview().runs == ()
    assert store.reads.strategies(ANN) == []
