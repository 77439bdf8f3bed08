"""An exit that its tick could not finish: tried until the position is flat, each attempt under a new lease.

Decision 21. Part of a StrategyRun, which calls it in its own turns.
"""

from __future__ import annotations

import msgspec

from actors.messages import ClaimedTick, Evaluation, run_name
from actors.run_tick import Tick
from actors.runtime.behaviour import Context
from core.backoff import Backoff
from core.ids import MAX_ATTEMPTS
from core.lease import trusted_until
from core.order import Leg, Order
from core.position import OrderSide, Position
from core.risk import RiskLimits, RiskState
from core.run import Run
from core.signal import Action, Signal
from core.tick import MAX_ATTEMPTS as ATTEMPTS_PER_TICK
from core.timeframe import Timeframe
from exchanges.errors import ErrorKind
from schema.ops import closing_side
from schema.records import Ask, Claim, ExecutionStatus, TickSource
from schema.store import Store

BACKOFF = Backoff(min_s=5.0, max_s=60.0)


class ExitDue(msgspec.Struct, frozen=True):
    """Time for the next attempt: after `order`, which ended short, or was the last one committed."""

    order: Order
    attempt: int


class ExitLease(msgspec.Struct, frozen=True):
    """Answer to asking for a lease; None while another holds one."""

    due: ExitDue
    fence: int | None
    asked_at_s: float


class Released(msgspec.Struct, frozen=True):
    """The lease was given back, or will run out by itself."""


def ended_short(order: Order, position: Position) -> bool:
    """Whether `order` was an attempt to close `position` that has ended without closing it.

    An exit of a slot before the position was opened closed another one, and is told again by every look back.
    """
    return (
        order.leg is Leg.EXIT
        and order.is_terminal
        and position.opened_at is not None
        and order.slot >= position.opened_at
        and order.side is closing_side(position)
    )


_CLOSES = {
    OrderSide.SELL: frozenset({Action.SHORT, Action.EXIT_LONG}),
    OrderSide.BUY: frozenset({Action.LONG, Action.EXIT_SHORT}),
}


def _exit_signal(closing: OrderSide) -> Signal:
    action = Action.EXIT_LONG if closing is OrderSide.SELL else Action.EXIT_SHORT
    return Signal(action=action, reason="exit tried again until flat")


class OwedExit:
    """At most one exit is owed at a time."""

    __slots__ = ("_ctx", "_due", "_lease_s", "_store", "_worker")

    def __init__(self, ctx: Context, *, store: Store, worker: str, lease_s: float) -> None:
        self._ctx = ctx
        self._store = store
        self._worker = worker
        self._lease_s = lease_s
        self._due: ExitDue | None = None

    def owe(self, order: Order | None, attempt: int) -> None:
        """Have attempt number `attempt` made at what `order`, or else the attempt under way, tried."""
        last = order if order is not None or self._due is None else self._due.order
        if last is None or attempt > MAX_ATTEMPTS:
            self._due = None
            return
        due = self._due = ExitDue(last, attempt)
        if last.reason == ErrorKind.NO_PRICE:  # candle-fed: the next price is the next opening
            self._ctx.at(Timeframe.M1.next_close(self._ctx.clock.now()), due)
        else:
            self._ctx.after(BACKOFF.delay_s((attempt - 1) // ATTEMPTS_PER_TICK, 0.0), due)

    def news_of(self, order: Order, position: Position) -> None:
        """An order that no tick waits for has moved: an exit that ended short is tried again.

        Where another process made the attempt that is due here, the one after it is.
        """
        due = self._due
        taken = due is None or (order.slot, order.attempt) >= (due.order.slot, due.attempt)
        if taken and ended_short(order, position):
            self.owe(order, order.attempt + 1)

    def instead_of(self, evaluation: Evaluation, position: Position) -> Evaluation:
        """The tick of a newer slot takes the exit up under its own lease, unless its signal closes anyway."""
        signal, due = evaluation.signal, self._due
        if due is None or signal is None or position.is_flat:
            return evaluation
        closing = closing_side(position)
        if signal.action in _CLOSES[closing]:
            return evaluation
        price = evaluation.price or due.order.reference_price
        return msgspec.structs.replace(evaluation, signal=_exit_signal(closing), price=price)

    def forget(self) -> None:
        """Flat, or a newer tick takes the exit into its own hands."""
        self._due = None

    def ask_lease(self, due: ExitDue, *, busy: bool) -> None:
        """`busy`: a tick is at work; the exit waits for it."""
        if due != self._due:
            return
        if busy:
            self._ctx.after(BACKOFF.min_s, due)
            return
        store, asked_at_s = self._store, self._ctx.clock.monotonic()
        self._ctx.call(
            lambda: store.acquire(due.order.run_id, owner=self._worker, ttl_s=self._lease_s),
            lambda fence: ExitLease(due, fence, asked_at_s),
            lambda _: ExitLease(due, None, asked_at_s),
        )

    def leased(self, lease: ExitLease, run: Run, *, busy: bool) -> Tick | None:
        """The tick that makes the attempt; None: not now, or not any more."""
        if lease.due == self._due and lease.fence is not None and not busy:
            return self._tick(lease, lease.fence, run)
        if lease.fence is not None:
            self.release(lease.fence, run)
        if lease.due == self._due:
            self._ctx.after(BACKOFF.min_s, lease.due)
        return None

    def release(self, fence: int, run: Run) -> None:
        store, lease = self._store, (run.id, fence)
        self._ctx.call(lambda: store.release([lease]), lambda _: Released(), lambda _: Released())

    def _tick(self, lease: ExitLease, fence: int, run: Run) -> Tick:
        order = lease.due.order
        claim = Claim(
            run_id=run.id,
            user_id=run.user_id,
            slot=order.slot,
            fence=fence,
            previous_slot=None,
            activated_at=run.activated_at,
            run_version=run.version,
            status=run.status,
            kill_switch=False,
            risk=RiskState(),  # gates are not asked about exits
            limits=RiskLimits(),
        )
        return Tick(
            due=ClaimedTick(
                claim=claim,
                ask=Ask(slot=order.slot, source=TickSource.TIMER, at=order.slot),
                run=run_name(run.id),
                asked_at_s=lease.asked_at_s,
                closed_at_s=lease.asked_at_s,
                trusted_until_s=trusted_until(lease.asked_at_s, self._lease_s),
            ),
            evaluation=Evaluation(
                slot=order.slot,
                status=ExecutionStatus.SUCCESS,
                signal=_exit_signal(order.side),
                price=order.reference_price,
            ),
            owed=True,
        )
