"""How blocking and asynchronous work leaves actors and comes back as messages.

`reply(result)` or `failed(error)` builds the message; it is told to `to`, or only to that `incarnation` of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

from actors.runtime.deterministic import DeterministicDispatcher
from actors.runtime.letter import ANY_INCARNATION
from actors.runtime.ref import ShellRef

T = TypeVar("T")


class EffectCancelled(Exception):
    """The work was cancelled before it had a result, as at shutdown; what it did outside is unknown."""


class Effects(Protocol):
    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        """Run blocking `fn` on the executor."""
        ...

    def run(
        self,
        to: ShellRef,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        """Run `co` on the event loop; after `timeout_s` process seconds it is cancelled: failed(TimeoutError())."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """The only sleep a coroutine may await."""
        ...


class Delivery:
    """Where the outcome of one effect goes."""

    __slots__ = ("_failed", "_incarnation", "_reply", "_to")

    def __init__(
        self,
        to: ShellRef,
        reply: Callable[[Any], object],
        failed: Callable[[Exception], object],
        incarnation: int,
    ) -> None:
        self._to = to
        self._reply = reply
        self._failed = failed
        self._incarnation = incarnation

    def succeed(self, result: object) -> None:
        """Tell the result; a `reply` that raises is told as that failure."""
        try:
            message = self._reply(result)
        except Exception as error:
            self.fail(error)
        else:
            self._tell(message)

    def fail(self, error: BaseException) -> None:
        """Tell the failure; a `failed` that itself raises is reported, for there is nobody left to tell."""
        if not isinstance(error, Exception):
            error = EffectCancelled(f"{type(error).__name__}: {error}")
        try:
            message = self._failed(error)
        except Exception as bug:
            self._to.report_failure(bug)
        else:
            self._tell(message)

    def _tell(self, message: object) -> None:
        if self._incarnation == ANY_INCARNATION:
            self._to.tell(message)
        else:
            self._to.deliver(message, self._incarnation)


class _Call:
    """A blocking call as an event of the deterministic dispatcher."""

    __slots__ = ("_delivery", "_fn")

    def __init__(self, fn: Callable[[], object], delivery: Delivery) -> None:
        self._fn = fn
        self._delivery = delivery

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        try:
            result = self._fn()
        except Exception as error:
            self._delivery.fail(error)
        else:
            self._delivery.succeed(result)


class _Sleep:
    """Awaitable that hands its seconds to whoever drives the coroutine."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self._seconds


class _Drive:
    """A coroutine driven by hand: each step is an event, each sleep a timer, each timeout a throw."""

    __slots__ = ("_co", "_delivery", "_dispatcher", "_done", "_timed_out")

    def __init__(
        self,
        co: Coroutine[Any, Any, Any],
        delivery: Delivery,
        dispatcher: DeterministicDispatcher,
        timeout_s: float,
    ) -> None:
        self._co = co
        self._delivery = delivery
        self._dispatcher = dispatcher
        self._done = False
        self._timed_out = False
        dispatcher.call_at(dispatcher.clock.us + round(timeout_s * 1e6), self._time_out)
        dispatcher.schedule(self)

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        if self._done:
            return
        try:
            co = self._co
            seconds = co.throw(asyncio.CancelledError()) if self._timed_out else co.send(None)
        except StopIteration as stop:
            self._done = True
            self._delivery.succeed(stop.value)
        except (Exception, asyncio.CancelledError) as error:
            self._done = True
            self._delivery.fail(TimeoutError() if self._timed_out else error)
        else:
            if self._timed_out:  # it sleeps on although cancelled, as no coroutine of ours may
                self._done = True
                self._co.close()
                self._delivery.fail(TimeoutError())
            else:
                self._sleep(seconds)

    def close(self) -> None:
        """Never go on: the process is gone."""
        self._done = True
        self._co.close()

    def _sleep(self, seconds: object) -> None:
        if isinstance(seconds, float | int):
            dispatcher = self._dispatcher
            dispatcher.call_at(dispatcher.clock.us + round(seconds * 1e6), self._wake)
        else:
            self._done = True
            self._co.close()
            self._delivery.fail(TypeError(f"awaited {seconds!r}: only effects.sleep can be awaited here"))

    def _wake(self) -> None:
        if not self._done and not self._timed_out:
            self._dispatcher.schedule(self)

    def _time_out(self) -> None:
        if not self._done:
            self._timed_out = True
            self._dispatcher.schedule(self)


class DeterministicEffects:
    """Work is done in the one thread, as a turn of its own: at once by default, in drawn order when seeded."""

    def __init__(self, dispatcher: DeterministicDispatcher) -> None:
        self._dispatcher = dispatcher

    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        self._dispatcher.schedule(_Call(fn, Delivery(to, reply, failed, incarnation)))

    def run(
        self,
        to: ShellRef,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        _Drive(co, Delivery(to, reply, failed, incarnation), self._dispatcher, timeout_s)

    def sleep(self, seconds: float) -> Awaitable[None]:
        return _Sleep(seconds)

    def stop(self, timeout_s: float) -> bool:
        """Nothing runs outside the dispatcher."""
        return True
