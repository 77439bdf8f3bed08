"""What strategies saw, and how often: what the check accepts, and each way to break it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.runtime.deterministic import VirtualClock
from actors.simulation.checks.candles import CandleCheck, CheckedWindows, EvaluationCheck
from actors.simulation.market import FINEST, SimulatedMarket
from actors.windows import CandleWindow
from core.candles import CandleColumns, CandleView
from core.ids import StrategyId
from core.timeframe import to_ms
from schema.records import ExecutionRow, ExecutionStatus
from tests.actors.simulation.checks.parts import SLOT, SYMBOL, Bench

MARKET = SimulatedMarket(1, SLOT - timedelta(hours=6), SLOT + timedelta(hours=6))
SERIES = MARKET.series(SYMBOL, FINEST)
ROW = ExecutionRow(
    evaluation_key="k",
    strategy_id=StrategyId(UUID(int=1)),
    slot=SLOT,
    worker="p1",
    duration_ms=1.0,
    status=ExecutionStatus.SUCCESS,
)


def true_candles(count: int = 10) -> CandleColumns:
    end = to_ms(SLOT)
    return MARKET.between(SYMBOL, FINEST, end - count * FINEST.ms, end)


@pytest.mark.parametrize("fault", ["none", "another price", "a hole", "not closed"])
def test_i10_a_window_that_is_not_the_markets_is_named(fault: str) -> None:
    bench = Bench()
    data = true_candles().data.copy()
    if fault == "another price":
        data[4, 3] += 0.1
    elif fault == "a hole":
        data = data[:, [0, 1, 2, 4, 5, 6, 7, 8, 9]]
    elif fault == "not closed":
        bench.clock = VirtualClock(SLOT - timedelta(microseconds=1))
    check = CandleCheck(bench.findings, bench.clock, MARKET)
    check.seen(SERIES, SLOT, CandleView(data, FINEST))
    assert bench.broken == ([] if fault == "none" else ["I10"])


def test_i10_every_view_of_a_processs_windows_is_looked_at() -> None:
    seen = []
    windows = CheckedWindows(lambda series, slot, view: seen.append((series, slot, len(view))))
    window = CandleWindow(FINEST, 20)
    window.load(true_candles())
    windows.put(SERIES, window)
    windows.view(SERIES, SLOT, 5, 2)
    windows.view(SERIES, SLOT + timedelta(minutes=5), 5, 2)
    assert seen == [(SERIES, SLOT, 5)]


@pytest.mark.parametrize(
    ("rows", "restarts", "broken"),
    [
        ([ROW, ROW], 0, []),
        ([ROW, replace(ROW, duration_ms=2.0)], 0, ["I20"]),
        ([ROW, replace(ROW, duration_ms=2.0)], 1, []),
        ([ROW, replace(ROW, slot=SLOT + timedelta(minutes=5))], 0, []),
        ([ROW, replace(ROW, evaluation_key="other")], 0, []),
    ],
    ids=["told again", "twice", "once in each life", "two slots", "two keys"],
)
def test_i20_a_second_evaluation_in_one_process_is_named(
    rows: list[ExecutionRow], restarts: int, broken: list[str]
) -> None:
    bench = Bench()
    check = EvaluationCheck(bench.findings, lambda process: restarts)
    for row in rows:
        check.executed("p1", row)
    check.executed("p2", replace(ROW, duration_ms=3.0))
    assert bench.broken == broken
