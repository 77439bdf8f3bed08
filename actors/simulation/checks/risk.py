"""A user's risk by the statements of the contract (invariants §2), from what was committed; compared with the row (I7).

Gates, reservations, fills, round trips, pauses, expiry and midnight are written down here a second time, plainly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from actors.simulation.checks.findings import Findings
from core.clock import Clock
from core.errors import Reason
from core.ids import ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.risk import RiskLimits, RiskState

EntryLeg = tuple[RunId, datetime]
CENT = Fraction(1, 10**6)
"""Sums are compared to a millionth of a USDT: shares of an average cost are rounded in the rows."""


class UserModel:
    """One user. `legs`: each entry leg's attempts and the day it counts on."""

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits
        self.pnl: dict[date, Decimal] = {}
        self.trades: dict[date, int] = {}
        self.streak = 0
        self.last_trade_at: datetime | None = None
        self.paused_until: datetime | None = None
        self.legs: dict[EntryLeg, tuple[date, dict[ClientOrderId, Order]]] = {}

    def expire(self, now: datetime) -> None:
        if self.paused_until is not None and now >= self.paused_until:
            self.paused_until = None
            if self.streak >= self.limits.max_consecutive_losses:
                self.streak = 0

    def gate(self, now: datetime, *, first: bool = True) -> Reason | None:
        limits, today = self.limits, now.date()
        if self.paused_until is not None and now < self.paused_until:
            return Reason.PAUSED
        if self.pnl.get(today, Decimal(0)) <= -limits.daily_max_loss_usdt:
            return Reason.DAILY_LOSS
        if not first:
            return None
        if self.streak >= limits.max_consecutive_losses:
            return Reason.CONSECUTIVE_LOSSES
        if self.trades.get(today, 0) >= limits.max_trades_per_day:
            return Reason.MAX_TRADES
        if self.last_trade_at is not None:
            waited = (now - self.last_trade_at).total_seconds()
            if waited < limits.cooldown_after_trade_s:
                return Reason.COOLDOWN
        return None

    def pause(self, now: datetime) -> None:
        until = now + timedelta(minutes=float(self.limits.pause_duration_min))
        self.paused_until = until if self.paused_until is None else max(until, self.paused_until)

    def counting(self, day: date) -> int:
        """Entry legs of that day that are trades: something filled, or their fate still open."""
        return sum(
            counted == day
            and any(order.filled_quantity or not order.is_terminal for order in attempts.values())
            for counted, attempts in self.legs.values()
        )


class RiskCheck:
    def __init__(self, findings: Findings, clock: Clock, limits: Mapping[UserId, RiskLimits]) -> None:
        self._findings = findings
        self._clock = clock
        self.users = {user: UserModel(each) for user, each in limits.items()}

    def limited(self, user: UserId, limits: RiskLimits) -> None:
        model = self.users[user]
        model.expire(self._clock.now())
        model.limits = limits

    def entered(self, order: Order) -> None:
        """An entry intent has been committed."""
        now, model = self._clock.now(), self.users[order.user_id]
        model.expire(now)
        leg = (order.run_id, order.slot)
        first = leg not in model.legs
        shut = model.gate(now, first=first)
        self._findings.unless(
            shut is None,
            "I7",
            f"{order.user_id}: an entry was committed while {shut} ({order.client_order_id})",
        )
        if first:
            self._reserve(model, order, now)
        model.legs[leg][1][order.client_order_id] = order
        today = now.date()
        self._findings.unless(
            not first or model.counting(today) <= model.limits.max_trades_per_day,
            "I7",
            f"{order.user_id}: {model.counting(today)} trades on {today}, "
            f"at most {model.limits.max_trades_per_day} are allowed",
        )

    def _reserve(self, model: UserModel, order: Order, now: datetime) -> None:
        day = now.date()
        model.legs[order.run_id, order.slot] = (day, {})
        model.trades[day] = model.trades.get(day, 0) + 1
        model.last_trade_at = now

    def refused(self, order: Order, reason: Reason, *, first: bool) -> None:
        """An entry was refused; where a gate is named it must be the first that matches."""
        model, now = self.users[order.user_id], self._clock.now()
        if reason not in _GATES:
            return
        model.expire(now)
        shut = model.gate(now, first=first)
        self._findings.unless(
            shut is reason, "I7", f"{order.user_id}: refused for {reason}, by the rules it is {shut}"
        )
        if reason is Reason.CONSECUTIVE_LOSSES:
            model.pause(now)

    def moved(self, before: Order | None, order: Order) -> None:
        """An entry order has been stored anew."""
        model, leg = self.users[order.user_id], (order.run_id, order.slot)
        if order.leg is not Leg.ENTRY or leg not in model.legs:
            return
        day, attempts = model.legs[leg]
        attempts[order.client_order_id] = order
        if before is None or before.reserved is order.reserved:
            return
        if order.reserved:
            model.trades[day] += 1
            return
        unfilled = not any(each.filled_quantity for each in attempts.values())
        self._findings.unless(
            order.is_terminal and unfilled, "I7", f"{order.client_order_id}: released while it is a trade"
        )
        model.trades[day] -= 1

    def filled(
        self,
        user: UserId,
        executed_at: datetime,
        realised: Decimal,
        expected: Fraction,
        trip: Fraction | None,
    ) -> None:
        """A fill's `realised` as stored, what it is by the fills alone, and the round trip it ended."""
        model, now = self.users[user], self._clock.now()
        self._findings.unless(
            abs(Fraction(realised) - expected) < CENT,
            "I7",
            f"{user}: a fill realised {realised}, by the fills it is {float(expected):.6f}",
        )
        model.expire(now)
        day, limit = executed_at.date(), -model.limits.daily_max_loss_usdt
        before = model.pnl.get(day, Decimal(0))
        after = model.pnl[day] = before + realised
        if realised and day == now.date() and before > limit >= after:
            model.pause(now)
        if trip is None:
            return
        if trip >= 0:
            model.streak = 0
            return
        model.streak += 1
        if model.streak == model.limits.max_consecutive_losses:
            model.pause(now)

    def compare(self, user: UserId, stored: RiskState) -> None:
        """The row must say what the model says; a pause that has run out may still stand in it."""
        model, now = self.users[user], self._clock.now()
        model.expire(now)
        paused, streak = stored.paused_until, stored.streak
        if paused is not None and now >= paused:
            paused = None
            streak = 0 if streak >= model.limits.max_consecutive_losses else streak
        for what, said, known in (
            ("streak", streak, model.streak),
            ("paused_until", paused, model.paused_until),
            ("last_trade_at", stored.last_trade_at, model.last_trade_at),
        ):
            self._findings.unless(
                said == known, "I7", f"{user}: {what} is {said}, by the rules it is {known}"
            )
        for day, figures in stored.days.items():
            trades, pnl = model.trades.get(day, 0), model.pnl.get(day, Decimal(0))
            self._findings.unless(
                figures.trades == trades,
                "I7",
                f"{user}: {figures.trades} trades on {day}, by the rules {trades}",
            )
            self._findings.unless(
                figures.pnl == pnl, "I7", f"{user}: PnL {figures.pnl} on {day}, its fills sum to {pnl}"
            )


_GATES = frozenset(
    {Reason.PAUSED, Reason.DAILY_LOSS, Reason.CONSECUTIVE_LOSSES, Reason.MAX_TRADES, Reason.COOLDOWN}
)
