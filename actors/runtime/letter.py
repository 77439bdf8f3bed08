"""What lies in a mailbox beside plain messages: letters, which carry more, and signals, which go first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.runtime.spec import StopMode

if TYPE_CHECKING:
    from actors.runtime.child import StopOrder
    from actors.runtime.future import SlimFuture
    from actors.runtime.ref import ShellRef
    from actors.runtime.shell import Shell

ANY_INCARNATION = 0


class Letter(msgspec.Struct, gc=False):
    """A message with somebody waiting for the answer, or meant for one incarnation only. Plain tells need none."""

    message: object
    reply_to: SlimFuture[Any] | None = None
    incarnation: int = ANY_INCARNATION


class Terminated(msgspec.Struct, frozen=True, kw_only=True):
    """The watched actor is gone for good; told exactly once to each watcher."""

    name: str
    ref: ShellRef
    error: BaseException | None


class Signal:
    """Travels in the control lane, even of a full or frozen mailbox. At most a few per actor are under way."""

    __slots__ = ()


class Start(Signal):
    """Build the first behaviour, or the next one after the actor was down."""

    __slots__ = ()


class Resume(Signal):
    """Go on with the same state after a failure."""

    __slots__ = ()


class Close(Signal):
    """An actor that has ended stays down."""

    __slots__ = ()


class Unpause(Signal):
    __slots__ = ()


class Pause(Signal):
    __slots__ = ("reason",)

    def __init__(self, reason: object) -> None:
        self.reason = reason


class Renew(Signal):
    """Replace the behaviour by a fresh one."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Stop(Signal):
    """End this incarnation; `close` false keeps the mail for the next one."""

    __slots__ = ("close", "mode")

    def __init__(self, mode: StopMode, close: bool = True) -> None:
        self.mode = mode
        self.close = close


class ChildEvent(Signal):
    """What a supervisor hears; stale once the child has another shell or incarnation."""

    __slots__ = ("incarnation", "shell")

    def __init__(self, shell: Shell, incarnation: int) -> None:
        self.shell = shell
        self.incarnation = incarnation


class Started(ChildEvent):
    __slots__ = ()


class Ended(ChildEvent):
    """It ended by itself, normally, and waits for the supervisor's word."""

    __slots__ = ()


class Stopped(ChildEvent):
    """Its incarnation is over because it was told so."""

    __slots__ = ()


class Failed(ChildEvent):
    __slots__ = ("error", "starting")

    def __init__(self, shell: Shell, incarnation: int, error: BaseException, starting: bool) -> None:
        super().__init__(shell, incarnation)
        self.error = error
        self.starting = starting


class Reported(ChildEvent):
    __slots__ = ("report",)

    def __init__(self, shell: Shell, incarnation: int, report: object) -> None:
        super().__init__(shell, incarnation)
        self.report = report


class StopOverdue(ChildEvent):
    """Set by the supervisor's timer, as is the next. Void once `order` is settled."""

    __slots__ = ("order",)

    def __init__(self, shell: Shell, order: StopOrder) -> None:
        super().__init__(shell, ANY_INCARNATION)
        self.order = order


class RestartDue(ChildEvent):
    __slots__ = ("error",)

    def __init__(self, shell: Shell, incarnation: int, error: BaseException | None) -> None:
        super().__init__(shell, incarnation)
        self.error = error
