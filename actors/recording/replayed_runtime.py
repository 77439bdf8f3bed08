"""The runtime in a replay: nothing happens by itself. Turns, timers and outcomes come when the recording says so."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

from actors.recording.canonical import kind_of, message_of, text
from actors.runtime.behaviour import Behaviour
from actors.runtime.dead_letters import Reports, ignore
from actors.runtime.effects import Delivery
from actors.runtime.letter import ANY_INCARNATION, Letter, Signal
from actors.runtime.mailbox import Runnable
from actors.runtime.ref import ShellRef
from actors.runtime.shell import Shell
from actors.runtime.system import DISPATCHERS, ActorSystem
from actors.runtime.timer import TimerHandle

T = TypeVar("T")


class ReplayedClock:
    """Time as it was read: market time of the turn or transaction, process time reading by reading."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._times: deque[datetime] = deque()
        self._readings: deque[float] = deque()
        self._process_s = 0.0

    def turn(self, at: datetime, readings: Sequence[float | None]) -> None:
        self.at = at
        self._times.clear()
        self._readings = deque(float("inf") if each is None else each for each in readings)

    def deed(self, at: datetime, process_s: float, times: Sequence[datetime]) -> None:
        self.at = at
        self._times = deque(times)
        self._readings.clear()
        self._process_s = process_s

    def is_locked(self, until_s: float) -> bool:
        """Whether a lease up to then still holds."""
        return self._process_s < until_s

    def now(self) -> datetime:
        return self._times.popleft() if self._times else self.at

    def monotonic(self) -> float:
        if self._readings:
            self._process_s = self._readings.popleft()
        return self._process_s

    def seconds_until(self, when: datetime) -> float:
        return self._readings.popleft() if self._readings else 0.0


class Still:
    """A dispatcher that gives no turns: the recording does."""

    @staticmethod
    def schedule(runnable: Runnable) -> None:
        return None


class ReplayedShell(Shell):
    """Handles the one item it is given."""

    __slots__ = ()

    def handle(self, item: object) -> BaseException | None:
        """What the handler raised, which the supervisor has been told."""
        failed: BaseException | None = None
        try:
            if isinstance(item, Signal):
                self._signal(item)
            elif isinstance(item, Letter):
                self._open(item)
            else:
                cast(Behaviour, self.behaviour).receive(item)
        except BaseException as error:
            failed = error
            self.fail(error)
        if self.actor_inbox.closed and self._farewell is not None:
            farewell, self._farewell = self._farewell, None
            self.owner.signal(farewell)
        return failed

    def waiting(self) -> Iterator[tuple[object, Callable[[], object]]]:
        """What lies in the mailbox, in the order in which it would be handled, and how to take it out."""
        box = self.actor_inbox
        for lane in (box.control, box.aside or [], box.user):
            for item in tuple(lane):
                life = item.incarnation if isinstance(item, Letter) else ANY_INCARNATION
                if life in (ANY_INCARNATION, self.incarnation):
                    yield item, partial(_remove, lane, item)


def _stays() -> None:
    """A repeating timer is due again."""


def _remove(lane: Any, item: object) -> None:
    """By identity: two equal messages are two messages."""
    for index, each in enumerate(lane):
        if each is item:
            del lane[index]
            return


class ReplayedTimers:
    """Timers that never run out; each may be due at any moment the recording says it was."""

    def __init__(self) -> None:
        self._set: dict[str, list[TimerHandle]] = {}

    def at(self, when: datetime, to: ShellRef, message: object) -> TimerHandle:
        return self.after(0.0, to, message)

    def after(self, seconds: float, to: ShellRef, message: object, every: float | None = None) -> TimerHandle:
        handle = TimerHandle(to, message, every, to.incarnation)
        self._set.setdefault(to.name, []).append(handle)
        return handle

    def wake(self) -> None:
        """Nobody waits."""

    def waiting(self, name: str) -> Iterator[tuple[object, Callable[[], object]]]:
        """As of a mailbox."""
        held = self._set.get(name, [])
        held[:] = [each for each in held if each.to is not None and each.to.incarnation == each.incarnation]
        for handle in tuple(held):
            taken = _stays if handle.every is not None else partial(_remove, held, handle)
            yield handle.message, taken


class Pending:
    """Work asked for, whose outcome is still to come; `fn` None: a coroutine's."""

    __slots__ = ("delivery", "fn")

    def __init__(self, fn: Callable[[], object] | None, delivery: Delivery) -> None:
        self.fn = fn
        self.delivery = delivery


class ReplayedEffects:
    def __init__(self) -> None:
        self.pending: dict[str, Pending] = {}
        self._numbers: Counter[tuple[str, int]] = Counter()

    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        self._ask(to, fn, Delivery(to, reply, failed, incarnation), incarnation)

    def run(
        self,
        to: ShellRef,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        co.close()  # its answer has been recorded
        self._ask(to, None, Delivery(to, reply, failed, incarnation), incarnation)

    async def _no_sleep(self) -> None:
        return None

    def sleep(self, seconds: float) -> Awaitable[None]:
        return self._no_sleep()

    def _ask(
        self, to: ShellRef, fn: Callable[[], object] | None, delivery: Delivery, incarnation: int
    ) -> None:
        key = (to.name, incarnation)
        self._numbers[key] += 1
        self.pending[f"{to.name}/{incarnation}/{self._numbers[key]}"] = Pending(fn, delivery)


def replayed_system(clock: ReplayedClock, effects: ReplayedEffects, timers: ReplayedTimers) -> ActorSystem:
    system = ActorSystem(
        clock=clock,
        dispatchers=dict.fromkeys(DISPATCHERS, Still),
        effects=effects,
        timers=timers,
        rng=None,
        sink=ignore,
        virtual=None,
    )
    system.make_shell = ReplayedShell
    system.reports = Reports(ignore, float)  # as recorded: what they read of the time is no part of any turn
    return system


def find(
    waiting: Iterator[tuple[object, Callable[[], object]]], kind: str, is_it: Callable[[bytes], bool]
) -> tuple[object | None, bytes | None]:
    """The first message of that kind which is it, taken out; else the text of the first that is not."""
    other: bytes | None = None
    for item, take in waiting:
        message = message_of(item)
        if kind_of(message) != kind:
            continue
        encoded = text(message)
        if is_it(encoded):
            take()
            return item, None
        other = other or encoded
    return None, other
