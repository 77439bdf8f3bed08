"""The children of one supervisor and the mechanics of their lives; what to do and when is the supervisor's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.runtime.behaviour import Context
from actors.runtime.child import Child, ChildStatus, StopOrder
from actors.runtime.errors import AlreadyPresent, AlreadyStarted, ChildNotFound
from actors.runtime.letter import Renew, Stop, StopOverdue
from actors.runtime.spec import ChildSpec, Restart, Shutdown, StopMode, check_spec

Then = Callable[[], None]


class Children:
    """In start order. `stopped` is called whenever a child is down because it was told so."""

    def __init__(self, ctx: Context, stopped: Callable[[Child, StopOrder], None]) -> None:
        self._ctx = ctx
        self._system = ctx.system
        self._stopped = stopped
        self._by_id: dict[str, Child] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._by_id.values()))

    def find(self, child_id: str) -> Child | None:
        return self._by_id.get(child_id)

    def get(self, child_id: str) -> Child:
        child = self._by_id.get(child_id)
        if child is None:
            raise ChildNotFound(child_id)
        return child

    def add(self, spec: ChildSpec) -> Child:
        """A child not yet launched; refused when the spec is bad or its name taken."""
        check_spec(spec)
        present = self._by_id.get(spec.id)
        if present is not None:
            raise AlreadyPresent(spec.id) if present.is_down else AlreadyStarted(present.ref)
        owner = self._ctx.self_ref
        self._system.check_name_free(spec.id, owner)
        child = Child(spec, self._system.shell(spec, owner))
        self._by_id[spec.id] = child
        return child

    def forget(self, child: Child) -> None:
        if self._by_id.get(child.spec.id) is child:
            del self._by_id[child.spec.id]
            self._system.release_name(child.ref)

    def launch(self, child: Child) -> None:
        """Begin a new incarnation, wherever the last one ended."""
        shell = child.shell
        fresh = child.status is ChildStatus.NEW
        child.status = ChildStatus.STARTING
        if fresh:
            shell.begin()
        elif shell.is_abandoned:
            child.shell = self._system.shell(child.spec, self._ctx.self_ref, successor_of=shell)
            child.shell.begin()
        elif shell.actor_inbox.closed:
            shell.reopen()
        else:
            child.ref.signal(Renew(None))

    def stop(self, child: Child, mode: StopMode, *, close: bool, then: Then | None = None) -> None:
        """Have `child` down at its deadline at the latest; a stop already under way is joined."""
        if child.is_down:
            if then is not None:
                then()
            return
        order = StopOrder(mode, close, then)
        order.join(child.stop)
        child.stop = order
        kill = child.spec.shutdown is Shutdown.KILL and mode is StopMode.NOW
        if kill or child.status is ChildStatus.NEW:
            self._abandon(child)
            return
        child.status = ChildStatus.STOPPING
        child.ref.signal(Stop(mode, order.close))
        self._set_deadline(child, order)

    def overdue(self, child: Child) -> None:
        """A drain that overstays is stopped; a stop that overstays is abandoned."""
        order = child.stop
        if order is None:
            return
        if order.mode is StopMode.DRAIN:
            self.stop_now(child, order)
        else:
            self._abandon(child)

    def stop_now(self, child: Child, order: StopOrder) -> None:
        order.mode = StopMode.NOW
        order.cancel()
        child.ref.signal(Stop(StopMode.NOW, order.close))
        self._set_deadline(child, order)

    def is_down(self, child: Child) -> None:
        """Settle the stop order of a child whose incarnation has ended."""
        order = child.stop
        if order is None:
            return
        child.stop = None
        child.status = ChildStatus.DOWN
        order.cancel()
        if order.close and child.spec.restart is Restart.TEMPORARY:
            self.forget(child)
        if order.then is not None:
            order.then()
        self._stopped(child, order)

    def _abandon(self, child: Child) -> None:
        child.shell.abandon()
        self.is_down(child)

    def _set_deadline(self, child: Child, order: StopOrder) -> None:
        shutdown = child.spec.shutdown
        if order.mode is StopMode.DRAIN:
            seconds = child.spec.drain_s
        elif shutdown is Shutdown.WAIT:
            return
        else:
            seconds = 0.0 if isinstance(shutdown, Shutdown) else shutdown
        overdue = StopOverdue(child.shell, order)
        order.overdue = self._system.timers.after(seconds, self._ctx.self_ref, overdue)
