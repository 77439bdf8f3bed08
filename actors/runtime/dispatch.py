"""Worker threads that give actors their turns.

An idle actor costs no thread. A worker that stays in one turn while others wait is replaced by another, so a blocked
handler delays the others by about three times `stall_s`; the replaced one leaves when its turn ends.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import count

from actors.runtime.dead_letters import Sink, ignore
from actors.runtime.future import mark_worker
from actors.runtime.mailbox import Runnable

MAX_REPLACEMENTS = 16


class _Worker:
    __slots__ = ("latest", "overdue", "replaced", "seen", "thread")

    def __init__(self) -> None:
        self.latest: Runnable | None = (
            None  # whose turn began last; the watchdog takes it away to see it change
        )
        self.seen: Runnable | None = None
        self.overdue = 0  # looks in a row at which others waited and no turn had begun
        self.replaced = False
        self.thread: threading.Thread


class PoolDispatcher:
    """`workers` threads over one run queue, at most MAX_REPLACEMENTS more while handlers are stuck.

    A turn is up to `throughput` messages or `time_slice_s` seconds. The run queue holds each actor at most once.
    """

    def __init__(
        self,
        workers: int = 1,
        throughput: int = 32,
        *,
        time_slice_s: float = 0.005,
        stall_s: float = 0.1,
        name: str = "cpu",
        sink: Sink = ignore,
    ) -> None:
        self._queue: queue.SimpleQueue[Runnable | None] = queue.SimpleQueue()
        self.schedule: Callable[[Runnable], object] = self._queue.put
        self.name = name
        self._throughput = throughput
        self._time_slice_s = time_slice_s
        self._stall_s = stall_s
        self._sink = sink
        self._numbers = count()
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._stopped = threading.Event()
        for _ in range(workers):
            self._spawn()
        self._watchdog = threading.Thread(target=self._watch, name=f"{name}-watchdog", daemon=True)
        self._watchdog.start()

    @property
    def queue_depth(self) -> int:
        """Actors waiting for a turn."""
        return self._queue.qsize()

    def stop(self, timeout_s: float) -> bool:
        """End the workers; false when one was still in a handler after `timeout_s` (it is a daemon, and left)."""
        self._stopped.set()
        with self._lock:
            workers = tuple(self._workers)
        for _ in workers:
            self._queue.put(None)
        deadline = time.monotonic() + timeout_s
        for worker in workers:
            if worker.thread is not threading.current_thread():
                worker.thread.join(max(0.0, deadline - time.monotonic()))
        self._watchdog.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.thread.is_alive() for worker in workers)

    def _spawn(self) -> None:
        worker = _Worker()
        worker.thread = threading.Thread(
            target=self._work, args=(worker,), name=f"{self.name}-{next(self._numbers)}", daemon=True
        )
        self._workers.append(worker)
        worker.thread.start()

    def _work(self, worker: _Worker) -> None:
        mark_worker(worker.thread.name)
        get = self._queue.get
        throughput, monotonic, slice_s = self._throughput, time.monotonic, self._time_slice_s
        while not worker.replaced:
            runnable = get()
            if runnable is None:
                break
            worker.latest = runnable
            runnable.run_batch(throughput, monotonic, slice_s)
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)

    def _watch(self) -> None:
        while not self._stopped.wait(self._stall_s):
            with self._lock:
                for worker in tuple(self._workers):
                    latest, worker.latest = worker.latest, None
                    if latest is not None or not self._queue.qsize():
                        worker.seen = latest or worker.seen
                        worker.overdue = 0
                        continue
                    worker.overdue += 1
                    # Twice, because at a single look it may be just about to take what has just come.
                    if worker.overdue >= 2 and not worker.replaced:
                        self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        if sum(1 for other in self._workers if other.replaced) >= MAX_REPLACEMENTS:
            return
        worker.replaced = True
        self._spawn()
        frame = sys._current_frames().get(worker.thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        self._sink(
            "worker_stuck",
            {"worker": worker.thread.name, "actor": str(worker.seen), "stack": stack},
        )


_default: PoolDispatcher | None = None
_default_lock = threading.Lock()


def default_dispatcher() -> PoolDispatcher:
    """The one-worker dispatcher of actors whose class names none, started on first use."""
    global _default
    with _default_lock:
        if _default is None:
            _default = PoolDispatcher(name="default")
        return _default
