"""From a signal to a quantity: how much an entry may be, or why it may not (strategies.md, decision 17)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.errors import Reason
from core.market import SymbolRules
from core.order import Order
from core.run import RunSettings, SizeBy, margin_of
from core.signal import Signal

_HUNDRED = Decimal(100)
_DEFAULT_AMOUNT = Decimal("0.001")

# Looked up once: an enum's member costs more than the comparison it is for.
_AMOUNT, _PERCENT = SizeBy.AMOUNT, SizeBy.PERCENT


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has and charges. USDT; percentages of the traded value."""

    free_margin: Decimal
    taker_fee_pct: Decimal = Decimal("0.04")
    slippage_pct: Decimal = Decimal(0)
    max_leverage: int = 10
    max_notional: Decimal | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity the symbol's filters accept, base units, and the leverage it is opened with."""

    quantity: Decimal
    leverage: int


def size_entry(
    *, settings: RunSettings, signal: Signal, price: Decimal, money: Money, rules: SymbolRules
) -> Entry | Reason:
    """The entry a signal asks for at `price`, floored so that margin and fee fit the free margin."""
    if settings.leverage > money.max_leverage:
        return Reason.LEVERAGE_TOO_HIGH
    leverage = min(settings.leverage, signal.leverage or settings.leverage)
    worst_price = price * (1 + money.slippage_pct / _HUNDRED)
    wanted = _wanted(settings, signal, price, leverage)
    if wanted is None:
        return Reason.NO_STOP
    margin_and_fee = worst_price * (1 / Decimal(leverage) + money.taker_fee_pct / _HUNDRED)
    affordable = money.free_margin / margin_and_fee
    if affordable <= 0:
        return Reason.NO_FREE_MARGIN
    if money.max_notional is not None:
        affordable = min(affordable, money.max_notional / worst_price)
    quantity = rules.quantity(min(wanted, affordable))
    refused = rules.refusal(quantity, price)
    return refused if refused is not None else Entry(quantity=quantity, leverage=leverage)


def _wanted(settings: RunSettings, signal: Signal, price: Decimal, leverage: int) -> Decimal | None:
    if settings.size_by is _AMOUNT:
        return signal.amount or _DEFAULT_AMOUNT
    factor = signal.size_factor or Decimal(1)
    if settings.size_by is _PERCENT:
        return settings.capital * settings.order_size_pct / _HUNDRED * leverage * factor / price
    stop = signal.stop_loss
    if stop is None and settings.stop_loss_pct is not None:
        stop = price * (1 - settings.stop_loss_pct / _HUNDRED)
    if stop is None or stop == price or settings.risk_pct is None:
        return None
    return settings.capital * settings.risk_pct / _HUNDRED * factor / abs(price - stop)


def margin_and_fee(order: Order, taker_fee_pct: Decimal) -> Decimal:
    """What the unfilled part of an entry needs at the price it was decided on, USDT."""
    value = (order.quantity - order.filled_quantity) * order.reference_price
    return margin_and_fee_of(value, order.leverage, taker_fee_pct)


def margin_and_fee_of(value: Decimal, leverage: int, taker_fee_pct: Decimal) -> Decimal:
    """What an entry worth `value` USDT needs, USDT."""
    return margin_of(value, leverage) + value * taker_fee_pct / _HUNDRED
