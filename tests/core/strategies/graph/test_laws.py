"""Laws of random graphs: what is built runs or fails under a node's id, what is not is refused with places."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import CandleColumns
from core.indicator_table import INDICATORS
from core.signal import Action, BadSignal, Signal, read_signal
from core.strategies.graph.document import graph_text, read_graph
from core.strategies.graph.nodes import NODE_TYPES
from core.strategies.graph.problems import GraphError, Problem
from core.strategies.graph.program import NodeFailed
from core.strategies.graph.strategy import GraphStrategy, with_parameters
from core.strategy import strategy_parameters
from tests.core.candle_cases import generated
from tests.core.strategies.graph.cases import OWN, Json, decide, node

CANDLES = generated(1_500, timeframe=OWN.timeframe)
SMALL = sorted(name for name in INDICATORS if INDICATORS[name].lookback(INDICATORS[name].parameters) < 30)
numbers = st.one_of(st.integers(-3, 200), st.floats(-1e3, 1e3), st.sampled_from([0, 1, 14, 30, 70]))


@st.composite
def built(draw: st.DrawFn) -> Json:
    """Layers in which every node takes what fits: nearly always a right graph."""
    nodes, edges = [node("m", "data_source")], []
    series, conditions = ["m.close", "m.open", "m.volume"], []
    for index in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(SMALL))
        nodes.append(node(f"i{index}", "indicator", function=name))
        edges.append({"source": "m", "target": f"i{index}"})
        others = INDICATORS[name].series[1:]
        edges += [_edge(draw(st.sampled_from(series)), f"i{index}.{port}") for port in others]
        series += [f"i{index}.{port}" for port in INDICATORS[name].outputs]
    for index in range(draw(st.integers(0, 3))):
        op = draw(st.sampled_from(["add", "-", "*", "/", "max", "abs", "sqrt", "log"]))
        unary = op in ("abs", "sqrt", "log")
        nodes.append(node(f"a{index}", "math", op=op, **({} if unary else {"b": draw(numbers)})))
        edges.append(_edge(draw(st.sampled_from(series)), f"a{index}.a"))
        series.append(f"a{index}.value")
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["compare", "cross"]))
        extra = {"op": draw(st.sampled_from("<>"))} if kind == "compare" else {}
        nodes.append(node(f"c{index}", kind, b=draw(numbers), **extra))
        edges.append(_edge(draw(st.sampled_from(series)), f"c{index}.a"))
        conditions.append(f"c{index}.out")
    for index in range(draw(st.integers(0, 2))):
        nodes.append(node(f"l{index}", "logic", op=draw(st.sampled_from(["and", "or"]))))
        chosen = draw(st.lists(st.sampled_from(conditions), min_size=1, max_size=3))
        edges += [_edge(each, f"l{index}.in") for each in chosen]
        conditions.append(f"l{index}.out")
    nodes.append(node("end", "orchestrator"))
    sides = ["entry_long", *draw(st.lists(st.sampled_from(["entry_short", "exit_long"]), unique=True))]
    edges += [_edge(draw(st.sampled_from(conditions)), f"end.{side}") for side in sides]
    return {"nodes": nodes, "edges": edges}


def _edge(source: str, target: str) -> Json:
    from_, to = source.partition("."), target.partition(".")
    return {"source": from_[0], "sourcePort": from_[2], "target": to[0], "targetPort": to[2]}


@settings(max_examples=120)
@given(document=built(), cut=st.integers(0, 400))
def test_what_is_built_decides_or_fails_under_a_nodes_id_the_same_every_time(
    document: Json, cut: int
) -> None:
    made = strategy_or_problems(json.dumps(document))
    if not isinstance(made, GraphStrategy):
        assert made
        assert all(problem.message for problem in made)
        assert any(problem.node for problem in made)
        return
    window = CANDLES.part(max(0, cut), cut + made.lookback({}))
    first, again = signal_or_fault(made, window), signal_or_fault(made, window)
    if isinstance(first, Signal):
        assert first == again == read_signal(first)  # what any strategy answers is held to this
    else:
        assert not isinstance(again, Signal)
        assert (first.fault, str(first)) == (again.fault, str(again))
        assert isinstance(first, NodeFailed)
        assert first.node in {each["id"] for each in document["nodes"]}


def strategy_or_problems(document: Any) -> GraphStrategy | tuple[Problem, ...]:
    try:
        return GraphStrategy(read_graph(document))
    except GraphError as error:
        return error.problems


def signal_or_fault(made: GraphStrategy, window: CandleColumns) -> Signal | BadSignal:
    try:
        return decide(made, window)
    except BadSignal as bad:
        return bad


@settings(max_examples=60)
@given(document=built())
def test_what_is_stored_makes_the_same_strategy_again(document: Json) -> None:
    made = strategy_or_problems(document)
    if not isinstance(made, GraphStrategy):
        return
    parameters = strategy_parameters(made, {})
    assert 1 <= made.min_candles(parameters) <= made.lookback(parameters)
    assert made.nodes(parameters) <= len(document["nodes"])
    text = graph_text(with_parameters(made.graph, parameters))
    again = GraphStrategy(read_graph(text))
    assert strategy_parameters(again, {}) == parameters


words = st.sampled_from(
    [
        *NODE_TYPES,
        *SMALL[:4],
        "<",
        "and",
        "m",
        "x",
        "a",
        "b",
        "in",
        "close",
        "spot",
        "1h",
        "out",
        "entry_long",
        "",
    ]
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words, st.text(max_size=5), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=8,
)
messy_node = st.fixed_dictionaries(
    {"id": st.sampled_from(["m", "x", "end", "y"]), "type": st.sampled_from(sorted(NODE_TYPES))},
    optional={
        "params": st.dictionaries(
            st.sampled_from(
                ["op", "b", "function", "timeperiod", "kind", "k", "weights", "timeframe", "symbol"]
            ),
            anything,
            max_size=4,
        )
    },
)
messy_edge = st.fixed_dictionaries(
    {"source": st.sampled_from(["m", "x", "y", "z"]), "target": st.sampled_from(["x", "y", "end"])},
    optional={"sourcePort": words, "targetPort": words},
)
messy = st.one_of(
    anything,
    st.fixed_dictionaries(
        {
            "nodes": st.lists(st.one_of(messy_node, anything), max_size=6),
            "edges": st.lists(st.one_of(messy_edge, anything), max_size=8),
        }
    ),
    st.fixed_dictionaries(
        {"nodes": st.lists(messy_node, max_size=6), "edges": st.lists(messy_edge, max_size=8)}
    ),
)


@settings(max_examples=250)
@given(document=messy)
def test_whatever_is_given_is_a_strategy_or_refused_with_sentences(document: Any) -> None:
    made = strategy_or_problems(document)
    if isinstance(made, GraphStrategy):
        assert made.nodes({}) >= 2
    else:
        assert made
        assert all(str(problem) for problem in made)


def test_the_generator_makes_graphs_that_are_right() -> None:
    """The law above would hold for nothing as well."""
    seen: list[Action] = []

    @settings(max_examples=60, database=None, derandomize=True)
    @given(document=built())
    def count(document: Json) -> None:
        try:
            seen.append(decide(GraphStrategy(read_graph(document)), CANDLES).action)
        except (GraphError, BadSignal):
            return

    count()
    assert len(seen) > 20
    assert {Action.LONG, Action.HOLD} <= set(seen)
