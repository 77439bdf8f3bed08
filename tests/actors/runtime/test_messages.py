"""Supervision cases S15 to S20: watching, mailboxes, fairness, timers, start-up, policy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import msgspec
import pykka
import pytest

from actors.runtime import (
    Behaviour,
    ChildSpec,
    Context,
    CountChildren,
    Directive,
    Intensity,
    MailboxFull,
    Restart,
    ShellRef,
    Supervision,
    Supervisor,
    TerminateChild,
    Terminated,
)
from tests.actors.runtime.world import PATIENCE_S, Log, Probe, World, probe


class Watcher(Behaviour):
    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log

    def receive(self, message: Any) -> object:
        match message:
            case Terminated(name=name):
                self.log.add("notice", self.ctx.name, name)
            case ("watch", ref):
                self.ctx.watch(ref)
        return None


def watcher(id: str, log: Log) -> ChildSpec:
    return ChildSpec(id=id, factory=lambda ctx: Watcher(ctx, log))


def test_s15_exactly_one_notice(world: World, log: Log) -> None:
    watchers = [watcher(f"w{number}", log) for number in range(3)]
    runs = Supervision(intensity=Intensity(max_restarts=2, window_s=3600.0, per_child=True))
    world.system.start([probe("a", log), *watchers], runs)
    ref = world.system.ref("a")
    for spec in watchers:
        world.system.ask(spec.id, ("watch", ref))
        world.system.ask(spec.id, ("watch", ref))
    for life in (2, 3):
        ref.tell(("raise", ValueError()))
        world.until(partial(log.count, "started", "a", life))
    assert log.count("notice") == 0
    ref.tell(("raise", ValueError()))
    world.until(lambda: log.count("notice") == 3)
    for spec in watchers:
        world.system.ask(spec.id, "sync")
        assert log.count("notice", spec.id, "a") == 1
    world.system.ask("w0", ("watch", ref))
    world.until(lambda: log.count("notice", "w0", "a") == 2)


def test_s16_full_mailbox_drops_it_does_not_block(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log, mailbox_capacity=2)])
    ref = world.system.ref("a")
    handler = threading.Event()
    world.stuck(ref, handler)
    assert [ref.offer(number) for number in range(3)] == [True, True, False]
    asked = ref.ask("get", block=False)
    assert asked.done()
    with pytest.raises(MailboxFull, match=r"a is full \(2\)"):
        asked.get()
    assert world.system.reports.dead_letters["full"] == 2
    down = root.ask(TerminateChild(id="a"), block=False)
    assert ref.stop(block=False) is not None
    release(world, ref, handler)
    world.until(down.done)
    assert not ref.is_alive()
    assert log.of("got", "a") in ([], [(1, 0)], [(1, 0), (1, 1)])


def release(world: World, ref: ShellRef, handler: threading.Event) -> None:
    """The handler that made `ref` busy returns."""
    handler.set()
    if world.single_threaded:
        ref.actor_inbox.rest()


def test_s16_the_two_that_fit_are_handled(world: World, log: Log) -> None:
    world.system.start([probe("a", log, mailbox_capacity=2)])
    ref = world.system.ref("a")
    handler = threading.Event()
    world.stuck(ref, handler)
    for number in range(3):
        ref.tell(number)
    release(world, ref, handler)
    world.until(lambda: log.of("got", "a") == [(1, 0), (1, 1)])
    report = next(fields for action, fields in world.reports if action == "dead_letter")
    assert report == {"target": "a", "message": "int", "reason": "full", "suppressed": 0}


class Price(msgspec.Struct, frozen=True):
    symbol: str
    value: int

    @property
    def conflation_key(self) -> str:
        return self.symbol


def test_s16_a_conflating_mailbox_keeps_the_newest_of_each_key(world: World, log: Log) -> None:
    world.system.start([probe("a", log, mailbox_capacity=3, conflate=True)])
    ref = world.system.ref("a")
    handler = threading.Event()
    world.stuck(ref, handler)
    sent = [Price("X", 1), Price("Y", 1), "other", Price("X", 2), Price("Y", 2), Price("X", 3)]
    assert all(ref.offer(message) for message in sent)
    assert not ref.offer("refused")
    release(world, ref, handler)
    world.until(lambda: log.count("got") == 3)
    assert [message for _, message in log.of("got", "a")] == ["other", Price("Y", 2), Price("X", 3)]
    assert world.system.reports.dead_letters["conflated"] == 3


class Flooded(Behaviour):
    def __init__(self, ctx: Context, log: Log, gate: threading.Event) -> None:
        super().__init__(ctx)
        self.log = log
        self.gate = gate

    def receive(self, message: Any) -> object:
        if message == "gate":
            self.gate.wait(PATIENCE_S)
            return None
        if message == 0:
            self.ctx.ref("second").tell("ready")
        self.log.add("did", self.ctx.name, message)
        return None


@pytest.mark.parametrize("throughput", [1, 5, 100])
@pytest.mark.parametrize("kind", ["pool1", "deterministic"])
def test_s17_fair_share(kind: str, throughput: int, log: Log) -> None:
    """I20: one busy actor delays another by its share only."""
    world = World(kind, throughput=throughput)
    gate = threading.Event()

    def spec(id: str) -> ChildSpec:
        return ChildSpec(id=id, factory=lambda ctx: Flooded(ctx, log, gate))

    try:
        world.system.start([spec("first"), spec("second")])
        first = world.system.ref("first")
        if not world.single_threaded:
            first.tell("gate")
        for number in range(100):
            first.tell(number)
        gate.set()
        world.until(lambda: log.count("did") == 101)
    finally:
        world.stop()
    assert [number for (number,) in log.of("did", "first")] == list(range(100))
    before = log.entries.index(("did", "second", "ready"))
    # The message before the first, and the time slice, may end the first turn early, never late.
    assert before <= throughput
    if kind == "deterministic":
        assert before == throughput


class Ticking(Behaviour):
    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log

    def started(self) -> None:
        self.ctx.after(1.0, ("tick", self.ctx.incarnation), every=1.0)

    def receive(self, message: Any) -> object:
        match message:
            case ("tick", life):
                self.log.add("tick", self.ctx.incarnation, life)
            case ("block", event):
                event.wait(PATIENCE_S)
                raise ValueError
            case "fail":
                raise ValueError
            case "incarnation":
                return self.ctx.incarnation
        return None


def test_s18_old_ticks_die_with_the_old_life(world: World, log: Log) -> None:
    world.system.start([ChildSpec(id="a", factory=lambda ctx: Ticking(ctx, log))])
    ref = world.system.ref("a")
    world.advance(1.0)
    world.until(lambda: log.count("tick", 1, 1) == 1)
    handler = threading.Event()
    world.stuck(ref, handler)
    world.advance(1.0)  # this tick is queued behind the message that fails
    if world.single_threaded:
        ref.actor_inbox.user.appendleft("fail")
        ref.actor_inbox.rest()
    else:
        world.until(lambda: len(ref.actor_inbox) == 1)
        handler.set()
    world.until(lambda: ref.incarnation == 2)
    assert world.system.ask(ref, "incarnation") == 2
    assert log.of("tick") == [(1, 1)]
    assert world.system.reports.dead_letters["stale"] == 1
    world.advance(0.875)
    world.system.ask(ref, "incarnation")
    assert log.of("tick") == [(1, 1)]
    world.advance(0.125)
    world.until(lambda: log.of("tick") == [(1, 1), (2, 2)])


class SlowStart(Probe):
    gate: ClassVar[threading.Event]
    fails = False

    def __init__(self, ctx: Context, log: Log, gate: threading.Event, fails: bool) -> None:
        super().__init__(ctx, log)
        self._gate = gate
        self._fails = fails

    def started(self) -> None:
        self.log.add("starting", self.ctx.name)
        self._gate.wait(PATIENCE_S)
        if self._fails:
            raise OSError("start-up failed")
        self.log.add("started", self.ctx.name)


class Starter(Supervisor):
    """Starts a child and mails it before the child can have started."""

    def handle(self, message: Any) -> object:
        ref = self.start_child(message)
        for number in range(10):
            ref.tell(number)
        return ref


@pytest.mark.parametrize("fails", [False, True])
def test_s19_mail_sent_during_start_up_waits(world: World, log: Log, fails: bool) -> None:
    gate = threading.Event()
    if world.single_threaded:
        gate.set()
    world.system.start([ChildSpec(id="starter", factory=Starter, dispatcher="control")])
    spec = ChildSpec(
        id="slow", factory=lambda ctx: SlowStart(ctx, log, gate, fails), restart=Restart.TEMPORARY
    )
    ref = world.system.ask("starter", spec)
    if not world.single_threaded:
        world.until(lambda: log.count("starting"))
        assert log.count("got") == 0
        gate.set()
    if fails:
        world.until(lambda: world.system.reports.dead_letters["stopped"] == 10)
        assert not ref.is_alive()
        assert log.count("got") == 0
    else:
        world.until(lambda: log.count("got") == 10)
        assert [number for _, number in log.of("got", "slow")] == list(range(10))
        assert log.entries.index(("started", "slow")) < log.entries.index(("got", "slow", 1, 0))


def third_error_pauses(state: Any, report: object) -> tuple[Any, Directive | None]:
    """The original runner's rule, as a pure policy over reports."""
    if report == "ok":
        return (), None
    causes = (*(state or ()), report)
    return causes, Directive.PAUSE if len(causes) == 3 else None


class Run(Behaviour):
    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log
        self.paused = False

    def receive(self, message: Any) -> object:
        if message == "paused?":
            return self.paused
        if self.paused:
            self.log.add("skipped", message)
            return None
        self.log.add("adapter called", message)
        if message == "crash":
            raise ValueError
        self.ctx.report(message)
        return None

    def pausing(self, reason: object) -> None:
        self.paused = True

    def resuming(self) -> None:
        self.paused = False


class Runs(Supervisor):
    def __init__(self, ctx: Context, log: Log) -> None:
        spec = ChildSpec(id="run", factory=lambda ctx: Run(ctx, log), policy=third_error_pauses)
        super().__init__(ctx, [spec])
        self.log = log

    def child_paused(self, child_id: str, policy_state: object) -> None:
        self.log.add("paused", child_id, policy_state)

    def handle(self, message: object) -> object:
        self.resume_child("run")
        return None


def test_s20_auto_pause_on_the_third_in_a_row(world: World, log: Log) -> None:
    world.system.start([ChildSpec(id="runs", factory=lambda ctx: Runs(ctx, log), dispatcher="control")])
    run = world.system.ref("run")

    def tick(*outcomes: str) -> None:
        for outcome in outcomes:
            run.tell(outcome)
            world.until(lambda: len(run.actor_inbox) == 0)
        assert world.system.ask(run, "paused?") in (False, True)
        world.system.ask("runs", CountChildren())  # asked after the reports, hence answered after them

    tick("error 1", "error 2", "ok", "error 3", "error 4")
    assert world.system.ask(run, "paused?") is False
    run.tell("crash")  # the count outlives a restart
    world.until(lambda: run.incarnation == 2)
    tick("error 5")
    world.until(lambda: world.system.ask(run, "paused?"))
    assert log.of("paused") == [("run", ("error 3", "error 4", "error 5"))]
    calls = log.count("adapter called")
    tick("later tick")
    assert log.count("adapter called") == calls
    assert log.count("skipped", "later tick") == 1
    world.system.ask("runs", "resume")
    world.until(lambda: world.system.ask(run, "paused?") is False)
    tick("error 6", "error 7")
    assert world.system.ask(run, "paused?") is False
    assert log.count("paused") == 1


def test_a_reply_may_be_given_later_than_the_handler(world: World) -> None:
    class Asks(Behaviour):
        def receive(self, message: Any) -> object:
            if isinstance(message, tuple):
                message[0].set(message[1])
                return None
            reply = self.ctx.reply_later()
            self.ctx.call(lambda: message * 2, lambda value: (reply, value), lambda error: (reply, error))
            return None

    world.system.start([ChildSpec(id="a", factory=Asks)])
    assert [world.system.ask("a", number) for number in (1, 2, 3)] == [2, 4, 6]


@pytest.mark.parametrize("send", [lambda ref: ref.tell("x"), lambda ref: ref.signal("x")])
def test_mail_to_the_dead_is_a_counted_dead_letter(
    world: World, log: Log, send: Callable[[ShellRef], None]
) -> None:
    root = world.system.start([probe("a", log)])
    ref = world.system.ref("a")
    world.system.ask(root, TerminateChild(id="a"))
    send(ref)
    assert world.system.reports.dead_letters["stopped"] == 1
    with pytest.raises(pykka.ActorDeadError, match="a stopped before handling"):
        ref.ask("get")


def test_control_messages_overtake_the_rest(world: World, log: Log) -> None:
    world.system.start([probe("a", log)])
    ref = world.system.ref("a")
    handler = threading.Event()
    world.stuck(ref, handler)
    ref.tell("ordinary")
    ref.signal("urgent")
    release(world, ref, handler)
    world.until(lambda: log.of("got", "a") == [(1, "urgent"), (1, "ordinary")])


def test_a_policy_that_raises_restarts_its_own_child_only(world: World, log: Log) -> None:
    """I20: one run's broken rule does not stop another run."""

    def broken(state: Any, report: object) -> tuple[Any, Directive | None]:
        raise KeyError(report)

    def run(id: str) -> ChildSpec:
        return ChildSpec(id=id, factory=lambda ctx: Run(ctx, log), policy=broken)

    world.system.start([run("a"), run("b")])
    world.system.ref("a").tell("error 1")
    world.until(lambda: world.system.ref("a").incarnation == 2)
    assert world.system.ask("b", "paused?") is False
    assert world.system.ref("b").incarnation == 1


def test_a_supervisor_survives_a_message_it_does_not_understand(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log)])
    with pytest.raises(TypeError, match="root does not understand str"):
        world.system.ask(root, "what?")
    assert world.system.ask("a", "incarnation") == 1
    assert world.system.reports.dead_letters["not understood"] == 1
