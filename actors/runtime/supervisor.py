"""Decides about children: what a failure, an end or a report means under the specs and this supervisor's rules.

Everything happens in the supervisor's own turn. A *plan* orders work on several children: the first start, a group
restart, the final stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.runtime.admin import (
    Admin,
    ChildCounts,
    CountChildren,
    DeleteChild,
    PauseChild,
    RestartChild,
    ResumeChild,
    StartChild,
    TerminateChild,
)
from actors.runtime.behaviour import Context, Parent
from actors.runtime.child import Child, ChildStatus, StopOrder
from actors.runtime.children import Children
from actors.runtime.errors import ChildRunning, EndedByItself, GaveUp, StartFailed, SupervisionRefusal
from actors.runtime.letter import (
    ChildEvent,
    Close,
    Ended,
    Failed,
    Pause,
    Renew,
    Reported,
    RestartDue,
    Resume,
    Started,
    StopOverdue,
    Stopped,
    Unpause,
)
from actors.runtime.plan import Plan, Stage
from actors.runtime.ref import ShellRef
from actors.runtime.spec import (
    AutoShutdown,
    ChildSpec,
    Directive,
    Restart,
    StopMode,
    Strategy,
    Supervision,
    check_specs,
)
from core.backoff import RestartWindow

Then = Callable[[], None]


class Supervisor(Parent):
    """Subclass it to own children: call its methods in your handlers, override `handle` and the `child_...` hooks."""

    def __init__(
        self, ctx: Context, specs: Sequence[ChildSpec] = (), supervision: Supervision | None = None
    ) -> None:
        super().__init__(ctx)
        check_specs(specs)
        self.supervision = supervision or Supervision()
        self._initial = tuple(specs)
        self._children = Children(ctx, self._on_down)
        self._plan = Plan(self._children.launch, self._stop_for_plan)
        self._window = RestartWindow()
        self._deferred: list[ChildEvent] = []
        self._starting = False
        self._stopping = False

    # --- for subclasses to override

    def handle(self, message: object) -> object:
        """Messages that are not administration. One that nobody understands is no reason to stop all children."""
        self.ctx.system.reports.dead_letter(self.ctx.name, message, "not understood")
        self.ctx.reply_later().fail(
            TypeError(f"{self.ctx.name} does not understand {type(message).__name__}")
        )
        return None

    def child_started(self, child_id: str) -> None:
        """A new incarnation is ready for its mail."""

    def child_stopped(self, child_id: str) -> None:
        """It is down, and stays so until somebody starts it."""

    def child_gave_up(self, child_id: str, error: BaseException) -> None:
        """It exceeded its own restart intensity and is down; called instead of `child_stopped`."""

    def child_paused(self, child_id: str, policy_state: object) -> None:
        """Its policy said so; `policy_state` is what the policy had counted."""

    # --- for subclasses to call

    def children(self) -> tuple[Child, ...]:
        return tuple(self._children)

    def child_ref(self, child_id: str) -> ShellRef:
        return self._children.get(child_id).ref

    def start_child(self, spec: ChildSpec) -> ShellRef:
        """The ref at once, start-up follows; mail waits for it. A failing start-up is a failure like any other."""
        if self._stopping:
            raise SupervisionRefusal(f"{self.ctx.name} is stopping")
        child = self._children.add(spec)
        self._children.launch(child)
        return child.ref

    def restart_child(self, child_id: str) -> ShellRef:
        """Start a child that is down."""
        child = self._down(child_id)
        self._children.launch(child)
        return child.ref

    def terminate_child(self, child_id: str, mode: StopMode = StopMode.NOW, then: Then | None = None) -> None:
        """Stop it and keep its spec; `then` is called when it is down, at once if it already is."""
        self._children.stop(self._children.get(child_id), mode, close=True, then=then)

    def delete_child(self, child_id: str) -> None:
        """Forget a child that is down, and its name."""
        self._children.forget(self._down(child_id))

    def pause_child(self, child_id: str, reason: object) -> None:
        self.child_ref(child_id).signal(Pause(reason))

    def resume_child(self, child_id: str) -> None:
        """End a pause and forget what the policy had counted."""
        child = self._children.get(child_id)
        child.policy_state = None
        child.ref.signal(Unpause())

    def count_children(self) -> ChildCounts:
        active = sum(1 for child in self._children if not child.is_down)
        return ChildCounts(specs=len(self._children), active=active)

    # --- messages

    def receive(self, message: object) -> object:
        if not isinstance(message, Admin):
            return self.handle(message)
        reply = self.ctx.reply_later()
        try:
            match message:
                case StartChild(spec=spec):
                    self.start_child(spec)
                    self._children.get(spec.id).start_reply = reply
                case RestartChild(id=child_id):
                    self.restart_child(child_id)
                    self._children.get(child_id).start_reply = reply
                case TerminateChild(id=child_id, mode=mode):
                    self.terminate_child(child_id, mode, then=lambda: reply.set(None))
                case DeleteChild(id=child_id):
                    self.delete_child(child_id)
                    reply.set(None)
                case PauseChild(id=child_id, reason=reason):
                    self.pause_child(child_id, reason)
                    reply.set(None)
                case ResumeChild(id=child_id):
                    self.resume_child(child_id)
                    reply.set(None)
                case CountChildren():
                    reply.set(self.count_children())
        except SupervisionRefusal as refusal:
            reply.fail(refusal)
        return None

    # --- called by the shell around this supervisor

    def start_children(self, then: Then) -> None:
        def done() -> None:
            self._starting = False
            then()

        self._starting = True
        added = [self._children.add(spec) for spec in self._initial]
        self._plan.begin([Stage([child], starts=True) for child in added], done)

    def stop_children(self, mode: StopMode, then: Then, keep: bool = False) -> None:
        def done() -> None:
            if not keep:
                for child in self._children:
                    self._children.forget(child)
            then()

        self._starting = False
        self._stopping = True
        self._deferred.clear()
        backwards = self.children()[::-1]
        groups = [backwards] if self.supervision.stop_together else [(child,) for child in backwards]
        self._plan.begin([Stage(group, starts=False, mode=mode) for group in groups], done)

    def on_child(self, event: ChildEvent) -> None:
        child = self._children.find(event.shell.name)
        if child is None or child.shell is not event.shell:
            return
        if isinstance(event, StopOverdue):
            if child.stop is event.order:
                self._children.overdue(child)
            return
        if event.incarnation != event.shell.incarnation:
            return
        match event:
            case Started():
                self._on_started(child)
            case Stopped():
                # While it is to be closed, word that it was merely halted came too early to count.
                if child.stop is not None and (not child.stop.close or event.shell.actor_inbox.closed):
                    self._children.is_down(child)
            case Failed(error=error, starting=starting):
                child.last_error = error
                self._on_failed(child, event, error, starting)
            case Ended():
                self._on_ended(child, event)
            case Reported(report=report):
                self._on_report(child, report)
            case RestartDue(error=error):
                if child.status is ChildStatus.WAITING and not self._stopping:
                    self._restart_now(child, error)

    # --- what children did

    def _on_started(self, child: Child) -> None:
        child.last_start = self.ctx.clock.monotonic()
        if child.stop is not None:
            return
        child.status = ChildStatus.RUNNING
        reply, child.start_reply = child.start_reply, None
        if reply is not None:
            reply.set(child.ref)
        self.child_started(child.spec.id)
        self._plan.done(child, starts=True)

    def _on_down(self, child: Child, order: StopOrder) -> None:
        if order.close and child.status is ChildStatus.DOWN:
            self.child_stopped(child.spec.id)
        self._plan.done(child, starts=False)

    def _on_failed(self, child: Child, event: Failed, error: BaseException, starting: bool) -> None:
        if child.stop is not None:  # it broke while draining: nothing is left to wait for
            self._children.stop_now(child, child.stop)
        elif starting and child.start_reply is not None:
            self._discard(child, StartFailed(child.spec.id, error))
        elif self._starting:
            self.ctx.fail(StartFailed(child.spec.id, error))
        elif self._plan.active and not self._plan.is_starting(child):
            self._deferred.append(event)
        else:
            self._decide(child, error, starting)

    def _discard(self, child: Child, error: StartFailed) -> None:
        """A child somebody waits for did not start: it is not kept, and they are told."""
        reply, child.start_reply = child.start_reply, None

        def tell() -> None:
            self._children.forget(child)
            if reply is not None:
                reply.fail(error)

        self._children.stop(child, StopMode.NOW, close=True, then=tell)

    def _on_ended(self, child: Child, event: Ended) -> None:
        if child.stop is not None:
            return
        if self._plan.active and not self._plan.is_starting(child):
            self._deferred.append(event)
        elif child.spec.restart is Restart.PERMANENT:
            self._restart(child, EndedByItself(f"{child.spec.id} ended by itself"))
        else:
            child.status = ChildStatus.STOPPING
            child.stop = StopOrder(StopMode.NOW, True, self._auto_shutdown_after(child))
            child.ref.signal(Close())

    def _on_report(self, child: Child, report: object) -> None:
        policy = child.spec.policy
        if policy is None:
            return
        try:
            child.policy_state, directive = policy(child.policy_state, report)
        except Exception as error:  # the child's fault, not its siblings'
            self.ctx.system.reports.failure(child.spec.id, error)
            self._restart(child, error)
            return
        match directive:
            case Directive.RESTART:
                self._restart(child, EndedByItself(f"its policy asked for a restart after {report!r}"))
            case Directive.PAUSE:
                self.pause_child(child.spec.id, report)
                self.child_paused(child.spec.id, child.policy_state)
            case Directive.STOP:
                self._children.stop(child, StopMode.NOW, close=True)
            case Directive.ESCALATE:
                self.ctx.fail(GaveUp(child.spec.id, EndedByItself(f"its policy escalated {report!r}")))

    def _auto_shutdown_after(self, child: Child) -> Then | None:
        """What follows the end of a significant child that was not ordered."""
        rule = self.supervision.auto_shutdown
        if rule is AutoShutdown.NEVER or not child.spec.significant:
            return None

        def check() -> None:
            left = any(other.spec.significant and not other.is_down for other in self._children)
            if rule is AutoShutdown.ANY_SIGNIFICANT or not left:
                self.ctx.stop()

        return check

    # --- decisions

    def _decide(self, child: Child, error: BaseException, starting: bool) -> None:
        directive = Directive.RESTART if starting else child.spec.directive(error)
        if directive is Directive.RESTART and child.spec.restart is Restart.TEMPORARY:
            directive = Directive.STOP
        match directive:
            case Directive.RESUME:
                child.ref.signal(Resume())
            case Directive.PAUSE:
                child.ref.signal(Resume())
                self.pause_child(child.spec.id, error)
                self.child_paused(child.spec.id, child.policy_state)
            case Directive.RESTART:
                self._restart(child, error)
            case Directive.STOP:
                then = self._auto_shutdown_after(child)
                self._children.stop(child, StopMode.NOW, close=True, then=then)
            case Directive.ESCALATE:
                self.ctx.fail(GaveUp(child.spec.id, error))

    def _restart(self, child: Child, error: BaseException) -> None:
        intensity = self.supervision.intensity
        now = self.ctx.clock.monotonic()
        window, exceeded = (child.window if intensity.per_child else self._window).restarted(
            now, max_restarts=intensity.max_restarts, window_s=intensity.window_s
        )
        if intensity.per_child:
            child.window = window
        else:
            self._window = window
        if exceeded:
            self._give_up(child, error)
            return
        backoff = child.spec.backoff
        if now - child.last_start >= backoff.quiet_s:
            child.attempt = 0
        delay_s = backoff.delay_s(child.attempt, self.ctx.system.jitter())
        child.attempt += 1
        if delay_s <= 0:
            self._restart_now(child, error)
            return
        due = RestartDue(child.shell, child.shell.incarnation, error)
        self.ctx.after(delay_s, due)
        child.status = ChildStatus.WAITING  # last: who sees it may count on the timer being set

    def _give_up(self, child: Child, error: BaseException) -> None:
        if not self.supervision.intensity.per_child:
            # The shell stops all children first, then tells this supervisor's own owner.
            self.ctx.fail(GaveUp(child.spec.id, error))
            return

        def gave_up() -> None:
            child.status = ChildStatus.GAVE_UP
            self.child_gave_up(child.spec.id, error)

        self._children.stop(child, StopMode.NOW, close=True, then=gave_up)

    def _restart_now(self, child: Child, error: BaseException | None) -> None:
        child.restarts += 1
        strategy = self.supervision.strategy
        if strategy is Strategy.ONE_FOR_ONE:
            child.status = ChildStatus.STARTING
            child.ref.signal(Renew(error))
            return
        group = list(self._children)
        if strategy is Strategy.REST_FOR_ONE:
            group = group[group.index(child) :]
        group = [member for member in group if not member.is_down]
        child.status = ChildStatus.WAITING  # for its turn in the plan; its shell is frozen
        others = [member for member in reversed(group) if member is not child]
        stops = [Stage([member], starts=False, close=False) for member in others]
        self._plan.begin(stops + [Stage([member], starts=True) for member in group], self._handle_deferred)

    def _stop_for_plan(self, child: Child, stage: Stage) -> None:
        self._children.stop(child, stage.mode, close=stage.close)

    def _handle_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        for event in deferred:
            self.on_child(event)

    def _down(self, child_id: str) -> Child:
        child = self._children.get(child_id)
        if not child.is_down:
            raise ChildRunning(child_id)
        return child
