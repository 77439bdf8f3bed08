"""One account: wallet, positions, what margin is left, and what a fill does to them.

Conservation is exact: a position carries its cost, a close takes a part of it rounded to 1e-8, and what is
realised is the difference. Fees and funding are rounded the same way, so wallet + unrealised moves by
exactly price changes, fees and funding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from exchanges.simulator.instruments import Instrument
from exchanges.simulator.model import (
    QUOTE,
    ZERO,
    Conditional,
    Income,
    IncomeKind,
    Order,
    Position,
    PositionSide,
    Side,
    Trade,
)

CENT = Decimal("0.00000001")
ENDED_KEPT_MAX = 500_000
DEFAULT_LEVERAGE = 20


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """Rates; `asset_price` is what one unit of another fee asset costs in the quote currency."""

    maker: Decimal = Decimal("0.0002")
    taker: Decimal = Decimal("0.0005")
    asset: str = QUOTE
    asset_price: Decimal = Decimal(1)


class Account:
    """The books of one account. Lists of what has ended keep the newest `ENDED_KEPT_MAX`."""

    def __init__(self, name: str, balance: Decimal, *, fees: Fees | None = None) -> None:
        self.name = name
        self.fees = fees or Fees()
        self.wallet: dict[str, Decimal] = {QUOTE: balance}
        if self.fees.asset != QUOTE:
            self.wallet[self.fees.asset] = Decimal(100)
        self.hedge = False
        self.leverage: dict[str, int] = {}
        self.isolated: dict[str, bool] = {}
        self.isolated_default = False
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.orders: dict[int, Order] = {}
        self.ended: deque[Order] = deque()
        self.by_id: dict[int, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.conditionals: dict[int, Conditional] = {}
        self.conditionals_ended: deque[Conditional] = deque(maxlen=ENDED_KEPT_MAX)
        self.trades: deque[Trade] = deque(maxlen=ENDED_KEPT_MAX)
        self.income: deque[Income] = deque(maxlen=ENDED_KEPT_MAX)
        self.countdowns: dict[str, int] = {}
        self.reserved = ZERO
        self._opening = balance

    # -- what it holds

    def position(self, symbol: str, side: PositionSide) -> Position:
        key = (symbol, side)
        found = self.positions.get(key)
        if found is None:
            found = self.positions[key] = Position(account=self.name, symbol=symbol, side=side)
        return found

    def open_positions(self) -> Iterator[Position]:
        return (position for position in self.positions.values() if position.quantity)

    def leverage_of(self, symbol: str) -> int:
        return self.leverage.get(symbol, DEFAULT_LEVERAGE)

    def is_isolated(self, symbol: str) -> bool:
        return self.isolated.get(symbol, self.isolated_default)

    def opening_balance(self) -> Decimal:
        return self._opening

    def closable(self, symbol: str, side: PositionSide, order_side: Side) -> Decimal:
        """How much an order of that side can close there."""
        held = self.positions.get((symbol, side))
        if held is None or held.quantity * order_side.sign >= 0:
            return ZERO
        return abs(held.quantity)

    def keep(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.by_id[order.order_id] = order
        self.by_client_id[order.request.client_id] = order

    def archive(self, order: Order) -> None:
        """An order that ended; the oldest of too many is forgotten."""
        self.reserved -= order.reserved
        order.reserved = ZERO
        self.orders.pop(order.order_id, None)
        self.ended.append(order)
        if len(self.ended) > ENDED_KEPT_MAX:
            oldest = self.ended.popleft()
            self.by_id.pop(oldest.order_id, None)
            if self.by_client_id.get(oldest.request.client_id) is oldest:
                del self.by_client_id[oldest.request.client_id]

    # -- margin

    def position_margin(self, position: Position, mark: Decimal) -> Decimal:
        """Initial margin: what isolated put aside, or the notional at mark by the leverage."""
        if self.is_isolated(position.symbol):
            return position.margin
        return _cents(abs(position.quantity) * mark / self.leverage_of(position.symbol))

    def unrealised(self, marks: dict[str, Decimal]) -> Decimal:
        return sum((p.unrealised(marks[p.symbol]) for p in self.open_positions()), ZERO)

    def cross_unrealised(self, marks: dict[str, Decimal]) -> Decimal:
        return sum(
            (p.unrealised(marks[p.symbol]) for p in self.open_positions() if not self.is_isolated(p.symbol)),
            ZERO,
        )

    def cross_wallet(self) -> Decimal:
        aside = sum((p.margin for p in self.open_positions() if self.is_isolated(p.symbol)), ZERO)
        return self.wallet[QUOTE] - aside

    def available(self, marks: dict[str, Decimal]) -> Decimal:
        """What margin and resting orders leave, cross losses and profits counted."""
        left = self.wallet[QUOTE] - self.reserved
        for position in self.open_positions():
            mark = marks[position.symbol]
            left -= self.position_margin(position, mark)
            if not self.is_isolated(position.symbol):
                left += position.unrealised(mark)
        return max(left, ZERO)

    def liquidation_price(
        self, position: Position, instrument: Instrument, marks: dict[str, Decimal]
    ) -> Decimal | None:
        """The mark at which the margin no longer covers maintenance; None: out of reach.

        Isolated: of the position's own margin. Cross: of the whole wallet, the other positions' marks standing.
        """
        quantity = position.quantity
        if not quantity:
            return None
        tier = instrument.tier(abs(quantity) * marks[position.symbol])
        if self.is_isolated(position.symbol):
            backing = position.margin
        else:
            backing = self.cross_wallet()
            for other in self.open_positions():
                if other is not position and not self.is_isolated(other.symbol):
                    mark = marks[other.symbol]
                    backing += other.unrealised(mark) - abs(other.quantity) * mark * tier.maintenance_rate
        # backing + price x quantity - cost = rate x price x |quantity| - deduction
        below = quantity - abs(quantity) * tier.maintenance_rate
        price = (position.cost - backing - tier.deduction) / below
        return price if price > 0 else None

    # -- what happens to it

    def book_fill(
        self, position: Position, side: Side, price: Decimal, quantity: Decimal, at_ms: int
    ) -> tuple[Decimal, Decimal]:
        """Moves the position; answers what was realised and how much of the fill closed. A fill may flip it."""
        held = position.quantity
        closed = min(abs(held), quantity) if held * side.sign < 0 else ZERO
        realised = ZERO
        if closed:
            share = position.cost if closed == abs(held) else _cents(position.cost * closed / abs(held))
            # Selling a long: proceeds minus cost; a short's cost is negative, so is what buying it back brings.
            realised = -side.sign * closed * price - share
            freed = position.margin if closed == abs(held) else _cents(position.margin * closed / abs(held))
            position.cost -= share
            position.margin -= freed
            position.quantity += side.sign * closed
            position.realised += realised
        opened = quantity - closed
        if opened:
            if not position.quantity:
                position.opened_ms = at_ms
            position.quantity += side.sign * opened
            position.cost += side.sign * opened * price
            if self.is_isolated(position.symbol):
                position.margin += _cents(opened * price / self.leverage_of(position.symbol))
        position.updated_ms = at_ms
        return realised, closed

    def fee_of(self, fee: Decimal) -> Decimal:
        """In units of the account's fee asset."""
        return _cents(fee if self.fees.asset == QUOTE else fee / self.fees.asset_price)

    def book_income(
        self,
        income_id: int,
        kind: IncomeKind,
        amount: Decimal,
        symbol: str,
        at_ms: int,
        *,
        asset: str = QUOTE,
        trade_id: int | None = None,
    ) -> None:
        """Every change of a wallet goes through here, so that the records add up to it."""
        self.wallet[asset] = self.wallet.get(asset, ZERO) + amount
        self.income.append(
            Income(
                income_id=income_id,
                account=self.name,
                kind=kind,
                amount=amount,
                asset=asset,
                symbol=symbol,
                at_ms=at_ms,
                trade_id=trade_id,
            )
        )


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT)
