"""How long trades have to be heard before a strategy can answer, where a venue's history does not tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from core.connection import Venue
from core.definition import StrategyDefinition
from core.market import Market, Series
from core.strategies import strategy_of
from core.strategy import WantedWindow, strategy_parameters

HEARD_ONLY: Final = frozenset({Venue.BYBIT.value})
"""Venues without spot candles, and without takers in candles, over REST: both are of the trades a process heard."""


def heard_first(windows: Iterable[WantedWindow]) -> timedelta:
    """As long as the longest window at such a venue, once spot is looked at there."""
    heard = [each for each in windows if each.series.venue in HEARD_ONLY]
    if all(each.series.market is not Market.SPOT for each in heard):
        return timedelta(0)
    return max(each.series.timeframe.delta * each.min_candles for each in heard)


def hours_by_venue(windows: Iterable[WantedWindow]) -> dict[str, float]:
    """By the venue it may run at, those where nothing has to be heard first left out.

    `windows`: of a strategy that has no venue yet; what is of none takes that of the run.
    """
    asked = tuple(windows)
    heard = {venue.value: heard_first(_at(venue, asked)) for venue in Venue}
    return {venue: round(first / timedelta(hours=1), 2) for venue, first in sorted(heard.items()) if first}


def _at(venue: Venue, windows: Iterable[WantedWindow]) -> list[WantedWindow]:
    return [
        each
        if each.series.venue in list(Venue)
        else replace(each, series=replace(each.series, venue=venue.value))
        for each in windows
    ]


def heard_by(definition: StrategyDefinition) -> timedelta:
    """Raises RunnerError for a strategy that cannot be evaluated."""
    source = definition.source.lower()
    if definition.venue not in HEARD_ONLY and not any(venue in source for venue in HEARD_ONLY):
        return timedelta(
            0
        )  # no window of it can be of such a venue: it need not be read for every page of runs
    strategy = strategy_of(definition)
    series = Series(
        venue=definition.venue,
        market=Market(definition.market),
        symbol=definition.symbol,
        timeframe=definition.timeframe,
    )
    return heard_first(strategy.windows(series, strategy_parameters(strategy, definition.parameters)))
