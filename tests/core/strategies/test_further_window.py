"""Further windows as an author is told of them: by name where code gave one, and of whose venue."""

from __future__ import annotations

from core.definition import StrategyKind
from core.market import Market, Series
from core.strategies import template
from core.strategies.code import CodeStrategy
from core.strategies.declaration import declared_code
from core.strategies.further_window import FurtherWindow, further_windows
from core.strategy import strategy_parameters
from core.timeframe import Timeframe

OWN = Series(venue="none yet", market=Market.PERP, symbol="ETHUSDT", timeframe=Timeframe.M5)


def test_code_is_told_each_of_its_names_though_two_are_of_one_series() -> None:
    windows = {
        "hours": {"timeframe": "1h", "lookback": 40},
        "longer": {"timeframe": "1h", "lookback": 90, "min_candles": 30},
        "btc": {"venue": "bybit", "symbol": "BTCUSDT", "market": "spot"},
    }
    code = declared_code("text", {"WINDOWS": windows, "LOOKBACK": 60, "MIN_CANDLES": 20})
    hours = FurtherWindow(
        name="hours",
        venue=None,
        market=Market.PERP,
        symbol="ETHUSDT",
        timeframe=Timeframe.H1,
        lookback=40,
        min_candles=20,
    )
    assert further_windows(CodeStrategy(StrategyKind.PYTHON, code, {}), OWN, {}) == (
        hours,
        FurtherWindow(
            name="longer",
            venue=None,
            market=Market.PERP,
            symbol="ETHUSDT",
            timeframe=Timeframe.H1,
            lookback=90,
            min_candles=30,
        ),
        FurtherWindow(
            name="btc",
            venue="bybit",
            market=Market.SPOT,
            symbol="BTCUSDT",
            timeframe=Timeframe.M5,
            lookback=60,
            min_candles=20,
        ),
    )


def test_what_no_code_names_is_told_without_a_name() -> None:
    strategy = template("squeezeflow")
    parameters = strategy_parameters(strategy, {})
    told = further_windows(strategy, OWN, parameters)
    assert [(each.name, each.venue) for each in told] == [(None, None)] * len(told)
    assert [each.market for each in told] == [
        each.series.market for each in strategy.windows(OWN, parameters)
    ]
    assert Market.SPOT in {each.market for each in told}
