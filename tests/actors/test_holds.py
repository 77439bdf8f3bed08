"""Where the array form says that a strategy holds, `decide` says so; a slot it says nothing of is no hold."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from actors.holds import holds_of
from core.candles import CandleColumns
from core.strategies import template
from core.strategy import Action, Context, Strategy, strategy_parameters
from core.timeframe import Timeframe, from_ms
from tests.core.candle_cases import START, generated
from tests.core.templates import ARRAY_TEMPLATES

MINUTE = Timeframe.M1
CANDLES = generated(700)


@pytest.mark.parametrize("name", [name for name in ARRAY_TEMPLATES if name != "sma_trend"])
def test_it_holds_exactly_where_decide_does(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    holds = holds_of(strategy, parameters, MINUTE, CANDLES)
    assert holds is not None
    lookback, least = strategy.lookback(parameters), strategy.min_candles(parameters)
    seen = set()
    for index in range(len(CANDLES)):
        window = CANDLES.part(max(0, index + 1 - lookback), index + 1)
        slot = from_ms(int(window.open_time[-1]) + MINUTE.ms)
        decided = None
        if len(window) >= least:
            context = Context(candles=window, parameters=parameters, slot=slot)
            decided = strategy.decide(context).action is Action.HOLD
        assert holds.at(slot) is (decided is True), slot
        seen.add(decided)
    assert {True, False} <= seen


def test_slots_of_missing_candles_and_those_after_them_are_no_holds() -> None:
    """I10: a lookback of clean candles has to pass first."""
    strategy = template("sma_trend")
    parameters = strategy_parameters(strategy, {"period": 5})
    flat = np.array(CANDLES.data)
    flat[1:5] = 100.0
    kept = np.delete(flat, [300, 301], axis=1)
    holds = holds_of(strategy, parameters, MINUTE, CandleColumns(kept))
    assert holds is not None
    clean = 302 + strategy.lookback(parameters) - 1
    held = [index for index in range(290, clean + 2) if holds.at(START + MINUTE.delta * (index + 1))]
    assert held == [*range(290, 300), clean, clean + 1]


def test_slots_outside_the_range_are_no_holds() -> None:
    strategy = template("rsi_oversold_overbought")
    parameters = strategy_parameters(strategy, {"rsi_oversold": 1.0, "rsi_overbought": 99.0})
    holds = holds_of(strategy, parameters, MINUTE, CANDLES)
    assert holds is not None
    last = START + MINUTE.delta * len(CANDLES)
    assert holds.at(last)
    assert not holds.at(last + MINUTE.delta)
    assert not holds.at(START)
    assert not holds.at(START - timedelta(days=1))


def test_without_an_array_form_or_candles_nothing_is_known() -> None:
    class Plain:
        uses_position = False

    strategy = template("sma_trend")
    parameters = strategy_parameters(strategy, {})
    plain: Strategy = Plain()  # type: ignore[assignment]  # it is never asked anything
    assert holds_of(plain, parameters, MINUTE, CANDLES) is None
    assert holds_of(strategy, parameters, MINUTE, CANDLES.part(0, 0)) is None
