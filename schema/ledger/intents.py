"""The intent transaction: every rule an order must pass before the venue may hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from core import risk
from core.errors import Reason, RunnerError
from core.order import VENUE_LEGS, Leg, Order, OrderStatus
from core.run import Run, RunStatus
from core.sizing import margin_and_fee
from core.timeframe import entry_deadline
from schema.ledger.payloads import blocked_payload, order_payload, plain
from schema.ledger.user_risk import UserRisk
from schema.ops import IntentCommitted, IntentRefused, ProposeIntent, closing_side
from schema.records import Account, AccountKind
from schema.tx import Tx

PASSES_SWITCH: Final = "passes_switch"


def propose(tx: Tx, op: ProposeIntent) -> IntentCommitted | IntentRefused:
    """Locks first, in their order; then the rules, first match wins; then the rows and the event."""
    order = op.order
    if not tx.lease_holds(order.run_id, order.fence):
        return IntentRefused(order=order, reason=Reason.LEASE_LOST)
    run = tx.lock_run(order.run_id)
    account = tx.lock_account(order.account_id, write=False)
    _check(order, run, account)
    assert run is not None
    assert account is not None
    switched_off = tx.global_kill_switch() or account.kill_switch
    user = UserRisk(tx, run.user_id) if order.leg is Leg.ENTRY else None
    earlier = tx.attempts(order.run_id, order.slot, order.leg)
    for known in earlier:
        if known.client_order_id == order.client_order_id and known.fence == order.fence:
            return IntentCommitted(order=known)
    now = user.now if user is not None else tx.now()
    reason = _closed_door(op, run, switched_off=switched_off, first=not earlier, now=now)
    if reason is not None:
        return IntentRefused(order=order, reason=reason)
    reason = _entry_refusal(tx, op, account, user, earlier) if user else _exit_refusal(tx, order)
    if reason is None and any(not known.is_terminal or known.attempt >= order.attempt for known in earlier):
        reason = Reason.OPEN_LEG
    if reason is not None:
        if user is not None:
            user.save(tx)
        return IntentRefused(order=order, reason=reason, pause=user.pause if user else None)
    return IntentCommitted(order=_commit(tx, op, user, earlier, now))


class BeforeSend(msgspec.Struct, frozen=True, kw_only=True):
    """What is re-read of an order before its first byte leaves; `lease_holds`: under the order's own fence,
    `passes_switch`: an operator wants it.
    """

    status: OrderStatus
    passes_switch: bool
    fence: int
    lease_holds: bool
    switched_off: bool


def send_refusal(found: BeforeSend | None, *, fence: int) -> Reason | None:
    """Why an order that is to be sent under `fence` must not be, or None."""
    if found is None or found.status is not OrderStatus.INTENT:
        return Reason.OPEN_LEG
    if found.fence != fence or not found.lease_holds:
        return Reason.LEASE_LOST
    if found.switched_off and not found.passes_switch:
        return Reason.KILL_SWITCH
    return None


def _check(order: Order, run: Run | None, account: Account | None) -> None:
    """What no well-meant proposal gets wrong."""
    if run is None or account is None:
        raise RunnerError(f"order {order.client_order_id}: its run or account does not exist")
    if not (order.user_id == run.user_id == account.user_id and order.account_id == run.account_id):
        raise RunnerError(f"order {order.client_order_id}: run and account are not one user's")
    if order.leg in VENUE_LEGS:
        raise RunnerError(f"order {order.client_order_id}: {order.leg} is the venue's own doing")
    if order.reduce_only is (order.leg is Leg.ENTRY):
        raise RunnerError(f"order {order.client_order_id}: {order.leg} with reduce_only={order.reduce_only}")
    if not order.quantity.is_finite() or order.quantity <= 0 or order.leverage < 1:
        raise RunnerError(
            f"order {order.client_order_id}: {order.quantity} at leverage {order.leverage} cannot be ordered"
        )


def _closed_door(
    op: ProposeIntent, run: Run, *, switched_off: bool, first: bool, now: datetime
) -> Reason | None:
    """Status, kill switch and deadline. Later exit attempts go on in every status (decision 21)."""
    leg = op.order.leg
    always = leg in (Leg.FLATTEN, Leg.REPAIR)  # an unprotected position is closed whatever its run does
    if run.status is not RunStatus.ACTIVE and not always and (first or leg is Leg.ENTRY):
        return Reason.NOT_ACTIVE
    if leg is Leg.ENTRY and op.order.symbol != run.strategy.symbol:
        return Reason.SETTINGS_CHANGED  # decided on a version before
    if switched_off and not op.passes_switch:
        return Reason.KILL_SWITCH
    deadline = op.deadline
    if leg is Leg.ENTRY:
        deadline = min(deadline, entry_deadline(op.order.slot))
    elif leg is Leg.EXIT and first:
        deadline = min(deadline, run.strategy.timeframe.exit_deadline(op.order.slot))
    if now > deadline:
        return Reason.LATE_ENTRY if leg is Leg.ENTRY else Reason.LATE_EXIT
    return None


def _entry_refusal(
    tx: Tx, op: ProposeIntent, account: Account, user: UserRisk, earlier: Sequence[Order]
) -> Reason | None:
    """The risk gate with its event and pause, then leverage, orders of unknown outcome, what is open."""
    order = op.order
    asked = risk.gate_later_attempt if earlier else risk.gate
    reason = asked(user.state, user.limits, user.now)
    if reason is not None:
        if reason is Reason.CONSECUTIVE_LOSSES:
            user.take(risk.start_pause_for_streak(user.state, user.limits, user.now))
        tx.append_event(
            user_id=order.user_id,
            run_id=order.run_id,
            type="risk_block",
            at=user.now,
            payload=blocked_payload(order, reason) | plain(request_id=op.request_id),
        )
        return reason
    if order.leverage > account.max_leverage:
        return Reason.LEVERAGE_TOO_HIGH
    if tx.unknown_orders(order.account_id, order.symbol):
        return Reason.UNKNOWN_ORDER
    held = tx.position(order.run_id)
    if held is not None and not held.position.is_flat:
        return Reason.ALREADY_OPEN  # whoever proposed it has not heard of a fill
    if held is not None and held.drift:
        return Reason.DRIFT  # somebody else trades this symbol on the account
    if account.kind is AccountKind.PORTFOLIO:
        entries = (*tx.pending_entries(order.account_id), order)
        if sum(margin_and_fee(entry, account.taker_fee_pct) for entry in entries) > account.free_margin:
            return Reason.NO_FREE_MARGIN
    return None


def _exit_refusal(tx: Tx, order: Order) -> Reason | None:
    held = tx.position(order.run_id)
    if held is None or held.position.is_flat or order.side is not closing_side(held.position):
        return Reason.NOTHING_TO_EXIT
    if order.quantity > held.position.size:
        return Reason.EXIT_TOO_LARGE
    return None


def _commit(
    tx: Tx, op: ProposeIntent, user: UserRisk | None, earlier: Sequence[Order], now: datetime
) -> Order:
    order = replace(
        op.order,
        status=OrderStatus.INTENT,
        sign_ts=op.order.sign_ts or now + op.venue_ahead,
        created_at=now,
        reserved=user is not None,
    )
    if user is not None:
        if earlier:
            _move_reservation(tx, earlier[-1])
        else:
            user.state = risk.reserve(user.state, now)
    # In `why`, so that who re-reads the order before it is sent knows it too.
    tx.insert_order(order, why={**op.why, PASSES_SWITCH: True} if op.passes_switch else op.why)
    tx.append_event(
        user_id=order.user_id,
        run_id=order.run_id,
        type="order_submit",
        at=now,
        payload=order_payload(order) | plain(request_id=op.request_id),
    )
    if user is not None:
        user.save(tx)
    return order


def _move_reservation(tx: Tx, previous: Order) -> None:
    """A later entry attempt carries on what the one before reserved; only one never placed may be retried."""
    locked = tx.order(previous.client_order_id)
    if locked is None or locked.status is not OrderStatus.NOT_PLACED or not locked.reserved:
        raise RunnerError(f"order {previous.client_order_id} leaves no reservation for a further attempt")
    tx.save_order(replace(locked, reserved=False))
