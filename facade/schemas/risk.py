"""A user's risk: what happened today, the limits in force, and why entries are blocked."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from core.ids import UserId
from facade.schemas.form import Answer, AsOf, Body, Shown

UserName = Annotated[str, Meta(min_length=1, max_length=255)]


class RiskAsked(AsOf, frozen=True, kw_only=True):
    """`userId`: somebody else's, for an administrator. `asOf`: what was known then."""

    user_id: UserName | None = None


class LimitsShown(Shown, frozen=True, kw_only=True):
    daily_max_loss_usdt: Decimal
    max_trades_per_day: int
    max_consecutive_losses: int
    cooldown_after_trade_sec: Decimal
    pause_duration_min: Decimal


class LimitFields(Body, frozen=True, kw_only=True):
    """What is left out stays."""

    daily_max_loss_usdt: Decimal | None = None
    max_trades_per_day: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    max_consecutive_losses: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    cooldown_after_trade_sec: Decimal | None = None
    pause_duration_min: Decimal | None = None


class SetLimits(LimitFields, frozen=True, kw_only=True):
    """What is left out stays. A user may tighten, up to the ceiling; an administrator sets the ceiling of `userId`."""

    user_id: UserName | None = None


class OwnRiskAnswer(Answer, frozen=True, kw_only=True):
    """`day`: the UTC day the totals are of. `blockedReason`: why an entry would be refused now; `blockedUntil`: how
    long if nothing happens, null where only a change ends it. `ceiling`: the loosest the user may have.
    """

    user_id: UserId
    day: date
    realized_pnl_usdt: Decimal
    trades_count: int
    consecutive_losses: int
    last_trade_at: datetime | None
    is_paused: bool
    paused_until: datetime | None
    paused_reason: str | None
    blocked_reason: str | None
    blocked_until: datetime | None
    limits: LimitsShown
    ceiling: LimitsShown
    own_limits: bool
