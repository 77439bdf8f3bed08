"""Every template: window form and array form answer alike at every slot, and as the definition says."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.candles import CandleColumns, CandleView, CandleWindow
from core.strategies import template
from core.strategies.template import Template
from core.strategy import (
    ACTION_CODES,
    NOT_EVALUATED,
    Action,
    BadSignal,
    Context,
    Parameters,
    Signal,
    SignalFault,
    strategy_parameters,
)
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.files import FolderCandles
from tests.core.candle_cases import START, columns_of, generated, walks
from tests.core.templates import ARRAY_TEMPLATES

SHORT: Mapping[str, Mapping[str, object]] = {
    "rsi_oversold_overbought": {"rsi_period": 3},
    "sma_trend": {"period": 5},
    "ema_cross": {"fast_period": 3, "slow_period": 7},
    "macd": {"fast_period": 3, "slow_period": 6, "signal_period": 3},
    "bollinger_reversion": {"period": 6, "deviations": 1.5},
    "donchian_breakout": {"entry_period": 8, "exit_period": 4},
}


def decided(strategy: Template, candles: CandleColumns, parameters: Parameters, index: int) -> int:
    """The code `decide` gives on the view a window hands out at slot `index`."""
    window = candles.part(max(0, index + 1 - strategy.lookback(parameters)), index + 1)
    if len(window) < strategy.min_candles(parameters):
        return NOT_EVALUATED
    slot = from_ms(int(window.open_time[-1]) + 60_000)
    return ACTION_CODES[strategy.decide(Context(candles=window, parameters=parameters, slot=slot)).action]


def assert_forms_agree(strategy: Template, candles: CandleColumns, parameters: Parameters) -> None:
    codes = strategy.signals(candles, parameters)
    assert codes.dtype == np.int8
    expected = [decided(strategy, candles, parameters, index) for index in range(len(candles))]
    differing = [index for index, code in enumerate(codes.tolist()) if code != expected[index]]
    assert differing == []


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(closes=walks, short=st.booleans())
def test_the_array_form_equals_decide_at_every_slot(name: str, closes: list[float], short: bool) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, SHORT[name] if short else {})
    assert_forms_agree(strategy, columns_of(closes), parameters)


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_the_array_form_equals_decide_on_a_generated_market(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    assert_forms_agree(strategy, generated(6000), strategy_parameters(strategy, {}))


@pytest.mark.requires_recorded_data
@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_the_array_form_equals_decide_on_recorded_candles(name: str, recorded_data: Path) -> None:
    """The days around 2025-08-29 hold candles without any trade."""
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    source = FolderCandles(recorded_data)
    coverage = source.coverage("BTCUSDT", Timeframe.M5)
    assert coverage is not None
    first = coverage.stretches[0]
    candles = source.candles("BTCUSDT", Timeframe.M5, first.end - 6000 * Timeframe.M5.delta, first.end)
    assert_forms_agree(strategy, candles, parameters)


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_i10_no_template_looks_ahead(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    candles = generated(1200)
    whole = strategy.signals(candles, parameters)
    for stop in (300, 641, 900):
        assert np.array_equal(strategy.signals(candles.part(0, stop), parameters), whole[:stop])


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_a_window_without_any_change_holds(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    for price in (0.1, 100.0, 84299.6):
        data = columns_of([price] * 700).data.copy()
        data[2:4] = price
        codes = strategy.signals(CandleColumns(data), parameters)
        assert set(codes[strategy.min_candles(parameters) - 1 :].tolist()) == {ACTION_CODES[Action.HOLD]}


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_a_market_that_stops_moving_ends_in_hold(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    moved = generated(300).close.tolist()
    candles = columns_of([*moved, *[moved[-1]] * 1200])
    assert_forms_agree(strategy, candles, parameters)
    assert strategy.signals(candles, parameters)[-1] == ACTION_CODES[Action.HOLD]


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_too_few_candles_are_refused_by_name(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    enough = strategy.min_candles(parameters)
    candles = generated(enough)
    assert strategy.decide(Context(candles=candles, parameters=parameters, slot=START))
    few = Context(candles=candles.part(1, enough), parameters=parameters, slot=START)
    with pytest.raises(BadSignal) as refused:
        strategy.decide(few)
    assert refused.value.fault is SignalFault.TOO_FEW_CANDLES


def answer(name: str, closes: list[float], **given: object) -> Signal:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, given)
    return strategy.decide(Context(candles=columns_of(closes), parameters=parameters, slot=START))


RISING, FALLING = [100.0 + step for step in range(60)], [200.0 - step for step in range(60)]


def test_rsi_buys_below_30_and_sells_above_70_strictly() -> None:
    low = answer("rsi_oversold_overbought", FALLING)
    assert (low.action, low.indicators) == (Action.LONG, {"rsi": 0.0})
    assert low.reason == "RSI 0.00 below 30"
    assert answer("rsi_oversold_overbought", RISING).action is Action.SHORT
    assert answer("rsi_oversold_overbought", FALLING, rsi_oversold=0).action is Action.HOLD
    assert answer("rsi_oversold_overbought", RISING, rsi_overbought=100).action is Action.HOLD


def test_rsi_signals_equal_a_plain_loop_over_talib() -> None:
    """The whole array starts cold; windows of 504 candles forget what came before."""
    candles = generated(8000)
    strategy = template("rsi_oversold_overbought")
    codes = strategy.signals(candles, strategy_parameters(strategy, {}))
    plain = [
        NOT_EVALUATED if value != value else 1 if value < 30 else -1 if value > 70 else 0
        for value in talib.RSI(candles.close, 14).tolist()
    ]
    assert codes.tolist() == plain


def test_rsi_forgets_what_was_livelier_than_the_window() -> None:
    """A crash out of sight weighs nothing in `decide`, however small the moves inside the window are."""
    quiet = [50.0 + 1e-13 * (step % 3) for step in range(700)]
    candles = columns_of([*generated(200).close.tolist(), *quiet])
    strategy = template("rsi_oversold_overbought")
    assert_forms_agree(strategy, candles, strategy_parameters(strategy, {}))


def test_sma_trend_follows_the_price() -> None:
    above = answer("sma_trend", RISING)
    assert (above.action, above.reason) == (Action.LONG, "Price above SMA")
    assert above.indicators == {"sma": pytest.approx(sum(RISING[-20:]) / 20)}
    below = answer("sma_trend", FALLING)
    assert (below.action, below.reason) == (Action.SHORT, "Price below SMA")


@pytest.mark.parametrize("name", ["ema_cross", "macd"])
def test_crossing_templates_answer_at_the_crossing_only(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    candles = columns_of(
        [*FALLING, *[141.0 + 2 * step for step in range(60)], *[259.0 - 3 * s for s in range(60)]]
    )
    codes = strategy.signals(candles, strategy_parameters(strategy, {})).tolist()
    told = [code for code in codes if code in (1, -1)]
    assert told
    assert all(one != other for one, other in pairwise(told))


def test_bollinger_reversion_trades_against_the_breakout() -> None:
    calm = [100.0, 101.0] * 15
    assert answer("bollinger_reversion", [*calm, 90.0]).action is Action.LONG
    assert answer("bollinger_reversion", [*calm, 110.0]).action is Action.SHORT
    assert answer("bollinger_reversion", calm).action is Action.HOLD


def test_donchian_enters_on_the_long_channel_and_exits_on_the_short_one() -> None:
    calm = [100.0, 110.0, *([104.0, 105.0] * 9)]
    assert answer("donchian_breakout", [*calm, 120.0]).action is Action.LONG
    assert answer("donchian_breakout", [*calm, 90.0]).action is Action.SHORT
    assert answer("donchian_breakout", [*calm, 103.0, 102.0]).action is Action.EXIT_LONG
    assert answer("donchian_breakout", [*calm, 106.0, 107.0]).action is Action.EXIT_SHORT
    assert answer("donchian_breakout", [*calm, 104.5]).action is Action.HOLD


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_views_of_a_window_are_what_decide_is_given(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    candles = generated(700)
    window = CandleWindow.over(Timeframe.M1, candles)
    slot = from_ms(int(candles.open_time[-1]) + 60_000)
    view = window.view(slot, strategy.lookback(parameters), strategy.min_candles(parameters))
    assert isinstance(view, CandleView)
    code = ACTION_CODES[strategy.decide(Context(candles=view, parameters=parameters, slot=slot)).action]
    assert code == strategy.signals(candles, parameters)[-1]
