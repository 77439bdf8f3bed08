"""One unified account at Bybit, trading USDT perpetuals, behind the interface of every venue.

Orders are acknowledged first and executed after: each is looked up once within its call. Stop and target belong to
the position at this venue: they are attached to the entry and corrected by `protect`, and have no client ids.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from core.clock import Clock
from core.errors import ImpossibleVenueData
from core.ids import ClientOrderId
from core.leverage import LeverageTier
from core.market import SymbolRules
from core.order import Order, OrderKind, OrderStatus
from core.position import ZERO, OrderSide, Side
from core.protection import Protection, on_grid, protection_of
from exchanges.base import (
    Balance,
    Execution,
    FundingPaid,
    Listener,
    MarginMode,
    News,
    OrderNews,
    OrderReport,
    PositionMode,
    VenuePosition,
)
from exchanges.bybit import parse, public, requests
from exchanges.bybit.calls import Calls, Gone
from exchanges.bybit.fills import Fills
from exchanges.bybit.protection import protect
from exchanges.bybit.stream import PrivateStream
from exchanges.bybit.wire import (
    AccountInfo,
    Instrument,
    KeyInfo,
    OrderAck,
    OrderRow,
    Page,
    PositionRow,
    RiskTier,
    Unreadable,
    WalletRow,
    read,
)
from exchanges.credentials import KeyRights, Unseal
from exchanges.errors import (
    AuthFailed,
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
from exchanges.wire import Leave, Request, Send

TOLD_S: Final = 3600.0
"""Look-ups may lag behind the stream; not for longer than this, by far."""
MAX_TOLD: Final = 4096
MARGIN_MODES: Final = {"ISOLATED_MARGIN": MarginMode.ISOLATED, "REGULAR_MARGIN": MarginMode.CROSS}
_FILTERS: Final = frozenset(
    {
        Refusal.TICK_SIZE,
        Refusal.STEP_SIZE,
        Refusal.MIN_QUANTITY,
        Refusal.MAX_QUANTITY,
        Refusal.MIN_NOTIONAL,
        Refusal.PRICE,
        Refusal.UNKNOWN_SYMBOL,
    }
)

_ACK: Final = msgspec.json.Decoder(OrderAck)
_ACCOUNT: Final = msgspec.json.Decoder(AccountInfo)
_KEY: Final = msgspec.json.Decoder(KeyInfo)
_ORDERS: Final = msgspec.json.Decoder(Page[OrderRow])
_POSITIONS: Final = msgspec.json.Decoder(Page[PositionRow])
_WALLETS: Final = msgspec.json.Decoder(Page[WalletRow])
_INSTRUMENTS: Final = msgspec.json.Decoder(Page[Instrument])
_TIERS: Final = msgspec.json.Decoder(Page[RiskTier])


class BybitExchange:
    """`send` is this tenant's way to the venue's REST host; `stream_url` its private stream."""

    def __init__(
        self,
        *,
        send: Send,
        unseal: Unseal,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        on_news: Listener,
        stream_url: str,
    ) -> None:
        self._calls = Calls(send=send, unseal=unseal, clock=clock)
        self._fills = Fills(self._calls, clock)
        self._stream = PrivateStream(
            url=stream_url,
            unseal=unseal,
            clock=clock,
            venue_now=self._calls.venue_now,
            sleep=sleep,
            prices=self._fills.fresh_prices,
            on_news=self._hear,
        )
        self._clock = clock
        self._on_news = on_news
        self._told: OrderedDict[ClientOrderId, float] = OrderedDict()
        self._following = Following()
        # One entry per symbol of the venue at most.
        self._rules: dict[str, SymbolRules] = {}
        self._margin_mode: MarginMode | None = None
        self._position_modes: dict[str, PositionMode] = {}
        self._leverages: dict[str, int] = {}

    def venue_now(self) -> datetime:
        return self._calls.venue_now()

    async def connect(self) -> None:
        """Settings made before are no longer taken for granted; open positions say how their symbols are held."""
        self._position_modes.clear()
        self._leverages.clear()
        await self._calls.sync()
        account = await self._calls.ask(requests.account_info(), _ACCOUNT)
        self._margin_mode = MARGIN_MODES.get(account.margin_mode)
        with suppress(AuthFailed):  # a key without that right is told so by what it is asked for
            for row in await self._position_rows():
                if parse.position(row) is not None:
                    mode = PositionMode.HEDGE if row.position_idx else PositionMode.ONE_WAY
                    self._position_modes[row.symbol] = mode

    async def follow(self) -> None:
        await self._following.run(self._stream.follow())

    @property
    def is_streaming(self) -> bool:
        return self._stream.is_open

    async def close(self) -> None:
        """The stream ends; the way to the venue belongs to whoever gave it."""
        self._following.end()

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        client_id, sign_at = order.client_order_id, signed_at(order)
        if self._was_told(client_id):
            return await self._placed_before(order)
        request = await self._order_request(order)
        try:
            result = await self._calls.place(replace(request, leave=leave), sign_at)
            self._learn(client_id)
            ack = read(result, _ACK)
        except Unreadable as error:
            sentence = f"Bybit's acknowledgement of order {client_id} cannot be read."
            raise OutcomeUnknown(ErrorKind.UNPARSABLE, sentence) from error
        except OutcomeUnknown as error:
            if error.kind is ErrorKind.DUPLICATE_ID:
                self._learn(client_id)
            raise
        except Rejected as error:
            if error.refusal in _FILTERS:
                self._rules.pop(order.symbol, None)
            raise
        acknowledged = OrderReport(
            client_order_id=client_id, venue_order_id=ack.order_id, status=OrderStatus.SUBMITTED
        )
        try:
            row = await self._row(requests.get_order(symbol=order.symbol, client_id=client_id), client_id)
            return acknowledged if row is None else await self._report(row, client_id)
        except (ExchangeError, ImpossibleVenueData):
            return acknowledged  # says nothing about the order, which the next look-up finds

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        with suppress(Gone):  # has ended, or never was
            await self._calls.change(requests.cancel_order(symbol=symbol, client_id=client_order_id))
        return await self.find(symbol, client_order_id)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        """None only where three lists know nothing of it, nor an answer or the stream has told of it lately."""
        named = {"symbol": symbol, "client_id": client_order_id}
        look_ups = [requests.get_order(**named)]
        for start_ms, end_ms in self._fills.spans(client_order_id):
            look_ups.append(requests.get_closed_order(**named, start_ms=start_ms, end_ms=end_ms))
        for look_up in look_ups:
            row = await self._row(look_up, client_order_id)
            if row is not None:
                return await self._report(row, client_order_id)
        rows = await self._fills.of_order(symbol, client_order_id)
        if not rows and self._was_told(client_order_id):
            sentence = f"Bybit has told of order {client_order_id} and does not list it."
            raise Unreachable(ErrorKind.SERVER, sentence)
        if not rows:
            return None
        executions = await self._fills.priced(rows, client_order_id)
        filled = sum((execution.fill.quantity for execution in executions), ZERO)
        whole = filled == parse.number(rows[0].order_qty, "an order's quantity")
        return OrderReport(
            client_order_id=client_order_id,
            venue_order_id=rows[0].order_id,
            status=OrderStatus.FILLED if whole else OrderStatus.PARTIAL,
            filled_quantity=filled,
            executions=executions,
        )

    async def open_orders(self, symbol: str) -> list[OrderReport]:
        rows = await self._calls.pages(partial(requests.open_orders, symbol=symbol), _ORDERS)
        reports: dict[str, OrderReport] = {}
        for row in rows:
            ours = parse.own_id(row.order_link_id)
            if ours is not None and ours not in reports:
                reports[ours] = await self._report(row, ours)
        return list(reports.values())

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        return await self._fills.since(symbol, since)

    async def funding(self, since: datetime) -> list[FundingPaid]:
        return await self._fills.funding(since)

    async def positions(self) -> list[VenuePosition]:
        return [held for row in await self._position_rows() if (held := parse.position(row)) is not None]

    async def balance(self) -> Balance:
        page = await self._calls.ask(requests.wallet_balance(), _WALLETS)
        if not page.rows:
            raise Unreachable(ErrorKind.UNPARSABLE, "Bybit names no unified account of this key.")
        return parse.balance(page.rows[0])

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        """The margin mode is the whole account's."""
        if self._margin_mode is not margin_mode:
            await self._calls.change(requests.set_margin_mode(mode=margin_mode))
            self._margin_mode = margin_mode
            self._leverages.clear()
        if self._position_modes.get(symbol) is not position_mode:
            hedge = position_mode is PositionMode.HEDGE
            await self._calls.change(requests.set_position_mode(hedge=hedge, symbol=symbol))
            self._position_modes[symbol] = position_mode
        if self._leverages.get(symbol) != leverage:
            await self._calls.change(requests.set_leverage(symbol=symbol, leverage=leverage))
            self._leverages[symbol] = leverage

    async def rules(self, symbol: str) -> SymbolRules:
        known = self._rules.get(symbol)
        if known is None:
            page = await self._calls.look(public.instruments(symbol=symbol), _INSTRUMENTS)
            traded = [row for row in page.rows if row.symbol == symbol and row.status == "Trading"]
            if not traded:
                raise Rejected(Refusal.UNKNOWN_SYMBOL, f"Bybit does not trade {symbol}.")
            known = self._rules[symbol] = parse.symbol_rules(traded[0])
        return known

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        return await protect(self._calls, symbol, wanted, self.rules)

    async def sweep(self, symbol: str) -> bool:
        """Stops and targets are a position's own here, and go with it."""
        return False

    async def leverage_tiers(self, symbol: str) -> tuple[LeverageTier, ...]:
        page = await self._calls.look(public.risk_limits(symbol=symbol), _TIERS)
        tiers = public.leverage_tiers([row for row in page.rows if row.symbol == symbol])
        if not tiers:
            raise Rejected(Refusal.UNKNOWN_SYMBOL, f"Bybit names no leverage tiers of {symbol}.")
        return tiers

    async def key_rights(self) -> KeyRights:
        return parse.key_rights(await self._calls.ask(requests.key_info(), _KEY))

    def _hear(self, news: News) -> None:
        if isinstance(news, Execution | OrderNews) and news.client_order_id is not None:
            self._learn(news.client_order_id)
        self._on_news(news)

    def _learn(self, client_order_id: ClientOrderId) -> None:
        self._told[client_order_id] = self._clock.monotonic()
        self._told.move_to_end(client_order_id)
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)

    def _was_told(self, client_order_id: ClientOrderId) -> bool:
        at = self._told.get(client_order_id)
        return at is not None and self._clock.monotonic() - at < TOLD_S

    async def _order_request(self, order: Order) -> Request:
        hedge_side = None
        if self._position_modes.get(order.symbol) is PositionMode.HEDGE:
            opens_long = (order.side is OrderSide.BUY) is not order.reduce_only
            hedge_side = Side.LONG if opens_long else Side.SHORT
        attached = requests.NO_STOPS
        if not order.reduce_only:
            wanted = protection_of(order, order.reference_price)
            if wanted != Protection():
                stops = on_grid(wanted, order.side, await self._rules_before(order))
                attached = requests.Stops(stop_loss=stops.stop_loss, take_profit=stops.take_profit)
        return requests.place_order(
            symbol=order.symbol,
            side=order.side,
            kind=order.kind,
            quantity=order.quantity,
            price=order.price if order.kind is OrderKind.LIMIT else None,
            client_id=order.client_order_id,
            reduce_only=order.reduce_only,
            hedge_side=hedge_side,
            attached=attached,
        )

    async def _placed_before(self, order: Order) -> OrderReport:
        try:
            found = await self.find(order.symbol, order.client_order_id)
        except ExchangeError as error:
            raise OutcomeUnknown(ErrorKind.DUPLICATE_ID, str(error)) from None
        assert found is not None  # it has been told of
        return found

    async def _rules_before(self, order: Order) -> SymbolRules:
        try:
            return await self.rules(order.symbol)
        except Unreachable as error:
            sentence = (
                f"The filters of {order.symbol} cannot be read; order {order.client_order_id} was not sent."
            )
            raise NotPlaced(error.kind, sentence) from error

    async def _row(self, request: Request, client_order_id: ClientOrderId) -> OrderRow | None:
        try:
            page = await self._calls.ask(request, _ORDERS)
        except Gone:
            return None
        return next((row for row in page.rows if row.order_link_id == client_order_id), None)

    async def _report(self, row: OrderRow, client_order_id: ClientOrderId) -> OrderReport:
        filled = parse.number(row.cum_exec_qty, "an executed quantity") or ZERO
        executions: tuple[Execution, ...] = ()
        if filled:
            rows = await self._fills.of_order(row.symbol, client_order_id, filled)
            executions = await self._fills.priced(rows, client_order_id)
        return parse.order_report(row, client_order_id, executions)

    async def _position_rows(self) -> list[PositionRow]:
        return await self._calls.pages(requests.positions, _POSITIONS)
