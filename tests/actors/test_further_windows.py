"""Windows beside a strategy's own candles, through the whole application: spot beside the perpetual, 5m below 15m."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import pytest

from actors.backtest import BacktestRequest, ReplayPath, run_backtest
from actors.fast_path.unserved import Unserved
from core.candles import CandleColumns, aggregate
from core.definition import StrategyDefinition, StrategyKind
from core.ids import StrategyId, UserId
from core.market import Market, Series
from core.strategies import template
from core.strategy import Context, strategy_parameters
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource, NoCandles, candles_of
from exchanges.feeds.generator import GeneratedMarket
from schema.records import ExecutionRow
from tests.actors.candles import START, SYMBOL
from tests.actors.world import World

HISTORY = timedelta(days=3)
HOURS = timedelta(hours=3)
BASE = Timeframe.M5
BOTH = pytest.mark.parametrize("replayed", [False, True], ids=["live", "replay"])
STRATEGY = template("squeezeflow")
PARAMETERS = strategy_parameters(STRATEGY, {})


def series(market: Market, timeframe: Timeframe = BASE) -> Series:
    return Series(venue="binance", market=market, symbol=SYMBOL, timeframe=timeframe)


@cache
def drawn(market: Market, until: timedelta = HOURS) -> CandleColumns:
    return candles_of(GeneratedMarket(5), series(market), START - HISTORY, START + until)


def world_of(
    *,
    replayed: bool,
    timeframe: Timeframe = BASE,
    spot: CandleColumns | None = None,
    until: timedelta = HOURS,
    markets: Sequence[Market] = tuple(Market),
) -> World:
    columns = {Market.PERP: drawn(Market.PERP, until), Market.SPOT: spot or drawn(Market.SPOT, until)}
    world = World("", timeframe=timeframe, columns=columns[Market.PERP], replayed=replayed)
    world.candles = ColumnSource(
        origin="drawn", venue="binance", series={series(each): columns[each] for each in markets}
    )
    world.run(strategy=world.strategy(template="squeezeflow", min_data_points=500))
    return world


def executions(world: World) -> list[ExecutionRow]:
    return [row for what, answer in world.calls if what == "store.report" for row in answer[0][0].executions]


def expected(slot: datetime) -> dict[str, float]:
    end_ms = to_ms(slot)
    extra = {
        series(market): drawn(market).between(end_ms - 576 * BASE.ms, end_ms - BASE.ms + 1)
        for market in Market
    }
    perp = extra[series(Market.PERP)]
    context = Context(candles=perp, extra=extra, parameters=PARAMETERS, slot=slot)
    return dict(STRATEGY.decide(context).indicators)


def without(columns: CandleColumns, at: datetime) -> CandleColumns:
    """Without the candle that closes then."""
    return CandleColumns(np.delete(columns.data, columns.open_time == to_ms(at) - BASE.ms, axis=1))


@BOTH
@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15])
def test_i10_further_windows_end_at_the_slot_live_and_in_replay(timeframe: Timeframe, replayed: bool) -> None:
    """I10: at every slot what `decide` answers on windows cut there by hand."""
    world = world_of(replayed=replayed, timeframe=timeframe)
    world.to(START + timedelta(hours=1, seconds=30))
    rows = executions(world)
    assert [row.slot for row in rows] == [
        START + timeframe.delta * number for number in range(1, 3600 // timeframe.seconds + 1)
    ]
    for row in rows:
        assert dict(row.indicators) == expected(row.slot)


GRAPH = """{"nodes": [{"id": "quarters", "type": "data_source", "params": {"timeframe": "15m"}},
  {"id": "mean", "type": "indicator", "params": {"function": "SMA", "timeperiod": 2}},
  {"id": "above", "type": "compare", "params": {"op": ">"}}, {"id": "below", "type": "compare", "params": {"op": "<"}},
  {"id": "decision", "type": "orchestrator"}], "edges": [{"source": "quarters", "target": "mean"},
  {"source": "quarters", "sourcePort": "close", "target": "above", "targetPort": "a"},
  {"source": "mean", "target": "above", "targetPort": "b"},
  {"source": "quarters", "sourcePort": "close", "target": "below", "targetPort": "a"},
  {"source": "mean", "target": "below", "targetPort": "b"},
  {"source": "above", "target": "decision", "targetPort": "entry_long"},
  {"source": "below", "target": "decision", "targetPort": "entry_short"}]}"""


def quarters_of(world: World) -> StrategyDefinition:
    definition = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("owner"),
        name="quarters",
        template="graph",
        parameters={},
        symbol=SYMBOL,
        timeframe=BASE,
        kind=StrategyKind.GRAPH,
        source=GRAPH,
    )
    world.memory.create_strategy(definition)
    return definition


def test_i10_a_further_window_that_is_still_being_loaded_is_waited_for() -> None:
    """I10: 12:05 needs the quarter that closed at 12:00, which comes a second after the slot."""
    world = world_of(replayed=False)
    run = world.run("bob", strategy=quarters_of(world))
    held, due = world.candles.candles, START + BASE.delta + timedelta(seconds=1)

    def late(symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        if timeframe is Timeframe.M15 and world.clock.now() < due:
            raise NoCandles("Not yet.")
        return held(symbol, timeframe, start, end)

    world.candles.candles = late  # type: ignore[method-assign]
    world.to(START + BASE.delta + timedelta(seconds=10))
    assert [status for _, status, _ in world.outcomes(run)] == ["ok"]


@BOTH
def test_i10_a_larger_timeframe_is_shown_up_to_its_last_close(replayed: bool) -> None:
    """I10: between its closes nothing of the candle that is open, and no waiting for it."""
    world = world_of(replayed=replayed)
    definition = quarters_of(world)
    world.run("bob", strategy=definition)
    world.to(START + timedelta(hours=1, seconds=30))
    quarters = aggregate(drawn(Market.PERP), BASE, Timeframe.M15)
    rows = [row for row in executions(world) if row.strategy_id == definition.id]
    assert [row.slot for row in rows] == [START + BASE.delta * number for number in range(1, 13)]
    for row in rows:
        one, other = quarters.close[quarters.open_time <= to_ms(row.slot) - Timeframe.M15.ms][-2:]
        assert row.action == ("long" if other > one else "short"), row.slot


@BOTH
def test_i10_a_cut_future_changes_nothing_before_it(replayed: bool) -> None:
    told = []
    for until in (HOURS, timedelta(hours=1)):
        world = world_of(replayed=replayed, until=until)
        world.to(START + timedelta(minutes=50, seconds=30))
        told.append([(row.slot, row.action, row.indicators) for row in executions(world)])
    assert told[0] == told[1]
    assert len(told[0]) == 10


@BOTH
def test_i10_a_hole_in_a_further_window_skips_its_slots_by_name(replayed: bool) -> None:
    """I10: its own candles have none."""
    hole = START + BASE.delta * 2
    world = world_of(replayed=replayed, spot=without(drawn(Market.SPOT), hole))
    [run] = [run.id for run in world.memory.runs()]
    world.to(START + BASE.delta * 4 + timedelta(seconds=30))
    assert [(status, reason) for _, status, reason in world.outcomes(run)] == [
        ("ok", world.outcomes(run)[0][2]),
        ("skipped", "candle_gap" if replayed else "no_candles"),
        ("skipped", "candle_gap"),
        ("skipped", "candle_gap"),
    ]
    named = {row.error for row in executions(world) if row.slot > hole}
    assert named == {"spot BTCUSDT 5m of binance"}


def test_a_market_nobody_has_candles_of_skips_live_and_is_refused_to_a_replay() -> None:
    world = world_of(replayed=False, markets=(Market.PERP,))
    [run] = [run.id for run in world.memory.runs()]
    world.to(START + BASE.delta + timedelta(seconds=30))
    assert [(status, reason) for _, status, reason in world.outcomes(run)] == [("skipped", "no_candles")]
    request = BacktestRequest(template="squeezeflow", symbol=SYMBOL, timeframe=BASE, start=START)
    with pytest.raises(NoCandles, match="no spot candles of BTCUSDT"):
        run_backtest(request, world.candles)


def test_the_fast_path_leaves_it_to_the_actors_and_says_why() -> None:
    source = ColumnSource(
        origin="drawn", venue="binance", series={series(each): drawn(each) for each in Market}
    )
    request = BacktestRequest(
        template="squeezeflow", symbol=SYMBOL, timeframe=Timeframe.M15, start=START, limits=None
    )
    with pytest.raises(Unserved, match="further candles"):
        run_backtest(request, source, path=ReplayPath.FAST)
    result = run_backtest(request, source)
    assert result.path is ReplayPath.ACTORS
    assert ("skipped", "too_few_candles") not in result.ticks, "what lies before the start is loaded too"
    assert result.run_slots == 12
