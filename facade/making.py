"""What decides for a strategy, checked before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec.structs import replace

from core.definition import StrategyDefinition, StrategyKind
from core.market import Market, Series
from core.strategies import strategy_of
from core.strategies.graph.document import graph_text, read_graph
from core.strategies.graph.strategy import graph_strategy, with_parameters
from core.strategy import strategy_parameters
from facade.errors import bad_field

NodeGraph = Mapping[str, object]
"""Nodes and edges as a client gives them: what is wrong with them is said node by node, not at the first."""


def graph_source(graph: NodeGraph) -> str:
    """The graph as a definition carries it. Raises GraphError for what has not the form of one."""
    return graph_text(read_graph(graph))


def checked(definition: StrategyDefinition) -> StrategyDefinition:
    """`definition` with all its parameters, in its graph too where it is one. Raises RunnerError sentences."""
    strategy = strategy_of(definition)
    parameters = strategy_parameters(strategy, definition.parameters)
    strategy.windows(_series(definition), parameters)
    whole = replace(definition, parameters=dict(parameters))
    if definition.kind is not StrategyKind.GRAPH:
        return whole
    graph = graph_strategy(definition.source).graph
    return replace(whole, source=graph_text(with_parameters(graph, parameters)))


def stays_of_its_kind(definition: StrategyDefinition, template: str | None, graph: NodeGraph | None) -> None:
    """A strategy is revised as what it is; raises ApiError naming the field that would make another kind of it."""
    kind = definition.kind
    if template not in (None, definition.template) and kind is not StrategyKind.TEMPLATE:
        raise bad_field("strategyTemplate", f"is not this strategy's to have: it is of kind {kind}")
    if graph is not None and kind is not StrategyKind.GRAPH:
        raise bad_field("nodeGraph", f"is not this strategy's to have: it is of kind {kind}")


def own_bankroll(definition: StrategyDefinition) -> Decimal | None:
    """What a paper portfolio of the strategy begins with by its own word."""
    if definition.kind is not StrategyKind.GRAPH:
        return None
    bankroll = graph_strategy(definition.source).paper_bankroll_usd
    return None if bankroll is None else Decimal(repr(bankroll))


def _series(definition: StrategyDefinition) -> Series:
    return Series(
        venue=definition.venue,
        market=Market(definition.market),
        symbol=definition.symbol,
        timeframe=definition.timeframe,
    )
