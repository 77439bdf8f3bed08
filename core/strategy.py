"""The strategy contract: one slot's closed candles in, one signal out; the same live and in replay.

A strategy looks at nothing but its Context and gives the same answer for the same one. It may also offer
`signals` over a whole range, for speed in replay; a property test holds both forms equal slot by slot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final, Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt

from core.candles import CandleColumns
from core.market import Series
from core.parameters import (
    Number,
    ParameterError,
    Parameters,
    ParameterSpec,
    check_parameters,
)
from core.position import Position, Side
from core.signal import Action, BadSignal, Signal, SignalFault, read_signal
from core.timeframe import Timeframe

__all__ = [
    "ACTION_CODES",
    "NOT_EVALUATED",
    "Action",
    "BadSignal",
    "ChartedStrategy",
    "Context",
    "Declared",
    "HeldPosition",
    "IndicatorChart",
    "Number",
    "ParameterError",
    "ParameterSpec",
    "Parameters",
    "SeriesStrategy",
    "Signal",
    "SignalFault",
    "Strategy",
    "WantedWindow",
    "action_of",
    "evaluation_key",
    "read_signal",
    "signals_in",
    "strategy_parameters",
]

ActionCodes = npt.NDArray[np.int8]

ACTION_CODES: Final[Mapping[Action, int]] = {
    Action.HOLD: 0,
    Action.LONG: 1,
    Action.SHORT: -1,
    Action.EXIT_LONG: 2,
    Action.EXIT_SHORT: -2,
}
NOT_EVALUATED: Final = -128
"""In an array of action codes: too few candles, or a gap inside the window."""

_ACTIONS_BY_CODE: Final = {code: action for action, code in ACTION_CODES.items()}


class HeldPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What a run holds, as a strategy may see it."""

    side: Side
    quantity: Decimal
    entry_price: Decimal
    unrealised_pnl: Decimal

    @classmethod
    def of(cls, position: Position | None, price: Decimal) -> HeldPosition | None:
        """What a run holds when the last close is `price`; None when flat."""
        if position is None or position.side is None:
            return None
        return HeldPosition(
            side=position.side,
            quantity=position.size,
            entry_price=position.entry_price,
            unrealised_pnl=position.unrealised(price),
        )


class WantedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A further window a strategy looks at: another market, symbol or timeframe of its venue.

    Its view ends at the series' last close up to the slot. `min_candles`: without so many the slot is skipped, as
    it is for a hole; more, up to `lookback`, are shown once history has them.
    """

    series: Series
    lookback: int
    min_candles: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a strategy may look at. The last candle closes at `slot`; `extra`: the windows it asked for.

    `series`: whose candles these are, for who has to find its further windows.
    """

    candles: CandleColumns
    parameters: Parameters
    slot: datetime
    extra: Mapping[Series, CandleColumns] = {}
    series: Series | None = None
    position: HeldPosition | None = None

    @property
    def price(self) -> float:
        """The last close."""
        return float(self.candles.data[4, -1])


class Declared(Protocol):
    """What a decision needs, and what it depends on."""

    @property
    def name(self) -> str: ...

    @property
    def content(self) -> str:
        """Names the code and its version: two strategies that could answer differently differ here."""
        ...

    @property
    def specs(self) -> tuple[ParameterSpec, ...]: ...

    @property
    def uses_position(self) -> bool:
        """Whether runs holding different positions need evaluations of their own."""
        ...

    def problems(self, parameters: Parameters) -> list[str]:
        """What is wrong between parameters that are each inside their bounds."""
        ...

    def lookback(self, parameters: Parameters) -> int:
        """Candles in the window once history has as many."""
        ...

    def min_candles(self, parameters: Parameters) -> int:
        """Candles without which there is no answer, at the start of history."""
        ...

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        """What it looks at beside its own candles, which are of `series`."""
        ...


class Strategy(Declared, Protocol):
    """What decides in this process."""

    def decide(self, context: Context) -> Signal:
        """Raises BadSignal where there is no answer."""
        ...


@runtime_checkable
class SeriesStrategy(Strategy, Protocol):
    """A strategy that also answers for a whole contiguous range of its own candles at once."""

    def signals(self, candles: CandleColumns, parameters: Parameters) -> ActionCodes:
        """One action code per candle, the answer at its close; NOT_EVALUATED before `min_candles`.

        The range begins at the start of history, as `decide`'s windows do.
        """
        ...


class IndicatorChart(msgspec.Struct, frozen=True, kw_only=True):
    """Indicators of each slot that a report shows as lines under one heading; `stepped`: whole steps, not slopes."""

    title: str
    indicators: tuple[str, ...]
    note: str = ""
    stepped: bool = False


@runtime_checkable
class ChartedStrategy(Strategy, Protocol):
    """A strategy whose indicators are worth a look in the report of a backtest."""

    @property
    def charts(self) -> tuple[IndicatorChart, ...]: ...


def action_of(code: int) -> Action | None:
    """The action an array form wrote; None for NOT_EVALUATED."""
    return _ACTIONS_BY_CODE.get(code)


def strategy_parameters(strategy: Declared, given: Mapping[str, object]) -> Parameters:
    """All parameters of `strategy`, checked; raises ParameterError with every problem at once."""
    parameters = check_parameters(strategy.specs, given)
    problems = strategy.problems(parameters)
    if problems:
        raise ParameterError(problems)
    return parameters


def signals_in(
    strategy: SeriesStrategy, candles: CandleColumns, timeframe: Timeframe, parameters: Parameters
) -> ActionCodes:
    """Action codes over stored candles that may have holes: what `decide` answers on the views of a window.

    After a hole a full lookback of clean candles must pass before anything is evaluated (I10).
    """
    opens = candles.open_time
    if not len(opens) or opens[-1] - opens[0] == (len(opens) - 1) * timeframe.ms:
        return strategy.signals(candles, parameters)
    holes = np.flatnonzero(np.diff(opens) != timeframe.ms) + 1
    bounds = [0, *holes.tolist(), len(candles)]
    codes = np.full(len(candles), NOT_EVALUATED, dtype=np.int8)
    for start, stop in pairwise(bounds):
        first = start if start == 0 else start + strategy.lookback(parameters) - 1
        if first < stop:
            stretch = strategy.signals(candles.part(start, stop), parameters)
            codes[first:stop] = stretch[first - start :]
    return codes


def evaluation_key(
    *, strategy: Declared, parameters: Parameters, series: Series, position: HeldPosition | None = None
) -> str:
    """Names what an evaluation depends on, apart from its slot; equal in every process.

    One evaluation per key and slot serves all runs that share it. The position counts only for strategies
    that look at it, and then by side, entry price and quantity.
    """
    parts: dict[str, object] = {
        "content": strategy.content,
        "parameters": {name: float(value) for name, value in parameters.items()},
        "venue": series.venue,
        "market": series.market.value,
        "symbol": series.symbol,
        "timeframe": series.timeframe.value,
    }
    if strategy.uses_position and position is not None:
        exact = (position.entry_price.normalize(), position.quantity.normalize())
        parts["position"] = [position.side.value, *(f"{value:f}" for value in exact)]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
