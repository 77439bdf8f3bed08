"""Node graphs through the system: live as in a replay, beside a template, with further candles, with positions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from actors.prepared import prepare
from actors.work.backtest import strategy_asked_for
from core.definition import StrategyDefinition, StrategyKind
from core.ids import StrategyId, UserId
from core.run import RunCommand, RunStatus
from core.signal import Action
from core.strategies.graph.strategy import GraphStrategy
from core.strategy import Context
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource, candles_of
from exchanges.feeds.generator import GeneratedMarket
from schema.records import ExecutionRow, ExecutionStatus, TickStatus
from tests.actors.candles import SYMBOL
from tests.actors.fast_path.test_templates import ORIGINS, source_of
from tests.actors.world import World

EXAMPLES = Path(__file__).parents[2] / "examples"
START = datetime(2026, 2, 1, tzinfo=UTC)


def asked(name: str | None, start: datetime, days: float) -> BacktestRequest:
    """The graph of that name; without one the RSI template."""
    graph = None if name is None else (EXAMPLES / f"graph_{name}.json").read_text()
    return BacktestRequest(
        template="rsi_oversold_overbought" if graph is None else "graph",
        kind=StrategyKind.TEMPLATE if graph is None else StrategyKind.GRAPH,
        source=graph or "",
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
        start=start,
        end=start + timedelta(days=days),
        limits=None,
    )


def replayed(request: BacktestRequest, source: CandleSource) -> BacktestResult:
    return run_backtest(request, source, path=ReplayPath.ACTORS)


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_rsi_graph_trades_as_the_template_does(origin: str) -> None:
    source, start = source_of(origin)
    graph, template = (replayed(asked(name, start, 2), source) for name in ("rsi", None))
    assert list(graph.signals) == list(template.signals)
    assert len(graph.signals) > 10
    assert graph.ticks == template.ticks
    assert [(each.entry_time, each.exit_price, each.pnl) for each in graph.trades] == [
        (each.entry_time, each.exit_price, each.pnl) for each in template.trades
    ]


def test_a_graph_with_further_candles_answers_as_if_history_ended_at_the_slot() -> None:
    """No look-ahead: each slot again by hand, on candles that were drawn no further than that slot."""
    source = GeneratedMarket(5)
    request = asked("trend_score", START, 1.5)
    result = replayed(request, source)
    told = {each.slot: each.action for each in result.signals}
    assert set(told.values()) == {"long", "exit_long"}
    slot, checked = START + timedelta(hours=6), 0
    while slot <= START + timedelta(days=1.5):
        assert by_hand(request, source, slot).value == told.get(slot, "hold"), slot
        slot, checked = slot + timedelta(minutes=35), checked + 1
    for at, action in list(told.items())[:20]:
        assert by_hand(request, source, at).value == action
    assert checked > 50


def by_hand(request: BacktestRequest, source: CandleSource, slot: datetime) -> Action:
    prepared = prepare(replace(strategy_asked_for(request), venue=source.venue))
    assert isinstance(prepared.strategy, GraphStrategy)
    own, *further = (
        candles_of(
            source,
            each.series,
            each.series.timeframe.floor(slot) - each.series.timeframe.delta * each.lookback,
            each.series.timeframe.floor(slot),
        )
        for each in prepared.all_windows
    )
    extra = {each.series: candles for each, candles in zip(prepared.windows, further, strict=True)}
    context = Context(
        candles=own, extra=extra, series=prepared.series, parameters=prepared.parameters, slot=slot
    )
    return prepared.strategy.decide(context).action


# -- live --------------------------------------------------------------------------------------------

PATH = "uu-duuddudd-uu"


def nodes_of() -> str:
    """Long on the way up, out of it on the way down, as the scripted candles are drawn; `sma` over two closes."""
    graph = {
        "nodes": [
            {"id": "m", "type": "data_source"},
            {"id": "sma", "type": "indicator", "params": {"function": "SMA", "timeperiod": 2}},
            {"id": "up", "type": "compare", "params": {"op": ">"}},
            {"id": "down", "type": "compare", "params": {"op": "<"}},
            {"id": "end", "type": "orchestrator"},
        ],
        "edges": [
            {"source": "m", "target": "sma"},
            {"source": "m", "sourcePort": "close", "target": "up", "targetPort": "a"},
            {"source": "sma", "target": "up", "targetPort": "b"},
            {"source": "m", "sourcePort": "close", "target": "down", "targetPort": "a"},
            {"source": "sma", "target": "down", "targetPort": "b"},
            {"source": "up", "target": "end", "targetPort": "entry_long"},
            {"source": "down", "target": "end", "targetPort": "exit_long"},
        ],
    }
    return json.dumps(graph)


def graph_strategy_in(world: World, source: str) -> StrategyDefinition:
    definition = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("owner"),
        name="mine",
        kind=StrategyKind.GRAPH,
        template="graph",
        source=source,
        parameters={},
        symbol=SYMBOL,
        timeframe=world.timeframe,
    )
    world.memory.create_strategy(definition)
    return definition


def executions(world: World) -> list[ExecutionRow]:
    return [
        execution
        for what, answer in world.calls
        if what == "store.report"
        for execution in answer[0][0].executions
    ]


def test_a_graph_decides_live_what_it_decides_in_a_replay() -> None:
    signals = []
    for replay in (False, True):
        world = World(PATH, replayed=replay)
        run = world.run(strategy=graph_strategy_in(world, nodes_of()))
        world.play()
        signals.append([(tick.slot, tick.status, tick.signal) for tick in world.ticks(run)])
    assert signals[0] == signals[1]
    assert {signal for _, _, signal in signals[0]} == {Action.LONG, Action.EXIT_LONG, Action.HOLD}


def test_the_history_counts_the_nodes_that_were_executed() -> None:
    world = World("uu")
    world.run(strategy=graph_strategy_in(world, nodes_of()))
    world.to_slot(0, plus_s=40.0)
    [first] = executions(world)
    assert (first.nodes_executed, first.indicators) == (5, {"sma": 1005.0})


def test_a_node_that_fails_fails_the_evaluation_under_its_id_and_stops_nobody_else() -> None:
    """I20."""
    graph = json.loads(nodes_of())
    graph["nodes"][1] = {"id": "sma", "type": "math", "params": {"op": "/", "b": 0}}
    graph["edges"][0] = {"source": "m", "sourcePort": "close", "target": "sma", "targetPort": "a"}
    world = World("uu")
    failing = world.run("ann", strategy=graph_strategy_in(world, json.dumps(graph)))
    other = world.run("bob", strategy=graph_strategy_in(world, nodes_of()))
    world.to_slot(0, plus_s=40.0)
    [row] = [row for row in executions(world) if row.status is ExecutionStatus.FAILED]
    assert row.error == "Node sma gives no finite number at value for this slot."
    assert world.status(failing).status is RunStatus.ERROR
    assert world.ticks(other)[0].status is TickStatus.OK


def test_a_graph_that_looks_at_positions_is_asked_once_for_each_there_is() -> None:
    """One run holds something and one does not; both follow one strategy."""
    source = (EXAMPLES / "graph_sma_position.json").read_text().replace('"timeperiod": 20', '"timeperiod": 2')
    world = World("uu-")
    strategy = graph_strategy_in(world, source)
    early = world.run("ann", strategy=strategy)
    late = world.run("bob", strategy=strategy, active=False)
    world.to_slot(0, plus_s=20.0)
    world.memory.command(late, RunCommand.START, by="bob")
    world.to_slot(1, plus_s=20.0)
    by_run = [[tick.signal for tick in world.ticks(run)] for run in (early, late)]
    assert by_run == [[Action.LONG, Action.HOLD], [Action.LONG]]
