"""Permits whose session ends, fails or stands still: an ask that is never answered would keep an order for good."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from core.errors import Reason
from core.order import Order
from schema.pg_permits import MOST_AT_ONCE, SESSION, PgPermits
from tests.schema.conformance.world import World
from tests.schema.conftest import Database
from tests.schema.permits.kit import (
    WORKER,
    Admin,
    Sessions,
    answers,
    cases,
    locked,
    nothing_left_open,
    on_a_loop,
    permitted,
    until,
    until_now,
)


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
            await asyncio.to_thread(until_now, lambda: seen.update(sessions.pids()) or asked.done())
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


def test_what_is_planned_on_empty_tables_reads_rows_by_their_keys_when_there_are_many(
    database: Database,
) -> None:
    """A plan is kept for as long as the session: one that reads whole tables would slow every order down."""
    with psycopg.connect(database.service_dsn, autocommit=True, connect_timeout=10) as connection:
        for statement in SESSION:
            connection.execute(statement)
        plan = [str(line) for (line,) in connection.execute("EXPLAIN EXECUTE may_send ('{none}')").fetchall()]
    scanned = [line for line in plan if "Seq Scan" in line]
    assert [line for line in scanned if " on platform_settings " not in line] == [], plan  # it has one row
    assert sum("Index" in line for line in plan) >= len(("orders", "accounts", "strategy_locks")), plan
