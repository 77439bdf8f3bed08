"""A supervisor's notes on one child."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from actors.runtime.reply import Reply
from actors.runtime.spec import ChildSpec, StopMode
from core.backoff import RestartWindow

if TYPE_CHECKING:
    from actors.runtime.ref import ShellRef
    from actors.runtime.shell import Shell
    from actors.runtime.timer import TimerHandle

NO_RESTARTS = RestartWindow()


class ChildStatus(StrEnum):
    NEW = "new"  # never launched
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # frozen until its back-off has passed
    STOPPING = "stopping"
    DOWN = "down"
    GAVE_UP = "gave_up"


class StopOrder:
    """A stop under way: until when, and who wants to know."""

    __slots__ = ("close", "mode", "overdue", "then")

    def __init__(self, mode: StopMode, close: bool, then: Callable[[], None] | None) -> None:
        self.mode = mode
        self.close = close
        self.then = then
        self.overdue: TimerHandle | None = None

    def join(self, earlier: StopOrder | None) -> None:
        """Take over from an order this one replaces."""
        if earlier is None:
            return
        earlier.cancel()
        self.close = self.close or earlier.close
        first, second = earlier.then, self.then
        if first is not None and second is not None:
            self.then = lambda: (first(), second())[0]
        else:
            self.then = first or second

    def cancel(self) -> None:
        if self.overdue is not None:
            self.overdue.cancel()


class Child:
    __slots__ = (
        "attempt",
        "last_error",
        "last_start",
        "policy_state",
        "restarts",
        "shell",
        "spec",
        "start_reply",
        "status",
        "stop",
        "window",
    )

    def __init__(self, spec: ChildSpec, shell: Shell) -> None:
        self.spec = spec
        self.shell = shell
        self.status = ChildStatus.NEW
        self.stop: StopOrder | None = None
        self.start_reply: Reply | None = None
        self.window = NO_RESTARTS
        self.attempt = 0
        self.restarts = 0
        self.last_start = 0.0
        self.last_error: BaseException | None = None
        self.policy_state: Any = None

    @property
    def ref(self) -> ShellRef:
        return self.shell.ref

    @property
    def is_down(self) -> bool:
        return self.status in (ChildStatus.DOWN, ChildStatus.GAVE_UP)
