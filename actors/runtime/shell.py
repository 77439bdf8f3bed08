"""The lasting part of a supervised actor: name, ref and mailbox, around one behaviour after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import pykka
from pykka import ActorDeadError
from pykka.messages import _ActorStop

from actors.runtime import registry
from actors.runtime.actor import Flag
from actors.runtime.behaviour import Behaviour, Context, Parent
from actors.runtime.fatal import is_fatal
from actors.runtime.future import SlimFuture
from actors.runtime.letter import (
    ChildEvent,
    Close,
    Ended,
    Failed,
    Letter,
    Pause,
    Renew,
    Reported,
    Resume,
    Signal,
    Start,
    Started,
    Stop,
    Stopped,
    Terminated,
    Unpause,
)
from actors.runtime.ref import ShellRef
from actors.runtime.reply import Reply
from actors.runtime.spec import ChildSpec, StopMode
from actors.runtime.state import Owner, State

if TYPE_CHECKING:
    from actors.runtime.mailbox import Mailbox
    from actors.runtime.system import ActorSystem

# Watcher lists change rarely; one lock for all of them costs an actor nothing.
_watch_lock = Lock()


class Shell(pykka.Actor):
    """All methods but `abandon`, `add_watcher` and `info` run in the actor's own turn."""

    __slots__ = (
        "_asked",
        "_close_after",
        "_farewell",
        "actor_inbox",
        "behaviour",
        "incarnation",
        "last_error",
        "owner",
        "ref",
        "spec",
        "state",
        "system",
        "watchers",
    )

    actor_inbox: Mailbox  # type: ignore[assignment]

    def __init__(self, spec: ChildSpec, system: ActorSystem, owner: Owner, ref: ShellRef) -> None:
        # pykka's __init__ is not called: URN, flag and event are the ref's and mailbox's business here.
        self.spec = spec
        self.system = system
        self.owner = owner
        self.ref = ref
        self.behaviour: Behaviour | None = None
        self.incarnation = 0
        self.state = State.NEW
        self.last_error: BaseException | None = None
        self.watchers: list[ShellRef] | None = None
        self._asked: SlimFuture[Any] | None = None
        self._farewell: ChildEvent | None = None
        self._close_after = True
        self.actor_inbox = system.mailbox(self, spec)
        self.actor_inbox.held = True
        ref.actor_inbox = self.actor_inbox

    def __str__(self) -> str:
        return self.spec.id

    @property
    def name(self) -> str:
        return self.spec.id

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        return self.ref.actor_urn

    @property
    def _actor_ref(self) -> ShellRef:  # type: ignore[override]
        return self.ref

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        flag = Flag()
        if self.actor_inbox.closed:
            flag.set()
        return flag

    @staticmethod
    def _create_actor_inbox() -> Any:
        """pykka's abstract hook, never called: an inbox needs its actor, see `__init__`."""
        raise NotImplementedError

    @staticmethod
    def _create_future() -> SlimFuture[Any]:
        return SlimFuture()

    def _start_actor_loop(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin the first life."""
        registry.enroll(self.ref)
        self.actor_inbox.control.append(Start())
        self.actor_inbox.rest()

    # --- the turn

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        box = self.actor_inbox
        user = box.user
        end = 0.0
        try:
            if box.control:
                self._signals()
            while user and not box.held:
                item = user.popleft()
                if item.__class__ is Letter:
                    if (
                        item.reply_to is None
                        and item.incarnation == self.incarnation
                        and item.message.__class__ is not _ActorStop
                    ):  # a timer's or an effect's: nearly every letter
                        self.behaviour.receive(item.message)  # type: ignore[union-attr]
                    else:
                        self._open(item)
                else:
                    self.behaviour.receive(item)  # type: ignore[union-attr]
                throughput -= 1
                if box.control:
                    self._signals()
                if not user or throughput <= 0:
                    break
                if monotonic is not None:
                    if end == 0.0:
                        end = monotonic() + slice_s
                    elif monotonic() >= end:
                        break
        except BaseException as error:
            self.fail(error)
        if not box.closed:
            box.rest()
        elif self._farewell is not None:
            # Last of all: from here on the supervisor may give the mailbox a new life on another thread.
            farewell, self._farewell = self._farewell, None
            self.owner.signal(farewell)

    def _take(self, message: object) -> None:
        """Handle a message of the control lane."""
        cast(Behaviour, self.behaviour).receive(message)

    def _open(self, letter: Letter) -> None:
        if letter.incarnation and letter.incarnation != self.incarnation:
            if not isinstance(letter.message, _ActorStop):
                self.system.reports.dead_letter(self.name, letter.message, "stale")
            return
        reply_to = letter.reply_to
        if isinstance(letter.message, _ActorStop):
            self._end()
            if reply_to is not None:
                reply_to.set(None)
            return
        behaviour = cast(Behaviour, self.behaviour)
        if reply_to is None:
            behaviour.receive(letter.message)
            return
        self._asked = reply_to
        try:
            value = behaviour.receive(letter.message)
        except BaseException as error:
            reply_to.fail(error)
            raise
        if self._asked is reply_to:  # else the behaviour replies later
            self._asked = None
            Reply(reply_to).set(value)
        elif self.state is State.ABANDONED:
            self.system.reports.dead_letter(self.name, value, "abandoned")

    def _signals(self) -> None:
        """Handle the control lane: signals always, messages only while the user lane is not frozen."""
        box = self.actor_inbox
        pending: list[object] = []
        try:
            while not box.closed and (pending or box.control):
                if not pending:
                    pending = box.take_control()
                    continue
                item = pending.pop()
                if isinstance(item, Signal):
                    self._signal(item)
                    if box.aside and not box.held:
                        pending.extend(reversed(box.aside))
                        box.aside = None
                elif box.held:
                    if box.aside is None:
                        box.aside = []
                    box.aside.append(item)
                else:
                    self._take(item)
        finally:
            if pending:
                box.give_back(pending)

    def _signal(self, signal: Signal) -> None:
        match signal:
            case ChildEvent():
                if isinstance(self.behaviour, Parent):
                    self.behaviour.on_child(signal)
            case Start():
                self._start()
            case Renew(error=error):
                self._renew(error)
            case Resume():
                if self.state is State.FAILED:
                    self._run()
            case Stop(mode=mode, close=close):
                self._stop_asked(mode, close)
            case Close():
                self._close()
            case Pause(reason=reason):
                if self.state is State.RUNNING:
                    self.state = State.PAUSED
                    cast(Behaviour, self.behaviour).pausing(reason)
            case Unpause():
                if self.state is State.PAUSED:
                    self.state = State.RUNNING
                    cast(Behaviour, self.behaviour).resuming()

    # --- lives

    def _start(self) -> None:
        self.incarnation += 1
        self.state = State.STARTING
        try:
            self.behaviour = self.spec.factory(Context(self, self.incarnation))
            if isinstance(self.behaviour, Parent):
                self.behaviour.start_children(then=self._started)
            else:
                self._started()
        except BaseException as error:
            self.fail(error)

    def _started(self) -> None:
        cast(Behaviour, self.behaviour).started()
        self._run()
        self.owner.signal(Started(self, self.incarnation))

    def _run(self) -> None:
        self.state = State.RUNNING
        self.actor_inbox.held = False

    def _renew(self, error: BaseException | None) -> None:
        if self.behaviour is not None:
            self._guarded(lambda behaviour: behaviour.restarting(error))
        self.behaviour = None
        self._start()

    def fail(self, error: BaseException) -> None:
        """Freeze, and leave the decision to the supervisor."""
        box = self.actor_inbox
        self.system.reports.failure(self.name, error)
        if box.closed:
            return
        box.held = True
        starting = self.state is State.STARTING
        self.state = State.FAILED
        self.last_error = error
        self._asked = None
        if is_fatal(error):
            self.system.fatal(self.name, error)
            return
        behaviour = self.behaviour

        def report() -> None:
            self.owner.signal(Failed(self, self.incarnation, error, starting))

        if isinstance(behaviour, Parent):
            behaviour.stop_children(StopMode.NOW, then=report, keep=True)
        else:
            report()

    def _end(self) -> None:
        """Reached its own stop mark: after a drain it is over, else the supervisor may want it back."""
        if self.state is State.DRAINING:
            self._finish(StopMode.DRAIN)
            return
        self.actor_inbox.held = True
        behaviour = self.behaviour
        if isinstance(behaviour, Parent):
            behaviour.stop_children(StopMode.NOW, then=self._ended)
        else:
            self._ended()

    def _ended(self) -> None:
        self._guarded(lambda behaviour: behaviour.stopping(StopMode.DRAIN))
        self.behaviour = None
        self.state = State.ENDED
        self.owner.signal(Ended(self, self.incarnation))

    def _stop_asked(self, mode: StopMode, close: bool) -> None:
        self._close_after = close
        behaviour = self.behaviour
        if isinstance(behaviour, Parent):
            self.state = State.DRAINING
            behaviour.stop_children(mode, then=lambda: self._finish(mode))
        elif mode is StopMode.DRAIN and self.state in (State.RUNNING, State.PAUSED):
            self.state = State.DRAINING
            cast(Behaviour, behaviour).draining()
        else:
            self._finish(mode)

    def _finish(self, mode: StopMode) -> None:
        if self.actor_inbox.closed:  # abandoned meanwhile
            return
        self._guarded(lambda behaviour: behaviour.stopping(mode))
        self.behaviour = None
        if self._close_after:
            self._close()
        else:
            self.actor_inbox.held = True
            self.state = State.HALTED
            self.owner.signal(Stopped(self, self.incarnation))

    def _close(self) -> None:
        self.state = State.STOPPED
        self._farewell = Stopped(self, self.incarnation)
        self._shut()

    def _shut(self) -> None:
        self.actor_inbox.held = True
        self.actor_inbox.close()
        registry.strike(self.ref)
        with _watch_lock:
            watchers, self.watchers = self.watchers, None
        for watcher in watchers or ():
            watcher.signal(Terminated(name=self.name, ref=self.ref, error=self.last_error))

    def _guarded(self, hook: Callable[[Behaviour], None]) -> None:
        """Run a last hook: what it raises is reported and changes nothing, the end is already decided."""
        if self.behaviour is None:
            return
        try:
            hook(self.behaviour)
        except (Exception, asyncio.CancelledError) as error:
            self.last_error = error
            self.system.reports.failure(self.name, error)

    # --- for the context

    def reply_later(self) -> Reply:
        asked, self._asked = self._asked, None
        return Reply(asked)

    def report(self, report: object) -> None:
        self.owner.signal(Reported(self, self.incarnation, report))

    def stop(self) -> None:
        self.actor_inbox.put(Letter(_ActorStop(), None, self.incarnation))

    # --- from other threads

    def reopen(self) -> None:
        """A new life for an actor that was down, at the same address."""
        registry.enroll(self.ref)
        self.actor_inbox.reopen(Start())

    @property
    def is_abandoned(self) -> bool:
        return self.state is State.ABANDONED

    def abandon(self) -> None:
        """Give up on a handler that overstays: no more mail, and whoever waits for its answer hears at once."""
        self.state = State.ABANDONED
        self._shut()
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.fail(ActorDeadError(f"{self.name} was abandoned while handling {asked.message}"))

    def add_watcher(self, watcher: ShellRef) -> None:
        with _watch_lock:
            if not self.actor_inbox.closed:
                if self.watchers is None:
                    self.watchers = []
                if watcher not in self.watchers:
                    self.watchers.append(watcher)
                return
        watcher.signal(Terminated(name=self.name, ref=self.ref, error=self.last_error))
