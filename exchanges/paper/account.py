"""A paper account's money and positions: what a fill, a trigger or funding does to them (isolated, one-way)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from core.candles import Candle
from core.market import SymbolRules
from core.order import Leg, Order
from core.position import FLAT, ZERO, Fill, OrderSide, Position, apply_fill, apply_funding
from core.protection import Protection, Trailing, protection_of
from core.quiet import Quiet
from core.run import margin_of
from core.timeframe import from_ms, to_ms
from exchanges.base import Execution, FundingPaid, TrailMoved
from exchanges.paper.book import Match, Touched, Triggers, against_taker, quiet_range, triggers
from exchanges.paper.terms import Terms

# Looked up once: an enum's member costs more than the comparison it is for.
_BUY, _SELL, _ENTRY = OrderSide.BUY, OrderSide.SELL, Leg.ENTRY


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """An open position at the paper venue; what it is rebuilt from after a restart.

    `since`: candles that closed by then have been checked against it. For a stored position that is the market time
    of its last change: earlier candles met another size or another stop.
    """

    symbol: str
    position: Position
    leverage: int
    since: datetime
    protection: Protection = Protection()


class _Held:
    """A holding with what is worked out once per change of it."""

    __slots__ = ("checked_ms", "holding", "quiet", "triggers")

    def __init__(self, holding: Holding, set_: Triggers) -> None:
        self.holding = holding
        self.triggers = set_
        self.quiet = quiet_range(set_)
        self.checked_ms = to_ms(holding.since)


class PaperAccount:
    """Equity is `balance` plus unrealised PnL; `balance` is the bankroll plus all PnL realised, fees and funding."""

    def __init__(
        self,
        terms: Terms,
        rules: Mapping[str, SymbolRules],
        balance: Decimal,
        holdings: Iterable[Holding] = (),
    ) -> None:
        self.terms = terms
        self.balance = balance
        self._rules = rules
        self._held: dict[str, _Held] = {}
        self._funded: dict[str, datetime] = {}
        for holding in holdings:
            self._hold(holding)

    @property
    def used_margin(self) -> Decimal:
        return sum((margin_of(h.position.open_cost, h.leverage) for h in self.holdings()), ZERO)

    def holdings(self) -> list[Holding]:
        return [held.holding for held in self._held.values()]

    def position(self, symbol: str) -> Position:
        held = self._held.get(symbol)
        return held.holding.position if held else FLAT

    def triggers(self, symbol: str) -> Triggers | None:
        held = self._held.get(symbol)
        return held.triggers if held else None

    def reached(self, symbol: str, candle: Candle, close_ms: int) -> Triggers | None:
        """Triggers that this candle, not yet held against the position, comes to; asking marks it as held."""
        held = self._held.get(symbol)
        if held is None or close_ms <= held.checked_ms:
            return None
        held.checked_ms = close_ms
        above, below = held.quiet
        return None if candle.low > above and candle.high < below else held.triggers

    def quiet(self) -> dict[str, Quiet]:
        """Of each symbol with a position, the prices at which nothing happens to it."""
        return {symbol: held.quiet for symbol, held in self._held.items()}

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        return self.balance + sum((h.position.unrealised(prices[h.symbol]) for h in self.holdings()), ZERO)

    def shortfall(self, order: Order, price: Decimal, reserved: Decimal) -> Decimal:
        """USDT missing for margin and fee of what `order` would add at `price`; 0 when there is enough.

        What closes the present position needs no margin, and frees that position's.
        """
        held = self._held.get(order.symbol)
        position = self.position(order.symbol)
        closing, freed, leverage = ZERO, ZERO, order.leverage
        if held is not None and position.quantity * order.side.sign < 0:
            closing = min(order.quantity, position.size)
            freed = margin_of(position.open_cost * closing / position.size, held.holding.leverage)
        elif held is not None:
            leverage = held.holding.leverage
        value = (order.quantity - closing) * price
        needed = margin_of(value, leverage) + self.terms.commission(value, maker=False)
        free = self.balance - self.used_margin - reserved + freed
        return max(ZERO, needed - free) if value else ZERO

    def fill(self, order: Order, match: Match, at: datetime, *, filled_before: Decimal) -> Execution:
        """Books a fill of `order`."""
        fill = order_fill(order, match, at, self.terms)
        held = self._held.get(order.symbol)
        applied = apply_fill(self.position(order.symbol), fill)
        self.balance += applied.realised
        if applied.position.is_flat:
            del self._held[order.symbol]
        elif held is None or held.holding.position.side is not applied.position.side:
            self._hold(_opened(order, applied.position, at))
        else:
            kept = msgspec.structs.replace(held.holding, position=applied.position)
            if order.leg is _ENTRY and filled_before == 0:
                kept = _protected(kept, protection_of(order, applied.position.entry_price))
            self._hold(kept, checked_ms=held.checked_ms)
        return Execution(symbol=order.symbol, fill=fill, client_order_id=order.client_order_id)

    def close(self, symbol: str, touch: Touched, at: datetime) -> Execution:
        """Books the venue's own closing of the whole position: stop, target or liquidation, as a taker."""
        held = self._held.pop(symbol)
        position = held.holding.position
        fill = closing_fill(position, touch, at, terms=self.terms, rules=self._rules[symbol])
        self.balance += apply_fill(position, fill).realised
        return Execution(symbol=symbol, fill=fill, venue_leg=Leg(touch.leg), opened_at=position.opened_at)

    def protect(self, symbol: str, protection: Protection) -> None:
        """Sets stops and target of an open position, as somebody who trades at a live venue does.

        A trailing stop that stands as wanted keeps how far it has come.
        """
        held = self._held.get(symbol)
        if held is None:
            return
        before, wanted = held.holding.protection.trailing, protection.trailing
        if before is not None and wanted is not None and _same(before, wanted):
            protection = msgspec.structs.replace(protection, trailing=before)
        self._hold(_protected(held.holding, protection), checked_ms=held.checked_ms)

    def trail(self, symbol: str, candle: Candle, close_ms: int) -> TrailMoved | None:
        """After a candle that did not end the position: its trailing stop follows; None: it stays where it is."""
        held = self._held.get(symbol)
        if held is None or held.triggers.trail is None or held.holding.protection.trailing is None:
            return None
        moved = held.triggers.trail.after(candle)
        if moved is held.triggers.trail:
            return None
        assert moved.best is not None
        opened_at = held.holding.position.opened_at
        assert opened_at is not None
        wanted = held.holding.protection
        trailing = msgspec.structs.replace(held.holding.protection.trailing, best=moved.best)
        wanted = msgspec.structs.replace(wanted, trailing=trailing)
        self._hold(_protected(held.holding, wanted), checked_ms=held.checked_ms)
        return TrailMoved(symbol=symbol, opened_at=opened_at, best=moved.best, at=from_ms(close_ms))

    def fund(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        """Settles funding on a position held before `at`, once per symbol and time."""
        held, funded = self._held.get(symbol), self._funded.get(symbol)
        if held is None or (funded is not None and funded >= at):
            return None
        position = held.holding.position
        amount = funding_amount(position, at, rate=rate, mark=mark)
        if amount is None:
            return None
        self._funded[symbol] = at
        applied = apply_funding(position, amount)
        self.balance += applied.realised
        self._hold(
            msgspec.structs.replace(held.holding, position=applied.position), checked_ms=held.checked_ms
        )
        return FundingPaid(symbol=symbol, funding_id=f"funding.{to_ms(at)}", amount=amount, at=at)

    def _hold(self, holding: Holding, *, checked_ms: int | None = None) -> None:
        set_ = triggers(
            holding.position,
            holding.protection,
            leverage=holding.leverage,
            terms=self.terms,
            rules=self._rules[holding.symbol],
        )
        held = self._held[holding.symbol] = _Held(holding, set_)
        if checked_ms is not None:
            held.checked_ms = checked_ms


def order_fill(order: Order, match: Match, at: datetime, terms: Terms) -> Fill:
    """A fill of `order`. Its trade id follows from order and time, so that a repeat deduplicates."""
    return Fill(
        trade_id=f"{order.client_order_id}.{to_ms(at)}",
        side=order.side,
        quantity=match.quantity,
        price=match.price,
        commission=terms.commission(match.quantity * match.price, maker=match.maker),
        executed_at=at,
        maker=match.maker,
    )


def closing_fill(
    position: Position, touch: Touched, at: datetime, *, terms: Terms, rules: SymbolRules
) -> Fill:
    """The venue's own closing of a whole open position: stop, target or liquidation, as a taker."""
    assert position.opened_at is not None
    side = _SELL if position.quantity > 0 else _BUY
    price = rules.price(touch.price, against_taker(side))
    return Fill(
        trade_id=f"{touch.leg}.{to_ms(position.opened_at)}.{to_ms(at)}",
        side=side,
        quantity=position.size,
        price=price,
        commission=terms.commission(position.size * price, maker=False),
        executed_at=at,
    )


def funding_amount(position: Position, at: datetime, *, rate: Decimal, mark: Decimal) -> Decimal | None:
    """USDT settled at `at`: longs pay `rate` of their value at the mark, shorts get it; None: not held before.

    Source: the USDⓈ-M funding fee, nominal value of positions × funding rate.
    """
    if position.opened_at is None or position.opened_at >= at:
        return None
    return -position.quantity * mark * rate


def _opened(order: Order, position: Position, at: datetime) -> Holding:
    holding = Holding(symbol=order.symbol, position=position, leverage=order.leverage, since=at)
    if order.leg is not Leg.ENTRY:
        return holding
    return _protected(holding, protection_of(order, position.entry_price))


def _protected(holding: Holding, protection: Protection) -> Holding:
    return msgspec.structs.replace(holding, protection=protection)


def _same(one: Trailing, other: Trailing) -> bool:
    return (one.callback_pct, one.activation_price) == (other.callback_pct, other.activation_price)
