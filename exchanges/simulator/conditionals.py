"""Conditional orders: accepted or refused, trailed, fired, and ended with the position they belong to."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchanges.simulator.account import Account
from exchanges.simulator.filters import check_conditional
from exchanges.simulator.model import (
    ZERO,
    Attached,
    Conditional,
    ConditionalChanged,
    ConditionalRequest,
    Order,
    OrderKind,
    OrderRequest,
    Origin,
    Position,
    Reason,
    Refused,
    TriggerBy,
    TriggerKind,
    TriggerStatus,
)
from exchanges.simulator.orders import Orders, check_side, closing_side
from exchanges.simulator.venue import Venue


class Conditionals:
    def __init__(self, venue: Venue, orders: Orders) -> None:
        self._venue = venue
        self._orders = orders
        orders.on_fill = self._on_fill
        orders.on_end = self._on_order_end

    def place(self, account: Account, request: ConditionalRequest) -> Conditional:
        """Raises Refused; margin is not looked at before it fires."""
        venue = self._venue
        check_side(
            account,
            request.position_side,
            may_reduce=not request.reduce_only or venue.manners.reduce_only_in_hedge,
        )
        check_conditional(venue.instrument(request.symbol), request)
        for known in account.conditionals.values():
            if known.request.client_id == request.client_id:
                raise Refused(Reason.DUPLICATE_ID, request.client_id)
        if len(account.conditionals) >= venue.manners.conditionals_max:
            raise Refused(Reason.TOO_MANY_CONDITIONALS)
        self._check_trigger(request)
        conditional = Conditional(
            conditional_id=next(venue.conditional_ids),
            account=account.name,
            request=request,
            created_ms=venue.now_ms,
            updated_ms=venue.now_ms,
            created_s=venue.clock.process_s(),
        )
        if request.kind is TriggerKind.TRAILING and request.activation_price is None:
            conditional.best = self._present(request)
        account.conditionals[conditional.conditional_id] = conditional
        venue.books[request.symbol].waiting[conditional.conditional_id] = conditional
        self._tell(conditional)
        return conditional

    def cancel(self, conditional: Conditional, reason: Reason | None = None) -> Conditional:
        """Raises Refused for one that has fired or ended."""
        if conditional.status is not TriggerStatus.NEW:
            raise Refused(Reason.ORDER_ENDED)
        self._end(conditional, TriggerStatus.CANCELED, reason)
        return conditional

    def cancel_all(self, account: Account, symbol: str | None) -> list[Conditional]:
        found = [
            c
            for c in account.conditionals.values()
            if (symbol is None or c.request.symbol == symbol) and c.status is TriggerStatus.NEW
        ]
        return [self.cancel(conditional) for conditional in found]

    def of_position(self, account: Account, position: Position) -> list[Conditional]:
        """What ends with that position."""
        return [
            c
            for c in account.conditionals.values()
            if c.request.of_position
            and c.request.symbol == position.symbol
            and c.request.position_side is position.side
            and c.status is TriggerStatus.NEW
        ]

    def set_stop(
        self,
        account: Account,
        position: Position,
        kind: TriggerKind,
        trigger_price: Decimal | None,
        *,
        by: TriggerBy = TriggerBy.LAST,
        callback_distance: Decimal | None = None,
        activation_price: Decimal | None = None,
    ) -> Conditional | None:
        """Makes this the position's one order of that kind, for all of it; no price and no distance: none of it.

        The old one goes only when the new one is accepted. Raises Refused.
        """
        old = [c for c in self.of_position(account, position) if c.request.kind is kind]
        placed = None
        if trigger_price is not None or callback_distance is not None:
            if not position.quantity:
                raise Refused(Reason.NOTHING_OPEN)
            side = closing_side(position)
            rises = (side.sign > 0) == (kind is not TriggerKind.TAKE_PROFIT)
            placed = self.place(
                account,
                ConditionalRequest(
                    symbol=position.symbol,
                    side=side,
                    kind=kind,
                    client_id=f"{kind}-{next(self._venue.income_ids)}",
                    rises=rises,
                    trigger_price=trigger_price,
                    callback_distance=callback_distance,
                    activation_price=activation_price,
                    by=by,
                    close_position=True,
                    position_side=position.side,
                    of_position=True,
                ),
            )
        for conditional in old:
            self.cancel(conditional)
        return placed

    # -- the price moved

    def level(self, conditional: Conditional, new: Decimal) -> Decimal | None:
        """The last price at which it fires on the way to `new`; None: it does not."""
        request = conditional.request
        offset = ZERO
        if request.by is TriggerBy.MARK:
            offset = self._venue.marks[request.symbol] - self._venue.last[request.symbol]
        if request.kind is TriggerKind.TRAILING:
            trigger = self._trail(conditional, new + offset)
        else:
            trigger = request.trigger_price
        if trigger is None:
            return None
        trigger -= offset
        is_reached = new >= trigger if request.rises else new <= trigger
        return trigger if is_reached else None

    def fire(self, conditional: Conditional) -> None:
        """At the present price: becomes a real order, or ends without one."""
        venue, request = self._venue, conditional.request
        account = venue.accounts[conditional.account]
        conditional.triggered_ms = venue.now_ms
        venue.books[request.symbol].waiting.pop(conditional.conditional_id, None)
        conditional.status = TriggerStatus.TRIGGERED
        conditional.updated_ms = venue.now_ms
        self._tell(conditional)
        closable = account.closable(request.symbol, request.position_side, request.side)
        quantity = closable if request.close_position else request.quantity or ZERO
        if not quantity:
            self._end(conditional, TriggerStatus.FINISHED, Reason.NOTHING_OPEN)
            return
        is_market = request.limit_price is None
        closes = (request.close_position or request.reduce_only) and not account.hedge
        try:
            self._orders.place(
                account,
                OrderRequest(
                    symbol=request.symbol,
                    side=request.side,
                    kind=OrderKind.MARKET if is_market else OrderKind.LIMIT,
                    quantity=quantity,
                    client_id=request.client_id,
                    price=request.limit_price,
                    tif=request.tif,
                    reduce_only=closes,
                    position_side=request.position_side,
                    attached=request.attached,
                ),
                origin=Origin.CONDITIONAL,
                conditional_id=conditional.conditional_id,
            )
        except Refused as refusal:
            self._end(conditional, TriggerStatus.REJECTED, refusal.reason)

    # -- hooks of plain orders

    def _on_fill(self, order: Order, position: Position) -> None:
        account = self._venue.accounts[order.account]
        if order.conditional_id is not None and order.conditional_id in account.conditionals:
            account.conditionals[order.conditional_id].order_id = order.order_id
        if not position.quantity:
            for conditional in self.of_position(account, position):
                self.cancel(conditional, Reason.NOTHING_OPEN)
        elif order.request.attached is not None:
            self._attach(account, position, order.request.attached)

    def _on_order_end(self, order: Order) -> None:
        account = self._venue.accounts[order.account]
        conditional = account.conditionals.get(order.conditional_id or 0)
        if conditional is not None:
            conditional.order_id = order.order_id
            self._end(conditional, TriggerStatus.FINISHED, order.reason)

    def _attach(self, account: Account, position: Position, attached: Attached) -> None:
        """A stop the market has passed already fires at once, as if it had stood."""
        wanted = (
            (TriggerKind.STOP, attached.stop_loss, attached.stop_by),
            (TriggerKind.TAKE_PROFIT, attached.take_profit, attached.target_by),
        )
        for kind, price, by in wanted:
            if price is None or not position.quantity:
                continue
            try:
                self.set_stop(account, position, kind, price, by=by)
            except Refused as refusal:
                if refusal.reason is not Reason.WOULD_TRIGGER:
                    raise
                self._close_now(account, position)

    def _close_now(self, account: Account, position: Position) -> None:
        self._orders.place(
            account,
            OrderRequest(
                symbol=position.symbol,
                side=closing_side(position),
                kind=OrderKind.MARKET,
                quantity=abs(position.quantity),
                client_id=f"stop-{next(self._venue.income_ids)}",
                reduce_only=not account.hedge,
                position_side=position.side,
            ),
            origin=Origin.CONDITIONAL,
        )

    # -- inside

    def _check_trigger(self, request: ConditionalRequest) -> None:
        present = self._present(request)
        if request.kind is TriggerKind.TRAILING:
            activation = request.activation_price
            # A sell trails a rise, so it starts above the market; a buy below.
            if activation is not None and (activation <= present) == (request.side.sign < 0):
                raise Refused(Reason.ACTIVATION_PRICE)
            return
        trigger = request.trigger_price or ZERO
        if present >= trigger if request.rises else present <= trigger:
            raise Refused(Reason.WOULD_TRIGGER)

    def _trail(self, conditional: Conditional, new: Decimal) -> Decimal | None:
        request = conditional.request
        sells = request.side.sign < 0
        if conditional.best is None:
            activation = request.activation_price
            if activation is None or (new < activation if sells else new > activation):
                return None
            conditional.best = new
        conditional.best = max(conditional.best, new) if sells else min(conditional.best, new)
        if request.callback_pct is not None:
            back = conditional.best * request.callback_pct / 100
        else:
            back = request.callback_distance or ZERO
        # On the grid, away from the best price: what fires there must be a price one can trade at.
        tick = self._venue.instrument(request.symbol).tick
        if sells:
            return ((conditional.best - back) / tick).to_integral_value(ROUND_FLOOR) * tick
        return ((conditional.best + back) / tick).to_integral_value(ROUND_CEILING) * tick

    def _present(self, request: ConditionalRequest) -> Decimal:
        prices = self._venue.marks if request.by is TriggerBy.MARK else self._venue.last
        return prices[request.symbol]

    def _end(self, conditional: Conditional, status: TriggerStatus, reason: Reason | None) -> None:
        venue = self._venue
        account = venue.accounts[conditional.account]
        conditional.status, conditional.reason = status, reason
        conditional.updated_ms = venue.now_ms
        venue.books[conditional.request.symbol].waiting.pop(conditional.conditional_id, None)
        account.conditionals.pop(conditional.conditional_id, None)
        account.conditionals_ended.append(conditional)
        self._tell(conditional)

    def _tell(self, conditional: Conditional) -> None:
        venue = self._venue
        venue.emit(
            ConditionalChanged(account=conditional.account, conditional=conditional, at_ms=venue.now_ms)
        )
