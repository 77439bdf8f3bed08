"""A host shared by tenants, over real sockets; time is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from core.errors import RunnerError
from exchanges.budgets import Share
from exchanges.errors import Banned, RateLimited
from exchanges.http import HttpPool
from exchanges.limits import Limits, OrderLimit
from exchanges.venue_host import ASK_AGAIN_S, MAX_WAIT_S, VenueHost
from exchanges.wire import Answer, Cost, NoAnswer, Purpose, Request
from tests import live_loop
from tests.exchanges.raw_host import RawHost, answering, ok, say, silence
from tests.fakes.loop_clock import START, LoopClock, until

LIMITS = Limits(
    weight=10,
    window_s=2.0,
    shared_weight=9,
    shared_window_s=2.0,
    orders=(OrderLimit(count=3, window_s=2.0),),
    ban_s=60.0,
    pause_s=1.0,
)
FREE_AGAIN_S = 2.0
"""When what was used at the start is free: a window later (the slice it lies in ends 0.1 s on)."""


class SharedByHand:
    """What the other processes leave; `away`: the database does not answer."""

    def __init__(self) -> None:
        self.left = 9
        self.away = False
        self.asked: list[int] = []
        self.bans: list[datetime] = []
        self.taken_ban: datetime | None = None
        self.heard: datetime | None = None

    def banned_until(self, host: str) -> datetime | None:
        return self.heard

    async def take(self, host: str, limits: Limits, wanted: int) -> Share:
        self.asked.append(wanted)
        if self.away:
            raise RunnerError("away")
        weight = min(wanted, self.left)
        self.left -= weight
        return Share(weight=weight, ends_in_s=60.0, banned_until=self.taken_ban)

    async def ban(self, host: str, until: datetime) -> None:
        if self.away:
            raise RunnerError("away")
        self.bans.append(until)


class Shop:
    def __init__(self, host: RawHost, shared: SharedByHand | None, rate: float) -> None:
        self.host = host
        self.clock = LoopClock(rate)
        self.venue = VenueHost(
            HttpPool(host.url), LIMITS, clock=self.clock, shared=shared, sleep=self.clock.sleep
        )

    async def send(
        self, tenant: str = "a", purpose: Purpose = Purpose.ENTRY, *, weight: int = 1, orders: int = 0
    ) -> Answer:
        send = self.venue.bound(tenant=tenant, account=tenant)
        cost = Cost(weight=weight, orders=orders, purpose=purpose)
        path = f"/{tenant}/{purpose.name}"
        return await send(Request(method="POST", path=path, cost=cost), timeout_s=5)

    def start(self, tenant: str = "a", purpose: Purpose = Purpose.ENTRY, **cost: int) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.send(tenant, purpose, **cost))

    @property
    def arrived(self) -> list[str]:
        return [seen.line.split()[1] for seen in self.host.seen]


@asynccontextmanager
async def shop(shared: SharedByHand | None = None, *, rate: float = 1.0) -> AsyncIterator[Shop]:
    async with answering() as host:
        it = Shop(host, shared, rate)
        try:
            yield it
        finally:
            await it.venue.close()


def case(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """The coroutine as a test."""

    def run() -> None:
        live_loop.run(asyncio.wait_for(_awaited(test()), 30))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def _awaited(it: Awaitable[None]) -> None:
    await it


@case
async def test_requests_go_at_once_while_there_is_budget() -> None:
    async with shop() as it:
        await asyncio.gather(*(it.send() for _ in range(9)))
        assert len(it.arrived) == 9


@case
async def test_whoever_waits_goes_when_there_is_budget_again_the_urgent_first() -> None:
    async with shop() as it:
        await asyncio.gather(*(it.send(purpose=Purpose.CLOSING) for _ in range(10)))
        waiting = [
            it.start("a", Purpose.READ),
            it.start("a", Purpose.ENTRY),
            it.start("a", Purpose.ENTRY),
            it.start("b", Purpose.ENTRY),
            it.start("a", Purpose.CLOSING),
        ]
        await until(lambda: it.venue.waiting == 5, what="five in the queue")
        assert len(it.arrived) == 10
        it.clock.move(FREE_AGAIN_S + 0.1)
        answers = await asyncio.gather(*waiting)
        assert {answer.status for answer in answers} == {200}
        assert len(it.arrived) == 15


@case
async def test_i8_the_leave_is_asked_for_when_the_turn_has_come() -> None:
    """Seconds may pass before: what the rows said then is not what they say now."""
    asked_at: list[float] = []

    async with shop() as it:

        async def leave() -> None:
            asked_at.append(it.clock.monotonic())

        send = it.venue.bound(tenant="a", account="a")
        await asyncio.gather(*(it.send(purpose=Purpose.CLOSING) for _ in range(10)))
        cost = Cost(weight=1, orders=0, purpose=Purpose.ENTRY)
        order = Request(method="POST", path="/order", cost=cost, leave=leave)
        waiting = asyncio.create_task(send(order, timeout_s=5))
        await until(lambda: it.venue.waiting == 1, what="one in the queue")
        began = it.clock.monotonic()
        it.clock.move(FREE_AGAIN_S + 0.1)
        await waiting
        assert asked_at
        assert min(asked_at) >= began
        assert it.arrived[-1] == "/order"


@case
async def test_windows_are_as_short_as_venue_time_is_fast() -> None:
    """As at a stand-in for a venue, in a demo."""
    async with shop(rate=60.0) as it:
        await asyncio.gather(*(it.send(purpose=Purpose.CLOSING) for _ in range(10)))
        waiting = it.start("a", Purpose.CLOSING)
        await until(lambda: it.venue.waiting, what="one in the queue")
        it.clock.move((FREE_AGAIN_S + 0.1) / 60)
        assert (await waiting).status == 200


@case
async def test_a_wait_beyond_the_bound_is_refused_with_when_to_come_back() -> None:
    async with shop() as it:
        it.host.acts = [say(ok(status=429, headers="Retry-After: 30\r\n"))]
        assert (await it.send()).status == 429
        waiting = it.start("b", Purpose.CLOSING)
        await it.clock.pass_sleep(MAX_WAIT_S)
        with pytest.raises(RateLimited) as refused:
            await waiting
        assert refused.value.retry_after_s == pytest.approx(30 - MAX_WAIT_S)
        assert len(it.arrived) == 1
        it.clock.move(30)
        assert (await it.send("b")).status == 200


@case
async def test_a_ban_is_kept_by_everybody_and_those_who_wait_are_told() -> None:
    async with shop() as it:
        await asyncio.gather(*(it.send(purpose=Purpose.CLOSING) for _ in range(9)))
        waiting = it.start("b", Purpose.READ)
        await until(lambda: it.venue.waiting, what="one in the queue")
        it.host.acts = [say(ok(status=418, headers="Retry-After: 90\r\n"))]
        assert (await it.send("a", Purpose.CLOSING)).status == 418
        for refused in (waiting, it.start("a", Purpose.CLOSING), it.start("c")):
            with pytest.raises(Banned) as ban:
                await refused
            assert ban.value.until == START + timedelta(seconds=90)
        assert len(it.arrived) == 10
        it.clock.move(90)
        assert (await it.send("c")).status == 200


@case
async def test_an_account_that_has_used_up_its_orders_waits_alone() -> None:
    async with shop() as it:
        for _ in range(2):
            await it.send("a", orders=1, weight=0)
        late = it.start("a", orders=1, weight=0)
        await until(lambda: it.venue.waiting, what="one in the queue")
        assert (await it.send("b", orders=1, weight=0)).status == 200
        assert not late.done()
        it.clock.move(FREE_AGAIN_S + 0.1)
        assert (await late).status == 200


@case
async def test_no_answer_says_whether_it_was_sent() -> None:
    async with shop() as it:
        it.host.acts = [silence]
        send = it.venue.bound(tenant="a", account="a")
        with pytest.raises(NoAnswer) as none:
            await send(Request(method="POST", path="/x", cost=Cost()), timeout_s=0.05)
        assert (none.value.timed_out, none.value.sent) == (True, True)


@case
async def test_a_share_is_asked_for_and_waited_for() -> None:
    shared = SharedByHand()
    async with shop(shared) as it:
        assert (await it.send()).status == 200
        assert shared.asked[0] >= 1
        assert shared.left < 9


@case
async def test_a_share_that_is_used_up_holds_all_but_closing() -> None:
    shared = SharedByHand()
    shared.left = 0
    async with shop(shared) as it:
        waiting = it.start()
        assert (await it.send("a", Purpose.CLOSING)).status == 200
        assert not waiting.done()
        shared.left = 5
        await it.clock.pass_sleep(ASK_AGAIN_S)
        assert (await waiting).status == 200


@case
async def test_without_the_database_entries_and_reads_stop_and_closing_goes_on() -> None:
    shared = SharedByHand()
    shared.away = True
    async with shop(shared) as it:
        waiting = [it.start(purpose=purpose) for purpose in (Purpose.LOOK_UP, Purpose.ENTRY, Purpose.READ)]
        assert (await it.send("a", Purpose.CLOSING)).status == 200
        await it.clock.pass_sleep(MAX_WAIT_S)
        for refused in waiting:
            with pytest.raises(RateLimited):
                await refused
        assert it.arrived == ["/a/CLOSING"]
        shared.away = False
        it.clock.move(ASK_AGAIN_S)
        assert (await it.send()).status == 200


@case
async def test_a_ban_another_process_met_comes_with_the_share() -> None:
    shared = SharedByHand()
    shared.taken_ban = START + timedelta(seconds=50)
    async with shop(shared) as it:
        with pytest.raises(Banned):
            await it.send()
        assert it.arrived == []


@case
async def test_a_ban_that_is_heard_stops_all_and_those_who_wait_when_their_turn_comes() -> None:
    shared = SharedByHand()
    shared.left = 0
    async with shop(shared) as it:
        waiting = it.start()
        await until(lambda: it.venue.waiting, what="one in the queue")
        shared.heard = START + timedelta(seconds=50)
        with pytest.raises(Banned):
            await it.send("a", Purpose.CLOSING)
        with pytest.raises(Banned):
            await waiting
        assert it.arrived == []
        it.clock.move(50)
        assert (await it.send("a", Purpose.CLOSING)).status == 200


@case
async def test_a_ban_is_told_to_the_others_until_they_have_it() -> None:
    shared = SharedByHand()
    async with shop(shared) as it:
        it.host.acts = [say(ok(status=418, headers="Retry-After: 90\r\n"))]
        await it.send()
        await until(lambda: shared.bans, what="the ban told")
        assert shared.bans == [START + timedelta(seconds=90)]
    shared = SharedByHand()
    async with shop(shared) as it:
        await it.send()
        shared.away = True
        it.host.acts = [say(ok(status=418, headers="Retry-After: 90\r\n"))]
        await it.send()
        await it.clock.asleep(ASK_AGAIN_S)
        shared.away = False
        it.clock.move(ASK_AGAIN_S)
        await until(lambda: shared.bans, what="the ban told")
