"""Where and how much an order fills on candles, and which protection a candle touches. Pure (decision 27).

Every price lands on the symbol's tick, against whoever takes: a buy rounds up, a sell down. A candle says nothing
of the order of its prices beyond its open, so where that order matters the worse is assumed.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from core.candles import Candle
from core.market import Rounding, SymbolRules, floor_to
from core.order import Leg, Order
from core.position import OrderSide, Position, Side
from core.protection import Protection
from core.quiet import ANY_PRICE, Quiet
from exchanges.paper.terms import HUNDRED, Terms
from exchanges.paper.trail import Trail, trail_of

# Looked up once: an enum's member costs more than the comparison it is for.
_UP, _DOWN, _BUY, _LONG, _TRAILING = (
    Rounding.UP,
    Rounding.DOWN,
    OrderSide.BUY,
    Side.LONG,
    Leg.TRAILING_STOP,
)


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """The first trade of a candle. `volume` base units that market orders may share in; a live feed, which cannot
    know the candle's own yet, gives the last closed one's.
    """

    at: datetime
    price: float
    volume: float


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Part or all of an order, filled at one price. `at_open`: at the candle's first trade."""

    quantity: Decimal
    price: Decimal
    maker: bool = False
    at_open: bool = True


class Triggers(msgspec.Struct, frozen=True, kw_only=True):
    """Prices at which a position ends by itself, on the tick grid."""

    side: Side
    liquidation: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trail: Trail | None = None


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """The trigger a candle set off. `at_open`: the candle opened at or beyond it."""

    leg: Leg
    price: Decimal
    at_open: bool


def exact(value: float) -> Decimal:
    """A market-data number as its shortest decimal."""
    return Decimal(repr(value))


def against_taker(side: OrderSide) -> Rounding:
    return _UP if side is _BUY else _DOWN


def market_price(side: OrderSide, opening_price: float, terms: Terms, rules: SymbolRules) -> Decimal:
    """The opening, moved by the slippage against the taker."""
    slipped = exact(opening_price)
    if terms.slippage_pct:
        slipped *= 1 + side.sign * terms.slippage_pct / HUNDRED
    return max(rules.price(slipped, against_taker(side)), rules.tick_size)


def share_of(volume: float, terms: Terms, step: Decimal) -> Decimal:
    """The base quantity an account may take of a candle's volume, in whole steps."""
    return floor_to(exact(volume) * terms.participation_pct / HUNDRED, step)


def limit_match(
    order: Order, candle: Candle, rules: SymbolRules, *, quantity: Decimal, arrives: bool
) -> Match | None:
    """A fill of `quantity`, what is left and the volume allows, once the candle trades through the limit.

    Trading at the limit is not enough: others were first in the queue. A candle that opens beyond the limit fills at
    its open; in the candle the order `arrives` in that means it never rested, and it pays as a taker.
    """
    assert order.price is not None
    limit, open_, low, high = float(order.price), candle.open, candle.low, candle.high
    through = low < limit if order.side is _BUY else high > limit
    if not through or quantity <= 0:
        return None
    beyond = open_ < limit if order.side is _BUY else open_ > limit
    price = rules.price(exact(open_), against_taker(order.side)) if beyond else order.price
    return Match(quantity=quantity, price=price, maker=not (beyond and arrives), at_open=beyond)


def triggers(
    position: Position, protection: Protection, *, leverage: int, terms: Terms, rules: SymbolRules
) -> Triggers:
    """The prices that end `position`, on the grid: where a long's lie between two ticks, the lower."""
    assert position.side is not None
    rounding = _DOWN if position.side is _LONG else _UP

    def on_grid(price: Decimal | None) -> Decimal | None:
        return None if price is None or price <= 0 else max(rules.price(price, rounding), rules.tick_size)

    return Triggers(
        side=position.side,
        liquidation=on_grid(liquidation_price(position, leverage=leverage, terms=terms)),
        stop_loss=on_grid(protection.stop_loss),
        take_profit=on_grid(protection.take_profit),
        trail=None if protection.trailing is None else trail_of(protection.trailing, position.side, rules),
    )


def standing(set_: Triggers) -> Protection:
    """What protects the position, on the grid."""
    trail = set_.trail
    trailing = None if trail is None else trail.standing
    return Protection(stop_loss=set_.stop_loss, take_profit=set_.take_profit, trailing=trailing)


def liquidation_price(position: Position, *, leverage: int, terms: Terms) -> Decimal | None:
    """The price P at which isolated margin plus unrealised PnL falls to the maintenance margin; None: there is none.

    With entry price E, leverage L and maintenance rate m, per unit: E/L ± (P − E) = m·P, hence
    long P = E·(1 − 1/L)/(1 − m), short P = E·(1 + 1/L)/(1 + m). (The USDⓈ-M isolated liquidation formula with
    maintenance amount 0, the initial margin as wallet, and no fee set aside.)
    """
    long = position.quantity > 0
    if long and leverage == 1:
        return None
    entry, rate = position.entry_price, terms.maintenance_margin_pct / HUNDRED
    if long:
        return entry * (1 - 1 / Decimal(leverage)) / (1 - rate)
    return entry * (1 + 1 / Decimal(leverage)) / (1 + rate)


def quiet_range(set_: Triggers) -> Quiet:
    """Prices between which no trigger is touched: what nearly every candle is told from the rest by."""
    losses = [float(price) for price, _ in _losses(set_)]
    gains = [] if set_.take_profit is None else [float(set_.take_profit)]
    if set_.trail is not None:  # from there on its stop moves
        gains.append(set_.trail.resumes)
    if set_.side is Side.LONG:
        return Quiet(max(losses, default=ANY_PRICE.above), min(gains, default=ANY_PRICE.below))
    return Quiet(max(gains, default=ANY_PRICE.above), min(losses, default=ANY_PRICE.below))


def touched(set_: Triggers, candle: Candle, *, adverse_only: bool = False) -> Touched | None:
    """The trigger that ends the position in this candle; of a loss and a gain both touched, the worse price.

    Fills at the trigger, or at the open where the candle opens beyond it. Of stops and liquidation the one that the
    price meets first; several behind the open: liquidation. A trailing stop is met where it stood before the candle,
    else where it may have moved to in it (`Trail.hit`). `adverse_only` leaves out what gains: for a position
    opened inside the candle, which may have touched it before.
    """
    long = set_.side is _LONG
    loss = _loss(set_, candle, long)
    gain = None if adverse_only else _gain(set_, candle, long)
    if loss is None and set_.trail is not None and not adverse_only:
        hit = set_.trail.hit(candle, set_.take_profit)
        loss = None if hit is None else Touched(leg=_TRAILING, price=hit, at_open=False)
    if loss is None or gain is None:
        return loss or gain
    loss_is_worse = loss.price <= gain.price if long else loss.price >= gain.price
    return loss if loss_is_worse else gain


def _loss(set_: Triggers, candle: Candle, long: bool) -> Touched | None:
    # Compared as floats: both sides are the nearest float of a short decimal, so equal prices compare equal.
    extreme = candle.low if long else candle.high
    hit = [
        (trigger, leg)
        for trigger, leg in _losses(set_)
        if (extreme <= float(trigger) if long else extreme >= float(trigger))
    ]
    for trigger, leg in hit:
        if candle.open <= float(trigger) if long else candle.open >= float(trigger):
            return Touched(leg=leg, price=exact(candle.open), at_open=True)
    if not hit:
        return None
    trigger, leg = (max if long else min)(hit, key=_price)
    return Touched(leg=leg, price=trigger, at_open=False)


def _losses(set_: Triggers) -> list[tuple[Decimal, Leg]]:
    """Where the price ends the position at a loss, or at less of a gain, as that stands now."""
    trailing = None if set_.trail is None else set_.trail.stop
    legs = ((set_.liquidation, Leg.LIQUIDATION), (set_.stop_loss, Leg.STOP_LOSS), (trailing, _TRAILING))
    return [(trigger, leg) for trigger, leg in legs if trigger is not None]


def _gain(set_: Triggers, candle: Candle, long: bool) -> Touched | None:
    if set_.take_profit is None:
        return None
    target = float(set_.take_profit)
    if candle.high < target if long else candle.low > target:
        return None
    beyond = candle.open >= target if long else candle.open <= target
    price = exact(candle.open) if beyond else set_.take_profit
    return Touched(leg=Leg.TAKE_PROFIT, price=price, at_open=beyond)


def _price(hit: tuple[Decimal, Leg]) -> Decimal:
    return hit[0]
