"""The runtime as it is while recording: shells that note turns, effects that note outcomes, a clock that is noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar, cast

from pykka.messages import _ActorStop

from actors.recording.canonical import message_of
from actors.recording.tape import Tape
from actors.runtime.behaviour import Behaviour
from actors.runtime.effects import Effects
from actors.runtime.letter import ANY_INCARNATION, Letter, Signal
from actors.runtime.ref import ShellRef
from actors.runtime.shell import Shell
from actors.runtime.spec import ChildSpec
from actors.runtime.state import Owner
from actors.runtime.system import ActorSystem
from core.clock import Clock

T = TypeVar("T")


class RecordedShell(Shell):
    """A shell whose turns go on the tape: plain messages, letters and signals alike."""

    __slots__ = ("_tape",)

    def __init__(self, tape: Tape, spec: ChildSpec, system: ActorSystem, owner: Owner, ref: ShellRef) -> None:
        super().__init__(spec, system, owner, ref)
        self._tape = tape

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        box = self.actor_inbox
        end = None if monotonic is None else monotonic() + slice_s
        try:
            if box.control:
                self._signals()
            while box.user and not box.held:
                self._take(box.user.popleft())
                throughput -= 1
                if box.control:
                    self._signals()
                if throughput <= 0 or (end is not None and monotonic is not None and monotonic() >= end):
                    break
        except BaseException as error:
            self.fail(error)
        if not box.closed:
            box.rest()
        elif self._farewell is not None:  # last of all, as in every shell
            farewell, self._farewell = self._farewell, None
            self.owner.signal(farewell)

    def _take(self, item: object) -> None:
        handle = self._open if isinstance(item, Letter) else cast(Behaviour, self.behaviour).receive
        told = self.name not in self._tape.beside or isinstance(message_of(item), _ActorStop)
        if not told or self._is_stale(item):
            handle(cast(Any, item))
        else:
            self._noted(handle, item)

    def _signal(self, signal: Signal) -> None:
        self._noted(super()._signal, signal)

    def _noted(self, handle: Callable[[Any], object], item: object) -> None:
        tape = self._tape
        if not tape.on:
            handle(item)
            return
        turn = tape.begin(self.name, self.incarnation, item)
        failed: BaseException | None = None
        try:
            handle(item)
        except BaseException as error:
            failed = error
            raise
        finally:
            tape.end(turn, failed)

    def _is_stale(self, item: object) -> bool:
        life = item.incarnation if isinstance(item, Letter) else ANY_INCARNATION
        return life not in (ANY_INCARNATION, self.incarnation)


class RecordedEffects:
    """Effects named by actor, life and number; a piece of work on the store is one entry, at its place."""

    def __init__(self, inner: Effects, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape
        self._numbers: Counter[tuple[str, int]] = Counter()

    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        tape = self._tape
        if to.name in tape.beside or not tape.on:
            self._inner.call(to, fn, reply, failed, incarnation)
            return
        id_ = self._next(to, incarnation)
        begun = False

        def done() -> T:
            nonlocal begun
            begun = True
            if not tape.on:
                return fn()
            with tape.doing(id_):
                return fn()

        def noted(error: Exception) -> object:
            if not begun:
                tape.came_back(id_, None, error)
            return failed(error)

        self._inner.call(to, done, reply, noted, incarnation)

    def run(
        self,
        to: ShellRef,
        co: Coroutine[Any, Any, T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        timeout_s: float,
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        tape = self._tape
        if to.name in tape.beside:
            self._inner.run(to, co, reply, failed, timeout_s, incarnation)
            return
        id_ = self._next(to, incarnation)
        noted = False

        def replied(result: T) -> object:
            nonlocal noted
            noted = True
            tape.came_back(id_, result, None)
            return reply(result)

        def failing(error: Exception) -> object:
            if not noted:  # else the reply raised, as it will again
                tape.came_back(id_, None, error)
            return failed(error)

        self._inner.run(to, co, replied, failing, timeout_s, incarnation)

    def sleep(self, seconds: float) -> Awaitable[None]:
        return self._inner.sleep(seconds)

    def stop(self, timeout_s: float) -> bool:
        stop: Callable[[float], bool] = cast(Any, self._inner).stop
        return stop(timeout_s)

    def _next(self, to: ShellRef, incarnation: int) -> str:
        """In the actor's own turn, so the numbers need no lock."""
        key = (to.name, incarnation)
        self._numbers[key] += 1
        return f"{to.name}/{incarnation}/{self._numbers[key]}"


class RecordedClock:
    """Within a turn market time stands at its beginning, and process time is noted as it is read."""

    def __init__(self, inner: Clock, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def now(self) -> datetime:
        turn = self._tape.turn
        return self._inner.now() if turn is None else turn.at

    def monotonic(self) -> float:
        return self._noted(self._inner.monotonic())

    def seconds_until(self, when: datetime) -> float:
        return self._noted(self._inner.seconds_until(when))

    def _noted(self, reading: float) -> float:
        turn = self._tape.turn
        if turn is not None:
            turn.readings.append(reading)
        return reading
