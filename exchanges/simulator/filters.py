"""What a venue refuses before it looks at the account: grids, limits, the price band, the smallest notional."""

from __future__ import annotations

from decimal import Decimal

from exchanges.simulator.instruments import Instrument
from exchanges.simulator.model import ConditionalRequest, OrderKind, OrderRequest, Reason, Refused


def check_order(instrument: Instrument, request: OrderRequest, mark: Decimal) -> None:
    """Raises Refused. A reduce-only order may be smaller than the smallest notional."""
    is_market = request.kind is OrderKind.MARKET
    check_quantity(instrument, request.quantity, is_market=is_market)
    price = mark
    if request.price is not None and not is_market:
        price = request.price
        check_price(instrument, price)
        if price > mark * (1 + instrument.band) and request.side.sign > 0:
            raise Refused(Reason.PRICE_BAND_UP)
        if price < mark * (1 - instrument.band) and request.side.sign < 0:
            raise Refused(Reason.PRICE_BAND_DOWN)
    if not request.reduce_only and price * request.quantity < instrument.notional_min:
        raise Refused(Reason.NOTIONAL_MIN, str(instrument.notional_min))


def check_conditional(instrument: Instrument, request: ConditionalRequest) -> None:
    """Raises Refused. Margin and notional are looked at when it fires."""
    if request.quantity is not None:
        check_quantity(instrument, request.quantity, is_market=request.limit_price is None)
    for price in (request.trigger_price, request.limit_price, request.activation_price):
        if price is not None:
            check_price(instrument, price)


def check_quantity(instrument: Instrument, quantity: Decimal, *, is_market: bool) -> None:
    if quantity < instrument.quantity_min:
        raise Refused(Reason.QUANTITY_MIN, str(instrument.quantity_min))
    if quantity > (instrument.market_quantity_max if is_market else instrument.quantity_max):
        raise Refused(Reason.QUANTITY_MAX)
    if quantity % instrument.step:
        raise Refused(Reason.QUANTITY_STEP, str(instrument.step))


def check_price(instrument: Instrument, price: Decimal) -> None:
    if price < instrument.price_min:
        raise Refused(Reason.PRICE_MIN, str(instrument.price_min))
    if price > instrument.price_max:
        raise Refused(Reason.PRICE_MAX, str(instrument.price_max))
    if price % instrument.tick:
        raise Refused(Reason.PRICE_TICK, str(instrument.tick))
