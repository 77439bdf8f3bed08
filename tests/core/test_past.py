"""Folds over events: what was known at an instant, and what is refused because nothing left tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import RunId, StrategyId, UserId
from core.past import (
    CLOSED,
    DRIFT,
    FILL,
    FUNDING,
    LIMITS,
    RISK,
    SETTINGS,
    STATUS,
    SUBMIT,
    UPDATE,
    Happened,
    Unknowable,
    limits_at,
    position_at,
    risk_at,
    run_at,
)
from core.risk import RiskLimits
from core.run import Run, RunStatus
from core.timeframe import Timeframe

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RUN_ID = RunId(UUID(int=1))
ROW = Run(
    id=RUN_ID,
    user_id=UserId("ann"),
    strategy=StrategyDefinition(
        id=StrategyId(UUID(int=2)),
        owner_id=UserId("ann"),
        name="RSI",
        template="rsi_oversold_overbought",
        parameters={},
        symbol="BTCUSDT",
        timeframe=Timeframe.M1,
    ),
    account_id=None,
    status=RunStatus.STOPPED,
    status_reason="enough",
    activated_at=START,
)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def event(type: str, minute: float, *, run: bool = True, **payload: Any) -> Happened:
    return Happened(type=type, at=at(minute), payload=payload, run_id=RUN_ID if run else None)


def fill(minute: float, side: str, quantity: str, price: str = "100", **more: Any) -> Happened:
    told = {"trade_id": str(minute), "commission": "0", "realised": "0", "client_order_id": f"o{minute}"}
    told |= {"executed_at": at(minute).isoformat(), "leg": "entry"}
    return event(FILL, minute, side=side, quantity=quantity, price=price, **told | more)


def submit(minute: float, order: str = "o1", *, attempt: int = 1, slot: str = "s1") -> Happened:
    return event(
        SUBMIT, minute, client_order_id=order, leg="entry", slot=slot, attempt=attempt, reserved=True
    )


def released(minute: float, order: str = "o1") -> Happened:
    return event(UPDATE, minute, client_order_id=order, leg="entry", slot="s1", attempt=1, reserved=False)


MOVES = [
    event(STATUS, 1, status="active", before="draft"),
    event(STATUS, 3, status="paused", before="active", reason="lunch"),
]


@pytest.mark.parametrize(
    ("minute", "status", "reason", "activated"),
    [
        (0.5, RunStatus.DRAFT, None, None),
        (1, RunStatus.ACTIVE, None, at(1)),
        (2.9, RunStatus.ACTIVE, None, at(1)),
        (3, RunStatus.PAUSED, "lunch", at(1)),
        (9, RunStatus.PAUSED, "lunch", at(1)),
    ],
)
def test_the_status_is_that_of_the_last_event_stored_by_then(
    minute: float, status: RunStatus, reason: str | None, activated: datetime | None
) -> None:
    then = run_at(ROW, MOVES, at(minute), complete=True)
    assert (then.status, then.status_reason, then.activated_at) == (status, reason, activated)


def test_a_run_that_never_moved_is_as_its_row_says() -> None:
    assert run_at(ROW, [], at(1), complete=False) == ROW


def test_what_led_to_the_status_before_the_events_that_are_left_is_refused() -> None:
    with pytest.raises(Unknowable) as refusal:
        run_at(ROW, MOVES[1:], at(2), complete=False)
    assert refusal.value.names == ("errorMessage",)


def test_first_settings_are_told_by_what_changed_them_and_refused_where_that_does_not_say() -> None:
    old = {"direction": "long", "leverage": 2, "capital": "500", "order_size_pct": "50"}
    change = event(SETTINGS, 2, direction="both", leverage=5, capital="900", before=old)
    first, second = (run_at(ROW, [change], at(each), complete=True).settings for each in (1, 2))
    assert (first.leverage, first.capital, first.direction) == (2, 500, "long")
    assert (second.leverage, second.capital, second.direction) == (5, 900, "both")
    with pytest.raises(Unknowable, match="settings"):
        run_at(ROW, [event(SETTINGS, 2, leverage=5)], at(1), complete=True)


def test_a_position_is_its_fills_funding_and_drift_and_who_opened_it() -> None:
    events = [
        event(DRIFT, 0, drift="0.25"),
        fill(1, "buy", "2", "100"),
        fill(2, "buy", "1", "130"),
        event(FUNDING, 3, amount="-1.5"),
        fill(4, "sell", "5", "120"),
    ]
    held = position_at(events, at(3))
    assert (held.position.quantity, held.position.entry_price, held.position.funding) == (
        3,
        110,
        Decimal("-1.5"),
    )
    assert (held.entered_by, held.drift, held.updated_at) == ("o1", Decimal("0.25"), at(2))
    flipped = position_at(events, at(4))
    assert (flipped.position.quantity, flipped.entered_by, flipped.position.funding) == (-2, "o4", 0)


def test_a_position_keeps_the_stop_of_the_entry_that_opened_it_until_it_is_flat() -> None:
    def guard(*events: Happened) -> tuple[str, Decimal] | None:
        found = position_at(events, at(9)).guarded
        return None if found is None else (found.client_order_id, found.entry_price)

    opened = fill(1, "buy", "1", "100", client_order_id="a")
    grown = fill(2, "buy", "1", "120", client_order_id="a")
    reduced = fill(3, "sell", "1", "130", client_order_id="b", leg="exit")
    closed = fill(4, "sell", "1", "130", client_order_id="b", leg="exit")
    again = fill(5, "buy", "1", "140", client_order_id="c")
    assert guard(opened) == guard(opened, grown, reduced) == ("a", 100)
    assert guard(opened, grown, reduced, closed) is None
    assert guard(opened, grown, reduced, closed, again) == ("c", 140)
    beyond = fill(3, "sell", "3", "130", client_order_id="b", leg="exit")
    assert guard(opened, grown, beyond) is None, "what an exit turned over has no stop of an entry"
    assert guard(opened, fill(2, "buy", "1", "120", client_order_id="d")) == ("d", 110)


@pytest.mark.parametrize(
    ("events", "trades"),
    [
        ([], 0),
        ([submit(1)], 1),
        ([submit(1), released(2)], 0),
        ([submit(1), submit(2, "o2", attempt=2), released(3)], 1),
        ([submit(1), submit(2, "o2", attempt=2), released(3, "o2")], 0),
        ([submit(1), released(2), fill(3, "buy", "1", client_order_id="o1")], 1),
        ([submit(1), submit(2, "o9", slot="s2"), released(3)], 1),
        ([submit(-13 * 60), fill(1, "buy", "1", client_order_id="o1")], 0),
        ([submit(1), event(CLOSED, 2, run=False, pnl="-4", simulated=True)], 2),
    ],
)
def test_i5_a_leg_is_one_trade_of_its_day_unless_it_was_released(events: list[Happened], trades: int) -> None:
    assert risk_at(events, at(9), complete=True).day(at(9)).trades == trades


def test_a_fill_counts_on_the_day_it_was_executed() -> None:
    late = fill(1, "sell", "1", realised="-9", executed_at=at(-13 * 60).isoformat())
    events = [
        late,
        fill(2, "sell", "1", realised="-3"),
        event(FUNDING, 3, amount="1", paid_at=at(3).isoformat()),
    ]
    assert risk_at(events, at(9), complete=True).day(at(9)).pnl == -2


def test_a_streak_goes_back_to_a_gain_or_a_pause_that_ended_and_else_is_refused() -> None:
    losses = [event(CLOSED, minute, pnl="-1") for minute in (1, 2)]
    assert risk_at(losses, at(9), complete=True).streak == 2
    assert risk_at([event(CLOSED, 0, pnl="0"), submit(0), *losses], at(1), complete=True).streak == 1
    ended = event(RISK, 3, run=False, action="expired", streak=1)
    assert risk_at([*losses, ended], at(9), complete=True).streak == 1
    for events in (losses, [event(CLOSED, 0, pnl="0"), event(RISK, 1, run=False, action="expired")]):
        with pytest.raises(Unknowable, match="consecutiveLosses"):
            risk_at([submit(0), event(RISK, 0, run=False, action="resumed"), *events], at(9), complete=False)


def test_a_pause_lasts_until_an_event_ends_it() -> None:
    paused = event(RISK, 1, run=False, action="paused", reason="daily_loss", until=at(60).isoformat())
    blocked = event(RISK, 2, action="blocked", reason="paused")
    ended = event(RISK, 3, run=False, action="resumed", streak=0)
    state = risk_at([paused, blocked, ended], at(2), complete=True)
    assert (state.paused_until, state.paused_reason) == (at(60), Reason.DAILY_LOSS)
    assert risk_at([paused, blocked, ended], at(3), complete=True).paused_until is None


def test_limits_are_those_of_the_change_before_or_what_the_next_one_replaced() -> None:
    before, after = {"max_trades_per_day": 20}, {"max_trades_per_day": 5}
    change = event(LIMITS, 2, run=False, before=before, after=after)
    row = RiskLimits(max_trades_per_day=5)
    assert limits_at(row, [change], at(1)) == RiskLimits()
    assert limits_at(row, [change], at(2)) == row
    assert limits_at(None, [], at(2)) is None
