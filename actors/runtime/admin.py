"""What may be asked of a supervisor. Refusals are a `SupervisionRefusal` and change nothing."""

from __future__ import annotations

import msgspec

from actors.runtime.spec import ChildSpec, StopMode


class StartChild(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with the child's ref once it has started; a child that fails to start is not kept."""

    spec: ChildSpec


class TerminateChild(msgspec.Struct, frozen=True, kw_only=True):
    """Answered once it is down."""

    id: str
    mode: StopMode = StopMode.NOW


class RestartChild(msgspec.Struct, frozen=True, kw_only=True):
    """Starts a child that is down; answered with its ref once it has started."""

    id: str


class DeleteChild(msgspec.Struct, frozen=True, kw_only=True):
    """Forgets a child that is down."""

    id: str


class PauseChild(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    reason: str


class ResumeChild(msgspec.Struct, frozen=True, kw_only=True):
    """Ends a pause; what the policy had counted is forgotten."""

    id: str


class CountChildren(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with `ChildCounts`."""


class ChildCounts(msgspec.Struct, frozen=True, kw_only=True):
    specs: int
    active: int


Admin = StartChild | TerminateChild | RestartChild | DeleteChild | PauseChild | ResumeChild | CountChildren
