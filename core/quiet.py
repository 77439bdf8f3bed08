"""The prices at which nothing happens to a position, and the next candle that leaves them."""

from __future__ import annotations

from sys import float_info
from typing import Final, NamedTuple

from core.candles import CandleColumns

_FIRST_LOOK: Final = 256
"""Candles compared at once; twice as many each time nothing was found, as most positions end soon."""


class Quiet(NamedTuple):
    """A candle that stays between these prices, ends left out, touches nothing; by default every candle does."""

    above: float = 0.0
    below: float = float_info.max

    def left_at(self, candles: CandleColumns, start: int, stop: int) -> int:
        """The first candle from `start` on, before `stop`, that does not stay inside; else `stop`."""
        above, below = self
        if self == ANY_PRICE:
            return stop
        low, high, look = candles.low, candles.high, _FIRST_LOOK
        while start < stop:
            end = min(start + look, stop)
            out = low[start:end] <= above
            out |= high[start:end] >= below
            found = int(out.argmax())
            if out[found]:
                return start + found
            start, look = end, 2 * look
        return stop


ANY_PRICE: Final = Quiet()
