"""All the page shows in one answer, the chart of one run, and the events it begins with: for operators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from core.ids import RunId
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, Store
from facade.endpoint import Call, route
from facade.errors import not_found
from facade.operation import OperationRoute
from facade.overview import (
    EQUITY_POINTS,
    TRADES_SHOWN,
    ClockShown,
    OverviewAnswer,
    OverviewReads,
    Surroundings,
    overview_answer,
)
from facade.price_chart import ChartAnswer, MarketView, chart_answer
from facade.schemas.form import Answer, Asked
from facade.told import StreamedEvent, streamed

FRESH_S: Final = 0.4
"""For how long an answer serves everybody who asks: however many pages are open, the rows are read once."""
EVENTS_SHOWN: Final = 100


class RecentEvents(Answer, frozen=True, kw_only=True):
    """The newest events, oldest first; `last_id` is where a stream goes on."""

    events: tuple[StreamedEvent, ...]
    last_id: int


class ChartAsked(Asked, frozen=True, kw_only=True):
    run_id: UUID


class OverviewRoutes:
    """Handlers over one market view; keeps the last overview while it is fresh."""

    def __init__(
        self, market: MarketView, reads: OverviewReads, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._market = market
        self._reads = reads
        self._monotonic = monotonic
        self._last: OverviewAnswer | None = None
        self._read_at_s = float("-inf")
        self._reading = asyncio.Lock()

    def routes(self) -> list[OperationRoute]:
        return [
            route("GET", "/api/overview", self.overview, Access.ADMIN),
            route("GET", "/api/overview/chart", self.chart, Access.ADMIN),
            route("GET", "/api/overview/events", self.events, Access.ADMIN),
        ]

    async def overview(self, call: Call) -> OverviewAnswer:
        """All that the operator's page shows."""
        async with self._reading:
            if self._last is None or self._monotonic() - self._read_at_s >= FRESH_S:
                self._last = await self._read(call)
                self._read_at_s = self._monotonic()
            return self._last

    async def chart(self, call: Call, query: ChartAsked) -> ChartAnswer:
        """Candles of a run's series, its trades and open position."""
        run_id, market, now = RunId(query.run_id), self._market, call.services.runner.market_now()

        def read(store: Store) -> ChartAnswer:
            run = store.run(run_id)
            if run is None:
                raise not_found()
            held = store.open_positions(account_id=run.account_id) if run.account_id is not None else []
            own = next((each for each in held if each.run_id == run_id), None)
            trades = store.trades(run_id=run_id, limit=TRADES_SHOWN)
            return chart_answer(run, own, trades, market, now)

        return await call.bridge.ask(read)

    async def events(self, call: Call) -> RecentEvents:
        """The newest events of everybody."""
        newest = await call.bridge.ask(lambda store: store.events(newest=True, limit=EVENTS_SHOWN))
        ttl_s = call.services.settings.signal_ttl_seconds
        return RecentEvents(
            events=tuple(streamed(event, ttl_s) for event in newest), last_id=newest[-1].id if newest else 0
        )

    async def _read(self, call: Call) -> OverviewAnswer:
        runner, market = call.services.runner, self._market

        def read() -> OverviewAnswer:
            clock = runner.demo_clock()
            if clock is None:
                shown = ClockShown(now=runner.market_now(), speed=1.0, paused=False, demo=False)
            else:
                demo = clock.time()
                shown = ClockShown(now=demo.now, speed=demo.speed, paused=demo.paused, demo=True)
            around = Surroundings(clock=shown, ready=runner.ready(), platform=runner.store.platform())
            return overview_answer(self._reads.overview(equity_points=EQUITY_POINTS), market, around)

        return await call.bridge.call(read, timeout_s=STORE_TIMEOUT_S)
