"""One look at an account's venue: what was executed and paid, what is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from actors.live.news import VenueLook
from exchanges.base import Execution, LiveExchange, OrderReport

LOOK_TIMEOUT_S = 60.0
"""A look asks a few times for each symbol, behind others' requests where a budget is short."""


async def look(
    exchange: LiveExchange, symbols: Sequence[str], *, since: datetime, asked_at: datetime
) -> VenueLook:
    """Balance and positions first: what is executed meanwhile is missing in them, never in the executions. Raises."""
    venue_now = exchange.venue_now()
    balance = (await exchange.balance()).balance
    positions = await exchange.positions()
    executions: list[Execution] = []
    open_orders: list[OrderReport] = []
    for symbol in symbols:
        executions += await exchange.executions(symbol, since)
        open_orders += await exchange.open_orders(symbol)
    funding = await exchange.funding(since)
    return VenueLook(
        asked_at,
        venue_now,
        tuple(sorted(executions, key=lambda execution: execution.fill.executed_at)),
        tuple(funding),
        balance,
        tuple(positions),
        tuple(open_orders),
    )
