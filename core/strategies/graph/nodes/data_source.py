"""data_source: candles of a venue, symbol, market and timeframe; what is not given is the strategy's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from core.connection import Venue
from core.errors import RunnerError
from core.market import Market, Series
from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import AnyParam, ChoiceParam, Params, TextParam, text
from core.strategies.graph.ports import Frame, Given, Input, Unit, Units, Value
from core.strategies.graph.problems import NodeProblem
from core.symbols import parse_symbol
from core.timeframe import Timeframe

_OUTPUTS: Final[Mapping[str, Unit]] = {
    "candles": Unit.CANDLES,
    "close": Unit.PRICE,
    "open": Unit.PRICE,
    "high": Unit.PRICE,
    "low": Unit.PRICE,
    "volume": Unit.VOLUME,
    "taker_buy_volume": Unit.VOLUME,
    "volume_delta": Unit.VOLUME,
}
_VENUES: Final = {venue.value: venue.value for venue in Venue}
_MARKETS: Final = {market.value: market.value for market in Market}

T = TypeVar("T")


class Source(msgspec.Struct, frozen=True):
    """Which candles; None is the strategy's own."""

    symbol: str | None = None
    market: Market | None = None
    timeframe: Timeframe | None = None
    venue: Venue | None = None

    def of(self, own: Series) -> Series:
        return Series(
            venue=own.venue if self.venue is None else self.venue.value,
            market=own.market if self.market is None else self.market,
            symbol=own.symbol if self.symbol is None else self.symbol,
            timeframe=own.timeframe if self.timeframe is None else self.timeframe,
        )


OWN: Final = Source()


class DataSource(PlainNode):
    """Outputs `candles` for indicators, and the columns. `volume_delta`: what takers bought less what they sold."""

    name: Final = "data_source"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return (
            ChoiceParam(name="venue", choices=_VENUES),
            TextParam(name="symbol"),
            ChoiceParam(name="market", choices=_MARKETS),
            TextParam(name="timeframe"),
        )

    def source(self, params: Params) -> Source:
        """Raises NodeProblem for a symbol or timeframe there cannot be."""
        venue, symbol, market, timeframe = None, None, None, None
        if "venue" in params:
            venue = Venue(text(params, "venue"))
        if "symbol" in params:
            symbol = _read("symbol", lambda: parse_symbol(text(params, "symbol")))
        if "market" in params:
            market = Market(text(params, "market"))
        if "timeframe" in params:
            timeframe = _read("timeframe", lambda: Timeframe.parse(text(params, "timeframe")))
        return Source(symbol, market, timeframe, venue)

    def inputs(self, params: Params) -> Sequence[Input]:
        return ()

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        return _OUTPUTS

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        candles = frame.candles
        with np.errstate(invalid="ignore"):
            delta = 2 * candles.taker_buy_volume - candles.volume
        return {
            "candles": candles,
            "close": candles.close,
            "open": candles.open,
            "high": candles.high,
            "low": candles.low,
            "volume": candles.volume,
            "taker_buy_volume": candles.taker_buy_volume,
            "volume_delta": delta,
        }


def _read(field: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (RunnerError, ValueError) as error:
        raise NodeProblem(str(error), field=field) from error
