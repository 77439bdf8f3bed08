"""Graphs that look at other symbols, markets and timeframes: which windows they ask for, and what meets when."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from core.candles import CandleColumns
from core.market import Market, Series
from core.signal import Action
from core.strategies.graph.problems import GraphError
from core.strategies.graph.strategy import GraphStrategy
from core.timeframe import Timeframe, to_ms
from tests.core.strategies.graph.cases import OWN, Json, decide, example, graph, node, problems_of, strategy
from tests.core.strategies.graph.test_nodes import NOON, candles

HOURS = replace(OWN, timeframe=Timeframe.H1)
SPOT = replace(OWN, market=Market.SPOT)
ETHER = replace(OWN, symbol="ETHUSDT")
BYBIT = replace(OWN, venue="bybit")
MINUTES = replace(OWN, timeframe=Timeframe.M1)


def wanted(*nodes: Json, edges: list[str], own: Series = OWN) -> dict[Series, tuple[int, int]]:
    made = strategy(graph([*nodes, node("end", "orchestrator")], *edges, "x > end.entry_long"))
    return {each.series: (each.lookback, each.min_candles) for each in made.windows(own, {})}


def above(kind: str = "compare", **source: str) -> GraphStrategy:
    """Long where the other candles' close is above (has crossed) 10."""
    x = node("x", "compare", op=">", b=10) if kind == "compare" else node("x", "cross", b=10)
    nodes = [node("o", "data_source", **source), x, node("end", "orchestrator")]
    return strategy(graph(nodes, "o.close > x.a", "x > end.entry_long"))


def test_a_graph_asks_for_the_windows_its_data_sources_name() -> None:
    nodes = [
        node("h", "data_source", timeframe="1h"),
        node("s", "data_source", market="spot"),
        node("e", "data_source", symbol="ETH/USDT"),
        node("b", "data_source", venue="Bybit"),
        node("mean", "indicator", function="SMA", timeperiod=20),
        node("x", "logic", op="and"),
    ]
    nodes += [node(f"c{index}", "compare", op=">", b=1) for index in range(4)]
    edges = ["h > mean", "mean > c0.a", "s.close > c1.a", "e.close > c2.a", "b.close > c3.a"]
    edges += ["c0 > x", "c1 > x", "c2 > x", "c3 > x"]
    assert wanted(*nodes, edges=edges) == {HOURS: (20, 20), SPOT: (1, 1), ETHER: (1, 1), BYBIT: (1, 1)}
    hours_there = {BYBIT: (1, 1), replace(HOURS, venue="bybit"): (20, 20)}
    assert hours_there.items() <= wanted(*nodes, edges=edges, own=BYBIT).items()


def test_a_venue_there_is_not_is_refused_at_its_field_with_those_there_are() -> None:
    nodes = [
        node("o", "data_source", venue="kraken"),
        node("x", "compare", op=">", b=1),
        node("end", "orchestrator"),
    ]
    assert problems_of(graph(nodes, "o.close > x.a", "x > end.entry_long")) == [
        "o.params.venue: must be one of binance, bybit, not 'kraken'"
    ]


def test_candles_of_two_venues_meet_at_the_own_close_and_belong_to_no_one_indicator() -> None:
    nodes = [node("m", "data_source"), node("b", "data_source", venue="bybit")]
    nodes += [node("x", "compare", op=">"), node("end", "orchestrator")]
    made = strategy(graph(nodes, "b.close > x.a", "m.close > x.b", "x > end.entry_long"))
    assert decide(made, candles(5, 5, 6), extra={BYBIT: candles(5, 5, 7)}).action is Action.LONG
    assert decide(made, candles(5, 5, 7), extra={BYBIT: candles(5, 5, 6)}).action is Action.HOLD
    nodes[2:3] = [node("x", "indicator", function="CORREL", timeperiod=2)]
    [problem] = problems_of(graph(nodes, "b.close > x.real0", "m.close > x.real1", "x > end.score"))
    assert "different candles" in problem


def test_one_look_back_at_the_own_close_is_as_long_in_other_candles() -> None:
    """A cross of two series that meet looks one own candle back: five of a minute, one of an hour at most."""
    for timeframe, length in (("1m", 6), ("1h", 2)):
        nodes = [
            node("m", "data_source"),
            node("o", "data_source", timeframe=timeframe),
            node("x", "cross"),
        ]
        found = wanted(*nodes, edges=["m.close > x.a", "o.close > x.b"])
        assert list(found.values()) == [(length, length)]


def test_a_source_that_spells_out_the_own_series_has_a_window_as_long_as_it_needs() -> None:
    nodes = [
        node("o", "data_source", symbol="BTCUSDT"),
        node("mean", "indicator", function="SMA", timeperiod=3),
        node("x", "compare", op="between", low=2, high=2),
    ]
    edges = ["o > mean", "mean > x.a"]
    assert wanted(*nodes, edges=edges) == {OWN: (3, 3)}
    made = strategy(graph([*nodes, node("end", "orchestrator")], *edges, "x > end.entry_long"))
    assert decide(made, candles(3), extra={OWN: candles(1, 2, 3)}).action is Action.LONG


def test_a_further_window_longer_than_any_is_refused() -> None:
    nodes = [node("m", "data_source"), node("o", "data_source", timeframe="1m"), node("sum", "math", op="+")]
    nodes += [node(f"n{number}", "indicator", function="SMA", timeperiod=1_000) for number in range(3)]
    edges = [
        "m.close > sum.a",
        "o.close > sum.b",
        "sum > n0.real",
        "n0 > n1.real",
        "n1 > n2.real",
        "n2 > x.a",
    ]
    with pytest.raises(GraphError, match="14986 candles of its symbol 1m at once"):
        wanted(*nodes, node("x", "compare", op=">", b=1), edges=edges)


def hourly(*closes: float, until_offset: timedelta = timedelta(0)) -> CandleColumns:
    """Hours, the last of which closes at noon, moved by `until_offset`."""
    window = candles(*closes)
    data = window.data.copy()
    last = to_ms(NOON + until_offset) - HOURS.timeframe.ms
    data[0] = last + (np.arange(len(closes)) - len(closes) + 1) * float(HOURS.timeframe.ms)
    return CandleColumns(data)


def test_what_an_hour_says_holds_until_the_next_has_closed() -> None:
    """I10: at 12:25 the last closed hour is that of noon; the one that closes at 13:00 cannot be seen."""
    made = above(timeframe="1h")
    for minutes in (0, 25, 55):
        window = candles(1, 1, until=NOON + timedelta(minutes=minutes))
        assert decide(made, window, extra={HOURS: hourly(9, 11)}).action is Action.LONG
        assert decide(made, window, extra={HOURS: hourly(11, 9)}).action is Action.HOLD


def test_series_of_different_candles_meet_at_the_own_closes() -> None:
    """At 12:05 noon's hour has closed, at 11:55 that of eleven: the own close crosses the hour's in between."""
    nodes = [
        node("m", "data_source"),
        node("h", "data_source", timeframe="1h"),
        node("x", "cross"),
        node("end", "orchestrator"),
    ]
    made = strategy(graph(nodes, "m.close > x.a", "h.close > x.b", "x > end.entry_long"))
    at = {
        NOON: (hourly(12, 8), Action.LONG),
        NOON + timedelta(minutes=5): (hourly(12, 8), Action.HOLD),
        NOON - timedelta(minutes=5): (hourly(12, 8, until_offset=-timedelta(hours=1)), Action.HOLD),
    }
    for until, (hours, action) in at.items():
        assert decide(made, candles(10, 10, until=until), extra={HOURS: hours}).action is action, until


def test_a_cross_within_the_hours_holds_for_the_whole_next_hour() -> None:
    """It is told on the hours' own candles; whoever wants one slot crosses on the own candles."""
    made = above("cross", timeframe="1h")
    for minutes, action in ((0, Action.LONG), (30, Action.LONG)):
        window = candles(1, 1, until=NOON + timedelta(minutes=minutes))
        assert decide(made, window, extra={HOURS: hourly(9, 11)}).action is action


def test_the_example_with_hours_asks_for_them() -> None:
    made = example("trend_score")
    assert {each.series for each in made.windows(OWN, {})} == {HOURS}
    assert not made.uses_position
