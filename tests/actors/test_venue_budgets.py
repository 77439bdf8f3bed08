"""Two processes at one venue, over one real database: the weight is shared, a ban is everybody's at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

import pytest

from actors.venue_budgets import SharedVenueBudgets
from exchanges.errors import Banned, RateLimited
from exchanges.http import HttpPool
from exchanges.limits import Limits
from exchanges.venue_host import VenueHost
from exchanges.wire import Answer, Cost, Purpose, Request
from schema.notify import PgNotifier
from schema.pg_venue_budgets import BANS_CHANNEL
from tests.exchanges.raw_host import RawHost, answering, ok, say
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store

# Within a window of a century nothing here can happen at its edge.
CENTURY_S = 3_155_760_000.0
LIMITS = Limits(
    weight=1_000,
    window_s=60.0,
    shared_weight=30,
    shared_window_s=CENTURY_S,
    orders=(),
    ban_s=60.0,
    pause_s=1.0,
)


class ProcessClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


class Process:
    """What one process has of the venue."""

    def __init__(self, host: RawHost, database: Database, name: str) -> None:
        self.store = open_store(database.service_dsn, worker=name, pool_size=2)
        self.notifier = PgNotifier(database.service_dsn)
        self.executor = ThreadPoolExecutor(1)
        self.shared = SharedVenueBudgets(self.store.venue_budgets, self.executor)
        self.host = VenueHost(HttpPool(host.url), LIMITS, clock=ProcessClock(), shared=self.shared)

    def follow_bans(self) -> None:
        self.notifier.listen([BANS_CHANNEL], lambda channel, payload: self.shared.read_bans())

    async def send(self, purpose: Purpose = Purpose.ENTRY) -> Answer:
        send = self.host.bound(tenant="a", account="a")
        return await send(Request(method="POST", path="/x", cost=Cost(purpose=purpose)), timeout_s=0.3)

    async def close(self) -> None:
        await self.host.close()
        self.notifier.close()
        self.executor.shutdown()
        self.store.close()


@asynccontextmanager
async def two(database: Database) -> AsyncIterator[tuple[RawHost, Process, Process]]:
    async with answering() as host:
        processes = [Process(host, database, name) for name in ("one", "two")]
        try:
            yield host, processes[0], processes[1]
        finally:
            for process in processes:
                await process.close()


def test_two_processes_together_send_no_more_than_the_window_holds(database: Database) -> None:
    async def run() -> None:
        async with two(database) as (host, one, another):
            asked = [process.send() for process in (one, another) for _ in range(25)]
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            sent = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
            assert 20 <= len(sent) <= 30
            assert len(host.seen) == len(sent)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_ban_met_by_one_process_stops_the_other(database: Database) -> None:
    async def run() -> None:
        async with two(database) as (host, one, another):
            another.follow_bans()
            await another.send()
            host.acts = [say(ok(status=418, headers="Retry-After: 600\r\n"))]
            assert (await one.send()).status == 418

            async def stopped() -> bool:
                try:
                    await another.send(Purpose.CLOSING)
                except Banned:
                    return True
                except RateLimited:
                    return False  # it has sent all it may before it heard
                return False

            async with asyncio.timeout(20):
                while not await stopped():
                    continue
            with pytest.raises(Banned):
                await another.send()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_ban_is_heard_without_asking(database: Database) -> None:
    async def run() -> None:
        async with two(database) as (host, one, another):
            another.follow_bans()
            address = f"127.0.0.1:{host.port}"
            # Heard once the listener listens: until then each ban is told later than the one before.
            seconds = iter(range(600, 10_000))
            async with asyncio.timeout(20):
                while another.shared.banned_until(address) is None:
                    until_ = datetime.fromtimestamp(datetime.now(UTC).timestamp() + next(seconds), UTC)
                    await one.shared.ban(address, until_)
            with pytest.raises(Banned):
                await another.send(Purpose.CLOSING)
            assert host.seen == []

    asyncio.run(asyncio.wait_for(run(), 60))
