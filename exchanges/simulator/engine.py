"""The venue behind every face: accounts, orders, conditional orders, positions and a market that moves.

A face (the Binance one, the Bybit one) turns its venue's wire into these calls and these objects back into its
venue's words; the engine knows neither. How to build a face on it:

    engine = Engine(clock, market, Manners(ids_unique_forever=True, ends_unfillable=True, ...))
    engine.listen(push)                       # OrderChanged, ConditionalChanged, AccountChanged, LeverageChanged
    engine.advance()                          # first thing in every request and every few milliseconds: the
                                              # market comes up to the clock and everything it reaches happens
    key = engine.key(api_key)                 # Key (secret, account, rights) or None
    account = engine.account(key.account)     # wallet, positions, orders, trades, income: read them directly
    order = engine.place(account, OrderRequest(symbol=..., side=Side.BUY, kind=OrderKind.MARKET, ...))
    order = engine.order(account, order_id=..., client_id=...)     # None: none of that id, or not visible yet
    engine.cancel(account, order)
    conditional = engine.place_conditional(account, ConditionalRequest(...))
    engine.set_stop(account, position, TriggerKind.STOP, price)    # one per position and kind; None removes it
    engine.set_leverage / set_isolated / set_hedge

- Whatever is not done raises `Refused(reason, detail)`, and then nothing has happened; the face words it.
- Calls are synchronous and return when all is done: a market order comes back filled. A venue that only
  acknowledges answers with the order's id and lets the events, which were emitted meanwhile, out later.
- Events are emitted within the call that causes them, in the order they happen: for a fill first AccountChanged,
  then OrderChanged with its trade. They carry the live objects: encode what is needed before returning.
- Times are venue milliseconds (`engine.now_ms`), spans of process time go through `clock.wire_ms`.
- `engine.marks`, `engine.last` hold present prices by symbol; `market.bars` and `market.public_trades` the tape's.
- Entries with `attached` get their stop and target as conditional orders `of_position` when they fill.
- Venue-made orders (liquidation, `force_close` with ADL or SETTLEMENT) have `origin` set and a client id made by
  `Manners.name_of`.
- Market orders fill at the present price in full; `engine.liquidity[symbol]` bounds one price's quantity, and then
  the rest of a market order expires and a limit order goes on resting. `engine.lookup_lag_s` hides what is new.
- Position quantity is signed, cost/quantity is the entry price; PositionSide.BOTH is one-way mode, where an order
  may flip a position. Reduce-only market orders are cut to what is open; with nothing open they are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import chain

from exchanges.simulator.account import Account, Fees
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.conditionals import Conditionals
from exchanges.simulator.market import Market
from exchanges.simulator.matching import Matching
from exchanges.simulator.model import (
    Conditional,
    ConditionalRequest,
    Event,
    LeverageChanged,
    Order,
    OrderRequest,
    Origin,
    Position,
    Reason,
    Refused,
    Trade,
    TriggerBy,
    TriggerKind,
)
from exchanges.simulator.orders import Orders
from exchanges.simulator.venue import Key, Manners, Venue


class Engine:
    def __init__(self, clock: VenueClock, market: Market, manners: Manners | None = None) -> None:
        self.clock = clock
        self.market = market
        self._venue = Venue(clock, market, manners or Manners())
        self._orders = Orders(self._venue)
        self._conditionals = Conditionals(self._venue, self._orders)
        self._matching = Matching(self._venue, self._orders, self._conditionals)
        self.advance = self._matching.advance
        self.last = self._venue.last
        self.marks = self._venue.marks
        self.liquidity = self._venue.liquidity
        self.is_visible = self._venue.is_visible

    # -- who

    @property
    def now_ms(self) -> int:
        return self._venue.now_ms

    @property
    def accounts(self) -> Iterable[Account]:
        return self._venue.accounts.values()

    @property
    def keys(self) -> Iterable[Key]:
        return self._venue.keys.values()

    def listen(self, listener: Callable[[Event], None]) -> None:
        self._venue.listeners.append(listener)

    def add_account(self, name: str, balance: Decimal, fees: Fees | None = None) -> Account:
        """The account of that name; it is made, with that balance, if there is none."""
        found = self._venue.accounts.get(name)
        if found is None:
            found = self._venue.accounts[name] = Account(name, balance, fees=fees)
        return found

    def account(self, name: str) -> Account:
        return self._venue.accounts[name]

    def set_key(self, key: Key) -> None:
        self._venue.keys[key.key] = key

    def key(self, key: str) -> Key | None:
        return self._venue.keys.get(key)

    # -- plain orders

    def place(self, account: Account, request: OrderRequest) -> Order:
        return self._orders.place(account, request)

    def cancel(self, account: Account, order: Order) -> Order:
        return self._orders.cancel(account, order)

    def cancel_all(self, account: Account, symbol: str | None = None) -> list[Order]:
        return self._orders.cancel_all(account, symbol)

    def order(
        self, account: Account, *, order_id: int | None = None, client_id: str | None = None
    ) -> Order | None:
        by_id, by_client_id = account.by_id, account.by_client_id
        found = by_client_id.get(client_id or "") if order_id is None else by_id.get(order_id)
        return found if found is not None and self._venue.is_visible(found.created_s) else None

    def open_orders(self, account: Account, symbol: str | None = None) -> list[Order]:
        visible = self._venue.is_visible
        return [
            order
            for order in account.orders.values()
            if (symbol is None or order.request.symbol == symbol) and visible(order.created_s)
        ]

    def all_orders(self, account: Account, symbol: str | None = None) -> list[Order]:
        """Open and ended, by their ids."""
        visible = self._venue.is_visible
        return [
            order
            for order in account.by_id.values()
            if (symbol is None or order.request.symbol == symbol) and visible(order.created_s)
        ]

    def trades(self, account: Account, symbol: str | None = None) -> list[Trade]:
        visible = self._venue.is_visible
        return [
            trade
            for trade in account.trades
            if (symbol is None or trade.symbol == symbol) and visible(trade.created_s)
        ]

    def set_countdown(self, account: Account, symbol: str, after_ms: int) -> None:
        """Cancels the symbol's plain orders when not renewed within `after_ms` of venue time; 0 takes it back."""
        self._venue.instrument(symbol)
        if after_ms:
            account.countdowns[symbol] = self._venue.now_ms + after_ms
        else:
            account.countdowns.pop(symbol, None)

    # -- conditional orders

    def place_conditional(self, account: Account, request: ConditionalRequest) -> Conditional:
        return self._conditionals.place(account, request)

    def cancel_conditional(self, conditional: Conditional) -> Conditional:
        return self._conditionals.cancel(conditional)

    def cancel_conditionals(self, account: Account, symbol: str | None = None) -> list[Conditional]:
        return self._conditionals.cancel_all(account, symbol)

    def conditional(
        self, account: Account, *, conditional_id: int | None = None, client_id: str | None = None
    ) -> Conditional | None:
        """The open one of that id, else the newest that ended."""
        for found in chain(account.conditionals.values(), reversed(account.conditionals_ended)):
            if found.conditional_id == conditional_id or found.request.client_id == client_id:
                return found if self._venue.is_visible(found.created_s) else None
        return None

    def open_conditionals(self, account: Account, symbol: str | None = None) -> list[Conditional]:
        return [
            c
            for c in account.conditionals.values()
            if (symbol is None or c.request.symbol == symbol) and self._venue.is_visible(c.created_s)
        ]

    def all_conditionals(self, account: Account) -> list[Conditional]:
        """Open and ended, by their ids."""
        found = [*account.conditionals.values(), *account.conditionals_ended]
        found = [c for c in found if self._venue.is_visible(c.created_s)]
        return sorted(found, key=lambda c: c.conditional_id)

    def of_position(self, account: Account, position: Position) -> list[Conditional]:
        return self._conditionals.of_position(account, position)

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
        return self._conditionals.set_stop(
            account,
            position,
            kind,
            trigger_price,
            by=by,
            callback_distance=callback_distance,
            activation_price=activation_price,
        )

    # -- settings

    def set_leverage(self, account: Account, symbol: str, leverage: int) -> None:
        """Raises Refused: out of the tiers, or lowered under an isolated position."""
        tiers = self._venue.instrument(symbol).tiers
        if not 1 <= leverage <= tiers[0].leverage_max:
            raise Refused(Reason.LEVERAGE, str(leverage))
        old = account.leverage_of(symbol)
        is_held = any(p.symbol == symbol for p in account.open_positions())
        if is_held and account.is_isolated(symbol) and leverage < old:
            raise Refused(Reason.LEVERAGE_CUT)
        account.leverage[symbol] = leverage
        self._venue.emit(
            LeverageChanged(account=account.name, symbol=symbol, leverage=leverage, at_ms=self.now_ms)
        )

    def set_isolated(self, account: Account, symbol: str, isolated: bool) -> None:
        self._venue.instrument(symbol)
        if account.is_isolated(symbol) == isolated:
            raise Refused(Reason.ALREADY_SO)
        self._check_idle(account, symbol)
        account.isolated[symbol] = isolated

    def set_isolated_everywhere(self, account: Account, isolated: bool) -> None:
        if account.isolated_default == isolated and not account.isolated:
            raise Refused(Reason.ALREADY_SO)
        self._check_idle(account, None)
        account.isolated.clear()
        account.isolated_default = isolated

    def set_hedge(self, account: Account, hedge: bool) -> None:
        if account.hedge == hedge:
            raise Refused(Reason.ALREADY_SO)
        self._check_idle(account, None)
        account.hedge = hedge

    def _check_idle(self, account: Account, symbol: str | None) -> None:
        if any(symbol in (None, p.symbol) for p in account.open_positions()):
            raise Refused(Reason.HAS_POSITION)
        symbols = [order.request.symbol for order in account.orders.values()]
        symbols += [conditional.request.symbol for conditional in account.conditionals.values()]
        if any(symbol in (None, each) for each in symbols):
            raise Refused(Reason.HAS_ORDERS)

    # -- on demand, for tests and trials

    def liquidation_price(self, account: Account, position: Position) -> Decimal | None:
        instrument = self._venue.instrument(position.symbol)
        return account.liquidation_price(position, instrument, self._venue.marks)

    def set_price(self, symbol: str, price: Decimal | None, *, is_jump: bool = True) -> None:
        """The price jumps there, or goes there past all that lies between, and stays until None gives it back to
        the tape."""
        self.advance()
        self.market.set_price(symbol, price)
        present = self.market.price(symbol, self.now_ms)
        self._matching.move(symbol, present, is_jump=is_jump)

    def set_mark_offset(self, symbol: str, offset: Decimal) -> None:
        self.market.set_mark_offset(symbol, offset)
        self._venue.set_last(symbol, self.last[symbol])
        self._matching.move(symbol, self.last[symbol], is_jump=True)

    def set_lookup_lag(self, seconds: float) -> None:
        self._venue.lookup_lag_s = seconds

    def force_close(self, account: Account, position: Position, origin: Origin) -> Order:
        """The venue closes a position by ADL or settlement, at the present price. Raises Refused when flat."""
        if not position.quantity:
            raise Refused(Reason.NOTHING_OPEN)
        self.advance()
        return self._orders.force_close(account, position, origin, self.last[position.symbol])
