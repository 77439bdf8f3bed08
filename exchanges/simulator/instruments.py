"""The contracts the stand-in venues trade: grids, limits, tiers, fees of a liquidation.

Filter values of the three majors as the venue listed them in 2026 (public exchangeInfo); every other symbol of a
tape gets `ordinary`.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

D = Decimal


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Up to `cap` of notional: the highest leverage, the maintenance rate, and what the rate overstates below."""

    floor: Decimal
    cap: Decimal
    leverage_max: int
    maintenance_rate: Decimal
    deduction: Decimal


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    base: str
    tick: Decimal
    step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    price_min: Decimal
    price_max: Decimal
    band: Decimal
    """How far from the mark price a limit price may lie, as a part of it."""
    liquidation_fee: Decimal
    tiers: tuple[Tier, ...]

    def tier(self, notional: Decimal) -> Tier:
        return next((tier for tier in self.tiers if notional <= tier.cap), self.tiers[-1])

    def maintenance(self, notional: Decimal) -> Decimal:
        tier = self.tier(notional)
        return notional * tier.maintenance_rate - tier.deduction


def _tiers(*rows: tuple[str, int, str]) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    for cap, leverage, rate in rows:
        floor, deduction = D(0), D(0)
        if tiers:
            below = tiers[-1]
            floor = below.cap
            deduction = below.deduction + floor * (D(rate) - below.maintenance_rate)
        tiers.append(
            Tier(
                floor=floor,
                cap=D(cap),
                leverage_max=leverage,
                maintenance_rate=D(rate),
                deduction=deduction,
            )
        )
    return tuple(tiers)


_MAJOR = _tiers(("300000", 125, "0.004"), ("3000000", 75, "0.005"), ("70000000", 25, "0.02"))
_OTHER = _tiers(("50000", 50, "0.01"), ("500000", 25, "0.02"), ("20000000", 10, "0.05"))


def instrument_of(symbol: str) -> Instrument:
    return _KNOWN.get(symbol) or ordinary(symbol)


def ordinary(symbol: str) -> Instrument:
    """A contract of the usual kind for a symbol without an entry of its own."""
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        tick=D("0.001"),
        step=D("0.01"),
        quantity_min=D("0.01"),
        quantity_max=D(1000000),
        market_quantity_max=D(100000),
        notional_min=D(5),
        price_min=D("0.001"),
        price_max=D(200000),
        band=D("0.1"),
        liquidation_fee=D("0.015"),
        tiers=_OTHER,
    )


_KNOWN = {
    "BTCUSDT": Instrument(
        symbol="BTCUSDT",
        base="BTC",
        tick=D("0.10"),
        step=D("0.001"),
        quantity_min=D("0.001"),
        quantity_max=D(1000),
        market_quantity_max=D(120),
        notional_min=D(50),
        price_min=D("556.80"),
        price_max=D(4529764),
        band=D("0.05"),
        liquidation_fee=D("0.0125"),
        tiers=_MAJOR,
    ),
    "ETHUSDT": Instrument(
        symbol="ETHUSDT",
        base="ETH",
        tick=D("0.01"),
        step=D("0.001"),
        quantity_min=D("0.001"),
        quantity_max=D(10000),
        market_quantity_max=D(2000),
        notional_min=D(20),
        price_min=D("39.86"),
        price_max=D(306177),
        band=D("0.05"),
        liquidation_fee=D("0.0125"),
        tiers=_MAJOR,
    ),
    "SOLUSDT": Instrument(
        symbol="SOLUSDT",
        base="SOL",
        tick=D("0.0100"),
        step=D("0.01"),
        quantity_min=D("0.01"),
        quantity_max=D(1000000),
        market_quantity_max=D(80000),
        notional_min=D(5),
        price_min=D("0.4200"),
        price_max=D(6857),
        band=D("0.05"),
        liquidation_fee=D("0.015"),
        tiers=_OTHER,
    ),
}
