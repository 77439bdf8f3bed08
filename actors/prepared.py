"""What an evaluation of one strategy version needs, worked out once."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from core.candles import Gap, NotYet, TooFew
from core.definition import StrategyDefinition
from core.market import Market, Series
from core.strategies import strategy_of
from core.strategies.code import CodeStrategy
from core.strategies.graph.strategy import GraphStrategy
from core.strategy import Parameters, Strategy, WantedWindow, evaluation_key, strategy_parameters


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation of one strategy version needs, worked out once."""

    strategy: Strategy | CodeStrategy
    parameters: Parameters
    series: Series
    key: str
    lookback: int
    min_candles: int
    windows: tuple[WantedWindow, ...] = ()
    nodes: int = 1
    """Executed by an evaluation that comes to a signal."""

    @property
    def all_windows(self) -> tuple[WantedWindow, ...]:
        """Its own candles, then what it looks at beside them."""
        own = WantedWindow(series=self.series, lookback=self.lookback, min_candles=self.min_candles)
        return (own, *self.windows)

    @property
    def lead(self) -> timedelta:
        """How far before its first slot the oldest candle opens that it may look at."""
        return max(each.series.timeframe.delta * (each.lookback + 1) for each in self.all_windows)


class NoView(msgspec.Struct, frozen=True, kw_only=True):
    """A window cannot be shown at a slot."""

    series: Series
    why: NotYet | TooFew | Gap

    def named(self, slot: datetime) -> str:
        series, why = self.series, self.why
        said = named(series)
        if not isinstance(why, TooFew):
            return said
        enough = series.timeframe.floor(slot) + series.timeframe.delta * (why.need - why.have)
        return f"{said}: {why.have} candles of {why.need}, enough from {enough:%Y-%m-%d %H:%M} UTC on"


def named(series: Series) -> str:
    return f"{series.market} {series.symbol} {series.timeframe} of {series.venue}"


def missing_key(key: str, series: Series) -> str:
    """Names the row of a slot whose candles of this series did not come, beside the evaluation `key` names."""
    return sha256(f"{key}:{named(series)}".encode()).hexdigest()


def series_of(definition: StrategyDefinition) -> Series:
    """The candle series a strategy decides on."""
    return Series(
        venue=definition.venue,
        market=Market(definition.market),
        symbol=definition.symbol,
        timeframe=definition.timeframe,
    )


def prepare(definition: StrategyDefinition) -> Prepared:
    """Raises ParameterError or LookupError sentences for definitions that cannot be evaluated."""
    strategy = strategy_of(definition)
    parameters = strategy_parameters(strategy, definition.parameters)
    series = series_of(definition)
    return Prepared(
        strategy=strategy,
        parameters=parameters,
        series=series,
        key=evaluation_key(strategy=strategy, parameters=parameters, series=series),
        lookback=strategy.lookback(parameters),
        min_candles=strategy.min_candles(parameters),
        windows=strategy.windows(series, parameters),
        nodes=strategy.nodes(parameters) if isinstance(strategy, GraphStrategy) else 1,
    )
