"""A pykka future of one lock: callbacks, a real await, a default timeout, and no waiting on a worker."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from _thread import allocate_lock
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pykka

from actors.runtime.errors import AskTimeout, BlockingOnWorker

if TYPE_CHECKING:
    from pykka._future import GetHookFunc

T = TypeVar("T")

DEFAULT_ASK_TIMEOUT_S = 5.0

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

# Guards every future's change from open to settled; held for a few attribute writes only.
_settle_lock = allocate_lock()
_worker = threading.local()
_UNSET = object()


def mark_worker(name: str) -> None:
    """Declare the calling thread a dispatcher worker, on which a blocking get() is refused."""
    _worker.name = name


class Driver(Protocol):
    """Whoever makes progress when the asking thread is the only thread there is."""

    def drive(self, done: Callable[[], bool], timeout_s: float) -> None: ...


class SlimFuture(pykka.Future[T]):
    """The answer to one ask. `target` and `message` name it in a timeout."""

    target: str = ""
    message: str = ""
    timeout_s: float = DEFAULT_ASK_TIMEOUT_S
    _driver: Driver | None = None
    _get_hook: GetHookFunc[T] | None = None
    _get_hook_result: Any = _UNSET

    def __init__(self) -> None:
        self._latch = allocate_lock()
        self._latch.acquire()
        self._result: tuple[Any, ExcInfo | None] | None = None
        self._callbacks: list[Callable[[SlimFuture[T]], None]] | None = None

    def done(self) -> bool:
        return self._result is not None

    def set(self, value: T | None = None) -> None:
        """Settle with a value; queue.Full when already settled."""
        self._settle((value, None))

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Settle with an exception, by default the one being handled."""
        self._settle((None, sys.exc_info() if exc_info is None else exc_info))

    def fail(self, error: BaseException) -> None:
        """Settle with `error`; does nothing when already settled, for the loser of a race with an answer."""
        try:
            self._settle((None, (type(error), error, error.__traceback__)))
        except queue.Full:
            return

    def set_get_hook(self, func: GetHookFunc[T]) -> None:
        with _settle_lock:
            if self._result is not None:
                raise queue.Full
            self._get_hook = func
        self._latch.release()

    def add_done_callback(self, callback: Callable[[SlimFuture[T]], None]) -> None:
        """Call `callback(self)` once settled, on the settling thread; at once if it already is."""
        with _settle_lock:
            if self._result is None:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        callback(self)

    def get(self, *, timeout: float | None = None) -> T:
        """The answer, or what it raised; AskTimeout after `timeout` (default: the ask's own) process seconds."""
        if self._result is None and self._get_hook is None:
            self._wait(self.timeout_s if timeout is None else timeout)
        if self._get_hook is not None:
            if self._get_hook_result is _UNSET:
                self._get_hook_result = self._get_hook(timeout)
            return self._get_hook_result  # type: ignore[no-any-return]
        return self._answer()

    def __await__(self) -> Generator[Any, None, T]:
        loop = asyncio.get_running_loop()
        if self._get_hook is not None:
            return (yield from loop.run_in_executor(None, self.get).__await__())
        settled: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not settled.done():
                settled.set_result(None)

        def tell(_: SlimFuture[T]) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return

        self.add_done_callback(tell)
        try:
            yield from asyncio.wait_for(settled, self.timeout_s).__await__()
        except TimeoutError:
            raise self._timeout(self.timeout_s) from None
        return self._answer()

    __iter__ = __await__

    def _settle(self, result: tuple[Any, ExcInfo | None]) -> None:
        with _settle_lock:
            if self._result is not None or self._get_hook is not None:
                raise queue.Full
            self._result = result
            callbacks, self._callbacks = self._callbacks, None
        self._latch.release()
        for callback in callbacks or ():
            callback(self)

    def _wait(self, timeout_s: float) -> None:
        worker = getattr(_worker, "name", None)
        if worker is not None and timeout_s > 0:
            raise BlockingOnWorker(f"blocking get() of {self._what()} on worker {worker}")
        if self._driver is not None:
            self._driver.drive(self.done, timeout_s)
            if self._result is None:
                raise self._timeout(timeout_s)
        elif self._latch.acquire(True, min(max(0.0, timeout_s), threading.TIMEOUT_MAX)):
            self._latch.release()
        else:
            raise self._timeout(timeout_s)

    def _answer(self) -> T:
        assert self._result is not None
        value, exc_info = self._result
        if exc_info is None:
            return value  # type: ignore[no-any-return]
        kind, error, traceback = exc_info
        assert kind is not None
        if error is None:
            error = kind()
        raise error if error.__traceback__ is traceback else error.with_traceback(traceback)

    def _what(self) -> str:
        return f"{self.target or 'a future'}'s answer to {self.message or 'a message'}"

    def _timeout(self, timeout_s: float) -> AskTimeout:
        return AskTimeout(f"no {self._what()} within {timeout_s:g} s")
