"""The market moves on: resting orders fill, conditional orders fire, positions are liquidated, funding is paid.

From one quarter of a minute to the next the price goes straight, past every price between, so that what lies
nearest happens first, each at its own price. At a candle's open, or when a price is set by hand, it jumps: what
fires then does so at the new price; a resting limit order still fills at its own.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchanges.simulator.account import Account
from exchanges.simulator.conditionals import Conditionals
from exchanges.simulator.market import FUNDING_MS
from exchanges.simulator.model import (
    ZERO,
    AccountChanged,
    Conditional,
    IncomeKind,
    Order,
    Origin,
    Position,
    TriggerStatus,
)
from exchanges.simulator.orders import Orders
from exchanges.simulator.tape import QUARTER_MS
from exchanges.simulator.venue import Venue

_CENT = Decimal("0.00000001")
_Reached = Order | Conditional | Position


class Matching:
    def __init__(self, venue: Venue, orders: Orders, conditionals: Conditionals) -> None:
        self._venue = venue
        self._orders = orders
        self._conditionals = conditionals
        self._quarter = venue.now_ms // QUARTER_MS

    def advance(self) -> None:
        """Brings the market to the clock's time. Nothing moves within a quarter of a minute."""
        venue = self._venue
        now = venue.clock.now_ms()
        quarter = now // QUARTER_MS
        if quarter != self._quarter:
            self._walk(quarter)
            venue.now_ms = now
            self._count_down()
        venue.now_ms = now

    def move(self, symbol: str, price: Decimal, *, is_jump: bool) -> None:
        """The price of one symbol goes to `price` now."""
        venue = self._venue
        old = venue.last[symbol]
        book = venue.books[symbol]
        if not book.is_idle:
            for _, _, level, reached in self._on_the_way(symbol, old, price):
                venue.set_last(symbol, price if is_jump else _between(old, level, price))
                self._happen(symbol, reached, level)
        venue.set_last(symbol, price)

    def _walk(self, quarter: int) -> None:
        venue = self._venue
        if quarter > self._quarter:
            for each in range(self._quarter + 1, quarter + 1):
                busy = [symbol for symbol, book in venue.books.items() if not book.is_idle]
                if not busy:
                    break
                venue.now_ms = each * QUARTER_MS
                for symbol in busy:
                    price = venue.market.price(symbol, venue.now_ms)
                    self.move(symbol, price, is_jump=venue.market.is_jump(symbol, venue.now_ms))
                if venue.now_ms % FUNDING_MS == 0:
                    self._pay_funding()
        self._quarter = quarter
        for symbol, book in venue.books.items():
            if book.is_idle:
                venue.set_last(symbol, venue.market.price(symbol, quarter * QUARTER_MS))

    def _on_the_way(
        self, symbol: str, old: Decimal, new: Decimal
    ) -> list[tuple[Decimal, int, Decimal, _Reached]]:
        """What the way from old to new reaches, the nearest first: distance, serial, price, thing."""
        book = self._venue.books[symbol]
        found: list[tuple[Decimal, int, Decimal, _Reached]] = []

        def reach(level: Decimal, thing: _Reached) -> None:
            found.append((abs(_between(old, level, new) - old), len(found), level, thing))

        for order in book.resting.values():
            limit = order.request.price or ZERO
            if new <= limit if order.request.side.sign > 0 else new >= limit:
                reach(limit, order)
        for conditional in book.waiting.values():
            level = self._conditionals.level(conditional, new)
            if level is not None:
                reach(level, conditional)
        for position in book.holders.values():
            level = self._liquidation_level(position, new)
            if level is not None:
                reach(level, position)
        found.sort()
        return found

    def _happen(self, symbol: str, reached: _Reached, level: Decimal) -> None:
        venue = self._venue
        if isinstance(reached, Order):
            if reached.is_open:
                self._orders.fill_resting(reached, level)
        elif isinstance(reached, Conditional):
            if reached.status is TriggerStatus.NEW:
                self._conditionals.fire(reached)
        elif reached.quantity and self._liquidation_level(reached, venue.last[symbol]) is not None:
            self._liquidate(venue.accounts[reached.account], reached)

    def _liquidation_level(self, position: Position, last: Decimal) -> Decimal | None:
        """The last price at which it is liquidated, if `last` reaches it."""
        venue, symbol = self._venue, position.symbol
        account = venue.accounts[position.account]
        price = account.liquidation_price(position, venue.instrument(symbol), venue.marks)
        if price is None:
            return None
        rounding = ROUND_FLOOR if position.quantity > 0 else ROUND_CEILING
        tick = venue.instrument(symbol).tick
        level = ((price - venue.marks[symbol] + venue.last[symbol]) / tick).to_integral_value(rounding) * tick
        is_reached = last <= level if position.quantity > 0 else last >= level
        return level if is_reached else None

    def _liquidate(self, account: Account, position: Position) -> None:
        """Closed at the present price, or at the bankruptcy price where that is better: the insurance fund takes
        the difference, and the fee is at most what is left. So a position never costs more than backs it, and the
        trades alone tell what it cost.
        """
        venue, symbol = self._venue, position.symbol
        for order in list(account.orders.values()):
            if order.request.symbol == symbol and order.request.position_side is position.side:
                self._orders.cancel(account, order)
        backing = position.margin if account.is_isolated(symbol) else account.cross_wallet()
        tick = venue.instrument(symbol).tick
        bankrupt = (position.cost - backing) / position.quantity / tick
        if position.quantity > 0:
            price = max(venue.last[symbol], bankrupt.to_integral_value(ROUND_CEILING) * tick)
        else:
            price = min(venue.last[symbol], bankrupt.to_integral_value(ROUND_FLOOR) * tick)
        fee_max = backing + position.unrealised(price)
        self._orders.force_close(account, position, Origin.LIQUIDATION, price, fee_max=fee_max)

    def _pay_funding(self) -> None:
        venue = self._venue
        for symbol, book in venue.books.items():
            rate = venue.market.funding_rate(symbol, venue.now_ms)
            for position in book.holders.values():
                account = venue.accounts[position.account]
                amount = (-position.quantity * venue.marks[symbol] * rate).quantize(_CENT)
                account.book_income(
                    next(venue.income_ids), IncomeKind.FUNDING, amount, symbol, venue.now_ms
                )  # fmt: skip
                venue.emit(
                    AccountChanged(
                        account=account.name,
                        cause="funding",
                        position=position,
                        change=amount,
                        at_ms=venue.now_ms,
                    )
                )

    def _count_down(self) -> None:
        """Dead-man switches that have run out cancel the symbol's plain orders."""
        venue = self._venue
        for account in venue.accounts.values():
            for symbol, at_ms in list(account.countdowns.items()):
                if at_ms <= venue.now_ms:
                    del account.countdowns[symbol]
                    self._orders.cancel_all(account, symbol)


def _between(old: Decimal, level: Decimal, new: Decimal) -> Decimal:
    """The level, or the end of the way it lies beyond."""
    return min(max(level, min(old, new)), max(old, new))
