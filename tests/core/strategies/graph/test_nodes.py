"""What each type of node does, at the last candle of small windows, and what the orchestrator makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from core.candles import CandleColumns
from core.position import Side
from core.signal import Action, BadSignal, SignalFault
from core.strategies.graph.program import NodeFailed
from core.strategy import HeldPosition
from core.timeframe import to_ms
from tests.core.strategies.graph.cases import OWN, Json, decide, entering, graph, node, strategy

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def candles(
    *closes: float, volumes: Sequence[float] | None = None, until: datetime = NOON, wick: float = 0.0
) -> CandleColumns:
    """The last candle closes at `until`."""
    close = np.array(closes, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    at = to_ms(until) + (np.arange(len(close)) - len(close)) * float(OWN.timeframe.ms)
    volume = np.array(volumes if volumes is not None else [1.0] * len(close))
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    return CandleColumns(np.vstack([at, opened, high, low, close, volume, volume]))


def holds(nodes: list[Json], *edges: str, window: CandleColumns) -> bool:
    return decide(entering(nodes, *edges), window).action is Action.LONG


MATH: list[tuple[dict[str, Any], float]] = [
    ({"op": "add", "b": 3}, 13),
    ({"op": "-", "b": 3}, 7),
    ({"op": "*", "b": 3}, 30),
    ({"op": "divide", "b": 4}, 2.5),
    ({"op": "min", "b": 3}, 3),
    ({"op": "maximum", "b": 3}, 10),
    ({"op": "abs"}, 10),
    ({"op": "negate"}, -10),
    ({"op": "sqrt"}, 10**0.5),
    ({"op": "log"}, float(np.log(10))),
]


@pytest.mark.parametrize(("params", "expected"), MATH)
def test_math(params: dict[str, Any], expected: float) -> None:
    nodes = [node("n", "math", **params), node("x", "compare", op="between", low=expected, high=expected)]
    assert holds(nodes, "m.close > n.a", "n > x.a", window=candles(10))


COMPARE: list[tuple[dict[str, Any], list[bool]]] = [
    ({"op": ">", "b": 10}, [False, False, True]),
    ({"op": "gte", "b": 10}, [False, True, True]),
    ({"op": "lt", "b": 10}, [True, False, False]),
    ({"op": "≤", "b": 10}, [True, True, False]),
    ({"op": "between", "low": 9, "high": 10}, [True, True, False]),
]


@pytest.mark.parametrize(("params", "expected"), COMPARE)
def test_compare(params: dict[str, Any], expected: list[bool]) -> None:
    for close, held in zip((9, 10, 11), expected, strict=True):
        assert holds([node("x", "compare", **params)], "m.close > x.a", window=candles(close)) is held


@pytest.mark.parametrize(
    ("closes", "above", "below"),
    [
        ((9, 11), True, False),
        ((10, 11), True, False),
        ((11, 12), False, False),
        ((11, 9), False, True),
        ((9, 10), False, False),
    ],
)
def test_cross_holds_at_the_candle_that_gets_beyond(
    closes: tuple[float, float], above: bool, below: bool
) -> None:
    for direction, held in (("above", above), ("down", below)):
        nodes = [node("x", "cross", direction=direction, b=10)]
        assert holds(nodes, "m.close > x.a", window=candles(*closes)) is held


LOGIC: list[tuple[dict[str, Any], list[bool]]] = [
    ({"op": "and"}, [False, False, True]),
    ({"op": "or"}, [False, True, True]),
    ({"op": "k_of_n", "k": 2}, [False, False, True]),
    ({"op": "k_of_n", "k": 1}, [False, True, True]),
]


@pytest.mark.parametrize(("params", "expected"), LOGIC)
def test_logic(params: dict[str, Any], expected: list[bool]) -> None:
    nodes = [
        node("low", "compare", op=">", b=10),
        node("high", "compare", op=">", b=20),
        node("x", "logic", **params),
    ]
    edges = ["m.close > low.a", "m.close > high.a", "low > x", "high > x"]
    for close, held in zip((5, 15, 25), expected, strict=True):
        assert holds(nodes, *edges, window=candles(close)) is held


def test_not() -> None:
    nodes = [node("c", "compare", op=">", b=10), node("x", "logic", op="not")]
    assert holds(nodes, "m.close > c.a", "c > x", window=candles(9))
    assert not holds(nodes, "m.close > c.a", "c > x", window=candles(11))


@pytest.mark.parametrize(
    ("first", "last", "at", "held"),
    [
        ("11:00", "13:00", "12:00", True),
        ("12:00", "13:00", "12:00", True),
        ("11:00", "12:00", "12:00", False),
        ("22:00", "06:00", "23:30", True),
        ("22:00", "06:00", "05:55", True),
        ("22:00", "06:00", "12:00", False),
    ],
)
def test_a_time_filter_looks_at_when_the_candle_closes(first: str, last: str, at: str, held: bool) -> None:
    until = datetime.fromisoformat(f"2026-01-05T{at}:00+00:00")
    filtered = node("x", "filter", kind="time_of_day", **{"from": first, "to": last})
    assert holds([filtered], window=candles(10, until=until)) is held


def test_a_filter_passes_its_condition_only_while_it_holds() -> None:
    always = node("c", "compare", op=">", b=0)
    never = node("n", "compare", op="<", b=0)
    busy = node("x", "filter", kind="volume", period=2, factor=1.2)
    edges = ["m.close > c.a", "m.close > n.a", "m > x.candles"]
    rising, falling = candles(1, 2, volumes=[1, 3]), candles(1, 2, volumes=[3, 1])
    assert holds([always, never, busy], *edges, "c > x", window=rising)
    assert not holds([always, never, busy], *edges, "c > x", window=falling)
    assert not holds([always, never, busy], *edges, "n > x", window=rising)


@pytest.mark.parametrize(("direction", "held"), [("up", True), ("down", False)])
def test_a_trend_filter_looks_at_the_side_of_the_mean(direction: str, held: bool) -> None:
    filtered = node("x", "filter", kind="trend", period=3, direction=direction)
    assert holds([filtered], "m > x", window=candles(1, 2, 3, 4)) is held


@pytest.mark.parametrize(("limits", "held"), [({"min_pct": 3}, False), ({"max_pct": 3}, True), ({}, True)])
def test_a_volatility_filter_looks_at_the_true_range_in_percent(limits: dict[str, Any], held: bool) -> None:
    filtered = node("x", "filter", kind="volatility", period=2, **limits)
    assert holds([filtered], "m > x", window=candles(100, 101, 100, 101, wick=0.5)) is held


def test_a_score_is_the_sum_of_what_holds() -> None:
    nodes = [
        node("a", "compare", op=">", b=10),
        node("b", "compare", op=">", b=20),
        node("c", "compare", op=">", b=30),
        node("s", "score", weights={"a": 3.5, "b": 2.5, "c": 4}),
        node("x", "compare", op=">", b=3),
    ]
    edges = ["m.close > a.a", "m.close > b.a", "m.close > c.a", "a > s", "b > s", "c > s", "s > x.a"]
    scores = [decide(entering(nodes, *edges), candles(close)).indicators["s"] for close in (5, 15, 25, 35)]
    assert scores == [0, 3.5, 6, 10]


def test_what_comes_of_no_number_fails_under_the_nodes_id() -> None:
    nodes = [node("half", "math", op="/", b=0), node("x", "compare", op=">", b=1)]
    with pytest.raises(NodeFailed, match="Node half gives no finite number at value") as raised:
        decide(entering(nodes, "m.close > half.a", "half > x.a"), candles(10))
    assert (raised.value.fault, raised.value.node, raised.value.executed) == (
        SignalFault.NODE_FAILED,
        "half",
        1,
    )


def test_a_column_the_candles_lack_fails_only_where_it_is_looked_at() -> None:
    window = candles(10)
    blank = window.data.copy()
    blank[6] = np.nan
    nodes = [node("x", "compare", op=">", b=0)]
    assert decide(entering(nodes, "m.close > x.a"), CandleColumns(blank)).action is Action.LONG
    with pytest.raises(NodeFailed, match="Node m gives no finite number at volume_delta"):
        decide(entering(nodes, "m.volume_delta > x.a"), CandleColumns(blank))


# -- the orchestrator --------------------------------------------------------------------------------

SIDES = ("entry_long", "entry_short", "exit_long", "exit_short")


def verdict(*held: str, position: HeldPosition | None = None, **params: Any) -> tuple[Action, str | None]:
    """What comes of these conditions holding, and of the other ones not."""
    nodes = [
        node("m", "data_source"),
        node("yes", "compare", op=">", b=0, label="Yes"),
        node("no", "compare", op="<", b=0),
        node("end", "orchestrator", **params),
    ]
    edges = [f"{'yes' if side in held else 'no'} > end.{side}" for side in SIDES]
    made = strategy(graph(nodes, "m.close > yes.a", "m.close > no.a", *edges))
    signal = decide(made, candles(10), position=position)
    return signal.action, signal.reason


def held(side: Side) -> HeldPosition:
    one = Decimal(1)
    return HeldPosition(side=side, quantity=one, entry_price=one, unrealised_pnl=one)


VERDICTS: list[tuple[tuple[str, ...], Action]] = [
    ((), Action.HOLD),
    (("entry_long",), Action.LONG),
    (("entry_short",), Action.SHORT),
    (("exit_long",), Action.EXIT_LONG),
    (("exit_short",), Action.EXIT_SHORT),
    (("entry_long", "exit_short"), Action.LONG),
    (("entry_short", "exit_long"), Action.SHORT),
    (("entry_long", "exit_long"), Action.EXIT_LONG),
    (("entry_short", "exit_short"), Action.EXIT_SHORT),
    (("entry_long", "entry_short"), Action.HOLD),
    (("entry_long", "entry_short", "exit_long"), Action.SHORT),
]


@pytest.mark.parametrize(("conditions", "action"), VERDICTS)
def test_the_orchestrator_decides(conditions: tuple[str, ...], action: Action) -> None:
    found, reason = verdict(*conditions)
    assert found is action
    if action is not Action.HOLD:
        assert reason == "Yes"


def test_where_both_exits_hold_the_side_that_is_held_is_left() -> None:
    assert verdict("exit_long", "exit_short", position=held(Side.LONG))[0] is Action.EXIT_LONG
    assert verdict("exit_long", "exit_short", position=held(Side.SHORT))[0] is Action.EXIT_SHORT
    assert verdict("exit_long", "exit_short")[0] is Action.HOLD


def entry(close: float, *edges: str, score: float | None = None, **params: Any) -> Any:
    nodes = [
        node("m", "data_source"),
        node("up", "compare", op=">", b=0),
        node("s", "score", weights={"up": score or 0}),
        node("stop", "math", op="-", b=5),
        node("end", "orchestrator", **params),
    ]
    made = graph(nodes, "m.close > up.a", "up > s", "m.close > stop.a", *edges)
    return decide(strategy(made), candles(close))


def test_an_entry_carries_prices_size_and_leverage() -> None:
    signal = entry(
        200, "up > end.entry_long", take_profit_pct=3, stop_loss_pct=1.5, size_factor=0.5, leverage=3
    )
    assert (signal.take_profit, signal.stop_loss) == (Decimal("206.00"), Decimal("197.0000"))
    assert (signal.size_factor, signal.leverage) == (Decimal("0.5"), 3)
    signal = entry(200, "up > end.entry_short", take_profit_pct=3, stop_loss_pct=1.5)
    assert (signal.take_profit, signal.stop_loss) == (194, 203)
    assert entry(200, "up > end.entry_long", "stop > end.stop_loss").stop_loss == 195


@pytest.mark.parametrize(
    ("close", "edge"),
    [(4, "stop > end.stop_loss"), (5, "s > end.size_factor"), (1e200, "stop > end.take_profit")],
)
def test_what_no_order_can_carry_fails_the_decision_by_name(close: float, edge: str) -> None:
    with pytest.raises(BadSignal, match=edge.split(".")[-1]):
        entry(close, "up > end.entry_long", edge)


def test_a_bankroll_is_the_graphs_whatever_it_was_last_asked_under() -> None:
    made = strategy(
        graph(
            [
                node("m", "data_source"),
                node("up", "compare", op=">", b=0),
                node("end", "orchestrator", paper_bankroll_usd=5_000),
            ],
            "m.close > up.a",
            "up > end.entry_long",
        )
    )
    made.program({"end.paper_bankroll_usd": 100})
    assert made.paper_bankroll_usd == 5_000


def test_an_exit_carries_none_of_them() -> None:
    nodes = ["m.close > up.a"]
    signal = decide(
        strategy(
            graph(
                [
                    node("m", "data_source"),
                    node("up", "compare", op=">", b=0),
                    node("no", "compare", op="<", b=0),
                    node("end", "orchestrator", take_profit_pct=3),
                ],
                *nodes,
                "m.close > no.a",
                "no > end.entry_long",
                "up > end.exit_long",
            )
        ),
        candles(10),
    )
    assert (signal.action, signal.take_profit) == (Action.EXIT_LONG, None)


@pytest.mark.parametrize(("score", "action"), [(3.9, Action.HOLD), (4, Action.LONG)])
def test_an_entry_counts_from_its_score_on(score: float, action: Action) -> None:
    signal = entry(10, "up > end.entry_long", "s > end.score", score=score, min_score=4)
    assert (signal.action, signal.score) == (action, score)
