"""Why a user's next entry would be refused, as a sentence, and until when where that is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from core.errors import Reason
from schema.records import RiskView


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """`sentence` None: entries are open. `cooldown_until` also when another gate shuts first."""

    sentence: str | None
    cooldown_until: datetime | None


def why_blocked(view: RiskView, now: datetime) -> Why:
    state, limits = view.state, view.limits
    cooldown_until = None
    if state.last_trade_at is not None:
        ends = state.last_trade_at + timedelta(seconds=float(limits.cooldown_after_trade_s))
        cooldown_until = ends if now < ends else None
    return Why(sentence=_sentence(view, now, cooldown_until), cooldown_until=cooldown_until)


def _sentence(view: RiskView, now: datetime, cooldown_until: datetime | None) -> str | None:
    state, limits, day = view.state, view.limits, view.state.day(now)
    match view.blocked:
        case None:
            return None
        case Reason.PAUSED:
            assert state.paused_until is not None
            return f"Paused until {_time(state.paused_until, now)}: {_cause(view)}."
        case Reason.DAILY_LOSS:
            return f"{_loss(day.pnl)} today, {_usdt(limits.daily_max_loss_usdt)} allowed; open again at 00:00 UTC."
        case Reason.CONSECUTIVE_LOSSES:
            return f"{state.streak} losses in a row, {limits.max_consecutive_losses} allowed."
        case Reason.MAX_TRADES:
            return f"{day.trades} of {limits.max_trades_per_day} trades used today; open again at 00:00 UTC."
        case Reason.COOLDOWN:
            assert cooldown_until is not None
            return f"Cooling down after a trade until {cooldown_until:%H:%M:%S} UTC."
        case other:
            return f"Blocked: {other.value.replace('_', ' ')}."


def _cause(view: RiskView) -> str:
    match view.state.paused_reason:
        case Reason.DAILY_LOSS:
            return f"the daily loss reached {_usdt(view.limits.daily_max_loss_usdt)}"
        case Reason.CONSECUTIVE_LOSSES:
            return f"{view.limits.max_consecutive_losses} losses in a row"
        case None:
            return "by the operator"
        case other:
            return other.value.replace("_", " ")


def _time(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%-d %b %H:%M} UTC"


def _loss(pnl: Decimal) -> str:
    return f"{_usdt(-pnl)} lost"


def _usdt(amount: Decimal) -> str:
    shown = f"{amount:,.2f}".removesuffix(".00")
    return f"{shown} USDT"
