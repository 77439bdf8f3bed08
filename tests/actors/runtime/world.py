"""One actor system per kind of dispatcher, driven alike: a clock the test moves, conditions it waits for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.runtime import (
    ActorSystem,
    Behaviour,
    ChildSpec,
    Context,
    ShellRef,
    StopMode,
    Supervision,
    Supervisor,
    VirtualClock,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 20.0
KINDS = ("pool1", "pool4", "deterministic", "seeded")


class ManualClock:
    """Market and process time, moved by the test; wakes the timers when it moves."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self.on_move: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())

    def move(self, seconds: float) -> None:
        self._elapsed += seconds
        self.on_move()


class World:
    """`kind` is one of KINDS."""

    def __init__(self, kind: str, throughput: int = 32, seed: int = 1) -> None:
        self.kind = kind
        self.reports: list[tuple[str, Mapping[str, object]]] = []
        self.clock: Any
        if kind in ("deterministic", "seeded"):
            self.clock = VirtualClock(START)
            rng = random.Random(seed) if kind == "seeded" else None
            self.system = ActorSystem.deterministic(self.clock, rng, throughput=throughput, sink=self._report)
        else:
            self.clock = ManualClock()
            self.system = ActorSystem.live(
                self.clock,
                db_workers=1,
                cpu_workers=int(kind[4:]),
                throughput=throughput,
                stall_s=0.005,
                sink=self._report,
            )
            self.clock.on_move = self.system.timers.wake

    @property
    def single_threaded(self) -> bool:
        return self.system.virtual is not None

    def _report(self, action: str, fields: Mapping[str, object]) -> None:
        self.reports.append((action, fields))

    def advance(self, seconds: float) -> None:
        """Let `seconds` of both times pass."""
        if self.system.virtual is not None:
            self.system.virtual.run_until(self.clock.now() + timedelta(seconds=seconds))
        else:
            self.clock.move(seconds)

    def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Return once `holds()`; no time passes on the injected clock meanwhile."""
        if self.system.virtual is not None:
            self.system.virtual.run_until_idle()
            assert holds(), what or "does not hold although nothing is left to do"
            return
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, what or "did not come to hold"
            time.sleep(0.0005)

    def settle(self) -> None:
        """Return once all mail sent so far has been handled, here for every child of the root and the root."""
        if self.system.virtual is not None:
            self.system.virtual.run_until_idle()

    def stuck(self, ref: ShellRef, handler: threading.Event) -> None:
        """Make `ref` look to the runtime like an actor inside a handler that does not return."""
        if self.system.virtual is not None:
            ref.actor_inbox._busy = True  # type: ignore[attr-defined]  # one thread cannot block and go on
        else:
            ref.tell(("block", handler))
            self.until(lambda: len(ref.actor_inbox) == 0)

    def stop(self) -> None:
        assert self.system.stop(timeout_s=10.0)


class Log:
    """What happened, in order, from any thread."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []

    def add(self, *entry: Any) -> None:
        self.entries.append(entry)

    def count(self, *prefix: Any) -> int:
        return sum(1 for entry in tuple(self.entries) if entry[: len(prefix)] == prefix)

    def of(self, *prefix: Any) -> list[tuple[Any, ...]]:
        return [entry[len(prefix) :] for entry in tuple(self.entries) if entry[: len(prefix)] == prefix]


class Probe(Behaviour):
    """Counts, fails, ends and blocks on request, and logs its life."""

    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx)
        self.log = log
        self.count = 0

    def started(self) -> None:
        self.log.add("started", self.ctx.name, self.ctx.incarnation)

    def receive(self, message: Any) -> object:
        match message:
            case "get":
                return self.count
            case "incarnation":
                return self.ctx.incarnation
            case "inc":
                self.count += 1
            case "end":
                self.ctx.stop()
            case ("raise", error):
                raise error
            case ("block", event):
                event.wait(PATIENCE_S)
            case _:
                self.log.add("got", self.ctx.name, self.ctx.incarnation, message)
        return None

    def stopping(self, mode: StopMode) -> None:
        self.log.add("stopped", self.ctx.name, self.ctx.incarnation, mode)

    def restarting(self, error: BaseException | None) -> None:
        self.log.add("restarting", self.ctx.name, self.ctx.incarnation)


def probe(id: str, log: Log, **spec: Any) -> ChildSpec:
    return ChildSpec(id=id, factory=lambda ctx: Probe(ctx, log), **spec)


def supervisor(
    id: str, specs: Sequence[ChildSpec], supervision: Supervision | None = None, **spec: Any
) -> ChildSpec:
    return ChildSpec(
        id=id,
        factory=lambda ctx: Supervisor(ctx, specs, supervision),
        dispatcher="control",
        **spec,
    )
