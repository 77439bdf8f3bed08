"""Executions with their owner's name and their commission in USDT: what the venue's rows lack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from core.timeframe import to_ms
from exchanges.base import Execution, FundingPaid
from exchanges.binance import requests
from exchanges.binance.codes import Verdict
from exchanges.binance.line import NOT_FOUND, Line, VenueTime, form
from exchanges.binance.parse import MANUAL, USDT, Origin, execution, funding_paid, origin_of, trigger
from exchanges.binance.public import get_last_price, last_price
from exchanges.binance.signing import Call
from exchanges.binance.wire import AlgoRow, IncomeRow, OrderRow, TradeRow, number
from exchanges.errors import Rejected, Unreachable

KEPT_NAMES: Final = 10_000
PRICE_KEPT_S: Final = 60.0
KEPT_FOR: Final = timedelta(days=89)
"""The venue answers for three months."""
WINDOW: Final = timedelta(days=7)
MAX_PAGES: Final = 200
SETTLED_WITHIN: Final = timedelta(minutes=5)
"""How long after the hour the last payment may appear."""
_LOOKS: Final = 3
_LOOK_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 3.0
"""So that a placement with its look-ups ends within 15 s."""
_AT_PAR: Final = frozenset({USDT, "BNFCR"})
"""BNFCR: the credits some regions trade with, one USDT each."""


class _Funding(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer about funding."""

    since: datetime
    asked_at: datetime
    paid: tuple[FundingPaid, ...]


class Fills:
    """Keeps whose orders are, by the venue's order id, and prices of other assets for a minute."""

    def __init__(self, line: Line, time: VenueTime, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._line = line
        self._time = time
        self._sleep = sleep
        self._origins: OrderedDict[tuple[str, int], Origin] = OrderedDict()
        self._prices: dict[str, tuple[float, Decimal]] = {}
        self._funding: _Funding | None = None

    def learn(self, symbol: str, order_id: int, origin: Origin) -> None:
        """Whose an order is. What was told of it by name is never replaced by a guess."""
        known = self._origins.get((symbol, order_id))
        if known is None or known == MANUAL:
            self._origins[symbol, order_id] = origin
            if len(self._origins) > KEPT_NAMES:
                self._origins.popitem(last=False)

    def order_of(self, symbol: str, client_order_id: str) -> int | None:
        """The venue's id of an order of ours, the latest of that name."""
        for (of, order_id), origin in reversed(self._origins.items()):
            if of == symbol and origin.client_order_id == client_order_id:
                return order_id
        return None

    def known(self, symbol: str, order_id: int, said: Origin) -> Origin:
        """What is known of an order that names itself `said`: a stop that fired may have another name by then."""
        return self._origins.get((symbol, order_id), said) if said == MANUAL else said

    async def of_order(self, row: OrderRow) -> tuple[Execution, ...]:
        """Executions of one order; looked at again while the venue lists fewer than it has counted."""
        counted = number(row.executed_qty, "an executed quantity")
        if not counted:
            return ()
        self.learn(row.symbol, row.order_id, origin_of(row.client_order_id))
        call = requests.user_trades(row.symbol, order_id=row.order_id)
        told: tuple[Execution, ...] = ()
        enough_s = self._time.monotonic() + _PATIENCE_S
        for look in range(_LOOKS):
            if look:
                if self._time.monotonic() >= enough_s:
                    break
                await self._sleep(_LOOK_AGAIN_S)
            rows = await self._line.ask(call, form(list[TradeRow]), f"trades of order {row.client_order_id}")
            told = await self._named([one for one in rows if one.order_id == row.order_id])
            if sum(one.fill.quantity for one in told) >= counted:
                break
        return told

    async def since(self, symbol: str, since: datetime) -> list[Execution]:
        """All executions of the account in `symbol` at or after `since`, oldest first."""
        now = self._time.now()
        start, found = max(since, now - KEPT_FOR), dict[int, TradeRow]()
        for _ in range(MAX_PAGES):
            end = min(start + WINDOW - timedelta(milliseconds=1), now + timedelta(minutes=1))
            call = requests.user_trades(symbol, start_ms=to_ms(start), end_ms=to_ms(end))
            page = await self._trades(symbol, call)
            found.update((row.id, row) for row in page)
            if len(page) >= requests.PAGE:
                await self._onward(symbol, page[-1].id + 1, found)
                break
            start = end + timedelta(milliseconds=1)
            if start > now:
                break
        since_ms = to_ms(since)
        rows = sorted(
            (row for row in found.values() if row.time >= since_ms), key=lambda row: (row.time, row.id)
        )
        return list(await self._named(rows))

    async def funding(self, since: datetime, *, announced: bool = False) -> list[FundingPaid]:
        """Oldest first.

        The venue settles on the hour, and asking costs as much as six other look-ups: unless a settlement is due or
        `announced`, what was answered last is still all there is.
        """
        kept = self._funding
        if kept is not None and not announced and since >= kept.since:
            hour = self._time.now().replace(minute=0, second=0, microsecond=0)
            if hour + SETTLED_WITHIN <= kept.asked_at:
                return [paid for paid in kept.paid if paid.at >= since]
        asked_at = self._time.now()
        paid = await self._funding_since(since)
        self._funding = _Funding(since=since, asked_at=asked_at, paid=tuple(paid))
        return paid

    async def _funding_since(self, since: datetime) -> list[FundingPaid]:
        """A page that is full goes on from its last millisecond."""
        start_ms, found = to_ms(max(since, self._time.now() - KEPT_FOR)), dict[str, FundingPaid]()
        for _ in range(MAX_PAGES):
            call = requests.income(requests.Income.FUNDING_FEE, start_ms=start_ms)
            rows = await self._line.ask(call, form(list[IncomeRow]), "its funding")
            for row in rows:
                amount = await self.in_usdt(number(row.income, "funding"), row.asset)
                paid = funding_paid(row, amount)
                found[paid.funding_id] = paid
            if len(rows) < requests.PAGE or rows[-1].time == start_ms:
                break
            start_ms = rows[-1].time
        return sorted(found.values(), key=lambda paid: (paid.at, paid.symbol, paid.funding_id))

    async def in_usdt(self, amount: Decimal, asset: str) -> Decimal:
        """`amount` at the asset's price of the last minute."""
        if not amount or asset in _AT_PAR:
            return amount
        kept = self._prices.get(asset)
        if kept is None or kept[0] <= self._time.monotonic():
            price = await self._price(asset)
            kept = (self._time.monotonic() + PRICE_KEPT_S, price)
            self._prices[asset] = kept
        return amount * kept[1]

    async def _price(self, asset: str) -> Decimal:
        """Raises Unreachable, also for an asset without a price: then its executions are told later, not wrongly."""
        call = get_last_price(f"{asset}{USDT}")
        try:
            return await self._line.ask(call, last_price, f"the price of {asset}")
        except Rejected as error:
            raise Unreachable(error.kind, f"A commission in {asset} cannot be converted: {error}") from None

    async def _onward(self, symbol: str, from_id: int, found: dict[int, TradeRow]) -> None:
        for _ in range(MAX_PAGES):
            page = await self._trades(symbol, requests.user_trades(symbol, from_id=from_id))
            found.update((row.id, row) for row in page)
            if len(page) < requests.PAGE:
                return
            from_id = page[-1].id + 1

    async def _trades(self, symbol: str, call: Call) -> list[TradeRow]:
        rows = await self._line.ask(call, form(list[TradeRow]), f"trades in {symbol}")
        return sorted(rows, key=lambda row: row.id)

    async def _named(self, rows: list[TradeRow]) -> tuple[Execution, ...]:
        for order_id in dict.fromkeys(row.order_id for row in rows):
            if (rows[0].symbol, order_id) not in self._origins:
                await self._find_out(rows[0].symbol, order_id, min(row.time for row in rows))
        named: list[Execution] = []
        for row in rows:
            commission = await self.in_usdt(number(row.commission, "a commission"), row.commission_asset)
            named.append(execution(row, self._origins.get((row.symbol, row.order_id), MANUAL), commission))
        return tuple(named)

    async def _find_out(self, symbol: str, order_id: int, since_ms: int) -> None:
        call = requests.get_order(symbol, order_id=str(order_id))
        row = await self._line.attempt(call, form(OrderRow), f"order {order_id}", allowed=NOT_FOUND)
        origin = MANUAL if isinstance(row, Verdict) else origin_of(row.client_order_id)
        if origin == MANUAL:
            await self._learn_fired(symbol, since_ms)
        self.learn(symbol, order_id, origin)

    async def _learn_fired(self, symbol: str, since_ms: int) -> None:
        """Which orders our stops and targets became: an order that fired need not carry their id."""
        week_ms = int(WINDOW.total_seconds() * 1000)
        call = requests.list_triggers(symbol, start_ms=since_ms - week_ms + 1)
        rows = await self._line.ask(call, form(list[AlgoRow]), f"conditional orders in {symbol}")
        for one in map(trigger, rows):
            if one.order_id is not None and one.leg is not None:
                self.learn(symbol, one.order_id, Origin(venue_leg=one.leg))
