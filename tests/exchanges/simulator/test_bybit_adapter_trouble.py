"""Our own Bybit adapter at a stand-in that misbehaves: what it concludes never contradicts the venue's journal."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from core.order import OrderStatus
from exchanges.base import (
    Execution,
    OrderNews,
    StreamGap,
)
from exchanges.errors import (
    Banned,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from exchanges.wire import unconditional
from tests.exchanges.simulator.desk import SYMBOL, Desk
from tests.exchanges.simulator.running import RunningVenue


def test_the_private_stream_comes_back_after_it_was_cut_and_tells_a_gap(
    bybit: RunningVenue, at_desk: Any
) -> None:
    async def act(desk: Desk) -> None:
        following = asyncio.create_task(desk.exchange.follow())
        try:
            await desk.told(StreamGap)
            bybit.control("POST", "faults", {"kind": "drop_sockets", "private_only": True})
            gap = await desk.told(StreamGap, lambda news: news.since is not None)
            assert gap.since <= desk.exchange.venue_now()
        finally:
            following.cancel()

    at_desk(act)


def answered(code: int) -> str:
    return json.dumps({"retCode": code, "retMsg": "scripted", "result": {}, "retExtInfo": {}, "time": 0})


@pytest.mark.parametrize(
    ("fault", "concluded", "made"),
    [
        ({"kind": "drop_after"}, OutcomeUnknown, 1),
        ({"kind": "truncate", "bytes": 20}, OutcomeUnknown, 1),
        ({"kind": "afterwards", "status": 502, "body": "Bad Gateway"}, OutcomeUnknown, 1),
        ({"kind": "afterwards", "status": 200, "body": answered(10016)}, OutcomeUnknown, 1),
        ({"kind": "drop_before"}, OutcomeUnknown, 0),
        ({"kind": "instead", "status": 503, "body": "Service Unavailable"}, OutcomeUnknown, 0),
        ({"kind": "instead", "status": 200, "body": answered(10000)}, OutcomeUnknown, 0),
        ({"kind": "instead", "status": 200, "body": answered(429)}, NotPlaced, 0),
        ({"kind": "instead", "status": 200, "body": answered(10006)}, RateLimited, 0),
        ({"kind": "instead", "status": 200, "body": answered(110007)}, Rejected, 0),
        ({"kind": "instead", "status": 403, "body": "access too frequent"}, Banned, 0),
    ],
)
def test_what_a_bad_answer_concludes_never_contradicts_the_venues_journal(
    bybit: RunningVenue, at_desk: Any, fault: dict[str, Any], concluded: type[ExchangeError], made: int
) -> None:
    """I3: sent once, and there is one of it or none; what may exist is unknown and then found by its id."""

    async def act(desk: Desk) -> None:
        def created() -> int:
            return int(bybit.control("GET", "journal")["created"].get(entry.client_order_id, 0))

        bybit.control("POST", "faults", {"method": "POST", "path": "/v5/order/create", **fault})
        entry = desk.order()
        with pytest.raises(concluded):
            await desk.exchange.place(entry, unconditional)
        assert created() == made
        if made:
            assert (await desk.find(entry)).filled_quantity == Decimal("0.1")
            with pytest.raises(OutcomeUnknown):
                await desk.exchange.place(entry, unconditional)  # the venue knows that id
            assert created() == 1
        elif concluded is OutcomeUnknown:
            assert await desk.exchange.find(SYMBOL, entry.client_order_id) is None

    at_desk(act)


def test_events_doubled_and_out_of_order_are_told_executions_first(bybit: RunningVenue, at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        following = asyncio.create_task(desk.exchange.follow())
        await desk.told(StreamGap)
        # An order that seems older than the stream is told as a gap, and venue time is only estimated here.
        bybit.control("PUT", "clock", {"at": bybit.now() + 1_000})
        bybit.control("POST", "faults", {"kind": "streams", "duplicate": 0.5, "reorder": 0.5, "seed": 4})
        entries = [desk.order() for _ in range(6)]
        for entry in entries:
            await desk.exchange.place(entry, unconditional)
        # What is held back comes with the next event, so the last order's may still be missing.
        for entry in entries[:-1]:
            await desk.told(
                OrderNews, lambda news, named=entry: news.client_order_id == named.client_order_id
            )
        following.cancel()
        filled: dict[str, Decimal] = defaultdict(Decimal)
        seen = set()
        for news in desk.news:
            if isinstance(news, Execution) and news.trade_id not in seen:
                seen.add(news.trade_id)
                filled[str(news.client_order_id)] += news.fill.quantity
            elif isinstance(news, OrderNews) and news.status is OrderStatus.FILLED:
                assert filled[news.client_order_id] == Decimal("0.1")

    at_desk(act)
