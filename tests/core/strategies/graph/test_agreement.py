"""A graph and the same logic elsewhere say the same on every slot: issue's row 3 for template and graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from core.candles import CandleColumns
from core.position import Side
from core.signal import Action, Signal
from core.strategies import template
from core.strategy import Context, HeldPosition, Strategy, strategy_parameters
from core.timeframe import Timeframe, from_ms
from tests.actors.fast_path.test_templates import ORIGINS, SYMBOL, source_of
from tests.core.strategies.graph.cases import OWN, example

DAYS = int(os.environ.get("RUNNER_GRAPH_DAYS", "31"))
ONE = Decimal(1)


def month(origin: str, days: int = DAYS) -> CandleColumns:
    source, start = source_of(origin)
    return source.candles(SYMBOL, Timeframe.M5, start, start + timedelta(days=days))


def slot_by_slot(made: Strategy, candles: CandleColumns) -> Callable[[int, HeldPosition | None], Signal]:
    parameters = strategy_parameters(made, {})
    lookback = made.lookback(parameters)

    def at(index: int, position: HeldPosition | None = None) -> Signal:
        window = candles.part(max(0, index + 1 - lookback), index + 1)
        slot = from_ms(int(window.open_time[-1]) + Timeframe.M5.ms)
        return made.decide(
            Context(candles=window, series=OWN, parameters=parameters, slot=slot, position=position)
        )

    return at


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_rsi_graph_says_on_every_slot_of_a_month_what_the_template_says(origin: str) -> None:
    candles = month(origin)
    graph, built_in = example("rsi"), template("rsi_oversold_overbought")
    asked, expected = slot_by_slot(graph, candles), slot_by_slot(built_in, candles)
    seen = set()
    for index in range(14, len(candles)):
        one, other = asked(index, None), expected(index, None)
        assert (one.action, one.indicators) == (other.action, other.indicators), index
        seen.add(one.action)
    assert seen == {Action.LONG, Action.SHORT, Action.HOLD}


def sma_example(candles: CandleColumns, position: HeldPosition | None, period: int = 20) -> Signal:
    """The example every kind reproduces (strategies page, Contract), as plain Python."""
    closes = candles.close[-period:].tolist()
    price, sma = closes[-1], sum(closes) / period
    action, reason = Action.HOLD, None
    if price > sma and position is None:
        action, reason = Action.LONG, "Price above SMA"
    elif price < sma and position is not None:
        action, reason = Action.SHORT, "Price below SMA"
    return Signal(action=action, reason=reason, indicators={"sma": sma})


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_sma_graph_looks_at_the_position_as_the_example_in_python_does(origin: str) -> None:
    candles = month(origin, days=DAYS // 4)
    graph = example("sma_position")
    assert graph.uses_position
    asked = slot_by_slot(graph, candles)
    position, turns = None, 0
    for index in range(19, len(candles)):
        one, other = asked(index, position), sma_example(candles.part(index - 19, index + 1), position)
        assert (one.action, one.reason) == (other.action, other.reason), index
        assert one.indicators["sma"] == pytest.approx(other.indicators["sma"], rel=1e-12)
        if one.action is Action.LONG:
            price = Decimal(repr(float(candles.close[index])))
            position = HeldPosition(
                side=Side.LONG, quantity=ONE, entry_price=price, unrealised_pnl=Decimal(0)
            )
        elif one.action is Action.SHORT:
            position, turns = None, turns + 1
    assert turns > 20
