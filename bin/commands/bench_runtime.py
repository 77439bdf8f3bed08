"""Figures of the actor runtime on this machine. Compare ratios: absolute times move with the neighbours."""

from __future__ import annotations

import gc
import os
import queue
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from math import inf
from typing import Any, TypeVar

import numpy as np
import pykka
import talib

from actors.runtime import ActorSystem, Behaviour, ChildSpec, Context, Restart, ShellRef, StopMode, Supervisor

# ThreadingActor breaks at the limit of mappings per process, about 22,000 actors; this many are safe anywhere.
FEW_ACTORS = 1_000
ASKS = 5_000
ASKS_PER_ROUND = 1_000
RACED_ACTORS = 10
STOPS = 5
SEED = 7
TICKS = 9
PATIENCE_S = 60.0

T = TypeVar("T")

CLOSES = np.cumsum(np.random.default_rng(7).normal(size=200)) + 1_000.0


class StopOrder(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"
    RANDOM = "random"

    def arrange(self, children: Sequence[T]) -> list[T]:
        """The children, first to be stopped first."""
        arranged = list(children)
        if self is StopOrder.NEWEST:
            arranged.reverse()
        elif self is StopOrder.RANDOM:
            random.Random(SEED).shuffle(arranged)  # noqa: S311  # an order to stop in
        return arranged


def measure(actors: int, *, asks: int) -> dict[str, Any]:
    """`bench runtime --json`: memory, ask, fan-out, stop and race figures with `actors` supervised actors.

    `asks`: how many are raced with stops.
    """
    load = os.getloadavg()[0]
    round_trip_us = _queue_round_trip_us()
    with live_system() as system:
        before_kb = rss_kb()
        crowd = Crowd(system, actors)
        kb_per_actor = (rss_kb() - before_kb) / actors
        ask_us = _ask_p50_us(crowd.refs[0])
        crowd.tick(None)
        loop_s, rsi_s = _quickest_s(lambda: bare_loop(actors), lambda: crowd.tick(CLOSES))
        crowd.stop(StopOrder.OLDEST)
    with live_system() as system:
        few = Crowd(system, FEW_ACTORS)
        few.tick(None)
        [few_s] = _quickest_s(lambda: few.tick(CLOSES))
    stop_s = {order: _stop_s(actors, order) for order in StopOrder}
    ratios = {order: stop_s[order] / _stop_s(FEW_ACTORS, order) for order in StopOrder}
    threading_s = _threading_actors_s()
    return {
        "actors": actors,
        "kbPerActor": round(kb_per_actor, 2),
        "askP50Us": round(ask_us, 2),
        "queueRoundTripUs": round(round_trip_us, 2),
        "rsiTickRatioToLoop": round(rsi_s / loop_s, 2),
        "threadingActorRatio": round(threading_s / few_s, 2),
        "racedAsks": asks,
        "hungAsks": _hung_asks(asks),
        "stopUsPerActor": round(max(stop_s.values()) / actors * 1e6, 2),
        "stopRatio": round(max(ratios.values()), 2),
        "stopRatios": {order.value: round(ratio, 2) for order, ratio in ratios.items()},
        "loadAverage": round(load, 2),
    }


class _WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


class _Rsi(Behaviour):
    """The payload: TA-Lib's RSI of 200 closes per tick, nothing for an empty one."""

    def receive(self, message: object) -> object:
        if isinstance(message, np.ndarray):
            talib.RSI(message, timeperiod=14)
        elif isinstance(message, threading.Event):
            message.set()
        return None


class _Owner(Supervisor):
    def handle(self, message: object) -> object:
        if isinstance(message, int):
            for number in range(message):
                self.start_child(ChildSpec(id=f"run-{number}", factory=_Rsi, restart=Restart.TEMPORARY))
            return None
        assert isinstance(message, StopOrder)
        children = message.arrange(self.children())
        left = len(children)
        reply = self.ctx.reply_later()

        def one_down() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                reply.set(None)

        for child in children:
            self.terminate_child(child.spec.id, StopMode.NOW, then=one_down)
        return None


def _rsi_owner(ctx: Context) -> _Owner:
    return _Owner(ctx)


@contextmanager
def live_system() -> Iterator[ActorSystem]:
    system = ActorSystem.live(_WallClock(), db_workers=1)
    system.start([ChildSpec(id="owner", factory=_rsi_owner, dispatcher="control")])
    try:
        yield system
    finally:
        system.stop()


class Crowd:
    def __init__(self, system: ActorSystem, size: int) -> None:
        self._system = system
        system.ask("owner", size, timeout_s=PATIENCE_S)
        self.refs = [system.ref(f"run-{number}") for number in range(size)]
        self.tick(None)

    def tick(self, message: object) -> None:
        """Tell everybody and wait until the last has handled it; one worker goes through them in order."""
        for ref in self.refs:
            ref.tell(message)
        done = threading.Event()
        self.refs[-1].tell(done)
        if not done.wait(PATIENCE_S):
            raise TimeoutError("a fan-out did not end")

    def stop(self, order: StopOrder) -> float:
        gc.collect()
        began = time.perf_counter()
        self._system.ask("owner", order, timeout_s=PATIENCE_S)
        return time.perf_counter() - began


def _stop_s(count: int, order: StopOrder) -> float:
    """The quickest stop of so many actors."""
    times = []
    for _ in range(STOPS):
        with live_system() as system:
            times.append(Crowd(system, count).stop(order))
    return min(times)


def bare_loop(count: int) -> None:
    for _ in range(count):
        talib.RSI(CLOSES, timeperiod=14)


def _quickest_s(*runs: Callable[[], None]) -> list[float]:
    """The quickest time of each, taken in turns: what neighbours on the machine take away differs from turn to turn."""
    quickest = [inf] * len(runs)
    for _ in range(TICKS):
        for number, run in enumerate(runs):
            began = time.perf_counter()
            run()
            quickest[number] = min(quickest[number], time.perf_counter() - began)
    return quickest


def _ask_p50_us(ref: ShellRef) -> float:
    return _p50_us(lambda: ref.ask(None))


def _p50_us(run: Callable[[], object]) -> float:
    times = []
    for _ in range(ASKS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def _queue_round_trip_us() -> float:
    with queue_round_trip() as round_trip:
        return _p50_us(round_trip)


@contextmanager
def queue_round_trip() -> Iterator[Callable[[], object]]:
    """What any answer from another thread costs: put, wake, put back, wake."""
    there: queue.SimpleQueue[bool] = queue.SimpleQueue()
    back: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def echo() -> None:
        while there.get():
            back.put(True)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()

    def round_trip() -> None:
        there.put(True)
        back.get()

    try:
        yield round_trip
    finally:
        there.put(False)
        thread.join(PATIENCE_S)


def _threading_actors_s() -> float:
    """The same fan-out to pykka's own actors, one thread each."""

    class Threaded(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: object) -> object:
            if isinstance(message, np.ndarray):
                talib.RSI(message, timeperiod=14)
            return None

    refs = [Threaded.start() for _ in range(FEW_ACTORS)]

    def tick() -> None:
        for ref in refs:
            ref.tell(CLOSES)
        for future in [ref.ask(None, block=False) for ref in refs]:
            future.get(timeout=PATIENCE_S)

    try:
        [quickest_s] = _quickest_s(tick)
        return quickest_s
    finally:
        for ref in refs:
            ref.stop(block=False)


def _hung_asks(asks: int) -> int:
    """Asks that neither got an answer nor an error, of `asks` raced with their actors' stop."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with live_system() as system:
            return _race(system, asks)
    finally:
        sys.setswitchinterval(interval)


def _race(system: ActorSystem, asks: int) -> int:
    hung = 0
    for round_number in range(asks // ASKS_PER_ROUND):
        system.ask("owner", RACED_ACTORS, timeout_s=PATIENCE_S)
        refs = [system.ref(f"run-{number}") for number in range(RACED_ACTORS)]
        stopped = system.ask_future("owner", StopOrder.OLDEST, timeout_s=PATIENCE_S)
        futures = [
            refs[(round_number + number) % RACED_ACTORS].ask(None, block=False)
            for number in range(ASKS_PER_ROUND)
        ]
        stopped.get()
        for future in futures:
            try:
                future.get(timeout=5.0)
            except pykka.ActorDeadError:
                continue
            except pykka.Timeout:
                hung += 1
    return hung


def rss_kb() -> float:
    """Resident memory of this process in kB, garbage collected first."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
