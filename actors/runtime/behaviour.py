"""What an application actor is written as, and what it is given.

A `Behaviour` is one incarnation's state and handlers. The shell around it keeps name, ref and mailbox when a
restart replaces the behaviour.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from actors.runtime.spec import StopMode

if TYPE_CHECKING:
    from actors.runtime.letter import ChildEvent
    from actors.runtime.ref import ShellRef
    from actors.runtime.reply import Reply
    from actors.runtime.shell import Shell
    from actors.runtime.system import ActorSystem
    from actors.runtime.timer import TimerHandle
    from core.clock import Clock

T = TypeVar("T")


class Context:
    """One incarnation's view of the world. Timers and effects started here die with the incarnation."""

    __slots__ = ("_shell", "incarnation", "self_ref", "system")

    def __init__(self, shell: Shell, incarnation: int) -> None:
        self._shell = shell
        self.incarnation = incarnation
        self.self_ref: ShellRef = shell.ref
        self.system: ActorSystem = shell.system

    @property
    def name(self) -> str:
        """The logical name: the id in the child spec."""
        return self._shell.name

    @property
    def clock(self) -> Clock:
        return self.system.clock

    def ref(self, name: str) -> ShellRef:
        """The actor of that logical name, now and after restarts; LookupError when there is none."""
        return self.system.ref(name)

    def at(self, when: datetime, message: object) -> TimerHandle:
        """Have `message` told to this actor at market time `when`."""
        return self.system.timers.at(when, self.self_ref, message)

    def after(self, seconds: float, message: object, every: float | None = None) -> TimerHandle:
        """Have `message` told to this actor after process `seconds`, then every `every` seconds."""
        return self.system.timers.after(seconds, self.self_ref, message, every)

    def tell(self, name: str, message: object) -> bool:
        """Whether the actor of that logical name took `message`; False also when there is no such actor."""
        ref = self.system.names.get(name)
        return ref is not None and ref.actor_inbox.put(message)

    def call(
        self,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        *,
        in_turn: bool = False,
    ) -> None:
        """Run blocking `fn` on the database executor; `reply(result)` or `failed(error)` is told to this actor.

        `in_turn`: the caller does not mind if the answer is handled before this returns; it is where the system
        `answers_at_once` (replay), and a message is saved.
        """
        system = self.system
        if not (in_turn and system.answers_at_once):
            system.effects.call(self.self_ref, fn, reply, failed, self.incarnation)
            return
        try:
            message = reply(fn())
        except Exception as error:
            message = failed(error)
        cast("Behaviour", self._shell.behaviour).receive(message)

    def run(
        self,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
    ) -> None:
        """Run `co` on the event loop; a timeout is `failed(TimeoutError())`."""
        self.system.effects.run(self.self_ref, co, reply, failed, timeout_s, self.incarnation)

    def reply_later(self) -> Reply:
        """Take over the answer to the message being handled: `.set(value)` or `.fail(error)`, from any handler."""
        return self._shell.reply_later()

    def report(self, report: object) -> None:
        """Tell the supervisor something its policy for this child decides about."""
        self._shell.report(report)

    def watch(self, target: ShellRef) -> None:
        """Receive exactly one `Terminated` when `target` is gone for good; at once if it already is."""
        target.watched_by(self._shell.ref)

    def stop(self) -> None:
        """End normally once everything now in the mailbox is handled."""
        self._shell.stop()

    def fail(self, error: BaseException) -> None:
        """Fail as if the handler had raised `error`, and go on to its end."""
        self._shell.fail(error)


class Behaviour(ABC):
    """Base of all application actors. Handlers never overlap and never block."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def started(self) -> None:
        """Run before the first message; raising here is a failed start."""

    @abstractmethod
    def receive(self, message: object) -> object:
        """Handle one message; what it returns answers an ask, what it raises is a failure."""

    def draining(self) -> None:
        """Asked to finish: take no new work and call `ctx.stop()` when done. By default, after the present mail."""
        self.ctx.stop()

    def stopping(self, mode: StopMode) -> None:
        """Last call of an orderly end: DRAIN when the actor ended by itself or had drained, NOW otherwise."""

    def restarting(self, error: BaseException | None) -> None:
        """Last call on this state before a fresh behaviour takes its place; None: a sibling failed."""

    def pausing(self, reason: object) -> None:
        """Paused by the supervisor: messages still arrive; decide what they may do."""

    def resuming(self) -> None:
        """The pause is over."""


class Parent(Behaviour):
    """A behaviour with children: its life begins after theirs and ends before theirs is over. See `Supervisor`."""

    __slots__ = ()

    @abstractmethod
    def start_children(self, then: Callable[[], None]) -> None:
        """Start the initial children in order, then call `then`."""

    @abstractmethod
    def stop_children(self, mode: StopMode, then: Callable[[], None], keep: bool = False) -> None:
        """Stop all children, then call `then`; `keep` leaves their names to the next incarnation."""

    @abstractmethod
    def on_child(self, event: ChildEvent) -> None:
        """Take note of what a child did."""
