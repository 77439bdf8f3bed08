"""What a supervisor is told about a child and about itself: ids, restart rules, deadlines, limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from actors.runtime.errors import BadSpec
from core.backoff import NO_BACKOFF, Backoff

if TYPE_CHECKING:
    from actors.runtime.behaviour import Behaviour, Context


class Restart(StrEnum):
    """When an ended child comes back: always, only after a failure, never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Directive(StrEnum):
    """What to do with a child: keep its state, give it fresh state, end it, fail in its place, or pause it."""

    RESUME = "resume"
    RESTART = "restart"
    STOP = "stop"
    ESCALATE = "escalate"
    PAUSE = "pause"


class Strategy(StrEnum):
    """Who is restarted when one child fails: it alone, all, or it and those started after it."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class StopMode(StrEnum):
    """NOW: the next thing the actor does is end. DRAIN: it finishes open work first, within its drain time."""

    NOW = "now"
    DRAIN = "drain"


class Shutdown(StrEnum):
    """Stop deadlines that are not a number of seconds: abandon at once, or wait without a deadline."""

    KILL = "kill"
    WAIT = "wait"


class AutoShutdown(StrEnum):
    """Whether a supervisor ends itself after significant children ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Intensity(msgspec.Struct, frozen=True, kw_only=True):
    """At most `max_restarts` in any `window_s` seconds, counted over all children or for each child by itself."""

    max_restarts: int = 5
    window_s: float = 60.0
    per_child: bool = False


Policy = Callable[[Any, object], tuple[Any, Directive | None]]
"""Pure rule over a child's reports: (state or None, report) -> (new state, directive or None to carry on)."""


# One for all specs: an empty dict for each of 100,000 runs would be 6 MB.
_NO_DIRECTIVES: Mapping[type[Exception], Directive] = MappingProxyType({})


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child: `id` is its logical name, unique in the system; `factory` builds a fresh behaviour per incarnation.

    `directives` maps exception classes to what follows, the most specific class first matched; others get `otherwise`.
    """

    id: str
    factory: Callable[[Context], Behaviour]
    restart: Restart = Restart.PERMANENT
    shutdown: float | Shutdown = 5.0
    drain_s: float = 20.0
    significant: bool = False
    backoff: Backoff = NO_BACKOFF
    directives: Mapping[type[Exception], Directive] = _NO_DIRECTIVES
    otherwise: Directive = Directive.RESTART
    policy: Policy | None = None
    dispatcher: str = "cpu"
    mailbox_capacity: int = 10_000
    conflate: bool = False

    def directive(self, error: BaseException) -> Directive:
        """What follows `error`, by its class, then by its nearest base class that is listed."""
        for kind in type(error).__mro__:
            found = self.directives.get(kind)
            if found is not None:
                return found
        return self.otherwise


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """How one supervisor treats its children.

    `stop_together` tells all children to stop at once (thousands of runs under one deadline) instead of one
    after the other in reverse start order.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = Intensity()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    stop_together: bool = False


def check_spec(spec: ChildSpec) -> None:
    """Refuse a spec that could not be supervised; the error names the field."""
    if not isinstance(spec.id, str) or not spec.id:
        raise BadSpec("id", "must be a non-empty string")
    if not callable(spec.factory):
        raise BadSpec("factory", f"of {spec.id} is not callable")
    if spec.restart not in tuple(Restart):
        raise BadSpec("restart", f"of {spec.id} is unknown: {spec.restart!r}")
    if not isinstance(spec.shutdown, Shutdown) and (
        isinstance(spec.shutdown, str) or not 0 <= spec.shutdown < float("inf")
    ):
        raise BadSpec("shutdown", f"of {spec.id} must be seconds >= 0, kill or wait: {spec.shutdown!r}")
    if not spec.drain_s >= 0:
        raise BadSpec("drain_s", f"of {spec.id} must be >= 0: {spec.drain_s!r}")
    if spec.mailbox_capacity < 1:
        raise BadSpec("mailbox_capacity", f"of {spec.id} must be >= 1: {spec.mailbox_capacity!r}")


def check_specs(specs: Sequence[ChildSpec]) -> None:
    """Refuse the whole list when one spec is bad or an id is repeated."""
    seen: set[str] = set()
    for spec in specs:
        check_spec(spec)
        if spec.id in seen:
            raise BadSpec("id", f"{spec.id} is given twice")
        seen.add(spec.id)
