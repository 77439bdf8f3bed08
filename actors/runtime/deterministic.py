"""One thread, one virtual clock: the same actors, replayed exactly.

Ready actors take turns first come, first served, or one message at a time in an order drawn from a seeded generator.
Time stands still while anything is ready, then jumps to the next timer. Blocking calls and coroutines are events
here like any other; see `DeterministicEffects`.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from actors.runtime.errors import BlockingOnWorker, Overloaded
from actors.runtime.mailbox import Runnable
from actors.runtime.ref import ShellRef
from actors.runtime.timer import TIMERS_MAX, TimerHandle

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER_US = 1 << 62


def epoch_us(when: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (when - _EPOCH) // _MICROSECOND


class VirtualClock:
    """Market and process time in one, in whole microseconds; moved by the dispatcher only."""

    __slots__ = ("_now", "_origin_us", "us")

    def __init__(self, start: datetime) -> None:
        self.us = epoch_us(start)
        self._origin_us = self.us
        self._now: datetime | None = start

    def now(self) -> datetime:
        if self._now is None:
            self._now = _EPOCH + timedelta(microseconds=self.us)
        return self._now

    def monotonic(self) -> float:
        return (self.us - self._origin_us) / 1e6

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (epoch_us(when) - self.us) / 1e6)

    def move_to(self, us: int, when: datetime | None = None) -> None:
        """Go on to `us` microseconds since 1970, which is `when` if that is known already; never back."""
        if us > self.us:
            self.us = us
            self._now = when


class DeterministicDispatcher:
    """`rng` None: first come, first served, up to `throughput` messages a turn. Else: seeded, one message a turn."""

    def __init__(self, clock: VirtualClock, rng: random.Random | None = None, throughput: int = 32) -> None:
        self.clock = clock
        self._rng = rng
        self._throughput = throughput if rng is None else 1
        self._ready: deque[Runnable] = deque()
        self._timers: list[tuple[int, int, Callable[[], None], datetime | None]] = []
        self._numbers = count()
        self._running = False
        self.schedule: Callable[[Runnable], object] = self._ready.append

    def call_at(self, us: int, fire: Callable[[], None], when: datetime | None = None) -> None:
        """Run `fire` when the clock reaches `us`, which is `when`; it only queues messages or events."""
        timers = self._timers
        if len(timers) >= TIMERS_MAX:
            raise Overloaded(f"{TIMERS_MAX} timers are set")
        heapq.heappush(timers, (us, next(self._numbers), fire, when))

    def step(self) -> bool:
        """Give one turn, or go on to the next timer; false when there is neither."""
        return self._give_turns(1) or self._fire_next(_NEVER_US)

    # --- several processes on one clock: whoever drives them decides which one goes on (actors/simulation)

    @property
    def is_ready(self) -> bool:
        """Whether anything waits for a turn."""
        return bool(self._ready)

    @property
    def next_us(self) -> int:
        """When the next timer is due; far in the future without any."""
        return self._timers[0][0] if self._timers else _NEVER_US

    def turn(self) -> None:
        """Give one turn to whoever waits, drawn where several do; the clock stands."""
        ready, rng = self._ready, self._rng
        if rng is not None and len(ready) > 1:
            ready.rotate(-int(rng.random() * len(ready)))
        self._running = True
        try:
            ready.popleft().run_batch(self._throughput, None, 0.0)
        finally:
            self._running = False

    def fire_due(self) -> None:
        """Fire the timers that are due by now."""
        while self._fire_next(self.clock.us):
            pass

    def forget(self) -> None:
        """Drop all turns and timers, as when the process dies: what has not happened never does."""
        for runnable in self._ready:
            close = getattr(runnable, "close", None)
            if close is not None:
                close()
        self._ready.clear()
        self._timers.clear()

    def run_until_idle(self) -> None:
        """Run until nothing is ready; the clock stands."""
        while self._give_turns(1_000):
            pass

    def run_until(self, when: datetime) -> None:
        """Run everything up to and including `when`, and leave the clock there."""
        self.run_until_us(epoch_us(when))

    def run_until_us(self, us: int) -> None:
        """As `run_until`, in microseconds since 1970: nothing is converted per candle."""
        if self._rng is None:
            self._run_until_us(us)
        else:
            while self._give_turns(1_000_000) or self._fire_next(us):
                pass
        self.clock.move_to(us)

    def _run_until_us(self, us: int) -> None:
        """Turn by turn as in `_give_turns` and `_fire_next`, without what only single steps need."""
        timers, ready, throughput, move_to = self._timers, self._ready, self._throughput, self.clock.move_to
        pop, popleft = heapq.heappop, ready.popleft
        self._running = True
        try:
            while True:
                while ready:
                    popleft().run_batch(throughput, None, 0.0)
                if not timers or timers[0][0] > us:
                    return
                due, _, fire, when = pop(timers)
                move_to(due, when)
                fire()
                while timers and timers[0][0] <= due:
                    pop(timers)[2]()
        finally:
            self._running = False

    def drive(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Make progress until `done()` or `timeout_s` virtual seconds have passed; for an ask from outside."""
        if self._running and timeout_s > 0:
            raise BlockingOnWorker("blocking get() inside a handler")
        deadline = self.clock.us + round(timeout_s * 1e6)
        while not done():
            if not self._give_turns(1) and not self._fire_next(deadline):
                self.clock.move_to(deadline)
                return

    def _give_turns(self, turns: int) -> bool:
        ready = self._ready
        if not ready:
            return False
        throughput = self._throughput
        rng = self._rng
        self._running = True
        try:
            if rng is None:
                popleft = ready.popleft
                while ready and turns:
                    turns -= 1
                    popleft().run_batch(throughput, None, 0.0)
            else:
                while ready and turns:
                    turns -= 1
                    # Rotating to the drawn one keeps the others' order, so a seed means the same everywhere.
                    ready.rotate(-int(rng.random() * len(ready)))
                    ready.popleft().run_batch(throughput, None, 0.0)
        finally:
            self._running = False
        return True

    def _fire_next(self, limit_us: int) -> bool:
        """Move to the earliest timer not after `limit_us` and fire all that are due at that moment."""
        timers = self._timers
        if not timers or timers[0][0] > limit_us:
            return False
        us, _, fire, when = heapq.heappop(timers)
        self.clock.move_to(us, when)
        fire()
        while timers and timers[0][0] <= us:
            heapq.heappop(timers)[2]()
        return True


class DeterministicTimers:
    """Timers on the virtual clock."""

    def __init__(self, dispatcher: DeterministicDispatcher) -> None:
        self._dispatcher = dispatcher

    def at(self, when: datetime, to: ShellRef, message: object) -> TimerHandle:
        handle = TimerHandle(to, message, None, to.actor_inbox.owner.incarnation)  # type: ignore[attr-defined]
        self._dispatcher.call_at((when - _EPOCH) // _MICROSECOND, handle.fire, when)
        return handle

    def after(self, seconds: float, to: ShellRef, message: object, every: float | None = None) -> TimerHandle:
        handle = TimerHandle(to, message, every, to.incarnation)
        due = self._dispatcher.clock.us + round(seconds * 1e6)
        if every is None:
            self._dispatcher.call_at(due, handle.fire)
        else:
            self._repeat(handle, due, max(1, round(every * 1e6)))
        return handle

    def wake(self) -> None:
        """Virtual time moves only by turns; there is nothing to look at again."""

    def _repeat(self, handle: TimerHandle, due: int, every_us: int) -> None:
        def fire() -> None:
            handle.fire()
            if handle.repeats:
                self._repeat(handle, due + every_us, every_us)

        self._dispatcher.call_at(due, fire)
