"""The symbol's filters as a venue applies them: the order as sent, refused by the name of the rule it breaks."""

from __future__ import annotations

from core.market import SymbolRules
from core.order import Order, OrderKind
from exchanges.errors import Refusal, Rejected


def check_filters(order: Order, rules: SymbolRules, *, max_leverage: int) -> None:
    """Raises Rejected. Reduce-only orders are exempt from the minimum notional."""
    market = order.kind is OrderKind.MARKET
    step = rules.market_step_size if market else rules.step_size
    most = rules.max_market_quantity if market else rules.max_quantity
    price = order.reference_price if order.price is None else order.price
    if not 1 <= order.leverage <= max_leverage:
        raise _no(Refusal.LEVERAGE, order, f"leverage {order.leverage} is outside 1 to {max_leverage}")
    if not (order.quantity.is_finite() and order.quantity >= rules.min_quantity):
        raise _no(Refusal.MIN_QUANTITY, order, f"{order.quantity} is less than {rules.min_quantity}")
    if order.quantity > most:
        raise _no(Refusal.MAX_QUANTITY, order, f"{order.quantity} is more than {most}")
    if order.quantity % step:
        raise _no(Refusal.STEP_SIZE, order, f"{order.quantity} is no multiple of {step}")
    if market is (order.price is not None) or not (price.is_finite() and price > 0):
        raise _no(Refusal.PRICE, order, f"a {order.kind} order cannot carry the price {order.price}")
    if not market and price % rules.tick_size:
        raise _no(Refusal.TICK_SIZE, order, f"{price} is no multiple of {rules.tick_size}")
    if not order.reduce_only and order.quantity * price < rules.min_notional:
        worth = order.quantity * price
        raise _no(Refusal.MIN_NOTIONAL, order, f"{worth} USDT is less than {rules.min_notional}")


def _no(refusal: Refusal, order: Order, why: str) -> Rejected:
    return Rejected(refusal, f"{order.symbol} order {order.client_order_id} was refused by {refusal}: {why}.")
