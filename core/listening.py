"""How long trades have to be heard before a strategy can answer, where a venue's history does not tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from core.definition import StrategyDefinition
from core.market import Market, Series
from core.strategies import strategy_of
from core.strategy import WantedWindow, strategy_parameters

HEARD_ONLY: Final = frozenset({"bybit"})
"""Venues without spot candles, and without takers in candles, over REST: both are of the trades a process heard."""


def heard_first(windows: Iterable[WantedWindow]) -> timedelta:
    """At such a venue: as long as the longest window, once spot is looked at."""
    all_windows = tuple(windows)
    if all(each.series.market is not Market.SPOT for each in all_windows):
        return timedelta(0)
    return max(each.series.timeframe.delta * each.min_candles for each in all_windows)


def hours_by_venue(windows: Iterable[WantedWindow]) -> dict[str, float]:
    """Empty where nothing has to be heard first."""
    heard = heard_first(windows)
    return {venue: round(heard / timedelta(hours=1), 2) for venue in sorted(HEARD_ONLY)} if heard else {}


def heard_by(definition: StrategyDefinition) -> timedelta:
    """Raises RunnerError for a strategy that cannot be evaluated."""
    strategy = strategy_of(definition)
    series = Series(
        venue=definition.venue,
        market=Market(definition.market),
        symbol=definition.symbol,
        timeframe=definition.timeframe,
    )
    return heard_first(strategy.windows(series, strategy_parameters(strategy, definition.parameters)))
