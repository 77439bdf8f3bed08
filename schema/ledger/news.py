"""News of an order's fate, and the end of a leg. Observations need no lease."""

from __future__ import annotations

from datetime import date, datetime

from msgspec.structs import replace

from core import risk
from core.errors import RunnerError
from core.ids import ClientOrderId
from core.order import Acknowledged, Executed, Leg, Order, OutcomeUnknown, releases, transition
from core.risk import risk_day
from schema.ledger.payloads import order_payload, plain
from schema.ledger.user_risk import UserRisk
from schema.ops import EndLeg, ObserveOrder, OrderMoved
from schema.tx import Tx


def observe_order(tx: Tx, op: ObserveOrder) -> OrderMoved:
    if isinstance(op.event, Executed):
        raise RunnerError(f"order {op.client_order_id}: executions are settled as fills")
    ends = op.no_further_attempt and not isinstance(op.event, Acknowledged | OutcomeUnknown)
    user, order = _lock(tx, op.client_order_id, release=ends)
    change = transition(order, op.event)
    if change.contradiction is not None:
        alerted = alert(tx, order, change.contradiction)
        return OrderMoved(order=alerted, changed=False, contradiction=change.contradiction)
    return _moved(tx, change.order, user, changed=change.changed)


def end_leg(tx: Tx, op: EndLeg) -> OrderMoved:
    user, order = _lock(tx, op.client_order_id, release=True)
    return _moved(tx, order, user, changed=False)


def alert(tx: Tx, order: Order, sentence: str) -> Order:
    """Event `error` about an order, once: the sentence stays with the order, and repeats are silent (I17)."""
    if order.reason == sentence:
        return order
    alerted = replace(order, reason=sentence)
    tx.save_order(alerted)
    payload = plain(source="venue", client_order_id=order.client_order_id, detail=sentence)
    tx.append_event(user_id=order.user_id, run_id=order.run_id, type="error", at=tx.now(), payload=payload)
    return alerted


def reserved_day(tx: Tx, order: Order, now: datetime) -> date:
    """The risk day an entry leg counts on: that of its first attempt, whatever midnight did since."""
    first = tx.attempts(order.run_id, order.slot, order.leg)[0]
    return risk_day(first.created_at or now)


def _lock(tx: Tx, client_order_id: ClientOrderId, *, release: bool) -> tuple[UserRisk | None, Order]:
    """The order locked, after its user's risk row where something reserved may be given back."""
    peeked = tx.peek_order(client_order_id)
    if peeked is None:
        raise RunnerError(f"there is no order {client_order_id}")
    user = None
    if release and peeked.leg is Leg.ENTRY and peeked.reserved:
        user = UserRisk(tx, peeked.user_id, days=[reserved_day(tx, peeked, tx.now())])
    order = tx.order(peeked.client_order_id)
    assert order is not None
    return user, order


def _moved(tx: Tx, order: Order, user: UserRisk | None, *, changed: bool) -> OrderMoved:
    """The order written with its event, and its reservation released where `user` says it may be."""
    if user is not None and releases(order) and not _leg_filled(tx, order):
        user.state = risk.release(user.state, reserved_day(tx, order, user.now))
        order = replace(order, reserved=False)
        changed = True
    if changed:
        tx.save_order(order)
        tx.append_event(
            user_id=order.user_id,
            run_id=order.run_id,
            type="order_update",
            at=tx.now(),
            payload=order_payload(order),
        )
    if user is not None:
        user.save(tx)
    return OrderMoved(order=order, changed=changed)


def _leg_filled(tx: Tx, order: Order) -> bool:
    """An earlier attempt believed never placed may have filled after all: then the leg is a trade."""
    return any(attempt.filled_quantity for attempt in tx.attempts(order.run_id, order.slot, order.leg))
