"""Figures of the actor runtime on this machine. Compare ratios: absolute times move with the neighbours."""

from __future__ import annotations

import gc
import os
import queue
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pykka
import talib

from actors.runtime import ActorSystem, Behaviour, ChildSpec, Context, Restart, ShellRef, StopMode, Supervisor

# ThreadingActor breaks at the limit of mappings per process, about 22,000 actors; this many are safe anywhere.
THREADING_ACTORS = 1_000
ASKS = 5_000
RACED_ASKS = 200_000
TICKS = 5
PATIENCE_S = 60.0

CLOSES = np.cumsum(np.random.default_rng(7).normal(size=200)) + 1_000.0


def measure(actors: int) -> dict[str, float | int]:
    """`bench runtime --json`: memory, ask, fan-out, stop and race figures with `actors` supervised actors."""
    round_trip_us = _queue_round_trip_us()
    with live_system() as system:
        before_kb = rss_kb()
        crowd = Crowd(system, actors)
        kb_per_actor = (rss_kb() - before_kb) / actors
        ask_us = _ask_p50_us(crowd.refs[0])
        crowd.tick(None)
        loop_s = _median_s(lambda: bare_loop(actors))
        rsi_s = _median_s(lambda: crowd.tick(CLOSES))
        stop_s = crowd.stop()
    with live_system() as system:
        few = Crowd(system, THREADING_ACTORS)
        few.tick(None)
        few_s = _median_s(lambda: few.tick(CLOSES))
        few_stop_s = few.stop()
    threading_s = _threading_actors_s()
    return {
        "actors": actors,
        "kbPerActor": round(kb_per_actor, 2),
        "askP50Us": round(ask_us, 2),
        "queueRoundTripUs": round(round_trip_us, 2),
        "rsiTickRatioToLoop": round(rsi_s / loop_s, 2),
        "threadingActorRatio": round(threading_s / few_s, 2),
        "hungAsks": _hung_asks(),
        "stopUsPerActor": round(stop_s / actors * 1e6, 2),
        "stopRatio": round(stop_s / few_stop_s, 2),
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
        children = self.children()
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

    def stop(self) -> float:
        gc.collect()
        began = time.perf_counter()
        self._system.ask("owner", "stop", timeout_s=PATIENCE_S)
        return time.perf_counter() - began


def bare_loop(count: int) -> None:
    for _ in range(count):
        talib.RSI(CLOSES, timeperiod=14)


def _median_s(run: Callable[[], None]) -> float:
    times = []
    for _ in range(TICKS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


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

    refs = [Threaded.start() for _ in range(THREADING_ACTORS)]

    def tick() -> None:
        for ref in refs:
            ref.tell(CLOSES)
        for future in [ref.ask(None, block=False) for ref in refs]:
            future.get(timeout=PATIENCE_S)

    try:
        return _median_s(tick)
    finally:
        for ref in refs:
            ref.stop(block=False)


def _hung_asks() -> int:
    """Asks that neither got an answer nor an error, of RACED_ASKS raced with their actors' stop."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with live_system() as system:
            return _race(system)
    finally:
        sys.setswitchinterval(interval)


def _race(system: ActorSystem) -> int:
    per_round = 1_000
    hung = 0
    for round_number in range(RACED_ASKS // per_round):
        system.ask("owner", 10, timeout_s=PATIENCE_S)
        refs = [system.ref(f"run-{number}") for number in range(10)]
        stopped = system.ask_future("owner", "stop", timeout_s=PATIENCE_S)
        futures = [refs[(round_number + number) % 10].ask(None, block=False) for number in range(per_round)]
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
