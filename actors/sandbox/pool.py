"""Code at live ticks: a bounded number of workers at once, a fresh one for each evaluation, owners in turns.

Beside those that have been at work for long as many again may be, of other owners: nobody's code keeps others waiting.
As many stand by as work at once. Who computes for long gives way; who was starved for it is asked again and does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final, TypeVar

from msgspec.structs import replace

from actors.runtime.behaviour import Context
from actors.runtime.process_time import process_s
from actors.sandbox.canaries import holes
from actors.sandbox.code_cache import CodeCache
from actors.sandbox.frames import Failed, Fault, Reply
from actors.sandbox.host import Limits, SandboxAway, Zygote
from actors.sandbox.judge import CodeTask, NoVerdict, Verdict, ask_of, no_verdict, program_of, verdict_of
from actors.sandbox.pace import Pace
from actors.sandbox.rank import Rank
from actors.sandbox.shadow_lane import ANSWER_TIMEOUT_S as SHADOW_TIMEOUT_S
from actors.sandbox.shadow_lane import ShadowLane
from actors.sandbox.turns import Turns
from actors.sandbox.validation import Validated, validate_code
from actors.sandbox.worker_handle import Starved, WorkerHandle
from core.definition import StrategyKind
from core.timeframe import Timeframe

MAX_WAITING: Final = 10_000
MAX_WAITING_OF_OWNER: Final = 2_000
MAX_WAIT_S: Final = 25.0
"""What has waited longer is not evaluated: its slot is over (invariants §6)."""
ANSWER_TIMEOUT_S: Final = 60.0
RESTART_AFTER_S: Final = 5.0
"""A sandbox that ended is started again, this often at most."""
VALIDATIONS: Final = 2
"""Strategies validated at once; each keeps a worker for some seconds at most."""
VALIDATION_WAIT_S: Final = 5.0
Answer = TypeVar("Answer")
_CHECKING: Final = "The sandbox is being checked."


class Waiting:
    __slots__ = ("answer", "since_s", "task")

    def __init__(self, task: CodeTask, since_s: float) -> None:
        self.task = task
        self.since_s = since_s
        self.answer: Future[Verdict] = Future()


class Pool:
    """Checks itself by its canaries before anything runs; `sentence` says why nothing does."""

    def __init__(self, limits: Limits, *, workers: int) -> None:
        self.limits = limits
        self.sentence: str | None = _CHECKING
        self._zygote: Zygote | None = None
        self.codes = CodeCache()
        self._pace = Pace()
        self._workers = workers
        self._turns: Turns[Waiting] = Turns(workers)
        self._shadows = ShadowLane(self._worker_aside, lambda: not self._turns.waiting + self._turns.at_work)
        self._changed = threading.Condition()
        self._starting = threading.Lock()
        self._started_s = float("-inf")
        self._validations = threading.BoundedSemaphore(VALIDATIONS)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"sandbox-{number}", daemon=True)
            for number in range(2 * workers)
        ]

    def start(self) -> None:
        """At once; what is asked meanwhile waits for the canaries."""
        for thread in self._threads:
            thread.start()
        threading.Thread(target=self._start_quietly, name="sandbox-start", daemon=True).start()

    @property
    def is_ready(self) -> bool:
        return self.sentence is None

    def close(self) -> None:
        """What waits is told that there is no sandbox."""
        self._shadows.close()
        with self._changed:
            self._closed = True
            left = self._turns.clear()
            self._changed.notify_all()
        for each in left:
            each.answer.set_result(Verdict(nothing=NoVerdict.AWAY, sentence="The sandbox is closed."))
        with self._starting:
            if self._zygote is not None:
                self._zygote.close()

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        ctx.run(_answer(self.submit(task)), reply, failed, ANSWER_TIMEOUT_S)

    def shadow(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        """Once more, when nothing else is to be done; to see whether it answers alike."""
        ctx.run(_answer(self.submit_shadow(task)), reply, failed, SHADOW_TIMEOUT_S)

    @property
    def shadowing(self) -> bool:
        return self._shadows.at_work

    def submit_shadow(self, task: CodeTask) -> Future[Verdict]:
        return self._shadows.submit(task)

    def submit(self, task: CodeTask) -> Future[Verdict]:
        """From any thread; a place in the queue of the task's owner, or a verdict that there is none."""
        waiting = Waiting(task, process_s())
        self._shadows.give_way()
        with self._changed:
            turns = self._turns
            room = turns.waiting < MAX_WAITING and turns.waiting_of(task.owner) < MAX_WAITING_OF_OWNER
            if room and not self._closed:
                turns.put(task.owner, waiting)
                self._changed.notify()
                return waiting.answer
        sentence = "Too many evaluations wait for the sandbox."
        waiting.answer.set_result(Verdict(nothing=NoVerdict.STARVED, sentence=sentence))
        return waiting.answer

    def validate(
        self,
        *,
        kind: StrategyKind,
        text: str,
        symbol: str,
        timeframe: Timeframe,
        parameters: Mapping[str, object],
    ) -> Validated:
        """Blocks. Raises SandboxAway or Starved where nothing can be known now."""
        if not self._validations.acquire(timeout=VALIDATION_WAIT_S):
            raise Starved("Too many strategies are being validated; try again in a moment.")
        try:
            return _again_as_equal(
                Rank.LAST,
                lambda rank: validate_code(
                    self.zygote(),
                    kind=kind,
                    text=text,
                    symbol=symbol,
                    timeframe=timeframe,
                    parameters=parameters,
                    rank=rank,
                ),
            )
        finally:
            self._validations.release()

    def zygote(self) -> Zygote:
        """The one that passed its canaries, started anew where it has ended. Raises SandboxAway."""
        with self._starting:
            zygote = self._zygote
            if zygote is not None and zygote.is_running and self.sentence is None:
                return zygote
            if self._closed or process_s() - self._started_s < RESTART_AFTER_S:
                raise SandboxAway(self.sentence or "The sandbox has ended and is started again.")
            self._started_s = process_s()
            if zygote is not None:
                zygote.close()
            self._zygote, self.sentence = None, _CHECKING
            try:
                zygote = Zygote(self.limits, spares=self._workers)
                through = holes(zygote)
            except (SandboxAway, Starved) as error:
                self.sentence = str(error)
                raise SandboxAway(str(error)) from error
            if through:
                zygote.close()
                self.sentence = f"No code runs here: the kernel lets a worker {', '.join(through)}."
                raise SandboxAway(self.sentence)
            self._replenish(zygote)
            self._zygote, self.sentence = zygote, None
            return zygote

    def _worker_aside(self) -> WorkerHandle:
        """For what is not live; who stood by for that is replaced at once."""
        zygote = self.zygote()
        worker = zygote.worker(Rank.LAST)
        self._replenish(zygote)
        return worker

    @staticmethod
    def _replenish(zygote: Zygote) -> None:
        with contextlib.suppress(SandboxAway):  # whoever asks next is told
            zygote.replenish()

    def _start_quietly(self) -> None:
        try:
            self.zygote()
        except SandboxAway:
            return  # `sentence` says it

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            place, waiting = taken
            if waiting.answer.set_running_or_notify_cancel():
                try:
                    verdict = self._judge(waiting)
                except Exception as error:
                    waiting.answer.set_exception(error)
                else:
                    waiting.answer.set_result(verdict)
            with self._changed:
                self._turns.done(place)
                self._changed.notify()
            # After the answer: it does not wait for what the next one will need.
            if (zygote := self._zygote) is not None:
                if not self._turns.waiting:
                    self.codes.learn(waiting.task.strategy, zygote)
                self._replenish(zygote)

    def _next(self) -> tuple[int, Waiting] | None:
        """With the number of its place; None once closed."""
        with self._changed:
            while (taken := self._turns.take(process_s())) is None:
                if self._closed:
                    return None
                self._changed.wait(self._turns.changes_in_s(process_s()))
            self._changed.notify()  # whoever wakes for the next one counts the time until it may
            return taken

    def _judge(self, waiting: Waiting) -> Verdict:
        task = waiting.task
        if process_s() - waiting.since_s > MAX_WAIT_S:
            return no_verdict(Starved("This machine was too busy to evaluate the strategy in time."))
        try:
            zygote = self.zygote()
            code = self.codes.get(task.strategy)
            replies, used_s = _again_as_equal(
                self._pace.rank(task.strategy.content), lambda rank: _asked(zygote, task, code, rank)
            )
        except (SandboxAway, Starved) as error:
            return no_verdict(error)
        self._pace.learn(task.strategy.content, used_s)
        last = replies[-1]
        if isinstance(last, Failed) and last.fault is Fault.DIED and zygote.has_ended():
            return no_verdict(SandboxAway("The sandbox ended while the strategy was evaluated."))
        limit_ms = self.limits.wall_s * 1_000
        return replace(verdict_of(last, task.context), used_ms=used_s * 1_000, limit_ms=limit_ms)


def _again_as_equal(rank: Rank, asked: Callable[[Rank], Answer]) -> Answer:
    """Who was starved, perhaps by those it gave way to, is asked once more as one of them. Raises Starved."""
    try:
        return asked(rank)
    except Starved:
        return asked(Rank.EQUAL)


def _asked(zygote: Zygote, task: CodeTask, code: bytes | None, rank: Rank) -> tuple[list[Reply], float]:
    """And what it used of its limit."""
    with zygote.worker(rank) as worker:
        replies = worker.ask(
            program_of(task.strategy, task.series, code), ask_of(task.strategy.code, task.context)
        )
    return replies, worker.used_s


async def _answer(answer: Future[Verdict]) -> Verdict:
    return await asyncio.wrap_future(answer)
