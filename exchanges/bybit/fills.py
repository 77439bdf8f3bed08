"""Executions of a Bybit account: fetched by order or by time, with commissions in USDT."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import ImpossibleVenueData
from core.ids import ClientOrderId, parse_client_order_id
from core.position import ZERO
from core.timeframe import to_ms
from exchanges.base import Execution, FundingPaid
from exchanges.bybit import parse, public, requests
from exchanges.bybit.calls import Calls
from exchanges.bybit.wire import ExecutionRow, Page, Ticker
from exchanges.errors import ErrorKind, Unreachable
from exchanges.wire import Purpose

WINDOW: Final = timedelta(days=7)
RECENT: Final = timedelta(days=6)
MAX_WINDOWS: Final = 105
"""Two years, as far back as the venue keeps executions."""
PRICE_LASTS_S: Final = 60.0
FUTURE: Final = timedelta(hours=1)

_EXECUTIONS: Final = msgspec.json.Decoder(Page[ExecutionRow])
_TICKERS: Final = msgspec.json.Decoder(Page[Ticker])


class Fills:
    """Asks for executions; keeps the prices of assets that commissions are taken in for a minute."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        # One entry per asset the venue takes fees in.
        self._prices: dict[str, tuple[Decimal, float]] = {}

    async def since(self, symbol: str, since: datetime) -> list[Execution]:
        rows: list[ExecutionRow] = []
        for start, end in self._windows(since):
            rows += await self._rows(symbol, start, end, exec_type=None)
        executions = await self.priced(row for row in rows if parse.is_fill(row))
        told = {execution.trade_id: execution for execution in executions}
        kept = [execution for execution in told.values() if execution.fill.executed_at >= since]
        return sorted(kept, key=lambda execution: execution.fill.executed_at)

    async def funding(self, since: datetime) -> list[FundingPaid]:
        rows: list[ExecutionRow] = []
        for start, end in self._windows(since):
            rows += await self._rows(None, start, end, exec_type=parse.FUNDING)
        paid = {row.exec_id: parse.funding_paid(row) for row in rows if row.exec_type == parse.FUNDING}
        return sorted((one for one in paid.values() if one.at >= since), key=lambda one: one.at)

    async def of_order(
        self, symbol: str, client_order_id: ClientOrderId, filled: Decimal | None = None
    ) -> list[ExecutionRow]:
        """Executions of one order, oldest first, until they make up `filled`."""

        def enough(rows: list[ExecutionRow]) -> bool:
            told = (parse.amount(row.exec_qty, "an executed quantity") for row in rows if parse.is_fill(row))
            return filled is not None and sum(told, ZERO) >= filled

        rows: list[ExecutionRow] = []
        for start_ms, end_ms in self.spans(client_order_id):
            request = partial(
                requests.executions,
                symbol=symbol,
                client_id=client_order_id,
                start_ms=start_ms,
                end_ms=end_ms,
            )
            rows += await self._calls.pages(request, _EXECUTIONS, enough=enough)
        own = {
            row.exec_id: row
            for row in reversed(rows)
            if parse.is_fill(row) and row.order_link_id == client_order_id
        }
        return sorted(own.values(), key=lambda row: parse.moment(row.exec_time, "an execution's time"))

    async def _rows(
        self, symbol: str | None, start: datetime, end: datetime, *, exec_type: str | None
    ) -> list[ExecutionRow]:
        """Oldest first: the venue lists the newest first, and several have the same millisecond."""
        request = partial(
            requests.executions,
            symbol=symbol,
            start_ms=to_ms(start),
            end_ms=to_ms(end),
            exec_type=exec_type,
        )
        rows = await self._calls.pages(request, _EXECUTIONS)
        return rows[::-1]

    def spans(self, client_order_id: ClientOrderId) -> list[tuple[int | None, int | None]]:
        """Times to look for an order in: the venue's own last 7 days, or for an older one weeks since its slot."""
        key = parse_client_order_id(client_order_id)
        if key is None or self._calls.venue_now() - key.slot < RECENT:
            return [(None, None)]
        return [(to_ms(start), to_ms(end)) for start, end in self._windows(key.slot - timedelta(hours=1))]

    def _windows(self, since: datetime) -> list[tuple[datetime, datetime]]:
        """From `since` to a little after now, at most a week each, oldest first."""
        until = self._calls.venue_now() + timedelta(minutes=1)
        start = max(since, until - MAX_WINDOWS * WINDOW)
        windows = []
        while start < until:
            windows.append((start, min(start + WINDOW, until)))
            start += WINDOW
        return windows

    async def priced(
        self, rows: Iterable[ExecutionRow], asked: ClientOrderId | None = None
    ) -> tuple[Execution, ...]:
        """Executions with their commission in USDT. Raises ImpossibleVenueData for one from the future."""
        trades = [parse.trade(row, asked) for row in rows]
        for trade in trades:
            fill = trade.execution.fill
            if fill.executed_at > self._calls.venue_now() + FUTURE:
                raise ImpossibleVenueData(f"Bybit reports execution {fill.trade_id} at {fill.executed_at}.")
        for asset in {asset for trade in trades for asset in trade.foreign} - self.fresh_prices().keys():
            await self._price(asset)
        prices = {asset: price for asset, (price, _) in self._prices.items()}
        return tuple(parse.converted(trade, prices) for trade in trades)

    async def _price(self, asset: str) -> None:
        request = public.ticker(symbol=f"{asset}USDT", purpose=Purpose.LOOK_UP, category="spot")
        page = await self._calls.look(request, _TICKERS)
        last = parse.price(page.rows[0].last_price, "a price") if page.rows else None
        if last is None:
            raise Unreachable(
                ErrorKind.UNPARSABLE, f"Bybit names no price of {asset}, which it took a fee in."
            )
        self._prices[asset] = (last, self._clock.monotonic())

    def fresh_prices(self) -> dict[str, Decimal]:
        since = self._clock.monotonic() - PRICE_LASTS_S
        return {asset: price for asset, (price, at) in self._prices.items() if at >= since}
