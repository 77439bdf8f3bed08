"""The runtime in one object: built once for threads or once for a virtual clock, passed to everything."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from actors.runtime import registry
from actors.runtime.dead_letters import Reports, Sink, ignore
from actors.runtime.deterministic import DeterministicDispatcher, DeterministicTimers, VirtualClock
from actors.runtime.dispatch import PoolDispatcher
from actors.runtime.effects import DeterministicEffects, Effects
from actors.runtime.errors import AlreadyStarted, BadSpec, StartFailed
from actors.runtime.future import DEFAULT_ASK_TIMEOUT_S, SlimFuture
from actors.runtime.letter import Failed, Started, Stop, Stopped
from actors.runtime.loop_dispatch import LoopDispatcher
from actors.runtime.mailbox import LocalMailbox, Mailbox, Runnable
from actors.runtime.ref import ShellRef
from actors.runtime.shell import Shell
from actors.runtime.spec import ChildSpec, Shutdown, StopMode, Supervision
from actors.runtime.state import Owner
from actors.runtime.supervisor import Supervisor
from actors.runtime.thread_effects import ThreadEffects
from actors.runtime.timer import ThreadTimers, Timers
from core.clock import Clock

ROOT = "root"
DISPATCHERS = ("cpu", "control", "loop", "blocking")


class Dispatcher(Protocol):
    @property
    def schedule(self) -> Callable[[Runnable], object]: ...


class ActorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the supervision tree, read without disturbing it."""

    name: str
    state: str
    mailbox: int
    restarts: int
    last_error: str | None
    children: tuple[ActorInfo, ...]


class ActorSystem:
    """Dispatchers, effects, timers, names, reports and the root supervisor."""

    def __init__(
        self,
        *,
        clock: Clock,
        dispatchers: dict[str, Any],
        effects: Effects,
        timers: Timers,
        rng: random.Random | None,
        sink: Sink,
        virtual: DeterministicDispatcher | None,
        answers_at_once: bool = False,
    ) -> None:
        registry.install()
        self.clock = clock
        self.effects = effects
        self.timers = timers
        self.reports = Reports(sink, clock.monotonic)
        self.virtual = virtual
        self.answers_at_once = answers_at_once
        self.failure: BaseException | None = None
        self.on_failure: Callable[[BaseException], None] = lambda error: None
        self.make_shell: Callable[[ChildSpec, ActorSystem, Owner, ShellRef], Shell] = Shell
        """What actors are put into; a recording, and its replay, have shells of their own."""
        self._dispatchers = dispatchers
        self._rng = rng
        self._sink = sink
        self.names: dict[str, ShellRef] = {}
        self._names_lock = threading.Lock()
        self._started: SlimFuture[None] = self._future("start-up")
        self._stopped: SlimFuture[None] = self._future("the end")
        self._root: Shell | None = None

    @classmethod
    def live(
        cls,
        clock: Clock,
        *,
        db_workers: int = 4,
        cpu_workers: int = 1,
        blocking_workers: int = 0,
        throughput: int = 32,
        stall_s: float = 0.1,
        rng: random.Random | None = None,
        sink: Sink = ignore,
    ) -> ActorSystem:
        """On threads: `cpu` for actors, `control` for supervisors, `blocking` for actors that call slow libraries
        themselves (one message a turn), the database executor, the event loop with actors on it (`loop`), the timers.
        """
        effects = ThreadEffects(db_workers)
        dispatchers: dict[str, Dispatcher] = {
            "loop": LoopDispatcher(effects.loop, throughput),
            "cpu": PoolDispatcher(cpu_workers, throughput, stall_s=stall_s, sink=sink),
            "control": PoolDispatcher(1, name="control", stall_s=stall_s, sink=sink),
        }
        if blocking_workers:
            # Its handlers are slow by design: nothing is to be replaced before a minute.
            dispatchers["blocking"] = PoolDispatcher(
                blocking_workers, 1, name="blocking", stall_s=20.0, sink=sink
            )
        return cls(
            clock=clock,
            dispatchers=dispatchers,
            effects=effects,
            timers=ThreadTimers(clock),
            rng=rng,
            sink=sink,
            virtual=None,
        )

    @classmethod
    def deterministic(
        cls,
        clock: VirtualClock,
        rng: random.Random | None = None,
        *,
        throughput: int = 32,
        sink: Sink = ignore,
        answers_at_once: bool = False,
    ) -> ActorSystem:
        """In the calling thread; `system.virtual` is the dispatcher to run. `answers_at_once`: see `Context.call`."""
        dispatcher = DeterministicDispatcher(clock, rng, throughput)
        return cls(
            clock=clock,
            dispatchers=dict.fromkeys(DISPATCHERS, dispatcher),
            effects=DeterministicEffects(dispatcher),
            timers=DeterministicTimers(dispatcher),
            rng=rng,
            sink=sink,
            virtual=dispatcher,
            answers_at_once=answers_at_once,
        )

    # --- outside

    def start(
        self,
        specs: Sequence[ChildSpec],
        supervision: Supervision | None = None,
        timeout_s: float = 30.0,
    ) -> ShellRef:
        """Start `specs` in order under the root supervisor; StartFailed when one does not, with nothing left."""
        root = self.begin(specs, supervision)
        self._started.get(timeout=timeout_s)
        return root

    def begin(self, specs: Sequence[ChildSpec], supervision: Supervision | None = None) -> ShellRef:
        """`start` without waiting for it."""
        spec = ChildSpec(
            id=ROOT,
            factory=lambda ctx: Supervisor(ctx, specs, supervision),
            shutdown=Shutdown.WAIT,
            dispatcher="control",
        )
        self._root = self.shell(spec, self)
        self._root.begin()
        return self._root.ref

    def ask(self, to: ShellRef | str, message: object, timeout_s: float = DEFAULT_ASK_TIMEOUT_S) -> Any:
        """The answer, blocking; only from outside actors."""
        ref = self.ref(to) if isinstance(to, str) else to
        return ref.ask(message, timeout=timeout_s)

    def ask_future(
        self, to: ShellRef | str, message: object, timeout_s: float = DEFAULT_ASK_TIMEOUT_S
    ) -> SlimFuture[Any]:
        """The answer's future: `await` it from a coroutine, or add a callback."""
        ref = self.ref(to) if isinstance(to, str) else to
        future: SlimFuture[Any] = ref.ask(message, block=False, timeout=timeout_s)
        return future

    def stop(self, mode: StopMode = StopMode.NOW, timeout_s: float = 25.0) -> bool:
        """Stop children in reverse order, then timers, effects and workers; false when something overstayed."""
        in_time = True
        deadline = time.monotonic() + timeout_s
        if self._root is not None:
            self._root.ref.signal(Stop(mode))
            try:
                self._stopped.get(timeout=timeout_s)
            except Exception:
                in_time = False
        for part in (self.timers, self.effects, *dict.fromkeys(self._dispatchers.values())):
            stop = getattr(part, "stop", None)
            if stop is not None:
                in_time &= stop(max(0.1, deadline - time.monotonic()))
        return in_time

    def begin_stop(self, mode: StopMode) -> None:
        """Ask for the end without waiting for it."""
        if self._root is not None:
            self._root.ref.signal(Stop(mode))

    @property
    def is_stopped(self) -> bool:
        return self._stopped.done()

    def vanish(self) -> None:
        """End as a killed process does, where no thread runs (virtual time, a replay): nothing of it goes on."""
        if self.virtual is not None:
            self.virtual.forget()
        for ref in self.names.values():
            registry.strike(ref)

    def wait_stopped(self, timeout_s: float) -> None:
        """Return when the root is down, by `stop`, escalation or a fatal error; AskTimeout else."""
        self._stopped.get(timeout=timeout_s)

    def ref(self, name: str) -> ShellRef:
        """The actor of that logical name; LookupError when there is none."""
        try:
            return self.names[name]
        except KeyError:
            raise LookupError(f"no actor is called {name}") from None

    def snapshot(self) -> ActorInfo | None:
        """The supervision tree as it stands; None before `start`."""
        return None if self._root is None else _info(self._root, 0)

    # --- for the runtime

    def mailbox(self, owner: Shell, spec: ChildSpec) -> Mailbox:
        dispatcher = self._dispatchers.get(spec.dispatcher)
        if dispatcher is None:
            raise BadSpec("dispatcher", f"of {spec.id} is unknown: {spec.dispatcher!r}")
        kind = Mailbox if self.virtual is None else LocalMailbox
        return kind(owner, dispatcher.schedule, self.reports, spec.mailbox_capacity, spec.conflate)

    def shell(self, spec: ChildSpec, owner: Owner, successor_of: Shell | None = None) -> Shell:
        """A shell for `spec` under its name, at the address an earlier life of that name left behind."""
        if successor_of is not None:
            return self.make_shell(spec, self, owner, successor_of.ref)
        with self._names_lock:
            ref = self.names.get(spec.id) or ShellRef(spec.id, self.virtual)
            shell = self.make_shell(spec, self, owner, ref)
            self.names[spec.id] = ref
        return shell

    def check_name_free(self, name: str, owner: Owner) -> None:
        """Refuse a name in use: by a living actor, or kept for another supervisor's child."""
        ref = self.names.get(name)
        if ref is None:
            return
        shell: Any = ref.actor_inbox.owner
        if ref.is_alive():
            raise AlreadyStarted(ref)
        if shell.owner is not owner:
            raise BadSpec("id", f"{name} belongs to another supervisor")

    def release_name(self, ref: ShellRef) -> None:
        with self._names_lock:
            if self.names.get(ref.name) is ref:
                del self.names[ref.name]

    def jitter(self) -> float:
        """In [0, 1); 0 without a random source."""
        return 0.0 if self._rng is None else self._rng.random()

    def fatal(self, name: str, error: BaseException) -> None:
        """A handler met what no supervisor handles: begin the end, blocking nobody."""
        self._sink("fatal", {"actor": name, "error": error})
        self._fail(error)
        if self._root is not None:
            self._root.ref.signal(Stop(StopMode.NOW))

    def signal(self, message: object) -> None:
        """The root supervisor's own events arrive here: nobody is above it."""
        match message:
            case Started():
                self._started.set(None)
            case Failed(error=error):
                if not self._started.done():
                    self._started.fail(error)
                self._fail(error)
                if self._root is not None:
                    self._root.ref.signal(Stop(StopMode.NOW))
            case Stopped():
                if not self._started.done():
                    self._started.fail(StartFailed(ROOT, self.failure or RuntimeError("stopped")))
                self.release_name(message.shell.ref)
                self._stopped.set(None)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.on_failure(error)

    def _future(self, what: str) -> SlimFuture[None]:
        future: SlimFuture[None] = SlimFuture()
        future.target = "the actor system"
        future.message = what
        future._driver = self.virtual
        return future


def _info(shell: Shell, restarts: int) -> ActorInfo:
    behaviour = shell.behaviour
    children = behaviour.children() if isinstance(behaviour, Supervisor) else ()
    error = shell.last_error
    return ActorInfo(
        name=shell.name,
        state=shell.state,
        mailbox=len(shell.actor_inbox),
        restarts=restarts,
        last_error=None if error is None else f"{type(error).__name__}: {error}",
        children=tuple(_info(child.shell, child.restarts) for child in children),
    )
