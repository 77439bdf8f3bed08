"""Supervision cases S10 to S14: order, deadlines, refusals, administration."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pykka
import pytest

from actors.runtime import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    Behaviour,
    ChildCounts,
    ChildNotFound,
    ChildRunning,
    ChildSpec,
    CountChildren,
    DeleteChild,
    Restart,
    RestartChild,
    Shutdown,
    StartChild,
    StartFailed,
    StopMode,
    Supervision,
    Supervisor,
    TerminateChild,
)
from actors.runtime.child import Child
from actors.runtime.letter import Stop
from tests.actors.runtime.world import Log, Probe, World, probe, supervisor


def child(world: World, id: str) -> Any:
    """The root's own notes on one child."""
    root = world.system._root
    assert root is not None
    return next(child for child in root.behaviour.children() if child.spec.id == id)  # type: ignore[union-attr]


def test_s10_stop_in_reverse_with_a_deadline_each(world: World, log: Log) -> None:
    """I16: a handler that overstays is abandoned, so shutdown is bounded."""
    world.system.start([probe(id, log, shutdown=1.0) for id in ("1", "2", "3")])
    handler = threading.Event()
    two = world.system.ref("2")
    world.stuck(two, handler)
    notes = child(world, "2")
    asked = two.ask("get", block=False)
    began = world.clock.monotonic()
    begin_stop(world)
    world.until(lambda: notes.stop is not None and notes.stop.overdue is not None)
    assert [name for name, *_ in log.of("stopped")] == ["3"]
    world.advance(0.875)
    assert [name for name, *_ in log.of("stopped")] == ["3"]
    world.advance(0.125)
    world.system.wait_stopped(5.0)
    assert world.clock.monotonic() - began == 1.0
    assert [name for name, *_ in log.of("stopped")] == ["3", "1"]
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=1.0)
    two.tell("never handled")
    handler.set()
    assert log.count("got") == 0


def begin_stop(world: World) -> None:
    """What `system.stop` does first, without waiting."""
    root = world.system._root
    assert root is not None
    root.ref.signal(Stop(StopMode.NOW))


class Ledger(Probe):
    """Drains: finishes what is open, which takes until told "settled"."""

    def draining(self) -> None:
        self.log.add("draining", self.ctx.name)

    def receive(self, message: Any) -> object:
        if message == "settled":
            self.ctx.stop()
            return None
        return super().receive(message)


def ledger(log: Log, **spec: Any) -> ChildSpec:
    return ChildSpec(id="ledger", factory=lambda ctx: Ledger(ctx, log), **spec)


def test_drain_lets_open_work_finish_and_is_bounded_by_its_own_deadline(world: World, log: Log) -> None:
    """I16: in-flight work ends recorded, within a stated time."""
    root = world.system.start([ledger(log, drain_s=10.0)])
    ref = world.system.ref("ledger")
    down = root.ask(TerminateChild(id="ledger", mode=StopMode.DRAIN), block=False)
    world.until(lambda: log.count("draining"))
    ref.tell("open work")
    ref.tell("settled")
    world.until(down.done)
    assert log.of("got", "ledger") == [(1, "open work")]
    assert log.of("stopped", "ledger") == [(1, StopMode.DRAIN)]
    world.system.ask(root, RestartChild(id="ledger"))
    down = root.ask(TerminateChild(id="ledger", mode=StopMode.DRAIN), block=False)
    world.until(lambda: log.count("draining") == 2)
    world.until(lambda: child(world, "ledger").stop.overdue is not None)
    world.advance(10.0)
    world.until(down.done)
    assert log.of("stopped", "ledger")[1] == (2, StopMode.NOW)


def test_pause_is_neither_stop_nor_drain(world: World, log: Log) -> None:
    class Pausable(Probe):
        def pausing(self, reason: object) -> None:
            self.log.add("paused", reason)

        def resuming(self) -> None:
            self.log.add("resumed")

    class Boss(Supervisor):
        def handle(self, message: object) -> object:
            if message == "pause":
                self.pause_child("a", "by hand")
            else:
                self.resume_child("a")
            return None

    boss = ChildSpec(
        id="boss",
        factory=lambda ctx: Boss(ctx, [ChildSpec(id="a", factory=lambda ctx: Pausable(ctx, log))]),
        dispatcher="control",
    )
    world.system.start([boss])
    world.system.ask("boss", "pause")
    world.until(lambda: log.of("paused") == [("by hand",)])
    assert world.system.ask("a", "get") == 0
    world.system.ask("boss", "resume")
    world.until(lambda: log.count("resumed"))


class Broken(Behaviour):
    def started(self) -> None:
        raise OSError("no such thing")

    def receive(self, message: object) -> None:
        """Never reached: it does not get past its start."""


def test_s11_half_started_means_not_started(world: World, log: Log) -> None:
    specs = [probe("1", log), probe("2", log), ChildSpec(id="3", factory=Broken)]
    with pytest.raises(StartFailed, match=r"3 failed to start: OSError: no such thing") as caught:
        world.system.start(specs)
    assert caught.value.child_id == "3"
    world.system.wait_stopped(5.0)
    assert [name for name, *_ in log.of("stopped")] == ["2", "1"]
    world.until(lambda: not pykka.ActorRegistry.get_all())
    with pytest.raises(LookupError):
        world.system.ref("1")


def test_s11_a_dynamic_child_that_does_not_start_is_not_kept(world: World, log: Log) -> None:
    root = world.system.start([probe("1", log)])
    with pytest.raises(StartFailed, match="no such thing"):
        world.system.ask(root, StartChild(spec=ChildSpec(id="3", factory=Broken)))
    assert world.system.ask(root, CountChildren()) == ChildCounts(specs=1, active=1)
    with pytest.raises(LookupError):
        world.system.ref("3")


def test_s12_the_administration_table(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log)])
    ref = world.system.ref("a")

    def ask(message: object) -> Any:
        return world.system.ask(root, message)

    for message in (TerminateChild(id="x"), RestartChild(id="x"), DeleteChild(id="x")):
        with pytest.raises(ChildNotFound):
            ask(message)
    with pytest.raises(AlreadyStarted) as started:
        ask(StartChild(spec=probe("a", log)))
    assert started.value.ref is ref
    for message in (RestartChild(id="a"), DeleteChild(id="a")):
        with pytest.raises(ChildRunning):
            ask(message)
    assert world.system.ask(ref, "incarnation") == 1

    assert ask(TerminateChild(id="a")) is None
    assert ask(TerminateChild(id="a")) is None
    with pytest.raises(AlreadyPresent):
        ask(StartChild(spec=probe("a", log)))
    assert ask(CountChildren()) == ChildCounts(specs=1, active=0)
    assert ask(RestartChild(id="a")) is ref
    assert world.system.ask(ref, "incarnation") == 2
    ask(TerminateChild(id="a"))
    assert ask(DeleteChild(id="a")) is None
    assert ask(CountChildren()) == ChildCounts(specs=0, active=0)
    assert log.count("started", "a") == 2


BAD: list[tuple[dict[str, Any], str]] = [
    ({"id": ""}, "id"),
    ({"factory": None}, "factory"),
    ({"restart": "sometimes"}, "restart"),
    ({"shutdown": -1.0}, "shutdown"),
    ({"shutdown": float("nan")}, "shutdown"),
    ({"drain_s": -1.0}, "drain_s"),
    ({"mailbox_capacity": 0}, "mailbox_capacity"),
    ({"dispatcher": "gpu"}, "dispatcher"),
]


def test_s13_bad_specs_are_refused_whole(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log)])
    for change, field in BAD:
        fields: dict[str, Any] = {"id": "b", "factory": lambda ctx: Probe(ctx, log), **change}
        with pytest.raises(BadSpec) as refused:
            world.system.ask(root, StartChild(spec=ChildSpec(**fields)))
        assert refused.value.field == field
        assert field in str(refused.value)
    twice = supervisor("sub", [probe("b", log), probe("b", log)])
    with pytest.raises(StartFailed, match="id b is given twice"):
        world.system.ask(root, StartChild(spec=twice))
    assert world.system.ask(root, CountChildren()) == ChildCounts(specs=1, active=1)
    assert world.system.ask("a", "incarnation") == 1
    assert log.count("started", "b") == 0


class Many(Supervisor):
    """Starts and stops children by the list, in its own turn."""

    def handle(self, message: Any) -> object:
        verb, names, log = message
        if verb == "start":
            for name in names:
                self.start_child(probe(name, log, restart=Restart.TEMPORARY))
            return None
        reply = self.ctx.reply_later()
        left = len(names)

        def one_down() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                reply.set(None)

        for name in names:
            self.terminate_child(name, then=one_down)
        return None


def churn(world: World, log: Log, size: int, order: str) -> None:
    names = [f"{size}-{number}" for number in range(size)]
    world.system.ask("many", ("start", names, log), timeout_s=60.0)
    if order == "newest":
        names.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(names)
    world.system.ask("many", ("stop", names, log), timeout_s=60.0)


def lines_run(what: Callable[[], None]) -> int:
    """How many lines of Python `what` runs in this thread: a measure no load changes. Loops in C are not seen."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        what()
    finally:
        sys.settrace(before)
    return count


def test_s14_no_quadratic_bookkeeping(world: World, request: pytest.FixtureRequest) -> None:
    """Ten times the children take ten times the work; what one has to look through would take a hundred times."""
    repeat = request.node.callspec.params["world"][1]
    order = ("oldest", "newest", "shuffled")[repeat % 3]
    world.system.start([ChildSpec(id="many", factory=Many, dispatcher="control")])
    if world.single_threaded:
        few = lines_run(lambda: churn(world, Log(), 100, order))
        assert few > 50 * 100, "what is counted is the work"
        assert lines_run(lambda: churn(world, Log(), 1_000, order)) < 12 * few
    else:
        sys.setswitchinterval(0.005)  # nothing races here; the world puts the usual value back
        churn(world, Log(), 2_000, order)
    assert world.system.ask("many", CountChildren()) == ChildCounts(specs=0, active=0)


def test_a_killed_child_is_abandoned_at_once_and_can_be_started_again(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log, shutdown=Shutdown.KILL)])
    ref = world.system.ref("a")
    handler = threading.Event()
    world.stuck(ref, handler)
    world.system.ask(root, TerminateChild(id="a"))
    assert not ref.is_alive()
    assert world.system.ask(root, RestartChild(id="a")) is ref
    assert world.system.ask(ref, "get") == 0
    handler.set()


def deadline_set_or_down(note: Child) -> bool:
    return note.is_down or (note.stop is not None and note.stop.overdue is not None)


def test_children_that_stop_together_share_one_deadline(world: World, log: Log) -> None:
    group = supervisor(
        "group",
        [probe(f"{number}", log, shutdown=1.0) for number in range(4)],
        Supervision(stop_together=True),
        shutdown=Shutdown.WAIT,
    )
    root = world.system.start([group])
    handler = threading.Event()
    if world.single_threaded:
        for number in range(4):
            world.stuck(world.system.ref(f"{number}"), handler)
    else:
        world.stuck(world.system.ref("0"), handler)
    notes = child(world, "group").shell.behaviour.children()
    down = root.ask(TerminateChild(id="group"), block=False)
    world.until(lambda: all(map(deadline_set_or_down, notes)))
    world.advance(1.0)
    world.until(down.done)
    handler.set()
