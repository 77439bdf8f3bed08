"""A trailing stop on candles: where it stands, and how it follows. It never loosens. Pure.

A candle does not say in which order it came to its prices, so the worst order is assumed that it allows: see
`Trail.hit`.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.candles import Candle
from core.market import Rounding, SymbolRules
from core.position import Side
from core.protection import Trailing

_HUNDRED = Decimal(100)
# Looked up once: an enum's member costs more than the comparison it is for.
_LONG, _UP, _DOWN = Side.LONG, Rounding.UP, Rounding.DOWN


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """`stop`: where it stands now, on the tick grid; None: its activation has not been reached."""

    side: Side
    callback_pct: Decimal
    activation: Decimal
    rules: SymbolRules
    best: Decimal | None = None
    stop: Decimal | None = None

    @property
    def resumes(self) -> float:
        """The price at which it begins, or begins again, to move."""
        return float(self.activation if self.best is None else self.best)

    @property
    def standing(self) -> Trailing:
        """As venues tell it that have it in percent."""
        pct = self.callback_pct
        return Trailing(callback_pct=pct, activation_price=self.activation, best=self.best, measure=pct)

    def after(self, candle: Candle) -> Trail:
        """Behind the best price of a candle that has not ended the position."""
        return self.reaching(candle.high if self.side is _LONG else candle.low)

    def reaching(self, price: float) -> Trail:
        """Once the market has been at `price`; the same where that is not better than what it was at."""
        long, resumes = self.side is _LONG, self.resumes
        started = self.best is not None
        if (
            (price <= resumes if started else price < resumes)
            if long
            else (price >= resumes if started else price > resumes)
        ):
            return self
        return _at(self, Decimal(repr(price)))

    def hit(self, candle: Candle, target: Decimal | None) -> Decimal | None:
        """The price at which it may have ended the position after moving within this candle; None: it cannot have.

        Asked of a candle that stayed off the stop as it stood before. Its best price may have come before its worst:
        then the moved stop was met. It may also have come bit by bit, and the stop been met on the way, at the worst
        price of the candle at the worst, so that is the price. Beyond a target, which ends the position, it does
        not move.
        """
        long = self.side is _LONG
        reach, back = (candle.high, candle.low) if long else (candle.low, candle.high)
        if target is not None:
            reach = (min if long else max)(reach, float(target))
        moved = self.reaching(reach)
        if moved.stop is None or (back > float(moved.stop) if long else back < float(moved.stop)):
            return None
        return Decimal(repr(back))


def trail_of(wanted: Trailing, side: Side, rules: SymbolRules) -> Trail:
    """The activation on the grid as a target is, toward the entry."""
    rounding = _DOWN if side is _LONG else _UP
    activation = max(rules.price(wanted.activation_price, rounding), rules.tick_size)
    trail = Trail(side=side, callback_pct=wanted.callback_pct, activation=activation, rules=rules)
    return trail if wanted.best is None else _at(trail, wanted.best)


def _at(trail: Trail, best: Decimal) -> Trail:
    """Its stop lies on the grid, where it is between two ticks on the one farther behind."""
    long, rules = trail.side is _LONG, trail.rules
    back = best * trail.callback_pct / _HUNDRED
    stop = rules.price(best - back, _DOWN) if long else rules.price(best + back, _UP)
    return msgspec.structs.replace(trail, best=best, stop=max(stop, rules.tick_size))
