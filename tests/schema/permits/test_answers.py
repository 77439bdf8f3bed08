"""The re-read before an order's first byte, on an event loop: what the store would answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle, islice

import pytest

from core.errors import Reason
from core.order import Leg, Order
from core.order_queue import closes
from schema.pg_permits import MOST_AT_ONCE, PgPermits
from tests.schema.conformance.world import TTL_S, World
from tests.schema.permits.kit import (
    Admin,
    Sessions,
    account_switched_off,
    all_switched_off,
    another_account_switched_off,
    answers,
    cases,
    lease_over,
    lease_taken_over,
    locked,
    never_committed,
    no_longer_an_intent,
    on_a_loop,
    operators_flatten,
    owners_flatten,
    permitted,
    under_another_fence,
    until,
    until_now,
)


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
