"""Addresses: pykka's, on our mailboxes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pykka import ActorDeadError, ActorRef

from actors.runtime.future import DEFAULT_ASK_TIMEOUT_S, Driver, SlimFuture
from actors.runtime.letter import Letter, Signal

if TYPE_CHECKING:
    import pykka

    from actors.runtime.mailbox import Mailbox

A = TypeVar("A", bound="pykka.Actor")


class DispatchedRef(ActorRef[A]):
    """As pykka's, without an envelope for a tell."""

    def tell(self, message: Any) -> None:
        if self.actor_stopped.is_set():
            raise ActorDeadError(f"{self} not found")
        self.actor_inbox.put(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        future = ask_future(str(self), message, timeout)
        if self.actor_stopped.is_set():
            future.fail(ActorDeadError(f"{self} not found"))
        else:
            self.actor_inbox.put(Letter(message, future))  # type: ignore[arg-type]
        return future.get() if block else future


class ShellRef(ActorRef[Any]):
    """The address of a supervised actor: its name, and whichever mailbox it has in this life."""

    __slots__ = ("_driver", "actor_inbox", "name")

    actor_inbox: Mailbox  # type: ignore[assignment]

    def __init__(self, name: str, driver: Driver | None) -> None:
        self.name = name
        self._driver = driver

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        return f"urn:actor:{self.name}"

    @property
    def actor_class(self) -> type[Any]:  # type: ignore[override]
        return type(self.actor_inbox.owner)

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        return self.actor_inbox.owner.actor_stopped  # type: ignore[attr-defined]

    @property
    def _actor_weakref(self) -> Callable[[], Any]:  # type: ignore[override]
        return weakref.ref(self.actor_inbox.owner)

    def __str__(self) -> str:
        return self.name

    def is_alive(self) -> bool:
        """Whether mail is accepted; true between two lives of a restarted actor."""
        return not self.actor_inbox.closed

    def tell(self, message: object) -> None:
        """Send and forget; what cannot be handled is a counted dead letter."""
        self.actor_inbox.put(message)

    def offer(self, message: object) -> bool:
        """Send, and say whether the mailbox took it."""
        return self.actor_inbox.put(message)

    def room(self) -> int:
        """Messages of ordinary mail that would be taken now."""
        inbox = self.actor_inbox
        return 0 if inbox.closed else max(0, inbox.capacity - len(inbox.user))

    def signal(self, message: object) -> bool:
        """Send ahead of ordinary mail."""
        return self.actor_inbox.put_control(message)

    def deliver(self, message: object, incarnation: int) -> None:
        """Send to one incarnation only; a later one never sees it."""
        if isinstance(message, Signal):
            self.actor_inbox.put_control(message)
        else:
            self.actor_inbox.put(Letter(message, None, incarnation))

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """The answer, or its future; only from outside actors. Without `timeout` the default ask timeout holds."""
        future = ask_future(self.name, message, timeout)
        future._driver = self._driver
        self.actor_inbox.put(Letter(message, future))
        return future.get() if block else future

    @property
    def incarnation(self) -> int:
        """The life now running, counted from 1."""
        return self.actor_inbox.owner.incarnation  # type: ignore[attr-defined, no-any-return]

    def report_failure(self, error: BaseException) -> None:
        """Have a failure in this actor's name counted and logged."""
        self.actor_inbox.owner.system.reports.failure(self.name, error)  # type: ignore[attr-defined]

    def watched_by(self, watcher: ShellRef) -> None:
        self.actor_inbox.owner.add_watcher(watcher)  # type: ignore[attr-defined]


def ask_future(target: str, message: object, timeout: float | None) -> SlimFuture[Any]:
    """An open future that can name what it waits for."""
    future: SlimFuture[Any] = SlimFuture()
    future.target = target
    future.message = type(message).__name__
    future.timeout_s = DEFAULT_ASK_TIMEOUT_S if timeout is None else timeout
    return future
