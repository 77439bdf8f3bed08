"""Bybit's private stream: its messages as news, in the order the interface promises. Pure.

Source: Bybit v5 API documentation, "WebSocket Stream, Private: Order, Execution" and "Connect, Authentication".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from core.errors import RunnerError
from core.order import OrderStatus
from core.position import ZERO
from exchanges.base import Execution, News, OrderNews, StreamGap
from exchanges.bybit import parse
from exchanges.bybit.wire import ExecutionRow, OrderRow, Topic, read

TOPICS: Final = ("order.linear", "execution.linear")
SUBSCRIBE: Final = msgspec.json.encode({"op": "subscribe", "args": TOPICS}).decode()
MAX_ORDERS: Final = 512
"""Orders whose executions are remembered to tell them before the order's own news."""

_OPEN: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL})
_MESSAGE: Final = msgspec.json.Decoder(Topic)
_ORDERS: Final = msgspec.json.Decoder(list[OrderRow])
_EXECUTIONS: Final = msgspec.json.Decoder(list[ExecutionRow])


class StreamRefused(RunnerError):
    """The venue refused the login or the subscription."""


class OrderTold(msgspec.Struct, frozen=True, kw_only=True):
    """An order's news with what it takes to tell it at the right time."""

    news: OrderNews
    filled: Decimal
    created_at: datetime


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    execution: Execution
    order_id: str


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says. `unpriced`: it has commissions in assets without a price here, since that time."""

    orders: tuple[OrderTold, ...] = ()
    executions: tuple[Executed, ...] = ()
    others: tuple[News, ...] = ()
    unpriced_since: datetime | None = None


NOTHING: Final = Heard()


def heard(body: bytes | str, prices: Mapping[str, Decimal]) -> Heard:
    """Raises Unreadable, ImpossibleVenueData, or StreamRefused where the venue turned a request of ours down."""
    message = read(body.encode() if isinstance(body, str) else body, _MESSAGE)
    if message.success is False:
        raise StreamRefused(f"Bybit refused {message.op or 'a request'} on the private stream.")
    topic = message.topic.partition(".")[0]
    if topic == "order":
        return _orders(read(message.data, _ORDERS))
    if topic == "execution" and message.topic != "execution.fast":
        return _executions(read(message.data, _EXECUTIONS), prices)
    return NOTHING


def _orders(rows: list[OrderRow]) -> Heard:
    told: list[OrderTold] = []
    others: list[News] = []
    for row in rows:
        ours = parse.own_id(row.order_link_id)
        if row.category not in ("linear", "", None):
            continue
        if ours is None:
            if (moved := parse.protection_moved(row)) is not None:
                others.append(moved)
            continue
        report = parse.order_report(row, ours)
        news = OrderNews(
            symbol=row.symbol,
            client_order_id=ours,
            venue_order_id=row.order_id,
            status=report.status,
            reason=report.reason,
        )
        created = parse.moment(row.created_time, "an order's time")
        told.append(OrderTold(news=news, filled=report.filled_quantity, created_at=created))
    return Heard(orders=tuple(told), others=tuple(others))


def _executions(rows: list[ExecutionRow], prices: Mapping[str, Decimal]) -> Heard:
    executed: list[Executed] = []
    others: list[News] = []
    unpriced: datetime | None = None
    for row in rows:
        if row.exec_type == parse.FUNDING:
            others.append(parse.funding_paid(row))
        elif parse.is_fill(row):
            trade = parse.trade(row)
            if all(asset in prices for asset in trade.foreign):
                executed.append(Executed(execution=parse.converted(trade, prices), order_id=trade.order_id))
            else:
                at = trade.execution.fill.executed_at
                unpriced = at if unpriced is None else min(at, unpriced)
    return Heard(executions=tuple(executed), others=tuple(others), unpriced_since=unpriced)


class Teller:
    """Puts news in the promised order: an order's executions before its own news, though the topics race.

    An order's news waits until the executions it counts have come. Executions from before the stream began never
    will: then it is a gap since the order's creation, which the caller closes by REST.
    """

    def __init__(self) -> None:
        self._opened_at: datetime | None = None
        self._executed: OrderedDict[str, dict[str, Decimal]] = OrderedDict()
        self._waiting: OrderedDict[str, OrderTold] = OrderedDict()

    def opened(self, at: datetime) -> None:
        """The stream has begun anew: whatever waited is found by REST."""
        self._opened_at = at
        self._executed.clear()
        self._waiting.clear()

    def tell(self, heard: Heard) -> list[News]:
        news: list[News] = list(heard.others)
        if heard.unpriced_since is not None:
            news.append(StreamGap(since=heard.unpriced_since))
        for executed in heard.executions:
            news.append(executed.execution)
            news += self._after(executed)
        for told in heard.orders:
            news += self._order(told)
        return news

    def _after(self, executed: Executed) -> list[News]:
        fills = self._executed.setdefault(executed.order_id, {})
        fills[executed.execution.trade_id] = executed.execution.fill.quantity
        self._executed.move_to_end(executed.order_id)
        if len(self._executed) > MAX_ORDERS:
            self._executed.popitem(last=False)
        waiting = self._waiting.get(executed.order_id)
        if waiting is None or sum(fills.values(), ZERO) < waiting.filled:
            return []
        del self._waiting[executed.order_id]
        return [waiting.news]

    def _order(self, told: OrderTold) -> list[News]:
        venue_id = told.news.venue_order_id
        waiting = self._waiting.get(venue_id)
        if waiting is not None and told.filled <= waiting.filled and told.news.status in _OPEN:
            return []  # older than what waits
        seen = sum(self._executed.get(venue_id, {}).values(), ZERO)
        if seen >= told.filled:
            self._waiting.pop(venue_id, None)
            return [told.news]
        if self._opened_at is not None and told.created_at < self._opened_at:
            return [StreamGap(since=told.created_at)]
        self._waiting[venue_id] = told
        if len(self._waiting) > MAX_ORDERS:
            _, oldest = self._waiting.popitem(last=False)
            return [StreamGap(since=oldest.created_at)]
        return []
