"""The paper account behind the interface of every venue.

Keeps nothing that the store does not have: after a restart `restore` rebuilds it from positions and open orders, an
intent it never answered was not placed, and what happens again gets the same trade ids (decision 28).

Market orders fill at an opening; resting orders, stops, targets and liquidations fill in the closed candles that
`apply_candle` is given. In which order things happened inside a candle is unknown: stop, target and liquidation of the
position come first; if none was touched, resting orders, then stop and liquidation of a position these opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from threading import Lock

import msgspec

from core.candles import Candle
from core.clock import Clock
from core.ids import ClientOrderId
from core.market import SymbolRules
from core.order import Leg, Order, OrderKind, OrderStatus
from core.position import ZERO
from core.protection import Protection
from core.quiet import Quiet
from core.timeframe import ENTRY_WINDOW, Timeframe, from_ms, to_ms
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    Listener,
    MarginMode,
    News,
    OrderReport,
    PositionMode,
    VenuePosition,
)
from exchanges.errors import ErrorKind, NoPrice, NotPlaced, Refusal, Rejected
from exchanges.paper.account import Holding, PaperAccount
from exchanges.paper.book import (
    Match,
    Opening,
    Touched,
    limit_match,
    market_price,
    share_of,
    standing,
    touched,
)
from exchanges.paper.filters import check_filters
from exchanges.paper.orders import MAX_RESTING, PaperOrders, Resting, venue_order_id
from exchanges.paper.prices import PriceSource
from exchanges.paper.terms import Terms
from exchanges.wire import Leave

NO_VOLUME = "no volume left to fill at"
NOTHING_TO_REDUCE = "nothing left to reduce"

_DECIDED = frozenset({Leg.ENTRY, Leg.EXIT})
"""Legs of ticks, whose slots are when they were decided."""

# A candle's last millisecond: fills inside it belong to the day it opened in, not to the one it closes into.
_INSIDE_MS = 1


class _Step(msgspec.Struct, frozen=True):
    """A closed candle with its times."""

    candle: Candle
    close_ms: int

    @property
    def opened(self) -> datetime:
        return from_ms(self.candle.open_time_ms)

    @property
    def inside(self) -> datetime:
        return from_ms(self.close_ms - _INSIDE_MS)


class PaperExchange:
    """One paper account. Methods may be called from the event loop and from actors: a lock, never held across an
    await, guards the state. News are told outside it, in order, by whichever call caused them.
    """

    def __init__(
        self,
        *,
        terms: Terms,
        rules: Mapping[str, SymbolRules],
        prices: PriceSource,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        on_news: Listener,
        balance: Decimal,
        price_timeout_s: float = 10.0,
        outage_orders: int = 0,
        outage_left: Callable[[int], None] | None = None,
    ) -> None:
        """`outage_orders`: so many orders are refused as if the venue could not be reached; `outage_left` is told what
        remains after each, so that the drill survives a restart.
        """
        self._terms = terms
        self._rules = rules
        self._prices = prices
        self._clock = clock
        self._sleep = sleep
        self._on_news = on_news
        self._price_timeout_s = price_timeout_s
        self._outage = outage_orders
        self._outage_left = outage_left
        self._lock = Lock()
        self._account = PaperAccount(terms, rules, balance)
        self._orders = PaperOrders()
        self._last: dict[str, _Step] = {}
        self._taken: dict[str, tuple[datetime, Decimal]] = {}

    def restore(
        self, *, balance: Decimal, holdings: Iterable[Holding], open_orders: Iterable[Order] = ()
    ) -> None:
        """Takes over stored positions and resting orders; of `open_orders`, oldest first, those it had acknowledged.

        An intent or an order of unknown fate was not placed. Candles seen before may be applied again: positions
        know since when they stand, and resting orders start anew with the next candle to open.
        """
        now_ms = to_ms(self._clock.now())
        with self._lock:
            self._account = PaperAccount(self._terms, self._rules, balance, holdings)
            self._orders = PaperOrders()
            self._last = {}
            acknowledged = (OrderStatus.SUBMITTED, OrderStatus.PARTIAL)
            for order in open_orders:
                if order.kind is not OrderKind.LIMIT or order.status not in acknowledged:
                    continue
                self._orders.rest(Resting(order, now_ms, order.filled_quantity))

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        """Market orders fill at once, at the opening after their slot, and what volume does not allow expires."""
        with self._lock:
            known = self._orders.report(order.symbol, order.client_order_id)
        if known is not None:
            return known
        await leave()
        self._spend_outage(order)
        rules = self._rules_of(order.symbol)
        check_filters(order, rules, max_leverage=self._terms.max_leverage)
        if order.kind is OrderKind.LIMIT:
            with self._lock:
                return self._rest(order)
        with self._lock:
            self._check_account(order)
        opening = await self._opening(order)
        with self._lock:
            known = self._orders.report(order.symbol, order.client_order_id)
            if known is None:
                self._check_account(order)
                known = self._fill(order, opening, rules)
        return known

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        with self._lock:
            for resting in self._orders.resting(symbol):
                if resting.order.client_order_id == client_order_id:
                    self._orders.end(resting, OrderStatus.CANCELED, "canceled on request")
            return self._orders.report(symbol, client_order_id)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        with self._lock:
            return self._orders.report(symbol, client_order_id)

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        with self._lock:
            return [resting.report for resting in self._orders.resting(symbol)]

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        with self._lock:
            return self._orders.executions(symbol, since)

    async def positions(self) -> list[VenuePosition]:
        with self._lock:
            return [self._venue_position(holding) for holding in self._account.holdings()]

    async def balance(self) -> Balance:
        with self._lock:
            reserved = self._orders.reserved_margin()
            account = self._account
            return Balance(
                balance=account.balance, available=account.balance - account.used_margin - reserved
            )

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        """Nothing is kept: leverage comes with each entry, margin is isolated, positions are one-way."""
        self._rules_of(symbol)
        if margin_mode is not MarginMode.ISOLATED or position_mode is not PositionMode.ONE_WAY:
            sentence = f"The paper venue trades isolated and one-way, not {margin_mode} and {position_mode}."
            raise Rejected(Refusal.UNSUPPORTED, sentence)
        if not 1 <= leverage <= self._terms.max_leverage:
            raise Rejected(
                Refusal.LEVERAGE, f"Leverage {leverage} is outside 1 to {self._terms.max_leverage}."
            )

    async def rules(self, symbol: str) -> SymbolRules:
        return self._rules_of(symbol)

    def protect(self, symbol: str, wanted: Protection) -> Protection:
        """Have exactly `wanted` stand for what is open in `symbol`; what stands, on the price grid."""
        with self._lock:
            self._account.protect(symbol, wanted)
            set_ = self._account.triggers(symbol)
            return Protection() if set_ is None else standing(set_)

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        """What happens in a closed candle of the finest feed. Older and repeated candles change nothing."""
        step = _Step(candle, candle.open_time_ms + timeframe.ms)
        news: list[News] = []
        with self._lock:
            last = self._last.get(symbol)
            if last is not None and candle.open_time_ms <= last.candle.open_time_ms:
                return
            self._last[symbol] = step
            # An order answered late may have filled at the opening of the candle before, which had closed by then.
            for due in (last, step):
                if due is not None:
                    self._run(symbol, due, news)
        self._tell(news)

    def apply_funding(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        """Settles funding at `at` (00, 08 and 16 UTC for most symbols) on a position held before it.

        Venues stamp settlements some milliseconds late, hence the minute counts. Call it after the candles that
        closed by then and before the orders of that slot.
        """
        with self._lock:
            paid = self._account.fund(symbol, at.replace(second=0, microsecond=0), rate=rate, mark=mark)
        if paid is not None:
            self._tell([paid])
        return paid

    def following(self) -> dict[str, Quiet | None]:
        """Symbols with a position or a resting order: those whose candles matter, and at which prices they do not.

        None: every candle matters, as to an order that rests and may have to be ended.
        """
        with self._lock:
            followed: dict[str, Quiet | None] = {**self._account.quiet()}
            followed.update(dict.fromkeys(self._orders.resting_symbols()))
            return followed

    def holdings(self) -> list[Holding]:
        with self._lock:
            return self._account.holdings()

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Balance plus unrealised PnL at `prices`, which must name every symbol that is open."""
        with self._lock:
            return self._account.equity(prices)

    def _spend_outage(self, order: Order) -> None:
        if self._outage <= 0:
            return
        self._outage -= 1
        if self._outage_left is not None:
            self._outage_left(self._outage)
        sentence = f"The paper venue cannot be reached for order {order.client_order_id} (outage drill)."
        raise NotPlaced(ErrorKind.CONNECTION, sentence)

    def _rules_of(self, symbol: str) -> SymbolRules:
        rules = self._rules.get(symbol)
        if rules is None:
            raise Rejected(Refusal.UNKNOWN_SYMBOL, f"The paper venue does not trade {symbol}.")
        return rules

    def _check_account(self, order: Order) -> None:
        position = self._account.position(order.symbol)
        if order.reduce_only:
            if position.quantity * order.side.sign >= 0:
                sentence = f"Reduce-only order {order.client_order_id} has nothing to reduce."
                raise Rejected(Refusal.REDUCE_ONLY, sentence)
            return
        price = order.reference_price if order.price is None else order.price
        missing = self._account.shortfall(order, price, self._orders.reserved_margin())
        if missing:
            sentence = f"Order {order.client_order_id} needs {missing:.2f} USDT more margin than is free."
            raise Rejected(Refusal.INSUFFICIENT_MARGIN, sentence)

    async def _opening(self, order: Order) -> Opening:
        """A prompt order meets the candle that opens at its slot, a late one the first to open from now on.

        A feed that knows the future does not make it happen: nothing fills before market time is there. An order whose
        slot lies between two candles, as a signal's from outside, meets the price known now.
        """
        now = self._clock.now()
        if order.leg in _DECIDED and not Timeframe.M1.is_slot(order.slot):
            running = await self._prices.running(order.symbol, now)
            if running is None:
                raise NoPrice(f"There is no price of {order.symbol} at {now.isoformat()}.")
            return running
        at = order.slot if now - order.slot <= ENTRY_WINDOW else now
        opening = await self._prices.opening(order.symbol, at, self._price_timeout_s)
        if opening is not None:
            ahead_s = self._clock.seconds_until(opening.at)
            if ahead_s <= self._price_timeout_s:
                if ahead_s > 0:
                    await self._sleep(ahead_s)
                return opening
        raise NoPrice(f"No {order.symbol} candle opened from {at.isoformat()} on in time.")

    def _fill(self, order: Order, opening: Opening, rules: SymbolRules) -> OrderReport:
        wanted = order.quantity
        if order.reduce_only:
            wanted = min(wanted, self._account.position(order.symbol).size)
        share = share_of(opening.volume, self._terms, rules.market_step_size)
        quantity = min(wanted, share - self._taken_at(order.symbol, opening.at))
        executions: tuple[Execution, ...] = ()
        if quantity > 0:
            price = market_price(order.side, opening.price, self._terms, rules)
            match = Match(quantity=quantity, price=price)
            executions = (self._account.fill(order, match, opening.at, filled_before=ZERO),)
            self._take(order.symbol, opening.at, quantity)
        filled = max(quantity, ZERO)
        whole = filled == order.quantity
        reason = None if whole else NO_VOLUME if filled < wanted else NOTHING_TO_REDUCE
        report = OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=venue_order_id(order),
            status=OrderStatus.FILLED if whole else OrderStatus.EXPIRED,
            filled_quantity=filled,
            executions=executions,
            reason=reason,
        )
        self._orders.executed(executions)
        self._orders.ended(order, report)
        return report

    def _rest(self, order: Order) -> OrderReport:
        self._check_account(order)
        if len(self._orders.resting(order.symbol)) >= MAX_RESTING:
            raise Rejected(Refusal.TOO_MANY_ORDERS, f"{MAX_RESTING} {order.symbol} orders are open already.")
        now = self._clock.now()
        from_ms = to_ms(order.slot if now - order.slot <= ENTRY_WINDOW else now)
        resting = Resting(order, from_ms)
        self._orders.rest(resting)
        return resting.report

    def _taken_at(self, symbol: str, at: datetime) -> Decimal:
        """What this account's market orders have already taken of the candle that opened at `at`."""
        taken = self._taken.get(symbol)
        return taken[1] if taken is not None and taken[0] == at else ZERO

    def _take(self, symbol: str, at: datetime, quantity: Decimal) -> None:
        self._taken[symbol] = (at, self._taken_at(symbol, at) + quantity)

    def _run(self, symbol: str, step: _Step, news: list[News]) -> None:
        set_ = self._account.reached(symbol, step.candle, step.close_ms)
        touch = None if set_ is None else touched(set_, step.candle)
        if touch is not None:
            self._close(symbol, touch, step, news)
        elif set_ is not None:
            self._trail(symbol, step, news)
        resting = self._orders.resting(symbol)
        if resting:
            self._run_resting(symbol, resting, step, news)

    def _run_resting(self, symbol: str, resting: list[Resting], step: _Step, news: list[News]) -> None:
        rules = self._rules[symbol]
        share = share_of(step.candle.volume, self._terms, rules.step_size)
        available = share - self._taken_at(symbol, step.opened)
        for one in resting:
            if step.candle.open_time_ms < one.from_ms:
                continue
            left = one.left
            if one.order.reduce_only:
                position = self._account.position(symbol)
                if position.quantity * one.order.side.sign >= 0:
                    news.append(self._orders.end(one, OrderStatus.EXPIRED, NOTHING_TO_REDUCE))
                    continue
                left = min(left, position.size)
            quantity, arrives = min(left, available), one.arrives_in(step.candle.open_time_ms)
            match = limit_match(one.order, step.candle, rules, quantity=quantity, arrives=arrives)
            one.from_ms = step.close_ms
            if match is not None:
                available -= match.quantity
                self._fill_resting(one, match, step, news)

    def _fill_resting(self, one: Resting, match: Match, step: _Step, news: list[News]) -> None:
        order, at = one.order, step.opened if match.at_open else step.inside
        execution = self._account.fill(order, match, at, filled_before=one.report.filled_quantity)
        news.append(execution)
        ended = self._orders.filled(one, execution)
        if ended is not None:
            news.append(ended)
        opened = self._account.reached(order.symbol, step.candle, step.close_ms)
        if opened is not None:
            touch = touched(opened, step.candle, adverse_only=not match.at_open)
            if touch is not None:
                self._close(order.symbol, touch, step, news)
            elif match.at_open:  # else what the candle's best price came before is unknown
                self._trail(order.symbol, step, news)

    def _trail(self, symbol: str, step: _Step, news: list[News]) -> None:
        moved = self._account.trail(symbol, step.candle, step.close_ms)
        if moved is not None:
            news.append(moved)

    def _close(self, symbol: str, touch: Touched, step: _Step, news: list[News]) -> None:
        at = step.opened if touch.at_open else step.inside
        execution = self._account.close(symbol, touch, at)
        self._orders.executed((execution,))
        news.append(execution)
        # A candle ends one position by itself at most: what rests waits for the next, and trade ids stay unique.
        for one in self._orders.resting(symbol):
            one.from_ms = max(one.from_ms, step.close_ms)

    def _venue_position(self, holding: Holding) -> VenuePosition:
        set_ = self._account.triggers(holding.symbol)
        return VenuePosition(
            symbol=holding.symbol,
            quantity=holding.position.quantity,
            entry_price=holding.position.entry_price,
            leverage=holding.leverage,
            liquidation_price=set_.liquidation if set_ else None,
            stop_loss=set_.stop_loss if set_ else None,
            take_profit=set_.take_profit if set_ else None,
            trail=set_.trail.callback_pct if set_ and set_.trail else None,
        )

    def _tell(self, news: list[News]) -> None:
        for one in news:
            self._on_news(one)
