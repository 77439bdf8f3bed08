"""What all phases look at: a perpetual's prices, and the volume delta of spot and perpetual beside them.

Sizes are never absolute: a move over some time is told in usual moves of the same series over the same time, the mean
size of all such moves within the last 24 hours.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from core.candles import CandleColumns, FloatArray
from core.timeframe import Timeframe
from core.volume_delta import volume_delta

DAY_MIN: Final = 1_440
LONGEST_MIN: Final = 240
"""The longest window a phase looks through, which may begin where the last 24 hours do."""
LEAST_APART: Final = 0.1
"""In usual moves: two that go together all day part by nothing when they part by less."""
FINEST: Final = Timeframe.M5
"""What larger timeframes are looked at in."""


def base_of(timeframe: Timeframe) -> Timeframe:
    """The candles a run on `timeframe` measures flow on: its own, or 5m ones, which make up every larger."""
    return min(timeframe, FINEST, key=lambda each: each.seconds)


def candles_needed(base: Timeframe) -> int:
    """What the phases look at, together."""
    return (DAY_MIN + LONGEST_MIN) * 60 // base.seconds + 1


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of the newest candles of `base`, spot and perpetual side by side, as many as `candles_needed`.

    Prices and `volume` are the perpetual's; deltas in 1e-8 base units.
    """

    base: Timeframe
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    spot: FloatArray
    perp: FloatArray

    @classmethod
    def of(cls, spot: CandleColumns, perp: CandleColumns, base: Timeframe) -> Flow:
        """Of windows that end with the same candle. Always from the same number of candles, however many are shown."""
        need = candles_needed(base)
        spot, perp = spot.part(len(spot) - need, len(spot)), perp.part(len(perp) - need, len(perp))
        return cls(
            base=base,
            open=perp.open,
            high=perp.high,
            low=perp.low,
            close=perp.close,
            volume=perp.volume,
            spot=volume_delta(spot),
            perp=volume_delta(perp),
        )

    def count(self, minutes: int) -> int:
        """Candles in so many minutes."""
        return max(1, minutes * 60 // self.base.seconds)

    def spot_moves(self, minutes: int, back_min: int = 0) -> FloatArray:
        """Moves of the spot CVD over `minutes`, in usual ones: now, after those that ended up to `back_min` ago."""
        return self._told(moves(self.spot, self.count(minutes)), back_min)

    def perp_moves(self, minutes: int, back_min: int = 0) -> FloatArray:
        """The same of the perpetual's."""
        return self._told(moves(self.perp, self.count(minutes)), back_min)

    def gaps(self, minutes: int, back_min: int = 0) -> FloatArray:
        """How far spot has moved ahead of the perpetual, in the usual distance between the two."""
        count = self.count(minutes)
        apart = relative(moves(self.spot, count), self._day) - relative(moves(self.perp, count), self._day)
        return self._told(apart, back_min, least=LEAST_APART)

    def price_moves(self, minutes: int, back_min: int = 0) -> FloatArray:
        return self._told(moves(np.diff(self.close), self.count(minutes)), back_min)

    @property
    def _day(self) -> int:
        return self.count(DAY_MIN)

    def _told(self, each: FloatArray, back_min: int, least: float = 0.0) -> FloatArray:
        kept = self.count(back_min) + 1 if back_min else 1
        return relative(each, self._day, least)[-kept:]


def moves(steps: FloatArray, count: int) -> FloatArray:
    """Sums of each `count` steps in a row, the newest last."""
    sums = np.cumsum(np.append(0.0, steps))
    rolled: FloatArray = sums[count:] - sums[:-count]
    return rolled


def relative(each: FloatArray, day: int, least: float = 0.0) -> FloatArray:
    """`each` in the mean size of the newest `day` of them, taken to be `least` at least; all 0 where nothing moves."""
    usual = max(least, float(np.abs(each[-day:]).mean()))
    return each / usual if usual > 0 else np.zeros(len(each))
