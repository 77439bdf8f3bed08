"""A change of a user's risk limits: what it comes to, and where it is looser than what is allowed."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from core.risk import RiskLimits


class LimitChange(msgspec.Struct, frozen=True, kw_only=True):
    """The limits to change; None leaves one as it is."""

    daily_max_loss_usdt: Decimal | None = None
    max_trades_per_day: int | None = None
    max_consecutive_losses: int | None = None
    cooldown_after_trade_s: Decimal | None = None
    pause_duration_min: Decimal | None = None


_LONGER_IS_TIGHTER: Final = frozenset({"cooldown_after_trade_s", "pause_duration_min"})


def changed_limits(limits: RiskLimits, change: LimitChange) -> RiskLimits:
    """Raises SettingsError for limits that cannot be."""
    given = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not None}
    return msgspec.structs.replace(limits, **given)


def looser_than(limits: RiskLimits, ceiling: RiskLimits) -> tuple[str, ...]:
    """Names of the limits that allow more than `ceiling` does; waiting longer is tighter, all else is by the number."""
    return tuple(
        name
        for name in ceiling.__struct_fields__
        if (
            getattr(limits, name) < getattr(ceiling, name)
            if name in _LONGER_IS_TIGHTER
            else getattr(limits, name) > getattr(ceiling, name)
        )
    )
