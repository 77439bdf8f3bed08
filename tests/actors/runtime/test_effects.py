"""Blocking calls and coroutines come back as messages, alike on threads and on the virtual clock."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from actors.runtime import Behaviour, ChildSpec, Context, Overloaded
from actors.runtime.effects import EffectCancelled
from actors.runtime.thread_effects import ThreadEffects
from tests.actors.runtime.world import Log, World


class Worker(Behaviour):
    """Does what the message says and logs what comes back."""

    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log

    def receive(self, message: Any) -> object:
        match message:
            case ("call", fn):
                self.ctx.call(fn, lambda value: ("result", value), lambda error: ("failed", error))
            case ("run", make, timeout_s):
                co = make(self.ctx.system.effects.sleep)
                self.ctx.run(co, lambda value: ("result", value), lambda error: ("failed", error), timeout_s)
            case ("bad reply", fn):
                self.ctx.call(fn, lambda value: value.missing, lambda error: ("failed", error))
            case "crash":
                raise ValueError
            case "incarnation":
                return self.ctx.incarnation
            case _:
                self.log.add(*message)
        return None


def start(world: World, log: Log) -> Any:
    world.system.start([ChildSpec(id="a", factory=lambda ctx: Worker(ctx, log))])
    return world.system.ref("a")


def only(world: World, log: Log, kind: str) -> Any:
    world.until(lambda: log.entries)
    assert [entry[0] for entry in log.entries] == [kind]
    return log.entries[0][1]


def test_a_calls_result_is_a_message(world: World, log: Log) -> None:
    start(world, log).tell(("call", lambda: 42))
    assert only(world, log, "result") == 42


def test_a_calls_exception_is_a_message(world: World, log: Log) -> None:
    start(world, log).tell(("call", lambda: 1 // 0))
    assert isinstance(only(world, log, "failed"), ZeroDivisionError)


def test_a_reply_that_cannot_be_built_is_a_failure(world: World, log: Log) -> None:
    start(world, log).tell(("bad reply", lambda: 42))
    assert isinstance(only(world, log, "failed"), AttributeError)


async def two_naps(sleep: Any) -> str:
    await sleep(0.004)
    await sleep(0.004)
    return "rested"


async def fails(sleep: Any) -> str:
    await sleep(0.001)
    raise ConnectionError("reset")


async def oversleeps(sleep: Any) -> str:
    await sleep(60.0)
    return "never"


@pytest.mark.parametrize(
    ("make", "timeout_s", "kind", "outcome"),
    [
        (two_naps, 5.0, "result", str),
        (fails, 5.0, "failed", ConnectionError),
        (oversleeps, 0.01, "failed", TimeoutError),
    ],
)
def test_a_coroutines_outcome_is_a_message(
    world: World, log: Log, make: Any, timeout_s: float, kind: str, outcome: type[Any]
) -> None:
    start(world, log).tell(("run", make, timeout_s))
    if world.single_threaded:
        world.advance(5.0)
    assert isinstance(only(world, log, kind), outcome)


def test_a_reply_to_an_earlier_life_never_reaches_a_later_one(world: World, log: Log) -> None:
    ref = start(world, log)
    gate = threading.Event()
    if world.single_threaded:
        ref.signal("crash")
        ref.actor_inbox.control.insert(0, ("call", lambda: "old"))
    else:
        ref.tell(("call", lambda: gate.wait(5.0)))
        ref.tell("crash")
    world.until(lambda: ref.incarnation == 2)
    gate.set()
    world.until(lambda: world.system.reports.dead_letters["stale"] == 1)
    assert world.system.ask(ref, "incarnation") == 2
    assert log.entries == []


def test_beyond_its_bounds_work_fails_at_once(log: Log) -> None:
    world = World("pool1")
    ref = start(world, log)
    effects = ThreadEffects(1, calls_max=1, coroutines_max=1)
    gate = threading.Event()
    running = threading.Event()

    def block() -> str:
        running.set()
        gate.wait(5.0)
        return "done"

    def result(value: object) -> object:
        return "result", value

    def failed(error: Exception) -> object:
        return "failed", error

    try:
        effects.call(ref, block, result, failed)
        assert running.wait(5.0)
        effects.call(ref, lambda: "queued", result, failed)
        effects.call(ref, lambda: "too many", result, failed)
        world.until(lambda: log.count("failed") == 1)
        assert isinstance(log.entries[0][1], Overloaded)
        gate.set()
        world.until(lambda: log.of("result") == [("done",), ("queued",)])
        effects.run(ref, oversleeps(effects.sleep), result, failed, 60.0)
        effects.run(ref, oversleeps(effects.sleep), result, failed, 60.0)
        world.until(lambda: log.count("failed") == 2)
        assert isinstance(log.entries[-1][1], Overloaded)
    finally:
        gate.set()
        assert effects.stop(5.0)
        world.stop()


def test_work_under_way_at_shutdown_is_cancelled_not_forgotten(log: Log) -> None:
    """I16: shutdown does not wait for a coroutine's own timeout."""
    world = World("pool1")
    ref = start(world, log)
    ref.tell(("run", oversleeps, 60.0))
    world.system.ask(ref, "incarnation")
    assert world.system.effects.stop(5.0)  # type: ignore[attr-defined]
    world.until(lambda: log.count("failed") == 1)
    assert isinstance(log.entries[0][1], EffectCancelled)
    world.stop()


def test_replay_refuses_to_await_anything_but_the_given_sleep(log: Log) -> None:
    async def cheats(sleep: Any) -> None:
        await asyncio.sleep(0)

    world = World("deterministic")
    start(world, log).tell(("run", cheats, 5.0))
    world.until(lambda: log.entries)
    assert isinstance(log.entries[0][1], TypeError)
    world.stop()
