"""The second writing-down of the risk rules: its own arithmetic, and what it says of rows that differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from msgspec.structs import replace

from actors.simulation.checks.risk import RiskCheck
from core.errors import Reason
from core.ids import ClientOrderId
from core.order import OrderStatus
from core.risk import DayRisk, RiskState
from tests.actors.simulation.checks.parts import LIMITS, SLOT, USER, Bench, order

MINUTE = timedelta(minutes=1)


def entered(bench: Bench, check: RiskCheck, number: int, *, filled: bool = True) -> None:
    each = order(client_order_id=ClientOrderId(f"e{number}"), slot=SLOT + MINUTE * number)
    check.entered(each)
    done = replace(each, status=OrderStatus.FILLED, filled_quantity=each.quantity)
    check.moved(each, done if filled else replace(each, status=OrderStatus.NOT_PLACED, reserved=False))


def lost(check: RiskCheck, amount: int, *, trip: bool = True) -> None:
    check.filled(USER, SLOT, Decimal(-amount), Fraction(-amount), Fraction(-amount) if trip else None)


def check(bench: Bench) -> RiskCheck:
    return RiskCheck(bench.findings, bench.clock, {USER: LIMITS})


def test_two_trades_with_a_cool_down_between_break_nothing() -> None:
    bench = Bench()
    risk = check(bench)
    entered(bench, risk, 0)
    bench.wait(30)
    entered(bench, risk, 1)
    lost(risk, 10)
    risk.compare(
        USER,
        RiskState(
            days={SLOT.date(): DayRisk(pnl=Decimal(-10), trades=2)},
            streak=1,
            last_trade_at=bench.clock.now(),
        ),
    )
    bench.wait(29)
    risk.refused(order(), Reason.MAX_TRADES, first=True)
    assert bench.broken == []


def test_what_was_released_counts_no_more() -> None:
    bench = Bench()
    risk = check(bench)
    for number in range(3):
        entered(bench, risk, number, filled=number > 0)
        bench.wait(30)
    assert risk.users[USER].trades == {SLOT.date(): 2}
    assert bench.broken == []


def test_midnight_begins_a_day_and_ends_no_streak_and_no_pause() -> None:
    bench = Bench()
    risk = check(bench)
    bench.wait(11.5 * 3600)
    lost(risk, 5)
    lost(risk, 5)
    bench.wait(3599)
    assert risk.users[USER].gate(bench.clock.now()) is Reason.PAUSED
    bench.wait(1)
    risk.users[USER].expire(bench.clock.now())
    assert risk.users[USER].streak == 0
    assert risk.users[USER].gate(bench.clock.now()) is None


def test_a_pause_that_ran_out_does_not_lift_the_daily_loss() -> None:
    bench = Bench()
    risk = check(bench)
    lost(risk, 50)
    assert risk.users[USER].gate(bench.clock.now()) is Reason.PAUSED
    bench.wait(3600)
    assert risk.users[USER].gate(bench.clock.now()) is Reason.DAILY_LOSS


def third_trade(bench: Bench, risk: RiskCheck) -> None:
    for number in range(3):
        entered(bench, risk, number)
        bench.wait(30)


def in_the_cool_down(bench: Bench, risk: RiskCheck) -> None:
    entered(bench, risk, 0)
    bench.wait(29.999)
    entered(bench, risk, 1)


def while_paused(bench: Bench, risk: RiskCheck) -> None:
    lost(risk, 1)
    lost(risk, 1)
    entered(bench, risk, 0)


def over_the_loss(bench: Bench, risk: RiskCheck) -> None:
    lost(risk, 50)
    bench.wait(3600)
    entered(bench, risk, 0)


def refused_for_nothing(bench: Bench, risk: RiskCheck) -> None:
    risk.refused(order(), Reason.MAX_TRADES, first=True)


def refused_for_the_wrong_gate(bench: Bench, risk: RiskCheck) -> None:
    entered(bench, risk, 0)
    risk.refused(order(client_order_id=ClientOrderId("z")), Reason.MAX_TRADES, first=True)


def released_while_a_trade(bench: Bench, risk: RiskCheck) -> None:
    entered(bench, risk, 0)
    done = replace(order(client_order_id=ClientOrderId("e0")), filled_quantity=Decimal("0.1"))
    risk.moved(done, replace(done, status=OrderStatus.FILLED, reserved=False))


def realised_otherwise(bench: Bench, risk: RiskCheck) -> None:
    risk.filled(USER, SLOT, Decimal("1.00001"), Fraction(1), None)


def compared(**fields: object) -> Callable[[Bench, RiskCheck], None]:
    return lambda bench, risk: risk.compare(USER, RiskState(**fields))  # type: ignore[arg-type]


def streak_forgotten(bench: Bench, risk: RiskCheck) -> None:
    lost(risk, 1)
    days = {SLOT.date(): DayRisk(pnl=Decimal(-1))}
    risk.compare(USER, RiskState(days=days, streak=0))


@pytest.mark.parametrize(
    "breaking",
    [
        third_trade,
        in_the_cool_down,
        while_paused,
        over_the_loss,
        refused_for_nothing,
        refused_for_the_wrong_gate,
        released_while_a_trade,
        realised_otherwise,
        streak_forgotten,
        compared(streak=1),
        compared(paused_until=SLOT + MINUTE),
        compared(last_trade_at=SLOT),
        compared(days={SLOT.date(): DayRisk(trades=1)}),
        compared(days={SLOT.date(): DayRisk(pnl=Decimal(1))}),
    ],
)
def test_i7_each_break_is_named(breaking: Callable[[Bench, RiskCheck], None]) -> None:
    bench = Bench()
    breaking(bench, check(bench))
    assert set(bench.broken) == {"I7"}
