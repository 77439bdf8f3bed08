"""The stated model of a paper account: what it charges and how generously it fills."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.errors import SettingsError

HUNDRED = Decimal(100)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Percentages of the traded value; `participation_pct` of a candle's volume, `maintenance_margin_pct` of a
    position's value. The last stands for the lowest bracket of a large perpetual; bigger positions, whose bracket asks
    for more, are liquidated later here than there.
    """

    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.04")
    slippage_pct: Decimal = Decimal(0)
    participation_pct: Decimal = Decimal(100)
    max_leverage: int = 10
    maintenance_margin_pct: Decimal = Decimal("0.4")

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be from {low} to {high}, not {getattr(self, name)}"
            for name, low, high in (
                ("maker_fee_pct", -1, 10),
                ("taker_fee_pct", 0, 10),
                ("slippage_pct", 0, 10),
                ("participation_pct", 0, 100),
                ("max_leverage", 1, 125),
                ("maintenance_margin_pct", 0, 50),
            )
            if not (Decimal(getattr(self, name)).is_finite() and low <= getattr(self, name) <= high)
        ]
        if not problems and self.max_leverage * self.maintenance_margin_pct >= HUNDRED:
            problems.append(
                f"max_leverage {self.max_leverage} leaves less than the maintenance margin of "
                f"{self.maintenance_margin_pct} %"
            )
        if problems:
            raise SettingsError("; ".join(problems))

    def commission(self, value: Decimal, *, maker: bool) -> Decimal:
        """Fee in USDT for a fill of `value` USDT; negative: a rebate."""
        return value * (self.maker_fee_pct if maker else self.taker_fee_pct) / HUNDRED
