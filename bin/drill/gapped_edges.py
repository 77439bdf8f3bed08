"""Store and venues of a process that is to be struck: the same calls, which pass by the gaps between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, cast

from actors.live.venue import LiveVenue
from actors.permit import Later, Permits
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from bin.drill.ask import ask
from bin.drill.gaps import Armed, Gap, Gaps
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, parse_client_order_id
from core.order import Acknowledged, Leg, Order
from core.protection import Protection
from exchanges.base import LiveExchange, News, OrderReport
from exchanges.wire import Leave
from schema.ops import (
    FillSettled,
    IntentCommitted,
    LedgerOp,
    LedgerResult,
    ObserveFill,
    ObserveOrder,
    ProposeIntent,
)
from schema.records import Claim, SlotReport
from schema.store import Store

ANSWER_AFTER_S: Final = 3.0
"""How late the venue answers an order that is to be struck on the wire."""
ARRIVES_AFTER_S: Final = 1.0
STRIKE_AFTER_S: Final = 0.4
"""By then the request has left."""


class GappedStore:
    def __init__(self, inner: Store, gaps: Gaps) -> None:
        self._inner = inner
        self._gaps = gaps
        self._traded: set[tuple[RunId, Any]] = set()
        self.opened: dict[tuple[AccountId, str], RunId] = {}
        """Positions that were opened in this process and whose stop was not placed yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def claim(self, run_ids: Sequence[RunId], **told: Any) -> list[Claim]:
        self._gaps.pass_by(Gap.BEFORE_CLAIM, run_ids, "")
        claims = self._inner.claim(run_ids, **told)
        self._gaps.pass_by(Gap.CLAIMED, [claim.run_id for claim in claims], "")
        return claims

    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        for op in ops:
            if isinstance(op, ProposeIntent):
                self._pass_by(Gap.BEFORE_INTENT, op.order.client_order_id)
        results: list[LedgerResult] = []
        acknowledged = self._acknowledged(ops)
        if acknowledged is not None:
            upto, armed = acknowledged
            results = self._settled(ops[:upto])
            if armed is not None:
                self._gaps.strike(armed, _id_of(ops[upto - 1]))
            self._gaps.release()
        if len(results) < len(ops):
            results += self._settled(ops[len(results) :])
        return results

    def report(self, report: SlotReport) -> int:
        traded = [tick.run_id for tick in report.ticks if (tick.run_id, tick.slot) in self._traded]
        if traded:
            self._gaps.pass_by(Gap.BEFORE_ROW, traded, str(traded[0]))
        written = self._inner.report(report)
        self._traded.difference_update((tick.run_id, tick.slot) for tick in report.ticks)
        return written

    def _settled(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        results = self._inner.settle(ops)
        for op, result in zip(ops, results, strict=True):
            if isinstance(result, IntentCommitted):
                order = result.order
                self._traded.add((order.run_id, order.slot))
                self._pass_by(Gap.COMMITTED, order.client_order_id)
            elif isinstance(op, ObserveFill) and isinstance(result, FillSettled):
                self._filled(op, result)
        return results

    def _filled(self, op: ObserveFill, settled: FillSettled) -> None:
        place = (op.account_id, op.symbol)
        if settled.position.is_flat:
            self.opened.pop(place, None)
        elif settled.wanted.limits_loss and not settled.duplicate and _leg_of(op) == Leg.ENTRY:
            self.opened[place] = settled.run_id
            self._gaps.pass_by(Gap.FILLED, [settled.run_id], str(op.client_order_id))

    def _acknowledged(self, ops: Sequence[LedgerOp]) -> tuple[int, Armed | None] | None:
        """Up to where operations go that acknowledge an order which is to be struck before its fills are booked."""
        for index, op in enumerate(ops):
            if isinstance(op, ObserveOrder) and isinstance(op.event, Acknowledged):
                key = parse_client_order_id(op.client_order_id)
                if key is not None and self._gaps.waits_for(Gap.ACKNOWLEDGED, [key.run_id], key.leg):
                    return index + 1, self._gaps.reached(Gap.ACKNOWLEDGED, [key.run_id], key.leg)
        return None

    def _pass_by(self, gap: Gap, client_order_id: ClientOrderId | None) -> None:
        key = None if client_order_id is None else parse_client_order_id(client_order_id)
        if key is not None:
            self._gaps.pass_by(gap, [key.run_id], str(client_order_id), key.leg)


class GappedPermits:
    def __init__(self, inner: Permits, gaps: Gaps) -> None:
        self._inner = inner
        self._gaps = gaps

    def ask(self, order: Order) -> Awaitable[Reason | None]:
        return Later(partial(self._passed, self._inner.ask(order), order))

    async def _passed(self, said: Awaitable[Reason | None], order: Order) -> Reason | None:
        refusal = await said
        if refusal is None:
            self._gaps.pass_by(Gap.RE_READ, [order.run_id], order.client_order_id, order.leg)
        return refusal


class HeldNews:
    """News of the venue, which may be told late."""

    def __init__(self, on_news: Callable[[News], None]) -> None:
        self._on_news = on_news
        self._held: list[News] | None = None
        self._lock = threading.Lock()

    def hear(self, news: News) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(news)
                return
        self._on_news(news)

    def hold(self) -> None:
        with self._lock:
            self._held = self._held or []

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held or [], None
        for news in held:
            self._on_news(news)


class GappedExchange:
    def __init__(
        self, inner: LiveExchange, gaps: Gaps, store: GappedStore, news: HeldNews, account: AccountId
    ) -> None:
        self._inner = inner
        self._gaps = gaps
        self._store = store
        self._news = news
        self._account_id = account

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        run, leg = [order.run_id], order.leg.value
        if self._gaps.waits_for(Gap.ACKNOWLEDGED, run, leg):
            self._news.hold()
        try:
            armed = self._gaps.reached(Gap.ON_WIRE, run, leg)
            if armed is not None:
                return await self._struck_on_the_wire(order, leave, armed)
            report = await self._inner.place(order, leave)
        except BaseException:
            self._news.release()
            raise
        self._gaps.pass_by(Gap.ANSWERED, run, order.client_order_id, leg)
        return report

    async def _struck_on_the_wire(self, order: Order, leave: Leave, armed: Armed) -> OrderReport:
        kind, seconds = ("hold", ARRIVES_AFTER_S) if armed.late else ("delay", ANSWER_AFTER_S)
        fault = {"kind": kind, "seconds": seconds, "method": "POST", "contains": order.client_order_id}
        await asyncio.to_thread(ask, armed.simulator, "POST", "faults", fault)
        placing = asyncio.ensure_future(self._inner.place(order, leave))
        await asyncio.sleep(STRIKE_AFTER_S)
        self._gaps.strike(armed, order.client_order_id)
        return await placing

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        standing = await self._inner.protect(symbol, wanted)
        if standing.limits_loss:
            run_id = self._store.opened.pop((self._account_id, symbol), None)
            if run_id is not None:
                self._gaps.pass_by(Gap.STOP_PLACED, [run_id], f"{symbol} of {run_id}")
        return standing


def gapped_venues(make: MakeVenue, gaps: Gaps, store: GappedStore) -> MakeVenue:
    def gapped(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
        news = HeldNews(on_news)
        venue = make(state, news.hear)
        if not isinstance(venue, LiveVenue):
            return venue
        gaps.on_release(news.release)
        exchange = GappedExchange(venue.exchange, gaps, store, news, state.account.id)
        return LiveVenue(cast(LiveExchange, exchange))

    return gapped


def _leg_of(op: ObserveFill) -> str | None:
    key = None if op.client_order_id is None else parse_client_order_id(op.client_order_id)
    return None if key is None else key.leg


def _id_of(op: LedgerOp) -> str:
    return op.client_order_id if isinstance(op, ObserveOrder) else ""
