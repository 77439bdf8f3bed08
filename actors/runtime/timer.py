"""Messages at a time: one heap per clock, one thread for all of them.

A timer belongs to the incarnation its target had when it was set: a later one never sees it.
"""

from __future__ import annotations

import heapq
import threading
from datetime import datetime
from itertools import count
from typing import Protocol

import msgspec

from actors.runtime.errors import Overloaded
from actors.runtime.ref import ShellRef
from core.clock import Clock

TIMERS_MAX = 1_000_000


class TimerHandle(msgspec.Struct, eq=False):
    """One timer; `cancel()` from any thread, also after it fired."""

    to: ShellRef | None
    message: object
    every: float | None
    incarnation: int

    def cancel(self) -> None:
        self.to = None

    def fire(self) -> None:
        to, incarnation = self.to, self.incarnation
        if to is not None and to.actor_inbox.owner.incarnation == incarnation:  # type: ignore[attr-defined]
            to.deliver(self.message, incarnation)

    @property
    def repeats(self) -> bool:
        """Whether it is to be set again after firing."""
        to = self.to
        return (
            self.every is not None and to is not None and to.is_alive() and to.incarnation == self.incarnation
        )


class Timers(Protocol):
    def at(self, when: datetime, to: ShellRef, message: object) -> TimerHandle:
        """Tell `to` at market time `when`, at once when past."""
        ...

    def after(self, seconds: float, to: ShellRef, message: object, every: float | None = None) -> TimerHandle:
        """Tell `to` after process `seconds`, then every `every` seconds; missed firings coalesce into one."""
        ...

    def wake(self) -> None:
        """Look at the clock again: its rate or reading has been changed."""
        ...


class ThreadTimers:
    """The live implementation: a market heap and a process heap, one daemon thread named `timers`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._market: list[tuple[datetime, int, TimerHandle]] = []
        self._process: list[tuple[float, int, TimerHandle]] = []
        self._numbers = count()
        self._stopped = False
        self._woken = False
        self._thread = threading.Thread(target=self._loop, name="timers", daemon=True)
        self._thread.start()

    def at(self, when: datetime, to: ShellRef, message: object) -> TimerHandle:
        handle = TimerHandle(to, message, None, to.incarnation)
        with self._condition:
            self._check_bound()
            heapq.heappush(self._market, (when, next(self._numbers), handle))
            if self._market[0][2] is handle:
                self._notify()
        return handle

    def after(self, seconds: float, to: ShellRef, message: object, every: float | None = None) -> TimerHandle:
        handle = TimerHandle(to, message, every, to.incarnation)
        with self._condition:
            self._check_bound()
            due = self._clock.monotonic() + seconds
            heapq.heappush(self._process, (due, next(self._numbers), handle))
            if self._process[0][2] is handle:
                self._notify()
        return handle

    def wake(self) -> None:
        with self._condition:
            self._notify()

    def stop(self, timeout_s: float) -> bool:
        """End the thread; timers not yet due never fire."""
        with self._condition:
            self._stopped = True
            self._notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _check_bound(self) -> None:
        if len(self._market) + len(self._process) >= TIMERS_MAX:
            raise Overloaded(f"{TIMERS_MAX} timers are set")

    def _notify(self) -> None:
        self._woken = True
        self._condition.notify()

    def _loop(self) -> None:
        condition = self._condition
        while True:
            with condition:
                wait_s = self._wait_s()
                if not self._woken and wait_s > 0:
                    # Inexact above a day, which only costs one more look.
                    condition.wait(min(wait_s, 86_400.0))
                self._woken = False
                if self._stopped:
                    return
                due = self._due()
            for handle in due:
                handle.fire()

    def _wait_s(self) -> float:
        wait_s = float("inf")
        if self._market:
            wait_s = self._clock.seconds_until(self._market[0][0])
        if self._process:
            wait_s = min(wait_s, self._process[0][0] - self._clock.monotonic())
        return wait_s

    def _due(self) -> list[TimerHandle]:
        """Take what is due off the heaps, oldest first, and set the repeating ones again."""
        due: list[TimerHandle] = []
        market, process = self._market, self._process
        while market and (market[0][2].to is None or self._clock.seconds_until(market[0][0]) <= 0):
            due.append(heapq.heappop(market)[2])
        now = self._clock.monotonic()
        while process and (process[0][0] <= now or process[0][2].to is None):
            at, number, handle = heapq.heappop(process)
            due.append(handle)
            if handle.every is not None and handle.repeats:
                missed = int((now - at) // handle.every)
                heapq.heappush(process, (at + handle.every * (missed + 1), number, handle))
        return due
