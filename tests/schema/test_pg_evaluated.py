"""Evaluations as they are kept: whom they reached in all processes, late ones too; prints up to a bound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from core.definition import StrategyDefinition
from core.ids import StrategyId, UserId
from core.risk import RiskLimits
from core.timeframe import Timeframe
from schema import pg_evaluated
from schema.pg import PgStore
from schema.pg_history import AuthoredEvaluation
from schema.records import ExecutionRow, ExecutionStatus, Printed, Reached, SlotReport
from tests.schema.conformance.world import START
from tests.schema.conftest import Database

KEY = "ab" * 32
STRATEGY = StrategyId(UUID(int=1))


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=2)
    opened.create_strategy(
        StrategyDefinition(
            id=STRATEGY,
            owner_id=UserId("ann"),
            name="Trend",
            template="sma_trend",
            parameters={"period": 20},
            symbol="BTCUSDT",
            timeframe=Timeframe.M1,
        )
    )
    yield opened
    opened.close()


def execution(worker: str, runs: int, *, slot: datetime = START, took_ms: float = 1.0) -> ExecutionRow:
    return ExecutionRow(
        evaluation_key=KEY,
        strategy_id=STRATEGY,
        slot=slot,
        worker=worker,
        duration_ms=took_ms,
        status=ExecutionStatus.SUCCESS,
        runs_reached=runs,
    )


def kept(store: PgStore) -> list[AuthoredEvaluation]:
    return store.reads.evaluations(STRATEGY, UserId("ann"), limit=200)


@pytest.mark.parametrize(
    ("reports", "runs"),
    [
        ([SlotReport(executions=(execution("a", 3),))], 3),
        ([SlotReport(executions=(execution("a", 3),))] * 2, 3),
        ([SlotReport(executions=(execution("a", 3), execution("b", 4)))], 7),
        (
            [SlotReport(executions=(execution("a", 1), execution("b", 4)))]
            + [
                SlotReport(reached=(Reached(evaluation_key=KEY, slot=START, worker="a", runs=runs),))
                for runs in (2, 9, 9)
            ],
            13,
        ),
    ],
    ids=["one process", "told twice", "two processes", "more of them late, told twice"],
)
def test_an_evaluations_row_counts_all_runs_it_reached(
    store: PgStore, reports: list[SlotReport], runs: int
) -> None:
    for report in reports:
        store.report(report)
    [found] = kept(store)
    assert (found.evaluation.runs_reached, found.worker) == (runs, "a")


def test_the_average_is_of_the_last_twenty(store: PgStore) -> None:
    rows = [execution("a", 1, slot=START - timedelta(minutes=at), took_ms=float(at)) for at in range(30)]
    store.report(SlotReport(executions=tuple(rows)))
    assert [each.evaluation.average_ms for each in kept(store)][:2] == [sum(range(20)) / 20, 10.5]


def test_of_prints_the_newest_are_kept(store: PgStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_evaluated, "PRINTS_KEPT", 3)
    slots = [START - timedelta(minutes=at) for at in range(5)]
    for slot in reversed(slots):
        printed = Printed(
            strategy_id=STRATEGY, user_id=UserId("ann"), evaluation_key=KEY, slot=slot, printed=str(slot)
        )
        store.report(SlotReport(executions=(execution("a", 1, slot=slot),), printed=(printed, printed)))
    assert [each.printed for each in kept(store)] == [*map(str, slots[:3]), None, None]
