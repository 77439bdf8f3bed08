"""What the built-in strategies share: unchanged windows hold, doubtful slots of the array form are decided.

The array form runs each indicator once over the whole range, `decide` over one window: sums started elsewhere
differ in the last digits. Where a value lies so near its threshold that they could disagree, `decide` rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from core.candles import CandleColumns
from core.market import Series
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, BadSignal, Signal, SignalFault
from core.strategy import ACTION_CODES, NOT_EVALUATED, ActionCodes, Context, WantedWindow

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TOLERANCE: Final = 1e-6
"""Distance from a threshold, relative to the price (absolute for the RSI), below which `decide` rules."""

MIN_SMOOTHED_LOOKBACK: Final = 250
_UNCHANGED: Final = Signal(action=Action.HOLD, reason="No price change in the window")


class Template(ABC):
    """A built-in strategy. Parameters come checked; windows come closed, contiguous and long enough."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    specs: ClassVar[tuple[ParameterSpec, ...]]
    uses_position: ClassVar[bool] = False

    @property
    def content(self) -> str:
        return f"template:{self.name}:{self.version}"

    def problems(self, parameters: Parameters) -> list[str]:
        """Empty for templates whose parameters do not depend on each other."""
        return []

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        """None: these look at their own candles alone."""
        return ()

    @abstractmethod
    def lookback(self, parameters: Parameters) -> int: ...

    @abstractmethod
    def min_candles(self, parameters: Parameters) -> int: ...

    @abstractmethod
    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        """The answer at the last candle of a window in which the close has changed."""

    @abstractmethod
    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        """Action codes over a range, and where only `decide` can tell. NaN compares as neither."""

    def decide(self, context: Context) -> Signal:
        candles, parameters = context.candles, context.parameters
        need = self.min_candles(parameters)
        if len(candles) < need:
            sentence = f"{self.name} needs {need} candles and got {len(candles)}."
            raise BadSignal(SignalFault.TOO_FEW_CANDLES, sentence)
        close = candles.close
        # The first comparison settles nearly every window; only a flat one is looked through.
        if close[0] == close[-1] and bool((close == close[0]).all()):
            return _UNCHANGED
        return self.judge(candles, parameters)

    def signals(self, candles: CandleColumns, parameters: Parameters) -> ActionCodes:
        first = self.min_candles(parameters) - 1
        if len(candles) <= first:
            return np.full(len(candles), NOT_EVALUATED, dtype=np.int8)
        lookback = self.lookback(parameters)
        codes, doubtful = self.sweep(candles, parameters)
        doubtful[:first] = False
        for start, stop in unchanged_windows(candles.close, lookback):
            codes[start:stop] = ACTION_CODES[Action.HOLD]
            doubtful[start:stop] = False
        for index in np.flatnonzero(doubtful).tolist():
            window = candles.part(max(0, index + 1 - lookback), index + 1)
            codes[index] = ACTION_CODES[self.judge(window, parameters).action]
        codes[:first] = NOT_EVALUATED
        return codes


def unchanged_windows(close: FloatArray, lookback: int) -> list[tuple[int, int]]:
    """Ranges of slots whose windows, of 2 candles or more, show one close only; shorter at the start of history."""
    repeats = np.flatnonzero(close[1:] == close[:-1])  # few: prices nearly always change
    breaks = np.flatnonzero(np.diff(repeats) != 1)
    starts = repeats[np.append(0, breaks + 1)] if len(repeats) else repeats
    stops = repeats[np.append(breaks, len(repeats) - 1)] + 2 if len(repeats) else repeats
    beginning = int(stops[0]) if len(repeats) and starts[0] == 0 else 1
    flat = starts + lookback - 1 < stops
    flat &= starts > 0
    return [
        (0, beginning),
        *zip((starts[flat] + lookback - 1).tolist(), stops[flat].tolist(), strict=True),
    ]


def near(left: FloatArray, right: FloatArray, close: FloatArray) -> Mask:
    """Where two price-valued series are too close to call."""
    mask: Mask = np.abs(left - right) < TOLERANCE * close
    return mask


def crossings(difference: FloatArray, close: FloatArray) -> tuple[ActionCodes, Mask]:
    """Long where `difference` rises through 0, short where it falls through it, and the doubtful slots."""
    codes = np.zeros(len(difference), dtype=np.int8)
    now, before = difference[1:], difference[:-1]
    codes[1:][(before <= 0) & (now > 0)] = ACTION_CODES[Action.LONG]
    codes[1:][(before >= 0) & (now < 0)] = ACTION_CODES[Action.SHORT]
    doubtful: Mask = np.abs(difference) < TOLERANCE * close
    doubtful[1:] |= doubtful[:-1].copy()
    return codes, doubtful


def crossed(before: float, now: float) -> Action:
    """What `crossings` says, at one slot."""
    if before <= 0 < now:
        return Action.LONG
    if before >= 0 > now:
        return Action.SHORT
    return Action.HOLD


def order_problem(parameters: Parameters, smaller: str, larger: str) -> list[str]:
    """One sentence unless the first parameter is below the second."""
    if parameters[smaller] < parameters[larger]:
        return []
    return [f"{smaller} must be below {larger}, not {parameters[smaller]:g} and {parameters[larger]:g}."]


def whole(parameters: Parameters, name: str) -> int:
    return int(parameters[name])
