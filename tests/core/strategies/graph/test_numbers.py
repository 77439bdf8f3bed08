"""Where a search looks among the numbers of a graph."""

from __future__ import annotations

import numpy as np
import pytest

from core.indicator_table import INDICATORS
from core.strategies.graph.nodes import NODE_TYPES
from core.strategies.graph.params import NumberParam
from tests.core.strategies.graph.cases import entering, example, graph, node, strategy
from tests.core.strategies.graph.test_indicators import CANDLES, arrays

Usual = tuple[float, float] | None


def usual(function: str, **params: float) -> dict[str, Usual]:
    """By parameter of an indicator whose first output is compared with 1."""
    made = entering(
        [node("f", "indicator", function=function, **params), node("x", "compare", op=">", b=1)],
        "m > f.candles",
        f"f.{INDICATORS[function].outputs[0]} > x.a",
    )
    return {spec.name: spec.usual for spec in made.specs}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("RSI", {"f.timeperiod": (2, 140), "x.b": (0, 100)}),
        ("SMA", {"f.timeperiod": (1, 300), "x.b": None}),
        ("WILLR", {"f.timeperiod": (2, 140), "x.b": (-100, 1)}),
        (
            "MACD",
            {"f.fastperiod": (2, 120), "f.slowperiod": (2, 260), "f.signalperiod": (1, 90), "x.b": None},
        ),
        ("SAR", {"f.acceleration": (0.005, 0.1), "f.maximum": (0.05, 0.5), "x.b": None}),
    ],
)
def test_periods_begin_where_the_function_does_and_levels_end_where_its_values_end(
    function: str, expected: dict[str, Usual]
) -> None:
    assert usual(function) == expected


def test_the_number_that_stands_in_the_graph_is_never_left_out() -> None:
    assert usual("RSI", timeperiod=500)["f.timeperiod"] == (2, 500)


def test_scores_counts_and_the_decision_have_bounds_of_their_own() -> None:
    specs = {spec.name: spec.usual for spec in example("trend_score").specs}
    assert specs["busy.period"] == (2, 200)
    assert specs["decision.take_profit_pct"] == (0.1, 20)
    assert (specs["decision.min_score"], specs["room.b"]) == (
        None,
        None,
    )  # its bounds are usual; nobody can tell
    conditions = [node(name, "compare", op=">", b=1) for name in ("a", "b", "c")]
    points = node("points", "score", weights={"a": 3, "b": 3, "c": 4})
    nodes = [
        node("m", "data_source"),
        *conditions,
        points,
        node("two", "logic", op="k_of_n", k=2),
        node("many", "compare", op=">", b=4),
        node("x", "logic", op="and"),
        node("end", "orchestrator"),
    ]
    edges = [f"m.close > {name}.a" for name in "abc"]
    edges += [f"{name} > {target}" for name in "abc" for target in ("points", "two")]
    made = strategy(graph(nodes, *edges, "points > many.a", "many > x", "two > x", "x > end.entry_long"))
    found = {spec.name: spec.usual for spec in made.specs}
    assert (found["two.k"], found["many.b"]) == ((1, 3), (0, 10))


@pytest.mark.parametrize("name", [name for name, each in INDICATORS.items() if each.reach is not None])
def test_what_is_said_of_a_functions_values_holds_for_all_of_them(name: str) -> None:
    indicator = INDICATORS[name]
    assert indicator.reach is not None
    low, high = indicator.reach
    for values in indicator(*arrays(indicator, CANDLES), **indicator.parameters):
        known = values[np.isfinite(values)]
        assert len(known) > 1_000
        assert low - 1e-9 <= known.min() <= known.max() <= high + 1e-9


def test_usual_values_are_allowed_ones() -> None:
    given = [{"function": name} for name in INDICATORS]
    kinds = [{"kind": kind} for kind in ("volatility", "volume", "trend")]
    declared = [NODE_TYPES["indicator"].declared(each) for each in given]
    declared += [NODE_TYPES["filter"].declared(each) for each in kinds] + [
        NODE_TYPES["orchestrator"].declared({})
    ]
    looked_at = 0
    for param in (each for params in declared for each in params):
        if isinstance(param, NumberParam) and param.usual is not None:
            low, high = param.usual
            assert param.minimum <= low < high <= param.maximum, param
            assert param.default is None or low <= param.default or not param.whole, param
            looked_at += 1
    assert looked_at > 100
