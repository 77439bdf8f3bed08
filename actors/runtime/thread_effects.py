"""The live implementation of effects: a bounded executor for blocking calls, one asyncio loop for coroutines."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from actors.runtime.effects import Delivery, EffectCancelled
from actors.runtime.errors import Overloaded
from actors.runtime.letter import ANY_INCARNATION
from actors.runtime.ref import ShellRef

T = TypeVar("T")

CALLS_MAX = 10_000
"""Of either kind."""
COROUTINES_MAX = 10_000


class ThreadEffects:
    """`workers` daemon threads, so that a call that never returns cannot keep the process from ending."""

    def __init__(
        self, workers: int, *, calls_max: int = CALLS_MAX, coroutines_max: int = COROUTINES_MAX
    ) -> None:
        self._calls_max = calls_max
        self._coroutines_max = coroutines_max
        self._calls: queue.Queue[tuple[Callable[[], object], Delivery] | None] = queue.Queue(calls_max)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._under_way = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop_thread = threading.Thread(target=self._run_loop, name="effects-loop", daemon=True)
        self._loop_thread.start()
        self._workers = [
            threading.Thread(target=self._work, name=f"effects-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._workers:
            thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one loop of the process; clients that live on it are made there."""
        return self._loop

    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        delivery = Delivery(to, reply, failed, incarnation)
        if self._stopped:
            delivery.fail(EffectCancelled("the executor has stopped"))
            return
        try:
            self._calls.put_nowait((fn, delivery))
        except queue.Full:
            delivery.fail(Overloaded(f"{self._calls_max} calls wait for the executor"))

    def run(
        self,
        to: ShellRef,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        delivery = Delivery(to, reply, failed, incarnation)
        with self._lock:
            stopped = self._stopped
            accepted = not stopped and self._under_way < self._coroutines_max
            self._under_way += accepted
        if accepted:
            if threading.current_thread() is self._loop_thread:
                self._start(co, delivery, timeout_s)
            else:
                self._loop.call_soon_threadsafe(self._start, co, delivery, timeout_s)
            return
        co.close()
        if stopped:
            delivery.fail(EffectCancelled("the event loop has stopped"))
        else:
            delivery.fail(Overloaded(f"{self._coroutines_max} coroutines are under way"))

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)

    def stop(self, timeout_s: float) -> bool:
        """Cancel coroutines, let running calls end; false when something was still at it after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            begun, self._stopped = self._stopped, True
        if not begun:
            self._discard()
            for _ in self._workers:
                self._calls.put(None, timeout=timeout_s)
            self._loop.call_soon_threadsafe(self._cancel_all)
        threads = [*self._workers, self._loop_thread]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _discard(self) -> None:
        while True:
            try:
                waiting = self._calls.get_nowait()
            except queue.Empty:
                return
            if waiting is not None:
                waiting[1].fail(EffectCancelled("stopped before the call began"))

    def _work(self) -> None:
        while True:
            waiting = self._calls.get()
            if waiting is None:
                return
            fn, delivery = waiting
            try:
                result = fn()
            except BaseException as error:
                delivery.fail(error)
            else:
                delivery.succeed(result)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _start(self, co: Coroutine[Any, Any, Any], delivery: Delivery, timeout_s: float) -> None:
        task = self._loop.create_task(_carried(co, delivery, timeout_s))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(lambda done: self._done(done, co, delivery))
        if self._stopped:
            task.cancel()

    def _done(self, task: asyncio.Task[Any], co: Coroutine[Any, Any, Any], delivery: Delivery) -> None:
        self._tasks.discard(task)
        with self._lock:
            self._under_way -= 1
        if task.cancelled():
            co.close()  # it may not even have begun
            delivery.fail(EffectCancelled("the event loop has stopped"))
        elif (error := task.exception()) is not None:
            delivery.fail(error)
        self._stop_loop_when_done()

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._stop_loop_when_done()

    def _stop_loop_when_done(self) -> None:
        if self._stopped and not self._under_way:
            self._loop.stop()


async def _carried(co: Coroutine[Any, Any, Any], delivery: Delivery, timeout_s: float) -> None:
    """Tells what `co` comes to in time. As `asyncio.wait_for`, which takes a second task for it before Python 3.12."""
    async with asyncio.timeout(timeout_s):
        result = await co
    delivery.succeed(result)
