"""The contract around a strategy: its parameters, its key, its codes over ranges with holes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pytest

from core.candles import CandleColumns, CandleView, CandleWindow
from core.market import Market, Series
from core.position import Side
from core.strategies import TEMPLATES, UnknownTemplate, template
from core.strategies.sma_trend import SmaTrend
from core.strategy import (
    ACTION_CODES,
    NOT_EVALUATED,
    Action,
    Context,
    HeldPosition,
    ParameterError,
    action_of,
    evaluation_key,
    signals_in,
    strategy_parameters,
)
from core.timeframe import Timeframe, from_ms
from tests.core.candle_cases import generated
from tests.core.templates import ARRAY_TEMPLATES

BTC_5M = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
RSI = template("rsi_oversold_overbought")
HELD = HeldPosition(
    side=Side.LONG, quantity=Decimal("0.5"), entry_price=Decimal(100), unrealised_pnl=Decimal(3)
)


class LooksAtPosition(SmaTrend):
    uses_position = True


def key(**changes: object) -> str:
    parts: dict[str, object] = {
        "strategy": RSI,
        "parameters": strategy_parameters(RSI, {}),
        "series": BTC_5M,
        "position": None,
    }
    return evaluation_key(**(parts | changes))  # type: ignore[arg-type]


def test_the_templates_are_the_built_in_seven() -> None:
    assert list(TEMPLATES) == [
        "rsi_oversold_overbought",
        "sma_trend",
        "ema_cross",
        "macd",
        "bollinger_reversion",
        "donchian_breakout",
        "squeezeflow",
    ]
    assert list(ARRAY_TEMPLATES) == list(TEMPLATES)[:6]


def test_an_unknown_template_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownTemplate, match="rsi_oversold_overbought"):
        template("moon")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("rsi_oversold_overbought", {"rsi_oversold": 70, "rsi_overbought": 30}),
        ("ema_cross", {"fast_period": 26, "slow_period": 26}),
        ("macd", {"fast_period": 30}),
        ("donchian_breakout", {"exit_period": 21}),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(name: str, given: Mapping[str, object]) -> None:
    with pytest.raises(ParameterError):
        strategy_parameters(ARRAY_TEMPLATES[name], given)


def test_codes_and_actions_are_each_others_inverse() -> None:
    assert {action_of(code): code for code in ACTION_CODES.values()} == dict(ACTION_CODES)
    assert action_of(NOT_EVALUATED) is None


def test_i20_the_key_names_everything_an_evaluation_depends_on() -> None:
    others = {
        key(strategy=template("sma_trend")),
        key(parameters=strategy_parameters(RSI, {"rsi_period": 7})),
        *(
            key(series=Series(venue=venue, market=market, symbol=symbol, timeframe=timeframe))
            for venue, market, symbol, timeframe in (
                ("bybit", Market.PERP, "BTCUSDT", Timeframe.M5),
                ("binance", Market.SPOT, "BTCUSDT", Timeframe.M5),
                ("binance", Market.PERP, "ETHUSDT", Timeframe.M5),
                ("binance", Market.PERP, "BTCUSDT", Timeframe.M1),
            )
        ),
    }
    assert len(others) == 6
    assert key() not in others


def test_i20_runs_that_differ_in_their_position_share_unless_the_strategy_looks_at_it() -> None:
    assert key(position=HELD) == key()
    looking = LooksAtPosition()
    parameters = strategy_parameters(looking, {})
    keys = [
        evaluation_key(strategy=looking, parameters=parameters, series=BTC_5M, position=position)
        for position in (
            None,
            HELD,
            HeldPosition(
                side=Side.SHORT, quantity=Decimal("0.5"), entry_price=Decimal(100), unrealised_pnl=Decimal(3)
            ),
            HeldPosition(
                side=Side.LONG,
                quantity=Decimal("0.50"),
                entry_price=Decimal("100.0"),
                unrealised_pnl=Decimal(9),
            ),
        )
    ]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_i20_the_key_does_not_depend_on_spelling_or_process() -> None:
    spelled = {"rsi_overbought": "70", "rsi_period": 14.0, "rsi_oversold": 30}
    assert key(parameters=strategy_parameters(RSI, spelled)) == key()
    code = "from tests.core.test_strategy import key; print(key())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert other.stdout.strip() == key()


def test_the_price_is_the_last_close() -> None:
    candles = generated(30)
    context = Context(candles=candles, parameters={}, slot=from_ms(0))
    assert context.price == candles.close[-1]


@pytest.mark.parametrize("name", ARRAY_TEMPLATES)
def test_i10_after_a_hole_nothing_is_evaluated_before_a_full_lookback(name: str) -> None:
    strategy = ARRAY_TEMPLATES[name]
    parameters = strategy_parameters(strategy, {})
    lookback = strategy.lookback(parameters)
    whole = generated(1500)
    holed = CandleColumns.joined([whole.part(0, 300), whole.part(305, 310), whole.part(312, 1500)])
    codes = signals_in(strategy, holed, Timeframe.M1, parameters)
    assert (codes[300 : 305 + lookback - 1] == NOT_EVALUATED).all()
    window = CandleWindow.over(Timeframe.M1, holed)
    for index, code in enumerate(codes.tolist()):
        slot = from_ms(int(holed.open_time[index]) + 60_000)
        view = window.view(slot, lookback, strategy.min_candles(parameters))
        if not isinstance(view, CandleView):
            assert code == NOT_EVALUATED
            continue
        signal = strategy.decide(Context(candles=view, parameters=parameters, slot=slot))
        assert action_of(code) is signal.action


def test_every_action_has_a_code_of_its_own() -> None:
    assert set(ACTION_CODES) == set(Action)
    assert len(np.unique(list(ACTION_CODES.values()))) == len(Action)
