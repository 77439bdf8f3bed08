"""What is wrong with a graph is said at once and where it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.strategies.graph.build import MAX_DEPTH
from core.strategies.graph.document import MAX_EDGES, MAX_NODES, graph_text, read_graph
from core.strategies.graph.problems import GraphError
from core.strategies.graph.strategy import GraphStrategy
from tests.core.strategies.graph.cases import (
    EXAMPLES,
    Json,
    edge,
    entering,
    graph,
    node,
    problems_of,
    strategy,
)

M, END = node("m", "data_source"), node("end", "orchestrator")
RSI = node("rsi", "indicator", function="RSI")
LOW = node("low", "compare", op="<", b=30)
ENDS = ["m > rsi", "rsi > low", "low > end.entry_long"]


def base(*nodes: Json, edges: list[str] | None = None) -> Json:
    """The RSI graph with these nodes in place of its own of the same id."""
    by_id = {each["id"]: each for each in (M, RSI, LOW, END, *nodes)}
    return graph(list(by_id.values()), *(ENDS if edges is None else edges))


def test_the_graph_these_cases_begin_with_is_right() -> None:
    assert problems_of(base()) == []


CASES: dict[str, tuple[Json, list[str]]] = {
    "unknown type": (base(node("low", "magic")), ["low.params.type: There is no node type 'magic'"]),
    "unknown function": (
        base(node("rsi", "indicator", function="RSX")),
        ["rsi.params.function: TA-Lib has no function 'RSX'."],
    ),
    "no function": (base(node("rsi", "indicator")), ["rsi.params.function: is missing"]),
    "a period TA-Lib does not take": (
        base(node("rsi", "indicator", function="RSI", timeperiod=1)),
        ["rsi.params.timeperiod: RSI does not take timeperiod 1."],
    ),
    "a period that is not whole": (
        base(node("rsi", "indicator", function="RSI", timeperiod=2.5)),
        ["rsi.params.timeperiod: must be a whole number, not 2.5"],
    ),
    "a period longer than any window": (
        base(node("rsi", "indicator", function="SMA", timeperiod=10_001)),
        ["rsi.params.timeperiod: must lie in 1 to 1000, not 10001"],
    ),
    "unknown parameter": (
        base(node("low", "compare", op="<", b=30, c=1)),
        ["low.params.c: is no parameter of this node; it has b, label, op"],
    ),
    "not a word it knows": (
        base(node("low", "compare", op="~", b=30)),
        ["low.params.op: must be one of >, <"],
    ),
    "nothing to compare with": (
        base(node("low", "compare", op="<")),
        ["low.b: Nothing leads to this input and no number stands for it."],
    ),
    "both an edge and a number": (
        base(edges=[*ENDS, "rsi > low.b"]),
        ["low.b: has an edge and a number as well"],
    ),
    "two edges where one fits": (
        base(edges=["m > rsi", "rsi > low.a", "rsi > low.a", ENDS[2]]),
        ["low.a: takes one edge, and 2 lead here"],
    ),
    "units that do not match": (
        base(node("low", "compare", op="<"), edges=["m > rsi", "rsi > low.a", "m.close > low.b", ENDS[2]]),
        ["low.b: Units do not match: there is a number at a and a price at b."],
    ),
    "a number where a condition goes": (
        base(edges=["m > rsi", "rsi > low", "rsi > end.entry_long"]),
        ["end.entry_long: takes condition, and rsi gives number"],
    ),
    "a condition where a number goes": (
        base(node("two", "compare", op=">", b=1), edges=[*ENDS, "low > two.a"]),
        ["two.a: takes a number, and low gives condition"],
    ),
    "an unknown output": (
        base(edges=["m.bid > rsi.real", *ENDS[1:]]),
        ["m.bid: has no output 'bid'; there are: candles, close"],
    ),
    "an unknown input": (base(edges=["m > rsi.price", *ENDS[1:]]), ["rsi.price: has no such input"]),
    "the orchestrator leads on": (
        base(edges=[*ENDS, "end > low"]),
        ["low: is part of a circle", "end: is part of a circle"],
    ),
    "an edge to nowhere": (
        base(edges=[*ENDS, "rsi > gone"]),
        ["edges[3].target: There is no node 'gone'."],
    ),
    "a circle": (
        base(
            node("n1", "logic", op="not"), node("n2", "logic", op="not"), edges=[*ENDS, "n1 > n2", "n2 > n1"]
        ),
        ["n1: is part of a circle", "n2: is part of a circle"],
    ),
    "two orchestrators": (
        base(node("end2", "orchestrator"), edges=[*ENDS, "low > end2.entry_long"]),
        ["A graph has one orchestrator; this one has 2."],
    ),
    "no way in": (
        base(edges=[*ENDS[:2], "low > end.exit_long"]),
        ["end.entry_long: Nothing leads to an entry"],
    ),
    "an orchestrator's input has to be named": (
        base(edges=[*ENDS[:2], "low > end"]),
        ["end: What comes from low finds no free input"],
    ),
    "not as many conditions": (
        base(node("k", "logic", op="k_of_n", k=2), edges=[*ENDS, "low > k"]),
        ["k.params.k: is 2, and 1 conditions come in"],
    ),
    "more points than ten": (
        base(node("s", "score", weights={"low": 11}), edges=[*ENDS, "low > s"]),
        ["s.params.weights: must be 0 or more each and 10 in sum at most"],
    ),
    "a condition without points": (
        base(node("s", "score", weights={"other": 1}), edges=[*ENDS, "low > s.low"]),
        ["s.low: has no such input; there are: other"],
    ),
    "a score nobody gives": (
        base(node("end", "orchestrator", min_score=3)),
        ["end.params.min_score: is asked for, and no score comes in"],
    ),
    "no time of day": (
        base(node("f", "filter", kind="time", **{"from": "25:00", "to": "9"}), edges=[*ENDS, "low > f"]),
        ["f.params.from: must be a time of day such as 08:30"],
    ),
    "no symbol and no timeframe": (
        base(node("m", "data_source", symbol="-")),
        ["m.params.symbol: '-' is not a symbol"],
    ),
    "a timeframe there is not": (base(node("m", "data_source", timeframe="7m")), ["m.params.timeframe: "]),
    "different candles in an indicator": (
        base(
            node("h", "data_source", timeframe="1h"),
            node("c", "indicator", function="CORREL"),
            edges=[*ENDS, "m.close > c.real0", "h.close > c.real1"],
        ),
        ["c: Its inputs are of different candles"],
    ),
    "two things at once": (
        base(node("rsi", "indicator", function="RSX"), node("low", "compare", op="?", b="x")),
        ["rsi.params.function: ", "low.params.op: ", "low.params.b: "],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_problem_is_named_at_its_place(case: str) -> None:
    given, expected = CASES[case]
    found = problems_of(given)
    assert found, "nothing was found wrong"
    for said in expected:
        assert any(each.startswith(said) for each in found), found
    assert len(found) <= len(expected), found


FORMS: dict[str, tuple[Any, str]] = {
    "no object": ([], "A graph is an object with nodes and edges."),
    "no nodes": ({}, "nodes: A graph has at least one node."),
    "another key": ({"nodes": [M], "edges": [], "x": 1}, "A graph has no 'x'"),
    "a node that is none": ({"nodes": [3]}, "nodes[0]: A node is an object"),
    "a node of another key": ({"nodes": [M | {"x": 1}]}, "nodes[0]: A node has no 'x'"),
    "a bad id": ({"nodes": [{"id": "1 x", "type": "data_source"}]}, "nodes[0].id: A node's id is"),
    "an id twice": ({"nodes": [M, M]}, "m: Another node has this id."),
    "no type": ({"nodes": [{"id": "m"}]}, "m: A node names its type."),
    "params that are no object": ({"nodes": [M | {"params": []}]}, "m: params must be an object"),
    "a param that is a list": ({"nodes": [node("m", "data_source", symbol=[1])]}, "m.params.symbol: must be"),
    "a number beyond any": ({"nodes": [node("m", "data_source", x=10**400)]}, "m.params.x: must be a finite"),
    "too many nodes": ({"nodes": [M] * (MAX_NODES + 1)}, f"nodes: has {MAX_NODES + 1} entries"),
    "too many edges": (
        {"nodes": [M], "edges": [{}] * (MAX_EDGES + 1)},
        f"edges: has {MAX_EDGES + 1} entries",
    ),
    "an edge that is none": ({"nodes": [M], "edges": [1]}, "edges[0]: An edge is an object"),
    "an edge of one end": ({"nodes": [M], "edges": [{"source": "m"}]}, "edges[0]: An edge names its source"),
    "an edge of another key": (
        {"nodes": [M], "edges": [edge("m > m") | {"x": 1}]},
        "edges[0]: An edge has no 'x'",
    ),
    "a port that is no name": ({"nodes": [M], "edges": [edge("m. > m") | {"sourcePort": 3}]}, "edges[0]: "),
}


@pytest.mark.parametrize("case", FORMS)
def test_what_has_not_the_form_of_a_graph_is_named_as_well(case: str) -> None:
    given, expected = FORMS[case]
    with pytest.raises(GraphError) as raised:
        read_graph(given)
    assert any(str(problem).startswith(expected) for problem in raised.value.problems), raised.value.problems


@pytest.mark.parametrize(
    "text", ["", "{", "nul", "[" * 100_000, "{" * 5, '{"nodes":"\ud800"}', "x" * 100_001, b"\xff"]
)
def test_text_that_is_no_graph_is_refused_without_any_other_error(text: str | bytes) -> None:
    with pytest.raises(GraphError):
        read_graph(text)


def test_a_graph_too_deep_is_refused_at_the_node_that_is() -> None:
    chain = [node(f"n{number}", "logic", op="not") for number in range(MAX_DEPTH)]
    steps = [f"n{number} > n{number + 1}" for number in range(MAX_DEPTH - 1)]
    found = problems_of(base(*chain, edges=[*ENDS, "low > n0", *steps]))
    # m, rsi and low come first
    assert [each.partition(":")[0] for each in found] == [
        f"n{number}" for number in range(MAX_DEPTH - 3, MAX_DEPTH)
    ]


def test_a_window_longer_than_any_is_refused() -> None:
    means = [node(f"n{number}", "indicator", function="SMA", timeperiod=1_000) for number in range(11)]
    further = [f"n{number} > n{number + 1}.real" for number in range(10)]
    with pytest.raises(GraphError, match="10990 candles at once"):
        entering([*means, node("x", "compare", op=">", b=1)], "m > n0", *further, "n10 > x.a")


def test_more_work_than_a_slot_has_time_for_is_refused() -> None:
    slow = [node(f"n{number}", "indicator", function="EMA", timeperiod=300) for number in range(20)]
    low = [node(f"c{number}", "compare", op="<", b=1) for number in range(20)]
    edges = [f"m > n{n}#n{n} > c{n}.a#c{n} > x" for n in range(20)]
    with pytest.raises(GraphError, match=r"would work through 4[0-9]{5} candles at each slot"):
        entering([*slow, *low, node("x", "logic", op="and")], *"#".join(edges).split("#"))


def test_nodes_that_lead_nowhere_are_checked_and_not_executed() -> None:
    idle = node("idle", "indicator", function="SMA", timeperiod=200)
    made = strategy(base(idle, edges=[*ENDS, "m > idle"]))
    assert (made.nodes({}), made.min_candles({})) == (4, 15)
    assert problems_of(base(node("idle", "indicator", function="NO"), edges=[*ENDS, "m > idle"]))


def test_what_is_written_is_read_as_the_same_graph() -> None:
    for path in sorted(EXAMPLES.glob("graph_*.json")):
        read = read_graph(path.read_text())
        assert read_graph(graph_text(read)) == read
        assert read_graph(msgspec.json.decode(graph_text(read))) == read
        assert GraphStrategy(read).content == GraphStrategy(read_graph(graph_text(read))).content


def test_a_position_is_looked_at_where_there_is_a_node_for_it_and_where_both_exits_may_hold() -> None:
    assert not strategy(base()).uses_position
    assert not strategy(base(edges=[*ENDS, "low > end.exit_short"])).uses_position
    assert strategy(base(edges=[*ENDS, "low > end.exit_short", "low > end.exit_long"])).uses_position
