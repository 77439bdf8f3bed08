"""What the runtime refuses, and how it says so.

RuntimeRefusal
├── Overloaded            an executor's, loop's or timer's bound is reached: the work was not started
├── BlockingOnWorker      a blocking get() inside a handler: it would stop everybody else's turn
└── SupervisionRefusal    an administrative call that changed nothing
    ├── BadSpec           names the field
    ├── ChildNotFound
    ├── ChildRunning
    ├── AlreadyStarted    carries the running child's ref
    └── AlreadyPresent    the spec is kept, the child is down
ChildError                something a child did; carries its id and the cause
├── StartFailed           it raised in start-up
└── GaveUp                its restart intensity was exceeded
EndedByItself             the cause where a child did not fail but ended, or its policy spoke
MailboxFull               an ask refused by a full mailbox (an ActorDeadError: nobody will answer)
AskTimeout                a pykka.Timeout naming target, message type and seconds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykka import ActorDeadError, Timeout

if TYPE_CHECKING:
    from actors.runtime.ref import ShellRef


class RuntimeRefusal(Exception):
    """The runtime did not do what was asked, and changed nothing."""


class Overloaded(RuntimeRefusal):
    """A stated bound is reached; the work was not started."""


class BlockingOnWorker(RuntimeRefusal):
    """A blocking get() was tried inside a handler."""


class SupervisionRefusal(RuntimeRefusal):
    """An administrative call that changed nothing."""


class BadSpec(SupervisionRefusal):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field


class ChildNotFound(SupervisionRefusal):
    def __init__(self, child_id: str) -> None:
        super().__init__(f"no child {child_id}")


class ChildRunning(SupervisionRefusal):
    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id} is running")


class AlreadyStarted(SupervisionRefusal):
    def __init__(self, ref: ShellRef) -> None:
        super().__init__(f"child {ref.name} is already started")
        self.ref = ref


class AlreadyPresent(SupervisionRefusal):
    def __init__(self, child_id: str) -> None:
        super().__init__(f"child {child_id} is present but down: restart or delete it")


class ChildError(Exception):
    """Something a child did that its owner must hear of."""

    def __init__(self, child_id: str, cause: BaseException, what: str) -> None:
        super().__init__(f"{child_id} {what}: {type(cause).__name__}: {cause}")
        self.child_id = child_id
        self.cause = cause


class StartFailed(ChildError):
    def __init__(self, child_id: str, cause: BaseException) -> None:
        super().__init__(child_id, cause, "failed to start")


class GaveUp(ChildError):
    def __init__(self, child_id: str, cause: BaseException) -> None:
        super().__init__(child_id, cause, "was restarted too often")


class EndedByItself(Exception):
    """The cause given when a child that did not fail is restarted once too often."""


class MailboxFull(ActorDeadError):
    """An ask refused at once by a full mailbox."""


class AskTimeout(Timeout):
    """Nobody answered in time; names target, message type and seconds."""
