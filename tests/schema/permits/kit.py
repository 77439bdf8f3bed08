"""Where permits are asked for in tests: their sessions on the server, a loop of one's own, orders of every answer."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from msgspec.structs import replace

from core.errors import Reason
from core.order import Leg, Order, OutcomeUnknown
from schema.ops import ObserveOrder
from schema.pg_database import PROGRAM
from schema.pg_permits import PgPermits
from tests import live_loop
from tests.schema.conformance.world import TTL_S, World
from tests.schema.conftest import Database

T = TypeVar("T")
Admin = psycopg.Connection[Any]

PATIENCE_S = 20.0
WORKER = "permits"


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


def on_a_loop(scenario: Coroutine[Any, Any, T]) -> T:
    """What `scenario` returns, on a loop of its own that had nothing to complain of."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(PATIENCE_S):
            return await scenario

    answer = live_loop.run(bounded())
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
