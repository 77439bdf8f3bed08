"""The re-read before an order's first byte, on an event loop: what the store would answer, or STORE_UNAVAILABLE.

An ask that is never answered keeps an order and its place for good, so every wait here has an end.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import cycle, islice
from typing import Any, TypeVar

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from core.errors import Reason
from core.ids import RunId
from core.order import Leg, Order, OutcomeUnknown
from core.order_queue import closes
from schema.ops import ObserveOrder
from schema.pg import PgStore
from schema.pg_database import PROGRAM
from schema.pg_permits import MOST_AT_ONCE, PgPermits
from tests.schema.conformance.world import START, TTL_S, World
from tests.schema.conftest import Database
from tests.schema.pg_world import open_store

T = TypeVar("T")
Admin = psycopg.Connection[Any]

PATIENCE_S = 20.0
WORKER = "permits"


@pytest.fixture
def owner(database: Database) -> Iterator[Admin]:
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as connection:
        yield connection


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    store.mark_demo(start=START, rate=0.0)
    yield store
    store.close()


@pytest.fixture
def world(store: PgStore, owner: Admin) -> World:
    def set_now(at: datetime) -> None:
        store.set_clock(at=at, ceiling=at)

    def expire_leases(seconds: float) -> None:
        owner.execute(
            "UPDATE strategy_locks SET locked_until = clock_timestamp() - make_interval(secs => %s)",
            [1 + seconds],
        )

    def forget_lease(run_id: RunId) -> None:
        owner.execute("DELETE FROM strategy_locks WHERE run_id = %s", [run_id])

    return World(store, set_now=set_now, expire_leases=expire_leases, forget_lease=forget_lease)


@pytest.fixture
def permits(database: Database) -> Iterator[PgPermits]:
    permits = PgPermits(database.service_dsn, worker=WORKER)
    yield permits
    permits.close()


class Sessions:
    """The sessions of `PgPermits`, as the server sees them."""

    def __init__(self, admin: Admin, database: Database) -> None:
        self._admin = admin
        self._who = [database.name, f"{PROGRAM}{WORKER}"]

    def pids(self) -> list[int]:
        return self._pids(b"true")

    def waiting(self) -> list[int]:
        """Those whose statement waits for a lock."""
        return self._pids(b"wait_event_type = 'Lock'")

    def done_since(self, moment: datetime) -> list[int]:
        """Those that have answered a statement of later than `moment`."""
        return self._pids(b"state = 'idle' AND query_start > %s", moment)

    def _pids(self, such: bytes, *values: object) -> list[int]:
        statement = b"SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = %s AND "
        return [pid for (pid,) in self._admin.execute(statement + such, [*self._who, *values]).fetchall()]

    def kill(self) -> list[int]:
        """Return once they have ended; the pids they had."""
        pids = self.pids()
        for pid in pids:
            assert self._admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid]).fetchone() == (True,)
        return pids

    def now(self) -> datetime:
        [(now,)] = self._admin.execute("SELECT clock_timestamp()").fetchall()
        assert isinstance(now, datetime)
        return now


@pytest.fixture
def sessions(admin: Admin, database: Database) -> Sessions:
    return Sessions(admin, database)


def on_a_loop(scenario: Coroutine[Any, Any, T]) -> T:
    """What `scenario` returns, on a loop of its own that had nothing to complain of."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(PATIENCE_S):
            return await scenario

    answer = asyncio.run(bounded())
    assert complaints == []
    return answer


async def answers(permits: PgPermits, *orders: Order) -> list[Reason | None]:
    """Of orders that ask at the same moment."""
    return await asyncio.gather(*(permits.ask(order) for order in orders))


async def until(holds: Callable[[], object]) -> None:
    """Return once `holds()`, while the loop goes on; a scenario's own deadline ends it."""
    while not holds():  # noqa: ASYNC110 - what is waited for happens on the server
        await asyncio.sleep(0.002)


def until_now(holds: Callable[[], object]) -> None:
    """Return once `holds()`, while the loop stands."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold"
        time.sleep(0.002)


@contextmanager
def locked(owner: Admin) -> Iterator[None]:
    """Nobody reads an order meanwhile."""
    with owner.transaction():
        owner.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """No connection is left for the garbage collector to close."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(each.message) for each in caught if each.category is ResourceWarning] == []


def permitted(world: World) -> Order:
    """Of a user of its own, whose limits no other order touches."""
    run = world.run(f"user-{world.id().int}")
    return world.committed(run, world.claim(run).fence)


def never_committed(world: World) -> Order:
    run = world.run()
    return world.intent(run, world.claim(run).fence).order


def no_longer_an_intent(world: World) -> Order:
    order = permitted(world)
    event = OutcomeUnknown("timeout")
    world.settle(ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=True))
    return order


def under_another_fence(world: World) -> Order:
    order = permitted(world)
    return replace(order, fence=order.fence + 1)


def lease_over(world: World) -> Order:
    order = permitted(world)
    world.expire_leases(0)
    return order


def lease_taken_over(world: World) -> Order:
    order = permitted(world)
    world.store.release([(order.run_id, order.fence)])
    assert world.store.acquire(order.run_id, owner="node-2", ttl_s=TTL_S) not in (None, order.fence)
    return order


def all_switched_off(world: World) -> Order:
    order = permitted(world)
    world.store.set_kill_switch(on=True, reason="drill")
    return order


def account_switched_off(world: World) -> Order:
    order = permitted(world)
    world.store.set_kill_switch(on=True, reason="drill", account_id=order.account_id)
    return order


def another_account_switched_off(world: World) -> Order:
    order = permitted(world)
    world.store.set_kill_switch(on=True, reason="drill", account_id=world.account("bob").id)
    return order


def owners_flatten(world: World) -> Order:
    run = world.run()
    order = world.committed(run, world.held(run), leg=Leg.FLATTEN)
    world.store.set_kill_switch(on=True, reason="drill")
    return order


def operators_flatten(world: World) -> Order:
    run = world.run()
    order = world.committed(run, world.held(run), leg=Leg.FLATTEN, by_operator=True)
    world.store.set_kill_switch(on=True, reason="drill")
    return order


@pytest.mark.parametrize(
    ("made", "refusal"),
    [
        (permitted, None),
        (never_committed, Reason.OPEN_LEG),
        (no_longer_an_intent, Reason.OPEN_LEG),
        (under_another_fence, Reason.LEASE_LOST),
        (lease_over, Reason.LEASE_LOST),
        (lease_taken_over, Reason.LEASE_LOST),
        (all_switched_off, Reason.KILL_SWITCH),
        (account_switched_off, Reason.KILL_SWITCH),
        (another_account_switched_off, None),
        (owners_flatten, Reason.KILL_SWITCH),
        (operators_flatten, None),
    ],
)
def test_it_answers_what_the_store_answers(
    world: World, permits: PgPermits, made: Callable[[World], Order], refusal: Reason | None
) -> None:
    order = made(world)
    assert on_a_loop(answers(permits, order)) == [refusal]
    assert world.store.may_send([(order.client_order_id, order.fence)]) == [refusal]


def test_i8_a_switch_that_is_committed_is_seen_by_the_next_ask(world: World, permits: PgPermits) -> None:
    order = permitted(world)

    async def scenario() -> list[Reason | None]:
        seen = await answers(permits, order)
        world.store.set_kill_switch(on=True, reason="drill")
        seen += await answers(permits, order)
        world.store.set_kill_switch(on=False, reason="over")
        return seen + await answers(permits, order)

    assert on_a_loop(scenario()) == [None, Reason.KILL_SWITCH, None]


def test_i8_who_asks_while_a_statement_is_under_way_is_not_answered_by_it(
    world: World, permits: PgPermits, sessions: Sessions
) -> None:
    """It may have read its rows before the switch was committed, and the ask came after."""
    order = permitted(world)

    async def scenario() -> list[Reason | None]:
        await answers(permits, order)
        before = sessions.now()
        first = permits.ask(order)
        until_now(lambda: sessions.done_since(before))
        world.store.set_kill_switch(on=True, reason="drill")
        return [await permits.ask(order), await first]

    assert on_a_loop(scenario()) == [Reason.KILL_SWITCH, None]


def cases(world: World) -> list[tuple[Order, Reason | None]]:
    """Orders that are answered differently, side by side."""
    sound, others = permitted(world), account_switched_off(world)
    return [
        (sound, None),
        (others, Reason.KILL_SWITCH),
        (under_another_fence(world), Reason.LEASE_LOST),
        (no_longer_an_intent(world), Reason.OPEN_LEG),
        (never_committed(world), Reason.OPEN_LEG),
        (replace(sound, fence=sound.fence + 1), Reason.LEASE_LOST),
        (permitted(world), None),
    ]


def test_many_at_once_share_statements_and_each_gets_its_own_answer(
    world: World, permits: PgPermits, sessions: Sessions
) -> None:
    """The answers of one statement are told within one step of the loop, and the next is sent after it."""
    asked = list(islice(cycle(cases(world)), 3 * MOST_AT_ONCE + 8))
    steps: list[int] = []

    async def scenario() -> list[Reason | None]:
        loop = asyncio.get_running_loop()
        step = 0

        def tick() -> None:
            nonlocal step, ticking
            step += 1
            ticking = loop.call_soon(tick)

        ticking = loop.call_soon(tick)
        futures = [asyncio.ensure_future(permits.ask(order)) for order, _ in asked]
        for future in futures:
            future.add_done_callback(lambda _: steps.append(step))
        given = await asyncio.gather(*futures)
        ticking.cancel()
        assert len(sessions.pids()) == 1
        return given

    assert on_a_loop(scenario()) == [refusal for _, refusal in asked]
    assert [steps.count(step) for step in sorted(set(steps))] == [MOST_AT_ONCE] * 3 + [8]


def test_what_closes_is_in_the_earlier_statement(world: World, permits: PgPermits) -> None:
    """However many entries came before it; what is under way is not called back."""
    run = world.run()
    entry, closing = permitted(world), world.committed(run, world.held(run), leg=Leg.EXIT)
    world.store.acquire(entry.run_id, owner="node-1", ttl_s=TTL_S)
    answered: list[str] = []

    async def scenario() -> list[Reason | None]:
        await answers(permits, entry)
        first = permits.ask(entry)
        more = [permits.ask(entry) for _ in range(MOST_AT_ONCE + 6)]
        last = [permits.ask(closing) for _ in range(3)]
        named = {"first": [first], "entry": more, "closing": last}
        for name, futures in named.items():
            for future in map(asyncio.ensure_future, futures):
                future.add_done_callback(lambda _, name=name: answered.append(name))
        return await asyncio.gather(first, *more, *last)

    assert closes(closing)
    assert set(on_a_loop(scenario())) == {None}
    assert answered == ["first", *["closing"] * 3, *["entry"] * (MOST_AT_ONCE + 6)]


@pytest.mark.parametrize("noticed", [True, False])
def test_a_session_that_ended_while_nobody_asked_is_replaced(
    world: World, permits: PgPermits, sessions: Sessions, noticed: bool
) -> None:
    """Whether the loop has heard of its end before the next one asks, or hears of it from what it sends."""
    [(sound, _), (stopped, _), *_] = cases(world)

    async def scenario() -> list[Reason | None]:
        for _ in range(3):
            await answers(permits, sound)
            killed = sessions.kill()
            assert len(killed) == 1
            for _ in range(5 if noticed else 0):
                await asyncio.sleep(0)
            given = await answers(permits, stopped, sound)
            assert set(sessions.pids()).isdisjoint(killed)
        return given

    assert on_a_loop(scenario()) == [Reason.KILL_SWITCH, None]


def test_who_asked_by_a_session_that_ends_is_answered_by_the_next(
    world: World, permits: PgPermits, sessions: Sessions, owner: Admin
) -> None:
    """And those behind as well, each in its turn."""
    asked = cases(world)

    async def scenario() -> list[Reason | None]:
        await answers(permits, asked[0][0])
        with locked(owner):
            futures = [asyncio.ensure_future(permits.ask(order)) for order, _ in asked]
            await until(sessions.waiting)
            killed = sessions.kill()
        given = await asyncio.gather(*futures)
        assert set(sessions.pids()).isdisjoint(killed)
        return given

    assert on_a_loop(scenario()) == [refusal for _, refusal in asked]


def test_who_loses_a_second_session_is_refused(
    world: World, permits: PgPermits, sessions: Sessions, owner: Admin
) -> None:
    order = permitted(world)

    async def scenario() -> list[Reason | None]:
        await answers(permits, order)
        with locked(owner):
            asked = asyncio.ensure_future(permits.ask(order))
            for _ in range(2):
                await until(sessions.waiting)
                sessions.kill()
            given = [await asked]
        return given + await answers(permits, order)

    assert on_a_loop(scenario()) == [Reason.STORE_UNAVAILABLE, None]


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        (
            "REVOKE SELECT ON orders FROM runner_service, runner_tenant, runner_reader",
            "GRANT SELECT ON orders TO runner_service",
        ),
        (
            "ALTER TABLE accounts RENAME kill_switch TO other",
            "ALTER TABLE accounts RENAME other TO kill_switch",
        ),
    ],
    ids=["statement", "session"],
)
def test_an_error_of_the_databases_is_a_refusal(
    world: World, permits: PgPermits, sessions: Sessions, owner: Admin, breaks: str, mends: str
) -> None:
    """Of the statement, in a new session once more, and where not even the session can be prepared."""
    order = permitted(world)

    async def scenario() -> list[Reason | None]:
        given = await answers(permits, order)
        owner.execute(breaks.encode())
        given += await answers(permits, order, order)
        owner.execute(mends.encode())
        given += await answers(permits, order)
        await until(lambda: len(sessions.pids()) == 1)
        return given

    unavailable = Reason.STORE_UNAVAILABLE
    with nothing_left_open():
        assert on_a_loop(scenario()) == [None, unavailable, unavailable, None]


@pytest.mark.parametrize("opened", [True, False])
def test_a_database_that_does_not_answer_refuses_all_who_wait(
    world: World, permits: PgPermits, sessions: Sessions, owner: Admin, opened: bool
) -> None:
    """Those of the statement under way and those behind it, without another try; afterwards all is as before."""
    order = permitted(world)
    seen: set[int] = set()

    async def scenario() -> tuple[list[Reason | None], list[Reason | None]]:
        if opened:
            await answers(permits, order)
        with locked(owner):
            asked = asyncio.ensure_future(answers(permits, *[order] * (MOST_AT_ONCE + 6)))
            await until(lambda: seen.update(sessions.pids()) or asked.done())
        return await asked, await answers(permits, order, order)

    with nothing_left_open():
        silent, later = on_a_loop(scenario())
    assert silent == [Reason.STORE_UNAVAILABLE] * (MOST_AT_ONCE + 6)
    assert later == [None, None]
    assert len(seen) == 1


def test_no_database_is_a_refusal(world: World, database: Database) -> None:
    order = permitted(world)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    permits = PgPermits(make_conninfo(database.service_dsn, host="127.0.0.1", port=port), worker=WORKER)

    async def scenario() -> list[Reason | None]:
        return await answers(permits, order, order) + await answers(permits, order)

    assert on_a_loop(scenario()) == [Reason.STORE_UNAVAILABLE] * 3
    permits.close()


def test_who_gives_up_disturbs_nobody(
    world: World, permits: PgPermits, sessions: Sessions, owner: Admin
) -> None:
    """One of the statement under way, one behind it."""
    asked = cases(world)

    async def scenario() -> list[Reason | None]:
        await answers(permits, asked[0][0])
        before = sessions.pids()
        with locked(owner):
            under_way, *waiting = [
                asyncio.ensure_future(permits.ask(order)) for order, _ in [asked[0], asked[0], *asked]
            ]
            await until(sessions.waiting)
            under_way.cancel()
            waiting.pop(0).cancel()
        given = await asyncio.gather(*waiting)
        assert sessions.pids() == before
        return given

    assert on_a_loop(scenario()) == [refusal for _, refusal in asked]


def test_nothing_is_asked_for_those_who_all_gave_up(
    world: World, permits: PgPermits, sessions: Sessions
) -> None:
    """Who comes next finds the session as it was, and nothing on its way there."""
    order = permitted(world)

    async def scenario() -> list[Reason | None]:
        await answers(permits, order)
        before = sessions.pids()
        for _ in range(20):
            under_way, waiting = (asyncio.ensure_future(permits.ask(order)) for _ in range(2))
            waiting.cancel()
            given = [await under_way, *await answers(permits, order)]
            assert sessions.pids() == before
        return given

    assert on_a_loop(scenario()) == [None, None]


async def never_asked(permits: PgPermits, order: Order, sessions: Sessions) -> None:
    assert sessions.pids() == []


async def idle(permits: PgPermits, order: Order, sessions: Sessions) -> None:
    assert await answers(permits, order) == [None]


async def under_way(permits: PgPermits, order: Order, sessions: Sessions) -> None:
    await answers(permits, order)
    permits.ask(order)
    permits.ask(order)


async def opening(permits: PgPermits, order: Order, sessions: Sessions) -> None:
    permits.ask(order)
    await until(sessions.waiting)


@pytest.mark.parametrize("ends", [never_asked, idle, under_way, opening])
def test_closed_after_its_loop_it_leaves_no_session(
    world: World,
    database: Database,
    sessions: Sessions,
    owner: Admin,
    ends: Callable[[PgPermits, Order, Sessions], Coroutine[Any, Any, None]],
) -> None:
    """Wherever the loop's end found it."""
    order = permitted(world)
    permits = PgPermits(database.service_dsn, worker=WORKER)
    with nothing_left_open():
        if ends is opening:
            with locked(owner):
                on_a_loop(ends(permits, order, sessions))
        else:
            on_a_loop(ends(permits, order, sessions))
        permits.close()
        permits.close()
        del permits
    until_now(lambda: not sessions.pids())
