"""Every TA-Lib function as a node, and what the table of indicators says about it against its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from core.candles import CandleColumns
from core.indicator_table import INDICATORS, Indicator
from core.signal import BadSignal, SignalFault
from tests.core.candle_cases import generated
from tests.core.strategies.graph.cases import OWN, Json, decide, graph, node, strategy

COUNT = 3_400
CANDLES = generated(COUNT, timeframe=OWN.timeframe)
ANGLES = frozenset({"ACOS", "ASIN", "COSH", "EXP", "SINH"})
"""Defined, or finite, for small numbers only."""


def only(name: str) -> Json:
    """A graph in which the function, and each of its outputs, is needed for an entry."""
    indicator = INDICATORS[name]
    nodes = [node("m", "data_source"), node("f", "indicator", function=name), node("end", "orchestrator")]
    edges = ["m > f.candles"]
    if name in ANGLES:
        nodes.append(node("small", "math", op="/", b=10_000_000))
        edges = ["m.close > small", "small > f.real"]
    for port in [name for name in indicator.series[1:] if name != "periods"]:
        edges.append(f"m.open > f.{port}")
    if "periods" in indicator.series:
        nodes += [node("zero", "math", op="*", b=0), node("ten", "math", op="+", b=10)]
        edges += ["m.close > zero.a", "zero > ten.a", "ten > f.periods"]
    for index, port in enumerate(indicator.outputs):
        nodes.append(node(f"c{index}", "compare", op=">", b=0))
        edges.append(f"f.{port} > c{index}.a")
    nodes.append(node("all", "logic", op="and"))
    edges += [f"c{index} > all" for index in range(len(indicator.outputs))]
    return graph(nodes, *edges, "all > end.entry_long")


def arrays(indicator: Indicator, candles: CandleColumns) -> list[np.ndarray]:
    inputs = {"real": candles.close, "real0": candles.close, "real1": candles.open}
    inputs["periods"] = np.full(len(candles), 10.0)
    found = [inputs[name] if name in inputs else getattr(candles, name) for name in indicator.inputs]
    return [each / 10_000_000 for each in found] if indicator.name in ANGLES else found


def test_the_table_holds_every_function_there_is() -> None:
    assert set(INDICATORS) == set(talib.get_functions())
    assert len(INDICATORS) > 150


@pytest.mark.parametrize("name", INDICATORS)
def test_every_function_is_a_node_that_gives_what_the_function_gives(name: str) -> None:
    indicator, made = INDICATORS[name], strategy(only(name))
    window = CANDLES.part(COUNT - made.lookback({}), COUNT)
    told = decide(made, window).indicators
    expected = indicator(*arrays(indicator, window), **indicator.parameters)
    ports = [f"f.{port}" for port in indicator.outputs] if len(expected) > 1 else ["f"]
    assert told == {port: float(values[-1]) for port, values in zip(ports, expected, strict=True)}


@pytest.mark.parametrize("name", INDICATORS)
def test_a_window_of_the_lookback_shows_what_all_of_history_shows(name: str) -> None:
    """What is smoothed has forgotten what lies before its window; what is not has never looked there."""
    indicator = INDICATORS[name]
    least = indicator.lookback(indicator.parameters)
    if name in SINCE_THE_BEGINNING or name.endswith("INDEX"):
        return
    settled = max(250, 36 * least) if indicator.is_smoothed(indicator.parameters) else least + 1
    all_of_it = indicator(*arrays(indicator, CANDLES), **indicator.parameters)
    window = indicator(*arrays(indicator, CANDLES.part(COUNT - settled, COUNT)), **indicator.parameters)
    for one, other in zip(window, all_of_it, strict=True):
        assert one[-1] == pytest.approx(other[-1], rel=1e-7, abs=1e-7)


SINCE_THE_BEGINNING = frozenset({"AD", "CUMSUM", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD"})
"""Sums from the first candle of the window on: their level says nothing, their changes do."""


@pytest.mark.parametrize("name", ["SMA", "RSI", "MACD", "BBANDS", "ATR", "CDLDOJI", "SAR", "HT_SINE"])
def test_without_a_candle_of_its_lookback_there_is_no_answer_and_with_it_there_is(name: str) -> None:
    made = strategy(only(name))
    need = made.min_candles({})
    assert need == INDICATORS[name].lookback(INDICATORS[name].parameters) + 1
    assert decide(made, CANDLES.part(0, need)).indicators
    with pytest.raises(BadSignal) as raised:
        decide(made, CANDLES.part(0, need - 1))
    assert raised.value.fault is SignalFault.TOO_FEW_CANDLES


def test_parameters_of_a_graph_are_the_numbers_of_its_nodes() -> None:
    made = strategy(only("MACD"))
    assert {spec.name: spec.default for spec in made.specs if spec.name.startswith("f.")} == {
        "f.fastperiod": 12,
        "f.slowperiod": 26,
        "f.signalperiod": 9,
    }
    assert made.problems({"f.fastperiod": 1}) == [
        "f.params.fastperiod: MACD does not take fastperiod 1, slowperiod 26, signalperiod 9."
    ]
    shorter = {"f.slowperiod": 20}
    assert made.min_candles(shorter) == made.min_candles({}) - 6
    assert made.lookback(shorter) < made.lookback({})
