"""One account of Binance USDⓈ-M futures behind the interface of every venue.

Keeps no keys and no state that the venue does not have: whose orders are, which settings stand, and filters are caches
with a bound. Source: USDⓈ-M Futures REST API and User Data Streams.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from core.clock import Clock
from core.errors import RunnerError
from core.ids import ClientOrderId, parse_client_order_id
from core.leverage import LeverageTier
from core.market import SymbolRules
from core.order import Order, OrderStatus
from core.protection import Protection
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    Listener,
    MarginMode,
    OrderReport,
    PositionMode,
    VenuePosition,
)
from exchanges.binance import parse, requests
from exchanges.binance.codes import Doing, Verdict
from exchanges.binance.fills import Fills
from exchanges.binance.filters import leverage_brackets
from exchanges.binance.instruments import Instruments
from exchanges.binance.line import NOT_FOUND, ORDER_TIMEOUT_S, Line, VenueTime, form
from exchanges.binance.protection import Protector
from exchanges.binance.settings import Settings, position_side
from exchanges.binance.signing import Call
from exchanges.binance.user_stream import MakeStream, UserStream
from exchanges.binance.wire import BalanceRow, KeyRestrictions, OrderRow, PositionRow, read
from exchanges.credentials import KeyRights, Unseal
from exchanges.errors import (
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.following import Following
from exchanges.sendable import signed_at
from exchanges.wire import Leave, Send

WS_URL: Final = "wss://fstream.binance.com"
KEPT_IDS: Final = 10_000
_BEFORE_SLOT: Final = timedelta(minutes=1)
"""An early claim signs its order some seconds before the slot its id names."""
_LONGEST_BACK: Final = timedelta(days=1)
_FILTERS: Final = frozenset(
    {
        Refusal.TICK_SIZE,
        Refusal.STEP_SIZE,
        Refusal.MIN_QUANTITY,
        Refusal.MAX_QUANTITY,
        Refusal.MIN_NOTIONAL,
        Refusal.PRICE,
    }
)
_RUNS_ON: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL, OrderStatus.FILLED})


class BinanceExchange:
    """Implements `exchanges.base.LiveExchange`.

    `send_rights`: the way to the spot host, which alone says what a key may do; None where there is no such endpoint,
    as on the test environments, whose money is made up. `instruments` are shared by the accounts of one host.
    """

    def __init__(
        self,
        *,
        send: Send,
        unseal: Unseal,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        on_news: Listener,
        make_stream: MakeStream,
        ws_url: str = WS_URL,
        send_rights: Send | None = None,
        instruments: Instruments | None = None,
    ) -> None:
        self._time = VenueTime(clock)
        self._line = Line(send=send, unseal=unseal, time=self._time)
        self._rights = None if send_rights is None else Line(send=send_rights, unseal=unseal, time=self._time)
        self._instruments = instruments or Instruments(clock)
        self._fills = Fills(self._line, self._time, sleep)
        self._settings = Settings(self._line)
        self._protector = Protector(self._line, self._time, sleep)
        self._stream = UserStream(
            line=self._line,
            fills=self._fills,
            settings=self._settings,
            time=self._time,
            sleep=sleep,
            on_news=on_news,
            make_stream=make_stream,
            ws_url=ws_url,
        )
        self._following = Following()
        # The venue keeps an id unique among open orders only: sent again after its fill it would fill again (I3).
        self._sent: OrderedDict[ClientOrderId, None] = OrderedDict()

    def venue_now(self) -> datetime:
        return self._time.now()

    @property
    def is_streaming(self) -> bool:
        return self._stream.is_open

    async def connect(self) -> None:
        """Settings made before are no longer taken for granted."""
        self._settings.forget_all()
        await self._line.sync()
        await self._settings.read()

    async def follow(self) -> None:
        await self._following.run(self._stream.follow())

    async def close(self) -> None:
        """The stream ends; the way to the venue belongs to whoever gave it."""
        self._following.end()

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        """While news is streaming, executions of an order that went well are told as news and not asked for here."""
        if order.client_order_id in self._sent:
            return await self._placed_before(order)
        what = f"order {order.client_order_id}"
        sign_at = signed_at(order)
        call = requests.place_order(
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=order.price,
            reduce_only=order.reduce_only,
            position_side=position_side(order, hedge=await self._hedge(what)),
            client_order_id=order.client_order_id,
        )
        call = replace(call, leave=leave)
        self._remember(order.client_order_id)
        try:
            row = await self._line.ask(
                call,
                _checked_order,
                what,
                doing=Doing.PLACING,
                sign_at=sign_at,
                timeout_s=ORDER_TIMEOUT_S,
            )
        except (NotPlaced, Rejected) as error:
            self._sent.pop(order.client_order_id, None)
            self._learn_from(error)
            raise
        if row.client_order_id != order.client_order_id:
            sentence = f"Binance answered {what} with another order."
            raise OutcomeUnknown(ErrorKind.UNPARSABLE, sentence)
        return await self._report_placed(row, order)

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        call = requests.cancel_order(symbol, client_order_id=client_order_id)
        what = f"the cancel of order {client_order_id}"
        row = await self._line.attempt(call, _checked_order, what, doing=Doing.CHANGING, allowed=NOT_FOUND)
        if isinstance(row, Verdict):
            return await self.find(symbol, client_order_id)
        return await self._report(row)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        """None only where neither the order nor a trade of it is known since it can have been sent.

        An order that the stream or an answer has told of is never absent: then look-ups lag behind (Unreachable).
        """
        row = await self._row(requests.get_order(symbol, client_order_id=client_order_id), client_order_id)
        if row is not None:
            return await self._report(row)
        key = parse_client_order_id(client_order_id)
        earliest = self._time.now() - _LONGEST_BACK
        since = earliest if key is None else key.slot - _BEFORE_SLOT
        traded = [
            one for one in await self._fills.since(symbol, since) if one.client_order_id == client_order_id
        ]
        order_id = self._fills.order_of(symbol, client_order_id)
        if order_id is None:
            return None
        row = await self._row(requests.get_order(symbol, order_id=str(order_id)), client_order_id)
        if row is None:
            raise Unreachable(
                ErrorKind.SERVER, f"Binance has told of order {client_order_id} and does not list it."
            )
        return parse.order_report(row, tuple(traded))

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        call = requests.list_open_orders(symbol)
        rows = await self._line.ask(call, form(list[OrderRow]), f"open orders in {symbol}")
        return [await self._report(row) for row in rows]

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        return await self._fills.since(symbol, since)

    async def positions(self) -> list[VenuePosition]:
        rows = await self._line.ask(requests.positions(), form(list[PositionRow]), "the positions")
        held = [row for row in rows if parse.held_quantity(row)]
        symbols = sorted({row.symbol for row in held})
        leverages = {symbol: await self._settings.leverage(symbol) for symbol in symbols}
        standing = {symbol: await self._protector.standing(symbol) for symbol in symbols}
        return [
            parse.venue_position(row, leverage=leverages[row.symbol], triggers=standing[row.symbol])
            for row in held
        ]

    async def balance(self) -> Balance:
        rows = await self._line.ask(requests.balances(), form(list[BalanceRow]), "the balance")
        return parse.balance(rows)

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        await self._settings.apply(
            symbol, leverage=leverage, margin_mode=margin_mode, position_mode=position_mode
        )

    async def rules(self, symbol: str) -> SymbolRules:
        return await self._instruments.rules(symbol, self._line)

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        try:
            return await self._protector.protect(symbol, wanted, await self.rules(symbol))
        except Rejected as error:
            self._learn_from(error)
            raise

    async def sweep(self, symbol: str) -> bool:
        return await self._protector.sweep(symbol)

    async def funding(self, since: datetime) -> list[FundingPaid]:
        return await self._fills.funding(since)

    async def leverage_tiers(self, symbol: str) -> tuple[LeverageTier, ...]:
        """An account's own, as the venue may have granted it others."""
        what = f"the leverage tiers of {symbol}"
        tiers = await self._line.ask(requests.leverage_tiers(symbol), leverage_brackets, what)
        if not tiers.get(symbol):
            raise Rejected(Refusal.UNKNOWN_SYMBOL, f"Binance names no leverage tiers of {symbol}.")
        return tiers[symbol]

    async def key_rights(self) -> KeyRights:
        """On the test environments the account's right to trade stands for the key's."""
        if self._rights is None:
            may_trade = (await self._settings.read()).can_trade
            return KeyRights(may_read=True, may_trade=may_trade, may_withdraw=False, ip_bound=None)
        said = await self._rights.ask(requests.key_restrictions(), form(KeyRestrictions), "the key's rights")
        return KeyRights(
            may_read=said.enable_reading,
            may_trade=said.enable_futures,
            may_withdraw=said.enable_withdrawals,
            ip_bound=said.ip_restrict,
        )

    async def _hedge(self, what: str) -> bool:
        """Known since `connect`; where it had to be asked for and was not answered, nothing was placed."""
        try:
            return await self._settings.hedge()
        except (NotPlaced, Rejected):
            raise
        except ExchangeError as error:
            raise NotPlaced(error.kind, f"The position mode for {what} is not known: {error}") from None

    def _remember(self, client_order_id: ClientOrderId) -> None:
        self._sent[client_order_id] = None
        if len(self._sent) > KEPT_IDS:
            self._sent.popitem(last=False)

    async def _placed_before(self, order: Order) -> OrderReport:
        try:
            found = await self.find(order.symbol, order.client_order_id)
        except ExchangeError as error:
            raise OutcomeUnknown(error.kind, str(error)) from None
        if found is None:
            sentence = f"Order {order.client_order_id} has been sent before and is not to be seen."
            raise OutcomeUnknown(ErrorKind.DUPLICATE_ID, sentence)
        return found

    def _learn_from(self, error: ExchangeError) -> None:
        if not isinstance(error, Rejected):
            return
        if error.refusal in _FILTERS:
            self._instruments.expire()
        elif error.refusal is Refusal.MODE:
            self._settings.forget()

    async def _report_placed(self, row: OrderRow, order: Order) -> OrderReport:
        """An order that stands is never an error because its trades could not be read."""
        report = parse.order_report(row)
        self._fills.learn(row.symbol, row.order_id, parse.origin_of(row.client_order_id))
        cut = report.status is OrderStatus.FILLED and report.filled_quantity < order.quantity
        runs_on = report.status in _RUNS_ON and not cut
        if not report.filled_quantity or (self.is_streaming and runs_on):
            return report
        try:
            return await self._report(row)
        except RunnerError:
            return report

    async def _report(self, row: OrderRow) -> OrderReport:
        return parse.order_report(row, await self._fills.of_order(row))

    async def _row(self, call: Call, client_order_id: ClientOrderId) -> OrderRow | None:
        what = f"order {client_order_id}"
        row = await self._line.attempt(call, _checked_order, what, allowed=NOT_FOUND)
        return None if isinstance(row, Verdict) else row


def _checked_order(body: bytes) -> OrderRow:
    """An order whose numbers can be."""
    row = read(body, OrderRow)
    parse.order_report(row)
    return row
