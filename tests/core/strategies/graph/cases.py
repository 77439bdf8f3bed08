"""Graphs for tests, and their evaluation over the candles of a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.candles import CandleColumns
from core.market import Market, Series
from core.signal import Signal
from core.strategies.graph.build import build
from core.strategies.graph.document import read_graph
from core.strategies.graph.problems import GraphError
from core.strategies.graph.strategy import GraphStrategy, graph_strategy
from core.strategy import Context, HeldPosition, strategy_parameters
from core.timeframe import Timeframe, from_ms

EXAMPLES = Path(__file__).parents[4] / "examples"
OWN = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)

Json = dict[str, Any]


def example(name: str) -> GraphStrategy:
    return graph_strategy((EXAMPLES / f"graph_{name}.json").read_text())


def node(id_: str, kind: str, /, **params: Any) -> Json:
    return {"id": id_, "type": kind, "params": params}


def edge(line: str) -> Json:
    """`a.out > b.in`; a port may be left out."""
    source, target = (end.strip().partition(".") for end in line.split(">"))
    ports = {"sourcePort": source[2] or None, "targetPort": target[2] or None}
    return {"source": source[0], "target": target[0], **ports}


def graph(nodes: list[Json], *edges: str) -> Json:
    return {"nodes": nodes, "edges": [edge(line) for line in edges]}


def entering(nodes: list[Json], *edges: str) -> GraphStrategy:
    """A strategy that enters long by the node `x`; candles come from `m`."""
    all_nodes = [node("m", "data_source"), *nodes, node("end", "orchestrator")]
    return strategy(graph(all_nodes, *edges, "x > end.entry_long"))


def strategy(given: Json) -> GraphStrategy:
    return GraphStrategy(read_graph(msgspec.json.encode(given)))


def problems_of(given: object) -> list[str]:
    """Each problem with its place; empty for a graph that is right."""
    try:
        build(read_graph(msgspec.json.encode(given)))
    except GraphError as error:
        return [str(problem) for problem in error.problems]
    return []


def decide(
    made: GraphStrategy,
    window: CandleColumns,
    *,
    own: Series = OWN,
    extra: Mapping[Series, CandleColumns] | None = None,
    position: HeldPosition | None = None,
) -> Signal:
    parameters = strategy_parameters(made, {})
    return made.decide(
        Context(
            candles=window,
            extra=extra or {},
            series=own,
            parameters=parameters,
            slot=from_ms(int(window.open_time[-1]) + own.timeframe.ms),
            position=position,
        )
    )
