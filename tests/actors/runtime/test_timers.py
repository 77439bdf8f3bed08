"""Timers on market and process time, on threads and on the virtual clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import ActorSystem, Behaviour, ChildSpec, Context, VirtualClock
from actors.runtime.timer import ThreadTimers
from tests.actors.runtime.world import START, Log, World


class Sleeper(Behaviour):
    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log
        self.handles: list[Any] = []

    def receive(self, message: Any) -> object:
        match message:
            case ("at", seconds, name):
                self.handles.append(self.ctx.at(START + timedelta(seconds=seconds), name))
            case ("after", seconds, name):
                self.handles.append(self.ctx.after(seconds, name))
            case ("every", seconds, name):
                self.handles.append(self.ctx.after(seconds, name, every=seconds))
            case "cancel":
                for handle in self.handles:
                    handle.cancel()
            case "sync":
                return None
            case _:
                self.log.add(message, self.ctx.clock.monotonic())
        return None


def start(system: ActorSystem, log: Log) -> Any:
    system.start([ChildSpec(id="a", factory=lambda ctx: Sleeper(ctx, log))])
    return system.ref("a")


def test_timers_fire_in_order_of_time_not_of_setting(world: World, log: Log) -> None:
    ref = start(world.system, log)
    for message in (("after", 3.0, "third"), ("at", 1.0, "first"), ("after", 2.0, "second")):
        world.system.ask(ref, message)
    for count in range(4):
        world.until(lambda count=count: len(log.entries) == count)  # type: ignore[misc]
        world.advance(1.0)
    assert [name for name, _ in log.entries] == ["first", "second", "third"]
    assert [at for _, at in log.entries] == [1.0, 2.0, 3.0]


def test_a_time_already_past_fires_at_once(world: World, log: Log) -> None:
    ref = start(world.system, log)
    world.advance(5.0)
    world.system.ask(ref, ("at", 1.0, "late"))
    world.advance(0.0)
    world.until(lambda: log.count("late") == 1)


def test_a_cancelled_timer_never_fires(world: World, log: Log) -> None:
    ref = start(world.system, log)
    for message in (("at", 1.0, "x"), ("after", 1.0, "y"), ("every", 1.0, "z"), "cancel"):
        world.system.ask(ref, message)
    world.advance(10.0)
    world.system.ask(ref, "sync")
    assert log.entries == []


def test_a_repeating_timer_keeps_its_rhythm(world: World, log: Log) -> None:
    ref = start(world.system, log)
    world.system.ask(ref, ("every", 2.0, "tick"))
    for count in range(1, 6):
        world.advance(2.0)
        world.until(lambda count=count: log.count("tick") == count)  # type: ignore[misc]
    assert [at for _, at in log.entries] == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_missed_firings_coalesce_into_one(log: Log) -> None:
    world = World("pool1")
    ref = start(world.system, log)
    world.system.ask(ref, ("every", 1.0, "tick"))
    world.advance(10.5)
    world.until(lambda: log.count("tick") == 1)
    world.advance(0.5)
    world.until(lambda: log.count("tick") == 2)
    world.stop()


class TwoRates:
    """Market time runs at `rate` times process time, or stands."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.market_s = 0.0
        self.rate = 1.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.market_s)

    def monotonic(self) -> float:
        return self.elapsed

    def seconds_until(self, when: datetime) -> float:
        left = (when - self.now()).total_seconds()
        if left <= 0:
            return 0.0
        return left / self.rate if self.rate else float("inf")


def test_market_timers_follow_the_market_clock_when_its_speed_is_changed(log: Log) -> None:
    world = World("pool1")
    ref = start(world.system, log)
    clock = TwoRates()
    clock.rate = 0.0
    timers = ThreadTimers(clock)
    timers.at(START + timedelta(hours=1), ref, "an hour later")
    timers.after(3_600.0, ref, "process time")
    timers.wake()
    world.system.ask(ref, "sync")
    assert log.entries == []
    clock.rate = 1e9  # the hour now takes microseconds of process time
    clock.market_s = 3_600.0
    timers.wake()
    world.until(lambda: log.count("an hour later") == 1)
    assert log.count("process time") == 0
    assert timers.stop(5.0)
    world.stop()


@given(delays=st.lists(st.floats(0, 1e6, allow_nan=False), max_size=20), stop_s=st.floats(0, 1e6))
def test_virtual_time_fires_exactly_what_is_due_in_order(delays: list[float], stop_s: float) -> None:
    log = Log()
    clock = VirtualClock(START)
    system = ActorSystem.deterministic(clock)
    ref = start(system, log)
    for number, delay in enumerate(delays):
        system.timers.after(delay, ref, ("n", number))
    until = START + timedelta(seconds=stop_s)
    assert system.virtual is not None
    system.virtual.run_until(until)
    assert clock.now() == until
    due = [number for number, delay in enumerate(delays) if round(delay * 1e6) <= round(stop_s * 1e6)]
    expected = sorted(due, key=lambda number: (round(delays[number] * 1e6), number))
    assert [message[1] for message, _ in log.entries] == expected
    system.stop()
