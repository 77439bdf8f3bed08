"""A run's position worked out from its fills alone: average cost, exact, without the program's own arithmetic."""

from __future__ import annotations

from fractions import Fraction

from core.position import Fill


class PlainPosition:
    """`quantity` signed; `cash` since the position was opened: its round trip's PnL once flat."""

    def __init__(self) -> None:
        self.quantity = Fraction(0)
        self._cost = Fraction(0)
        self._cash = Fraction(0)

    def fill(self, fill: Fill) -> tuple[Fraction, Fraction | None]:
        """PnL realised, net of commission; and the PnL of the round trip if the fill ended one."""
        signed = Fraction(fill.quantity) * fill.side.sign
        price, fee = Fraction(fill.price), Fraction(fill.commission)
        self._cash -= signed * price + fee
        if self.quantity * signed >= 0:
            self._cost += abs(signed) * price
            self.quantity += signed
            return -fee, None
        closing = min(abs(signed), abs(self.quantity))
        share = self._cost * closing / abs(self.quantity)
        gross = (closing * price - share) * (1 if self.quantity > 0 else -1)
        self._cost -= share
        self.quantity += closing * (1 if signed > 0 else -1)
        if self.quantity:
            return gross - fee, None
        trip, self._cash = self._cash, Fraction(0)
        opened = abs(signed) - closing
        if opened:  # a flip within one fill: its fee is shared by quantity
            rest = fee * opened / abs(signed)
            self.quantity, self._cost = opened * (1 if signed > 0 else -1), opened * price
            self._cash = -self.quantity * price - rest
            trip -= self._cash
        return gross - fee, trip

    def fund(self, amount: Fraction) -> None:
        self._cash += amount
