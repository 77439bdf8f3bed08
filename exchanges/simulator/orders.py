"""Plain orders: accepted or refused, filled, cancelled, expired."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchanges.simulator.account import Account
from exchanges.simulator.filters import check_order
from exchanges.simulator.model import (
    QUOTE,
    ZERO,
    AccountChanged,
    IncomeKind,
    Order,
    OrderChanged,
    OrderKind,
    OrderRequest,
    OrderStatus,
    Origin,
    Position,
    PositionSide,
    Reason,
    Refused,
    Side,
    TimeInForce,
    Trade,
)
from exchanges.simulator.venue import Venue

_CENT = Decimal("0.00000001")


class Orders:
    """`on_fill` and `on_end` are told after the books are right: protection and conditional orders hang on them."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.on_fill: Callable[[Order, Position], None] = lambda order, position: None
        self.on_end: Callable[[Order], None] = lambda order: None

    def place(
        self,
        account: Account,
        request: OrderRequest,
        *,
        origin: Origin = Origin.CLIENT,
        conditional_id: int | None = None,
    ) -> Order:
        """The order as it stands after the market was looked at. Raises Refused, and then nothing happened."""
        venue = self._venue
        instrument = venue.instrument(request.symbol)
        may_reduce = not request.reduce_only or venue.manners.reduce_only_in_hedge
        check_side(account, request.position_side, may_reduce=may_reduce)
        if origin is Origin.CLIENT:
            check_order(instrument, request, venue.marks[request.symbol])
            self._check_id(account, request.client_id)
            self._check_room(account, request)
        quantity = self._check_reducing(account, request)
        opening = max(quantity - account.closable(request.symbol, request.position_side, request.side), ZERO)
        reserved = self._check_margin(account, request, ZERO if request.reduce_only else opening)
        unfillable = self._unfillable(request)
        if unfillable is not None and not venue.manners.ends_unfillable:
            raise Refused(unfillable)
        order = Order(
            order_id=next(venue.order_ids),
            account=account.name,
            request=request,
            quantity=quantity,
            status=OrderStatus.NEW,
            created_ms=venue.now_ms,
            updated_ms=venue.now_ms,
            created_s=venue.clock.process_s(),
            origin=origin,
            conditional_id=conditional_id,
        )
        account.keep(order)
        venue.emit(OrderChanged(account=account.name, order=order, at_ms=venue.now_ms))
        if unfillable is not None:
            self.end(order, OrderStatus.CANCELED, unfillable)
        else:
            self._match(order, reserved)
        return order

    def cancel(self, account: Account, order: Order) -> Order:
        """Raises Refused for one that has ended."""
        if not order.is_open:
            raise Refused(Reason.ORDER_ENDED)
        self.end(order, OrderStatus.CANCELED)
        return order

    def cancel_all(self, account: Account, symbol: str | None) -> list[Order]:
        found = [o for o in account.orders.values() if symbol is None or o.request.symbol == symbol]
        return [self.cancel(account, order) for order in found]

    def fill_resting(self, order: Order, price: Decimal) -> None:
        """The price came to a resting order."""
        account = self._venue.accounts[order.account]
        request = order.request
        quantity = self._fillable(request.symbol, order.remaining)
        if request.reduce_only:
            closable = account.closable(request.symbol, request.position_side, request.side)
            if not closable:
                self.end(order, OrderStatus.EXPIRED, Reason.REDUCE_ONLY)
                return
            quantity = min(quantity, closable)
        if quantity:
            self.fill(order, price, quantity, is_maker=True)

    def force_close(
        self,
        account: Account,
        position: Position,
        origin: Origin,
        price: Decimal,
        *,
        fee_max: Decimal | None = None,
    ) -> Order:
        """The venue's own order: closes all of a position at a price, whatever the liquidity."""
        venue = self._venue
        order_id = next(venue.order_ids)
        request = OrderRequest(
            symbol=position.symbol,
            side=closing_side(position),
            kind=OrderKind.LIMIT,
            tif=TimeInForce.IOC,
            quantity=abs(position.quantity),
            price=price,
            client_id=venue.manners.name_of(origin, order_id),
            reduce_only=not account.hedge,
            position_side=position.side,
        )
        order = Order(
            order_id=order_id,
            account=account.name,
            request=request,
            quantity=request.quantity,
            status=OrderStatus.NEW,
            created_ms=venue.now_ms,
            updated_ms=venue.now_ms,
            created_s=venue.clock.process_s(),
            origin=origin,
        )
        account.keep(order)
        self.fill(order, price, request.quantity, is_maker=False, fee_max=fee_max)
        return order

    def end(self, order: Order, status: OrderStatus, reason: Reason | None = None) -> None:
        venue = self._venue
        order.status, order.reason, order.updated_ms = status, reason, venue.now_ms
        self._close(order)
        venue.emit(OrderChanged(account=order.account, order=order, at_ms=venue.now_ms))
        self.on_end(order)

    def fill(
        self,
        order: Order,
        price: Decimal,
        quantity: Decimal,
        *,
        is_maker: bool,
        fee_max: Decimal | None = None,
    ) -> Trade:
        venue, request = self._venue, order.request
        account, now = venue.accounts[order.account], venue.now_ms
        position = account.position(request.symbol, request.position_side)
        realised, closed = account.book_fill(position, request.side, price, quantity, now)
        order.filled += quantity
        order.notional += price * quantity
        order.status = OrderStatus.PARTLY_FILLED if order.remaining else OrderStatus.FILLED
        order.updated_ms = now
        fee = self._fee(account, order, price * quantity, fee_max, is_maker=is_maker)
        trade = self._book(account, order, price, quantity, realised, closed, fee, is_maker=is_maker)
        if order.reserved:
            kept = (order.reserved * order.remaining / (order.remaining + quantity)).quantize(_CENT)
            account.reserved -= order.reserved - kept
            order.reserved = kept
        holders = venue.books[request.symbol].holders
        if position.quantity:
            holders[account.name, position.side] = position
        else:
            holders.pop((account.name, position.side), None)
        if not order.remaining:
            self._close(order)
        venue.emit(
            AccountChanged(account=account.name, cause="order", position=position, change=realised, at_ms=now)
        )
        venue.emit(OrderChanged(account=account.name, order=order, at_ms=now, trade=trade))
        if not position.quantity:
            self._expire_reducing(account, position)
        self.on_fill(order, position)
        if not order.remaining:
            self.on_end(order)
        return trade

    # -- checks

    def _check_room(self, account: Account, request: OrderRequest) -> None:
        if request.kind is OrderKind.MARKET or len(account.orders) < self._venue.manners.open_orders_max:
            return
        resting = sum(1 for order in account.orders.values() if order.request.symbol == request.symbol)
        if resting >= self._venue.manners.open_orders_max:
            raise Refused(Reason.TOO_MANY_ORDERS)

    def _check_id(self, account: Account, client_id: str) -> None:
        known = account.by_client_id.get(client_id)
        if known is not None and (known.is_open or self._venue.manners.ids_unique_forever):
            raise Refused(Reason.DUPLICATE_ID, client_id)

    def _check_reducing(self, account: Account, request: OrderRequest) -> Decimal:
        """The quantity that may be executed: a reduce-only market order is cut to what is open."""
        closable = account.closable(request.symbol, request.position_side, request.side)
        if request.reduce_only:
            if not closable:
                raise Refused(Reason.REDUCE_ONLY)
            return min(request.quantity, closable) if request.kind is OrderKind.MARKET else request.quantity
        closes_in_hedge = account.hedge and request.side.sign != _opening_sign(request.position_side)
        if closes_in_hedge and request.quantity > closable:
            raise Refused(Reason.REDUCE_ONLY)
        return request.quantity

    def _check_margin(self, account: Account, request: OrderRequest, opening: Decimal) -> Decimal:
        """Margin that an order resting in full holds back. Raises Refused."""
        if not opening or (account.hedge and request.side.sign != _opening_sign(request.position_side)):
            return ZERO
        venue = self._venue
        price = venue.last[request.symbol]
        if request.price is not None and request.kind is OrderKind.LIMIT:
            price = request.price
        notional = opening * price
        leverage = account.leverage_of(request.symbol)
        needed = (notional / leverage).quantize(_CENT)
        if needed + notional * account.fees.taker > account.available(venue.marks):
            raise Refused(Reason.MARGIN)
        held = account.position(request.symbol, request.position_side)
        tier = venue.instrument(request.symbol).tier(notional + abs(held.quantity) * price)
        if leverage > tier.leverage_max:
            raise Refused(Reason.POSITION_LIMIT)
        return needed

    def _unfillable(self, request: OrderRequest) -> Reason | None:
        if request.tif is TimeInForce.POST_ONLY and self._is_marketable(request):
            return Reason.POST_ONLY
        if request.tif is TimeInForce.FOK:
            fillable = self._fillable(request.symbol, request.quantity)
            if not self._is_marketable(request) or fillable < request.quantity:
                return Reason.FILL_OR_KILL
        return None

    # -- matching at arrival

    def _match(self, order: Order, reserved: Decimal) -> None:
        request = order.request
        if request.kind is OrderKind.MARKET or self._is_marketable(request):
            quantity = self._fillable(request.symbol, order.quantity)
            if request.reduce_only:
                account = self._venue.accounts[order.account]
                quantity = min(
                    quantity, account.closable(request.symbol, request.position_side, request.side)
                )
            if quantity:
                self.fill(order, self._venue.last[request.symbol], quantity, is_maker=False)
        if not order.is_open:
            return
        if request.kind is OrderKind.MARKET or request.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self.end(order, OrderStatus.EXPIRED)
            return
        account = self._venue.accounts[order.account]
        order.reserved = (reserved * order.remaining / order.quantity).quantize(_CENT)
        account.reserved += order.reserved
        self._venue.books[request.symbol].resting[order.order_id] = order

    def _is_marketable(self, request: OrderRequest) -> bool:
        if request.kind is OrderKind.MARKET or request.price is None:
            return True
        last = self._venue.last[request.symbol]
        return last <= request.price if request.side.sign > 0 else last >= request.price

    def _fillable(self, symbol: str, quantity: Decimal) -> Decimal:
        limit = self._venue.liquidity.get(symbol)
        return quantity if limit is None else min(quantity, limit)

    # -- books

    def _book(
        self,
        account: Account,
        order: Order,
        price: Decimal,
        quantity: Decimal,
        realised: Decimal,
        closed: Decimal,
        fee: Decimal,
        *,
        is_maker: bool,
    ) -> Trade:
        venue, request = self._venue, order.request
        now = venue.now_ms
        order.fees += fee
        trade = Trade(
            trade_id=next(venue.trade_ids),
            order_id=order.order_id,
            client_id=request.client_id,
            account=account.name,
            symbol=request.symbol,
            side=request.side,
            position_side=request.position_side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_asset=account.fees.asset,
            realised=realised,
            closed=closed,
            is_maker=is_maker,
            at_ms=now,
            created_s=venue.clock.process_s(),
            origin=order.origin,
        )
        account.trades.append(trade)
        if closed:
            account.book_income(
                next(venue.income_ids), IncomeKind.REALISED, realised, request.symbol, now,
                asset=QUOTE, trade_id=trade.trade_id,
            )  # fmt: skip
        account.book_income(
            next(venue.income_ids), IncomeKind.COMMISSION, -fee, request.symbol, now,
            asset=account.fees.asset, trade_id=trade.trade_id,
        )  # fmt: skip
        return trade

    def _fee(
        self, account: Account, order: Order, notional: Decimal, most: Decimal | None, *, is_maker: bool
    ) -> Decimal:
        rate = account.fees.maker if is_maker else account.fees.taker
        if order.origin is Origin.LIQUIDATION:
            rate = self._venue.instrument(order.request.symbol).liquidation_fee
        fee = notional * rate
        return account.fee_of(fee if most is None else min(fee, most))

    def _close(self, order: Order) -> None:
        self._venue.books[order.request.symbol].resting.pop(order.order_id, None)
        self._venue.accounts[order.account].archive(order)

    def _expire_reducing(self, account: Account, position: Position) -> None:
        """Nothing is left to reduce: resting reduce-only orders of that position end."""
        for order in list(account.orders.values()):
            request = order.request
            is_of_position = request.symbol == position.symbol and request.position_side is position.side
            if is_of_position and request.reduce_only and order.is_open:
                self.end(order, OrderStatus.EXPIRED, Reason.REDUCE_ONLY)


def check_side(account: Account, side: PositionSide, *, may_reduce: bool) -> None:
    """One-way accounts know no position side, hedge accounts demand one. Raises Refused."""
    if account.hedge != (side is not PositionSide.BOTH):
        raise Refused(Reason.POSITION_SIDE)
    if account.hedge and not may_reduce:
        raise Refused(Reason.REDUCE_ONLY_IN_HEDGE)


def closing_side(position: Position) -> Side:
    return Side.SELL if position.quantity > 0 else Side.BUY


def _opening_sign(side: PositionSide) -> int:
    return -1 if side is PositionSide.SHORT else 1
