"""What no venue is asked, because it cannot be put into words."""

from __future__ import annotations

from datetime import datetime

from core.order import Order, OrderKind
from exchanges.errors import Refusal, Rejected


def signed_at(order: Order) -> datetime:
    """The time to sign, of an order whose price, quantity and time can be sent. Raises Rejected."""
    priced = order.price is not None and order.price.is_finite() and order.price > 0
    if priced is not (order.kind is OrderKind.LIMIT):
        raise Rejected(Refusal.PRICE, f"A {order.kind} order cannot carry the price {order.price}.")
    if order.sign_ts is None:
        raise Rejected(Refusal.MALFORMED, f"Order {order.client_order_id} was committed without its sign_ts.")
    if not order.quantity.is_finite() or order.quantity <= 0:
        raise Rejected(Refusal.MIN_QUANTITY, f"Order {order.client_order_id} is for {order.quantity}.")
    return order.sign_ts
