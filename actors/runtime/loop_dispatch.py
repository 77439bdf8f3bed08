"""Turns on the event loop: for actors whose work is there, so that neither side waits for the other's thread.

Between two portions of turns the loop serves its sockets and timers. A handler that blocks holds up all of it: no
other worker can take its place, as `PoolDispatcher` has it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from _thread import allocate_lock
from collections import deque
from contextlib import suppress

from actors.runtime.future import mark_worker
from actors.runtime.mailbox import Runnable


class LoopDispatcher:
    """`loop` runs in a thread of its own. A turn is up to `throughput` messages; `time_slice_s` bounds it, and how long
    actors have their turns before sockets have theirs.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, throughput: int = 32, *, time_slice_s: float = 0.005
    ) -> None:
        self._loop = loop
        self._throughput = throughput
        self._time_slice_s = time_slice_s
        self._due: deque[Runnable] = deque()
        self._idle = allocate_lock()  # free while the loop has not been asked to look at `_due`
        self._thread_id = 0
        loop.call_soon_threadsafe(self._begin)

    def schedule(self, runnable: Runnable) -> None:
        self._due.append(runnable)
        if not self._idle.acquire(False):
            return
        here = threading.get_ident() == self._thread_id
        with suppress(RuntimeError):  # the loop has ended: nobody gets a turn any more
            (self._loop.call_soon if here else self._loop.call_soon_threadsafe)(self._give_turns)

    def _begin(self) -> None:
        self._thread_id = threading.get_ident()
        mark_worker(threading.current_thread().name)

    def _give_turns(self) -> None:
        due, end = self._due, time.monotonic() + self._time_slice_s
        while due:
            due.popleft().run_batch(self._throughput, time.monotonic, self._time_slice_s)
            if time.monotonic() >= end:
                break
        if not due:
            self._idle.release()
            if not due or not self._idle.acquire(False):
                return
        self._loop.call_soon(self._give_turns)
