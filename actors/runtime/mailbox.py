"""Two lanes per actor, control first; bounded, never blocking the sender, closed atomically.

A mailbox that turns from idle to busy puts its owner on the dispatcher's run queue, once; whoever runs the owner
marks it idle again. Hence one actor is never run by two workers, without a lock held during a handler.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pykka import ActorDeadError
from pykka.messages import _ActorStop

from actors.runtime.dead_letters import Reports
from actors.runtime.errors import MailboxFull
from actors.runtime.letter import Letter, Signal, Terminated

CONTROL_CAPACITY = 4_096


class Runnable(Protocol):
    """Something a dispatcher gives a turn."""

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        """Handle up to `throughput` messages; with a clock, stop early after `slice_s` seconds."""
        ...


class Mailbox:
    """Safe for any number of sending threads; they may overfill `capacity` by at most one message each."""

    __slots__ = (
        "_idle",
        "_reports",
        "_schedule",
        "aside",
        "capacity",
        "closed",
        "conflate",
        "control",
        "held",
        "owner",
        "user",
    )

    def __init__(
        self,
        owner: Runnable,
        schedule: Callable[[Runnable], object],
        reports: Reports,
        capacity: int,
        conflate: bool,
    ) -> None:
        self.user: deque[object] = deque()
        # Short-lived and nearly always empty: an empty list is a tenth of an empty deque.
        self.control: list[object] = []
        self.aside: list[object] | None = None  # control messages that came while held
        # pykka refs are weak: the mailbox is what keeps an idle actor alive.
        self.owner = owner
        self.closed = False
        self.held = False  # the user lane waits: not started, failed, or ended
        self.capacity = capacity
        self.conflate = conflate
        self._idle = allocate_lock()  # free while nobody runs the owner; held until the first rest()
        self._idle.acquire()
        self._schedule = schedule
        self._reports = reports

    def __len__(self) -> int:
        return len(self.user) + len(self.control)

    def put(self, item: object) -> bool:
        """Queue a message or letter in the user lane; false when it became a dead letter instead."""
        if self.closed:
            self._refuse(item, "stopped")
            return False
        user = self.user
        if len(user) >= self.capacity and not self._make_room(item):
            self._refuse(item, "full")
            return False
        user.append(item)
        if self.closed:  # lost the race with close(): nobody else will look again
            self._drain()
            return False
        if self._idle.acquire(False):
            self._schedule(self.owner)
        return True

    def put_control(self, item: object) -> bool:
        """Queue in the control lane. Signals and notices always fit: there are only a few per actor or watch."""
        if self.closed:
            if not isinstance(item, Signal):
                self._refuse(item, "stopped")
            return False
        if len(self.control) >= CONTROL_CAPACITY and not isinstance(item, Signal | Terminated):
            self._refuse(item, "full")
            return False
        self.control.append(item)
        return self._queued()

    def take_control(self) -> list[object]:
        """Everything in the control lane, newest first: the next one to handle is the last."""
        taken = self.control[:]
        del self.control[: len(taken)]
        taken.reverse()
        return taken

    def give_back(self, taken: list[object]) -> None:
        """Return what is left of `take_control` when its handling was broken off."""
        self.control[:0] = reversed(taken)
        if self.closed:
            self._drain()

    def rest(self) -> None:
        """The owner's turn is over: idle, unless there is more to do."""
        if self.closed:
            return
        self._idle.release()
        if (self.control or (self.user and not self.held)) and self._idle.acquire(False):
            self._schedule(self.owner)

    def close(self) -> None:
        """Refuse everything from now on; what is queued becomes dead letters, whoever put it there meanwhile."""
        self.closed = True
        self._drain()

    def reopen(self, first: Signal) -> None:
        """Accept mail again, `first` the first thing handled. Nobody runs the owner of a closed mailbox."""
        self.held = True
        self.control.append(first)
        self.closed = False
        self.rest()

    # pykka's inbox protocol; our own dispatchers never call these two.
    def get(self) -> object:
        return self.user.popleft()

    def empty(self) -> bool:
        return not self.user

    def _queued(self) -> bool:
        if self.closed:
            self._drain()
            return False
        if self._idle.acquire(False):
            self._schedule(self.owner)
        return True

    def _make_room(self, item: object) -> bool:
        """Whether `item` may enter a full mailbox: a stop, or the newer of two messages with one key."""
        message = item.message if isinstance(item, Letter) else item
        if isinstance(message, _ActorStop):
            return True
        key = getattr(message, "conflation_key", None) if self.conflate else None
        if key is None:
            return False
        for old in tuple(self.user):  # the snapshot is atomic; consumer and other senders go on meanwhile
            if type(old) is type(message) and getattr(old, "conflation_key", None) == key:
                try:
                    self.user.remove(old)
                except (ValueError, IndexError):  # handled, or moved, in this moment
                    return len(self.user) < self.capacity
                self._reports.dead_letter(str(self.owner), old, "conflated")
                return True
        return False

    def _drain(self) -> None:
        while True:
            try:
                item = self.user.popleft()
            except IndexError:
                break
            self._refuse(item, "stopped")
        aside, self.aside = self.aside, None
        for item in (*(aside or ()), *reversed(self.take_control())):
            if not isinstance(item, Signal):
                self._refuse(item, "stopped")

    def _refuse(self, item: object, reason: str) -> None:
        message = item.message if isinstance(item, Letter) else item
        reply_to = item.reply_to if isinstance(item, Letter) else None
        if isinstance(message, _ActorStop):
            if reply_to is not None:
                reply_to.set(None)
            return
        name = str(self.owner)
        self._reports.dead_letter(name, message, reason)
        if reply_to is None:
            return
        if reason == "full":
            reply_to.fail(MailboxFull(f"mailbox of {name} is full ({self.capacity})"))
        else:
            reply_to.fail(ActorDeadError(f"{name} stopped before handling the message"))


class LocalMailbox(Mailbox):
    """For one thread only: a flag where the other has a lock."""

    __slots__ = ("_busy",)

    def __init__(
        self,
        owner: Runnable,
        schedule: Callable[[Runnable], object],
        reports: Reports,
        capacity: int,
        conflate: bool,
    ) -> None:
        super().__init__(owner, schedule, reports, capacity, conflate)
        self._busy = True

    def put(self, item: object) -> bool:
        user = self.user
        if self.closed or len(user) >= self.capacity:
            return super().put(item)
        user.append(item)
        if not self._busy:
            self._busy = True
            self._schedule(self.owner)
        return True

    def rest(self) -> None:
        if self.closed:
            return
        if self.control or (self.user and not self.held):
            self._busy = True
            self._schedule(self.owner)
        else:
            self._busy = False

    def _queued(self) -> bool:
        if not self._busy:
            self._busy = True
            self._schedule(self.owner)
        return True
