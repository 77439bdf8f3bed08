"""Actors on the event loop: served as on any other worker, and the loop's own work is not kept waiting for them."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pykka
import pytest
from pykka import ActorDeadError

from actors.runtime import Behaviour, BlockingOnWorker, ChildSpec, Context, ShellRef
from actors.runtime.loop_dispatch import LoopDispatcher
from tests.actors.runtime.world import PATIENCE_S, Log, World, probe

T = TypeVar("T")


@pytest.fixture
def live() -> Iterator[World]:
    """On threads that take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    world = World("pool1")
    try:
        yield world
    finally:
        world.stop()
        sys.setswitchinterval(interval)
    assert not pykka.ActorRegistry.get_all()


def loop_of(world: World) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = world.system.effects.loop  # type: ignore[attr-defined]
    return loop


def on_the_loop(world: World, co: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(co, loop_of(world)).result(PATIENCE_S)


class Strict(Behaviour):
    """Told (sender, number): notes what nobody may see, and where its turns are."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.busy = False
        self.seen: Counter[object] = Counter()
        self.faults: list[str] = []
        self.places = {self.place()}

    @staticmethod
    def place() -> tuple[str, asyncio.AbstractEventLoop]:
        return threading.current_thread().name, asyncio.get_running_loop()

    def receive(self, message: Any) -> object:
        if message == "seen":
            return self.faults, self.seen, self.places
        if self.busy:
            self.faults.append("entered twice")
        self.busy = True
        self.places.add(self.place())
        sender, number = message
        if self.seen[sender] != number:
            self.faults.append(f"{sender} out of order")
        self.seen[sender] += 1
        self.busy = False
        return number


def strict(world: World, number: int) -> list[ShellRef]:
    ids = [f"strict-{each}" for each in range(number)]
    world.system.start([ChildSpec(id=id, factory=Strict, dispatcher="loop") for id in ids])
    return [world.system.ref(id) for id in ids]


def at_once(*calls: Callable[[], T]) -> list[T]:
    """What they return, each on a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [done.result(PATIENCE_S) for done in [threads.submit(call) for call in calls]]


def test_messages_arrive_in_each_senders_order_wherever_it_is(live: World) -> None:
    """On another thread, in a coroutine beside the actor, and the actor's own neighbour."""
    [ref] = strict(live, 1)
    messages = 300

    def from_a_thread() -> None:
        for number in range(messages):
            ref.tell(("thread", number))

    async def from_a_coroutine(name: str) -> None:
        for number in range(messages):
            ref.tell((name, number))
            if number % 7 == 0:
                await asyncio.sleep(0)

    async def from_two() -> None:
        await asyncio.gather(from_a_coroutine("one"), from_a_coroutine("two"))

    at_once(from_a_thread, partial(on_the_loop, live, from_two()))
    faults, seen, _ = live.system.ask(ref, "seen", PATIENCE_S)
    assert faults == []
    assert seen == {"thread": messages, "one": messages, "two": messages}


def test_nothing_is_lost_or_handled_twice_at_once_and_all_on_the_loops_thread(live: World) -> None:
    refs = strict(live, 50)
    senders, messages = 4, 200

    def send(sender: int) -> None:
        for number in range(messages):
            for ref in refs:
                ref.tell((sender, number))

    at_once(*(partial(send, sender) for sender in range(senders)))
    for ref in refs:
        faults, seen, places = live.system.ask(ref, "seen", PATIENCE_S)
        assert faults == []
        assert seen == dict.fromkeys(range(senders), messages)
        assert places == {("effects-loop", loop_of(live))}
    assert sum(live.system.reports.dead_letters.values()) == 0


def test_no_message_is_left_lying_when_the_last_turn_is_just_over(live: World) -> None:
    """Who waits for one answer before the next question finds the dispatcher at rest, or about to be, each time."""
    refs = strict(live, 4)

    def ask(ref: ShellRef) -> None:
        for number in range(2_000):
            assert live.system.ask(ref, ("asker", number), PATIENCE_S) == number

    at_once(*(partial(ask, ref) for ref in refs))


class Restless(Behaviour):
    """Never out of mail, as it tells itself the next before it is done with one."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.count = 0

    def receive(self, message: object) -> object:
        if message == "count":
            return self.count
        self.count += 1
        self.ctx.self_ref.tell(message)
        return None


def test_the_loops_own_work_goes_on_among_actors_that_never_rest(live: World) -> None:
    """Coroutines, timers and sockets."""
    ids = [f"restless-{number}" for number in range(3)]
    live.system.start([ChildSpec(id=id, factory=Restless, dispatcher="loop") for id in ids])
    for id in ids:
        live.system.ref(id).tell("go on")

    async def work() -> bytes:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            loop.call_soon(there.send, b"said")
            return await loop.sock_recv(here, 16)

    assert on_the_loop(live, work()) == b"said"
    for id in ids:
        before = live.system.ask(id, "count", PATIENCE_S)
        live.until(partial(lambda id, before: live.system.ask(id, "count") > before, id, before))


class Endless:
    """Due again as soon as it has had its turn."""

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self.dispatcher = dispatcher
        self.turns = 0

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        self.turns += 1
        self.dispatcher.schedule(self)


def test_after_its_slice_the_loop_has_its_turn_and_then_the_next_in_line() -> None:
    """With a slice that is over at once: no more than one turn between two steps of a coroutine."""

    async def steps() -> list[int]:
        dispatcher = LoopDispatcher(asyncio.get_running_loop(), time_slice_s=0.0)
        await asyncio.sleep(0)
        endless = [Endless(dispatcher) for _ in range(3)]
        for each in endless:
            dispatcher.schedule(each)
        for step in range(1, 31):
            await asyncio.sleep(0)
            assert sum(each.turns for each in endless) == step
        return [each.turns for each in endless]

    assert at_once(lambda: asyncio.run(steps())) == [[10, 10, 10]]


class Nested(Behaviour):
    """Asks whom it is told to, and waits for the answer."""

    def receive(self, message: Any) -> object:
        return message.ask("get", timeout=PATIENCE_S)


def test_a_blocking_ask_in_a_handler_is_refused(live: World, log: Log) -> None:
    """It would wait for its own thread."""
    nested = ChildSpec(id="nested", factory=Nested, dispatcher="loop")
    live.system.start([nested, probe("a", log, dispatcher="loop"), probe("b", log)])
    for other in ("a", "b"):
        with pytest.raises(BlockingOnWorker, match=rf"{other}'s answer to str on worker effects-loop"):
            live.system.ask("nested", live.system.ref(other), PATIENCE_S)


def test_a_coroutine_of_the_loop_awaits_an_answer_and_may_not_block_for_it(live: World, log: Log) -> None:
    live.system.start([probe("a", log, dispatcher="loop")])

    async def blocks() -> object:
        return live.system.ask("a", "get")

    async def awaits() -> object:
        return await live.system.ask_future("a", "get", PATIENCE_S)

    with pytest.raises(BlockingOnWorker):
        on_the_loop(live, blocks())
    assert on_the_loop(live, awaits()) == 0


class Caller(Behaviour):
    """Runs what it is told to and logs what comes back, and where it was."""

    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log

    def receive(self, message: Any) -> None:
        match message:
            case ("run", make):
                self.ctx.run(make(), lambda value: ("result", value), lambda error: ("failed", error), 5.0)
            case ("call", fn):
                self.ctx.call(fn, lambda value: ("result", value), lambda error: ("failed", error))
            case (kind, value):
                self.log.add(kind, value, threading.current_thread().name)


async def rests() -> str:
    await asyncio.sleep(0.001)
    return "rested"


async def fails() -> str:
    raise ConnectionError


@pytest.mark.parametrize(
    ("message", "kind", "outcome"),
    [
        (("run", rests), "result", str),
        (("run", fails), "failed", ConnectionError),
        (("call", lambda: "called"), "result", str),
        (("call", lambda: 1 // 0), "failed", ZeroDivisionError),
    ],
)
def test_what_it_has_done_elsewhere_answers_it_with_a_message(
    live: World, log: Log, message: object, kind: str, outcome: type[Any]
) -> None:
    live.system.start([ChildSpec(id="a", factory=lambda ctx: Caller(ctx, log), dispatcher="loop")])
    live.system.ref("a").tell(message)
    live.until(lambda: log.entries)
    [(told, value, thread)] = log.entries
    assert (told, type(value), thread) == (kind, outcome, "effects-loop")


@pytest.mark.parametrize("error", [ValueError("boom"), asyncio.CancelledError()])
def test_a_handler_that_raises_is_restarted_and_its_mail_and_neighbours_go_on(
    live: World, log: Log, error: BaseException
) -> None:
    """I20: also where it raises what the loop itself ends coroutines with."""
    live.system.start([probe("a", log, dispatcher="loop"), probe("b", log, dispatcher="loop")])
    ref = live.system.ref("a")
    for message in ("inc", ("raise", error), "next"):
        ref.tell(message)
    live.system.ref("b").tell("next")
    live.until(lambda: log.of("got", "a") == [(2, "next")])
    live.until(lambda: log.of("got", "b") == [(1, "next")])
    assert live.system.ask(ref, "get") == 0
    assert live.system.ref("a") is ref
    assert live.system.reports.failures == 1
    assert log.count("restarting", "a", 1) == 1


def test_after_the_end_a_message_is_a_dead_letter_and_an_ask_fails(live: World, log: Log) -> None:
    live.system.start([probe("a", log, dispatcher="loop")])
    ref = live.system.ref("a")
    live.stop()
    ref.tell("late")
    assert not ref.offer("late")
    assert not ref.is_alive()
    with pytest.raises(ActorDeadError, match="a stopped"):
        ref.ask("get", timeout=PATIENCE_S)
    assert live.system.reports.dead_letters == {"stopped": 3}
    assert log.count("got") == 0


def test_what_is_told_while_the_system_stops_is_handled_or_a_dead_letter(live: World, log: Log) -> None:
    """And whoever tells it notices nothing."""
    ids = [f"probe-{number}" for number in range(5)]
    live.system.start([probe(id, log, dispatcher="loop") for id in ids])
    refs = [live.system.ref(id) for id in ids]
    told = Counter({1: 0, 2: 0})
    over = threading.Event()

    def send(sender: int) -> None:
        while not over.is_set():
            for ref in refs:
                ref.tell(sender)
                told[sender] += 1

    def stop() -> None:
        try:
            live.until(lambda: log.count("got") > 100)
            live.stop()
            stopped = told.total()
            live.until(lambda: told.total() > stopped + 100)
        finally:
            over.set()

    at_once(stop, partial(send, 1), partial(send, 2))
    dead = live.system.reports.dead_letters
    assert log.count("got") + dead["stopped"] + dead["full"] == told.total()
    assert log.count("stopped") == len(ids)


def test_nobody_hears_of_it_where_the_loop_has_ended() -> None:
    """As a message for an actor that was not stopped in time: there is no turn for it any more."""
    loop = asyncio.new_event_loop()
    dispatcher = LoopDispatcher(loop)
    loop.call_soon(loop.stop)
    at_once(loop.run_forever)
    loop.close()
    left = Endless(dispatcher)
    dispatcher.schedule(left)
    dispatcher.schedule(left)
    assert left.turns == 0
