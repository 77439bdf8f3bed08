"""Further windows that code declares: what they are of, what is refused, and what the code is shown of each."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from core.candles import COLUMNS, CandleColumns
from core.definition import StrategyKind
from core.market import Market, Series
from core.strategies.code import CodeStrategy, StrategyCode
from core.strategies.code_window import named_columns
from core.strategies.declaration import MAX_WINDOWS, BadDeclaration, declared_code, line_of
from core.strategy import evaluation_key
from core.timeframe import Timeframe

OWN = Series(venue="binance", market=Market.PERP, symbol="ETHUSDT", timeframe=Timeframe.M5)


def declared(windows: object, **others: object) -> StrategyCode:
    return declared_code("text", {"WINDOWS": windows, "LOOKBACK": 60, "MIN_CANDLES": 20, **others})


def series(**other: object) -> Series:
    return msgspec.structs.replace(OWN, **other)


def wanted(code: StrategyCode) -> dict[Series, tuple[int, int]]:
    windows = CodeStrategy(StrategyKind.PYTHON, code, {}).windows(OWN, {})
    return {each.series: (each.lookback, each.min_candles) for each in windows}


@pytest.mark.parametrize(
    ("parts", "of", "length"),
    [
        ({"timeframe": "1h"}, series(timeframe=Timeframe.H1), (60, 20)),
        ({"market": "spot", "lookback": 10}, series(market=Market.SPOT), (10, 10)),
        ({"symbol": "BTC/USDT", "lookback": 100}, series(symbol="BTCUSDT"), (100, 20)),
        (
            {"symbol": "BTCUSDT", "timeframe": "15m", "market": "perp", "lookback": 100, "min_candles": 50},
            series(symbol="BTCUSDT", timeframe=Timeframe.M15),
            (100, 50),
        ),
        ({"timeframe": "1h", "symbol": None, "min_candles": 500}, series(timeframe=Timeframe.H1), (60, 60)),
        ({"venue": "bybit"}, series(venue="bybit"), (60, 20)),
        ({"venue": "binance", "lookback": 100}, OWN, (100, 20)),
        (
            {"venue": "bybit", "symbol": "btcusdt", "timeframe": "1m", "market": "spot"},
            series(venue="bybit", symbol="BTCUSDT", timeframe=Timeframe.M1, market=Market.SPOT),
            (60, 20),
        ),
    ],
)
def test_what_a_window_leaves_out_is_the_strategys_own(
    parts: Mapping[str, object], of: Series, length: tuple[int, int]
) -> None:
    assert wanted(declared({"further": parts})) == {of: length}


def test_code_without_windows_wants_none() -> None:
    assert wanted(declared(None)) == wanted(declared({})) == {}


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (["1h"], "a mapping of at most 8"),
        ({f"w{number}": {"timeframe": "1h"} for number in range(MAX_WINDOWS + 1)}, "at most 8"),
        ({"__proto__": {"timeframe": "1h"}}, "has the name '__proto__'"),
        ({"items": {"timeframe": "1h"}}, "has the name 'items'"),
        ({"a" * 33: {"timeframe": "1h"}}, "has the name"),
        ({"trend": "1h"}, "trend must say what it is of"),
        (
            {"trend": {"timeframe": "1h", "place": "bybit"}},
            "trend has place; it may have lookback, market, .* venue",
        ),
        ({"trend": {"lookback": 100}}, "trend names no venue, symbol, market or timeframe"),
        ({"far": {"venue": "kraken"}}, "far has a venue that cannot be: 'kraken' is none of binance, bybit"),
        (
            {"far": {"venue": "generator"}},
            "far has a venue that cannot be: 'generator' is none of binance, bybit",
        ),
        ({"far": {"venue": 1}}, "far has a venue that cannot be: it is no text"),
        ({"trend": {"timeframe": "1w"}}, "trend has a timeframe that cannot be: '1w'"),
        ({"trend": {"timeframe": 60}}, "trend has a timeframe that cannot be: it is no text"),
        (
            {"trend": {"market": "margin"}},
            "trend has a market that cannot be: 'margin' is none of perp, spot",
        ),
        ({"trend": {"symbol": "?"}}, "trend has a symbol that cannot be"),
        ({"trend": {"timeframe": "1h", "lookback": 2_001}}, "trend lookback must lie in 1 to 2000"),
        ({"trend": {"timeframe": "1h", "min_candles": 0.5}}, "trend min_candles must be a whole number"),
    ],
)
def test_a_window_that_cannot_be_is_refused_by_name(windows: object, said: str) -> None:
    with pytest.raises(BadDeclaration, match=said) as raised:
        declared(windows)
    assert str(raised.value).startswith("WINDOWS ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("LOOKBACK = 2\nWINDOWS = {}", 2),
        ("// WINDOWS\nconst WINDOWS = {}", 2),
        ("globals()['WINDOWS'] = 1", None),
    ],
)
def test_a_refusal_names_the_line_that_declares_it(text: str, line: int | None) -> None:
    assert line_of(text, BadDeclaration("WINDOWS trend has venue.")) == line


def test_windows_on_one_series_are_loaded_once_and_shown_as_long_as_each_asked() -> None:
    code = declared(
        {
            "short": {"timeframe": "1h", "lookback": 3, "min_candles": 2},
            "long": {"timeframe": "1h", "symbol": "ETHUSDT", "lookback": 5, "min_candles": 1},
        }
    )
    hours = series(timeframe=Timeframe.H1)
    assert wanted(code) == {hours: (5, 2)}
    candles = CandleColumns(np.arange(len(COLUMNS) * 5, dtype=np.float64).reshape(len(COLUMNS), 5))
    named = named_columns(code.windows, OWN, {hours: candles})
    assert named["long"].close.tolist() == candles.close.tolist()
    assert named["short"].close.tolist() == candles.close[-3:].tolist()
    young = named_columns(code.windows, OWN, {hours: candles.part(0, 2)})
    assert [len(young[name]) for name in ("short", "long")] == [2, 2]


def test_code_that_looks_at_other_windows_is_another_evaluation() -> None:
    """I20: the text kept before its windows were read answers without them."""
    codes = [
        StrategyCode(text="text"),
        declared({"a": {"timeframe": "1h"}}),
        declared({"a": {"timeframe": "2h"}}),
        declared({"a": {"timeframe": "2h", "venue": "bybit"}}),
        declared({"a": {"timeframe": "2h", "venue": "binance"}}),
    ]
    strategies = [CodeStrategy(StrategyKind.PYTHON, StrategyCode.read(code.source()), {}) for code in codes]
    assert len({evaluation_key(strategy=each, parameters={}, series=OWN) for each in strategies}) == 5
