"""pykka's actor on a dispatcher: same class contract, no thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pykka
from pykka import ActorRegistry
from pykka._envelope import Envelope

from actors.runtime import registry
from actors.runtime.dead_letters import Reports, ignore
from actors.runtime.dispatch import PoolDispatcher, default_dispatcher
from actors.runtime.fatal import is_fatal
from actors.runtime.future import SlimFuture
from actors.runtime.letter import Letter
from actors.runtime.mailbox import Mailbox
from actors.runtime.ref import DispatchedRef

# pykka's own logger: its users, and its test suite, look there.
_log = logging.getLogger("pykka")
_reports = Reports(ignore, time.monotonic)
_flag_lock = threading.Lock()


class Flag:
    """The part of threading.Event that pykka uses, a kilobyte smaller until somebody waits."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        with _flag_lock:
            if self._event is None:
                self._event = threading.Event()
        if not self._is_set:  # looked at after the event is there: a set() from here on will find it
            self._event.wait(timeout)
        return self._is_set


class Tombstone:
    """Takes a stopped actor's place in its mailbox, so that the actor can go while dead letters can name it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        """Nothing is left to do."""


class DispatchedActor(pykka.Actor):
    """Subclass and use as `pykka.ThreadingActor`."""

    dispatcher: ClassVar[PoolDispatcher | None] = None
    mailbox_capacity: ClassVar[int] = 10_000
    overflow_conflates: ClassVar[bool] = False

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        registry.install()
        self.actor_urn = uuid.uuid4().urn
        dispatcher = self.dispatcher or default_dispatcher()
        self.actor_inbox = Mailbox(  # type: ignore[assignment]
            self, dispatcher.schedule, _reports, self.mailbox_capacity, self.overflow_conflates
        )
        self.actor_stopped = cast(Any, Flag())
        self._actor_ref = DispatchedRef(self)

    @staticmethod
    def _create_actor_inbox() -> Any:
        """pykka's abstract hook, never called: an inbox needs its actor, see `__init__`."""
        raise NotImplementedError

    @staticmethod
    def _create_future() -> SlimFuture[Any]:
        return SlimFuture()

    def _start_actor_loop(self) -> None:
        inbox = self._inbox
        inbox.user.appendleft(_START)
        inbox.rest()

    @property
    def _inbox(self) -> Mailbox:
        return cast(Mailbox, self.actor_inbox)

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        inbox = self._inbox
        user = inbox.user
        end = None
        while user and throughput > 0 and not self.actor_stopped.is_set():
            self._step(user.popleft())
            throughput -= 1
            if monotonic is not None and user:
                if end is None:
                    end = monotonic() + slice_s
                elif monotonic() >= end:
                    break
        if self.actor_stopped.is_set():
            inbox.owner = Tombstone(str(self))
            inbox.close()
        else:
            inbox.rest()

    def _step(self, item: object) -> None:
        reply_to: Any = None
        try:
            if item is _START:
                self.on_start()
                return
            if isinstance(item, Letter | Envelope):
                reply_to = item.reply_to
                item = item.message
            response = self._handle_receive(item)
            if reply_to is not None:
                reply_to.set(response)
        except BaseException as error:
            self._failed(error, item, reply_to)

    def _failed(self, error: BaseException, item: object, reply_to: Any) -> None:
        exc_info = sys.exc_info()
        if reply_to is not None:
            _log.info(f"Exception returned from {self} to caller:", exc_info=exc_info)
            reply_to.set_exception(exc_info)
        if is_fatal(error):
            _log.debug(f"{error!r} in {self}. Stopping all actors.")
            self._stop()
            # Not blocking: this thread is the one that would have to run the others' stops.
            ActorRegistry.stop_all(block=False)
        elif reply_to is None:
            self._handle_failure(*exc_info)
            if item is not _START:
                try:
                    self.on_failure(*exc_info)
                except Exception:
                    self._handle_failure(*sys.exc_info())


_START = object()
