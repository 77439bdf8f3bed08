"""Why entries are shut, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.errors import Reason
from core.ids import UserId
from core.risk import DayRisk, RiskLimits, RiskState, gate, risk_day
from facade.risk_words import why_blocked
from schema.records import RiskView

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LIMITS = RiskLimits(max_trades_per_day=2)


def view_of(state: RiskState) -> RiskView:
    return RiskView(user_id=UserId("alice"), state=state, limits=LIMITS, blocked=gate(state, LIMITS, NOW))


def day(pnl: str = "0", trades: int = 0) -> dict[object, DayRisk]:
    return {risk_day(NOW): DayRisk(pnl=Decimal(pnl), trades=trades)}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (RiskState(), None),
        (
            RiskState(paused_until=NOW + timedelta(hours=1), paused_reason=Reason.DAILY_LOSS),
            "Paused until 13:00 UTC: the daily loss reached 50 USDT.",
        ),
        (
            RiskState(paused_until=NOW + timedelta(days=1), paused_reason=Reason.CONSECUTIVE_LOSSES),
            "Paused until 11 Mar 12:00 UTC: 3 losses in a row.",
        ),
        (
            RiskState(days=day("-52.1")),
            "52.10 USDT lost today, 50 USDT allowed; open again at 00:00 UTC.",
        ),
        (RiskState(streak=3), "3 losses in a row, 3 allowed."),
        (RiskState(days=day(trades=2)), "2 of 2 trades used today; open again at 00:00 UTC."),
        (
            RiskState(last_trade_at=NOW - timedelta(seconds=10)),
            "Cooling down after a trade until 12:00:20 UTC.",
        ),
    ],
)
def test_every_gate_has_its_sentence(state: RiskState, sentence: str | None) -> None:
    assert why_blocked(view_of(state), NOW).sentence == sentence


def test_a_cooldown_is_known_behind_another_gate_and_over_when_it_is_over() -> None:
    paused = RiskState(
        last_trade_at=NOW - timedelta(seconds=10),
        paused_until=NOW + timedelta(hours=1),
        paused_reason=Reason.DAILY_LOSS,
    )
    assert why_blocked(view_of(paused), NOW).cooldown_until == NOW + timedelta(seconds=20)
    over = RiskState(last_trade_at=NOW - timedelta(seconds=30))
    assert why_blocked(view_of(over), NOW).cooldown_until is None
