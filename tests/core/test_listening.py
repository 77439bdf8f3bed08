"""How long is heard before the first answer where no history tells trades."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from core.definition import StrategyDefinition, StrategyKind
from core.listening import HEARD_ONLY, heard_by, hours_by_venue
from core.market import Market, Series
from core.strategies import template
from core.strategies.configured import configured
from core.strategy import WantedWindow
from core.timeframe import Timeframe
from exchanges.venues import SPOT_VENUES, Venue
from tests.core.strategies.graph.cases import graph, node
from tests.core.tick_cases import run

SQUEEZEFLOW: StrategyDefinition = replace(
    run().strategy, template="squeezeflow", timeframe=Timeframe.M5, venue="bybit"
)


def window(market: Market, count: int, venue: str = "none yet") -> WantedWindow:
    series = Series(venue=venue, market=market, symbol="BTCUSDT", timeframe=Timeframe.M5)
    return WantedWindow(series=series, lookback=count, min_candles=count)


def test_the_venues_are_those_whose_spot_candles_nobody_is_asked_for() -> None:
    assert {str(venue) for venue in Venue} - {str(venue) for venue in SPOT_VENUES} == HEARD_ONLY


@pytest.mark.parametrize(
    ("windows", "hours"),
    [
        ([], {}),
        ([window(Market.PERP, 900)], {}),
        ([window(Market.SPOT, 12)], {"bybit": 1.0}),
        ([window(Market.SPOT, 12), window(Market.PERP, 36)], {"bybit": 3.0}),
        ([window(Market.PERP, 36), window(Market.SPOT, 12, "binance")], {}),
        ([window(Market.PERP, 36), window(Market.SPOT, 12, "bybit")], {"binance": 1.0, "bybit": 3.0}),
        ([window(Market.SPOT, 12), window(Market.PERP, 36, "bybit")], {"bybit": 3.0}),
    ],
)
def test_as_long_as_the_longest_window_once_spot_is_looked_at(
    windows: list[WantedWindow], hours: dict[str, float]
) -> None:
    assert hours_by_venue(windows) == hours


@pytest.mark.parametrize(("points", "hours"), [(None, 41.67), (50, 28.08), (1_200, 100)])
def test_squeezeflow_hears_its_data_points_and_never_less_than_28_hours(
    points: int | None, hours: float
) -> None:
    parameters = {} if points is None else {"min_data_points": points}
    heard = heard_by(replace(SQUEEZEFLOW, parameters=parameters))
    assert heard / timedelta(hours=1) == pytest.approx(hours, abs=0.01)


@pytest.mark.parametrize(
    ("venue", "further", "hours"),
    [("binance", "bybit", 1), ("binance", "BYBIT ", 1), ("bybit", "binance", 0), ("binance", "binance", 0)],
)
def test_what_is_heard_is_of_the_venue_that_is_looked_at_wherever_the_run_trades(
    venue: str, further: str, hours: int
) -> None:
    spot = node("spot", "data_source", venue=further, market="spot", timeframe="1h")
    nodes = [spot, node("x", "compare", op=">", b=1), node("end", "orchestrator")]
    text = msgspec.json.encode(graph(nodes, "spot.close > x.a", "x > end.entry_long")).decode()
    definition = replace(SQUEEZEFLOW, kind=StrategyKind.GRAPH, template="graph", source=text, venue=venue)
    assert heard_by(definition) == timedelta(hours=hours)


@pytest.mark.parametrize(("setting", "points"), [(500, 500), (700, 700), (1, 50), (100_000, 5_000)])
def test_the_operators_data_points_are_the_default_within_its_bounds(setting: int, points: int) -> None:
    assert configured(template("squeezeflow").specs, min_data_points=setting) == {"min_data_points": points}
    assert configured(template("macd").specs, min_data_points=setting) == {}
