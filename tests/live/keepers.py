"""Clock keepers of one or more processes over one store, on one thread; market time apart from process time."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from math import inf
from typing import Any

from actors.clock_keeper import ClockChanged, ClockKeeper, SetDemoClock
from actors.market_clock import MarketClock
from actors.runtime.deterministic import DeterministicDispatcher, VirtualClock
from actors.runtime.effects import DeterministicEffects
from actors.runtime.ref import ShellRef
from actors.runtime.spec import ChildSpec
from actors.runtime.system import DISPATCHERS, ActorSystem
from actors.runtime.timer import TimerHandle
from core.risk import RiskLimits
from schema.memory import MemoryStore
from schema.records import ClockSettings


class HeldStore(MemoryStore):
    """Says of each slot what the test says: how many runs are undecided there. Remembers what it was asked."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, RiskLimits())
        self.undecided: dict[datetime, int] = {}
        self.asked: list[datetime] = []

    def pending(self, slot: datetime) -> int:
        self.asked.append(slot)
        return self.undecided.get(slot, 0)


class MarketTimers:
    """Timers of a process whose market time is not its process time; the latter is the dispatcher's."""

    def __init__(self, dispatcher: DeterministicDispatcher, clock: MarketClock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._waiting: list[tuple[datetime, TimerHandle]] = []

    def at(self, when: datetime, to: ShellRef, message: object) -> TimerHandle:
        handle = TimerHandle(to, message, None, to.incarnation)
        self._waiting.append((when, handle))
        self.wake()
        return handle

    def after(self, seconds: float, to: ShellRef, message: object, every: float | None = None) -> TimerHandle:
        handle = TimerHandle(to, message, every, to.incarnation)
        self._later(seconds, lambda: self._fire(handle, every))
        return handle

    def wake(self) -> None:
        due = [pair for pair in self._waiting if self._clock.seconds_until(pair[0]) == 0]
        self._waiting = [pair for pair in self._waiting if pair not in due]
        for _, handle in due:
            handle.fire()
        nearest_s = min((self._clock.seconds_until(when) for when, _ in self._waiting), default=inf)
        if nearest_s < inf:
            self._later(max(nearest_s, 1e-6), self.wake)

    def _fire(self, handle: TimerHandle, every: float | None) -> None:
        handle.fire()
        if every is not None and handle.repeats:
            self._later(every, lambda: self._fire(handle, every))

    def _later(self, seconds: float, call: Any) -> None:
        self._dispatcher.call_at(self._dispatcher.clock.us + round(seconds * 1e6), call)


class Keepers:
    """A demo at `start` and `rate`, and `count` processes that keep its time."""

    def __init__(
        self,
        start: datetime,
        *,
        rate: float = 60.0,
        count: int = 1,
        data_end: datetime | None = None,
        seed: int | None = None,
        ceiling: datetime | None = None,
    ) -> None:
        self._process = VirtualClock(start)
        rng = None if seed is None else random.Random(seed)
        self._dispatcher = DeterministicDispatcher(self._process, rng)
        self.store = HeldStore(self._process)
        self.store.mark_demo(start=start, rate=rate)
        self.store.set_clock(ceiling=start if ceiling is None else ceiling)
        self.ends: list[int] = []
        self.clocks: list[MarketClock] = []
        self.systems: list[ActorSystem] = []
        for number in range(count):
            self._add(number, data_end)

    def _add(self, number: int, data_end: datetime | None) -> None:
        clock = MarketClock(self.store.clock(), self._process.monotonic)
        system = ActorSystem(
            clock=clock,
            dispatchers=dict.fromkeys(DISPATCHERS, self._dispatcher),
            effects=DeterministicEffects(self._dispatcher),
            timers=MarketTimers(self._dispatcher, clock),
            rng=None,
            sink=lambda action, fields: None,
            virtual=self._dispatcher,
        )
        self.clocks.append(clock)
        self.systems.append(system)
        keeper = ChildSpec(
            id="clock",
            factory=lambda ctx: ClockKeeper(
                ctx,
                store=self.store,
                clock=clock,
                hint=self.hint,
                data_end=data_end,
                on_data_end=lambda: self.ends.append(number),
            ),
        )
        system.start([keeper])

    @property
    def market(self) -> datetime:
        """Market time as the store has it."""
        settings = self.store.clock()
        elapsed = settings.database_now - settings.anchor_process
        market = settings.anchor_market + elapsed * settings.rate
        return market if settings.ceiling is None else min(market, settings.ceiling)

    def hint(self) -> None:
        for system in self.systems:
            system.ref("clock").tell(ClockChanged())

    def pass_s(self, seconds: float) -> None:
        """Let process time pass."""
        self._dispatcher.run_until(self._process.now() + timedelta(seconds=seconds))

    def set_rate(self, rate: float, process: int = 0) -> ClockSettings:
        settings: ClockSettings = self.systems[process].ask("clock", SetDemoClock(rate=rate), 5.0)
        return settings
