"""Leverage tiers: the larger a position, the less leverage its venue allows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from core.run import RunSettings, SizeBy

_HUNDRED = Decimal(100)


class LeverageTier(msgspec.Struct, frozen=True, kw_only=True):
    """Up to a position value of `up_to` USDT, so much leverage and maintenance margin (a fraction; None: not told)."""

    up_to: Decimal
    max_leverage: Decimal
    maintenance_rate: Decimal | None


def largest_notional(settings: RunSettings, max_notional: Decimal | None) -> Decimal:
    """What a run's position may be worth at most when it is opened, USDT."""
    share = settings.order_size_pct / _HUNDRED if settings.size_by is SizeBy.PERCENT else Decimal(1)
    wanted = settings.capital * share * settings.leverage
    return wanted if max_notional is None else min(wanted, max_notional)


def leverage_problem(leverage: int, notional: Decimal, tiers: Sequence[LeverageTier]) -> str | None:
    """Why a venue with these tiers, smallest first, will not carry such a position; None: it will."""
    tier = next((tier for tier in tiers if notional <= tier.up_to), None)
    if tier is None:
        most = f"{tiers[-1].up_to:,.0f}" if tiers else "0"
        return f"a position of {notional:,.0f} USDT is above the {most} USDT it allows at most"
    if leverage > tier.max_leverage:
        return (
            f"a leverage of {leverage} is above the {tier.max_leverage.normalize():f} it allows for positions "
            f"up to {tier.up_to:,.0f} USDT, and this run's may be worth {notional:,.0f} USDT"
        )
    return None
