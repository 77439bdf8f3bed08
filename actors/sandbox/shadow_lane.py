"""Second evaluations of what was answered live, to see whether the code answers alike. Whatever is live goes first.

One at a time, on a thread of its own, while nothing live is waiting or at work; its worker runs only where nobody else
wants the processor, and is ended as soon as something live comes. Then it rests for nine times as long as it took.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from actors.runtime.process_time import process_s
from actors.sandbox.frames import Ask, Program
from actors.sandbox.host import SandboxAway
from actors.sandbox.judge import CodeTask, NoVerdict, Verdict, ask_of, no_verdict, program_of, verdict_of
from actors.sandbox.worker_handle import Starved, WorkerHandle
from core.strategy import Context

MAX_WAITING: Final = 16
"""Beyond these none is taken: it is a sample."""
MAX_AGE_S: Final = 60.0
QUIET_S: Final = 0.2
"""How often it is looked whether nothing live is at work."""
REST: Final = 9.0
ANSWER_TIMEOUT_S: Final = MAX_AGE_S + 60.0
_LEFT_OUT: Final = Verdict(nothing=NoVerdict.STARVED, sentence="There was no time to evaluate it again.")


class _Second:
    __slots__ = ("answer", "ask", "context", "program", "since_s")

    def __init__(self, program: Program, ask: Ask, context: Context, since_s: float) -> None:
        self.program = program
        self.ask = ask
        self.context = context
        self.since_s = since_s
        self.answer: Future[Verdict] = Future()


class ShadowLane:
    """`worker` makes a fresh one, or raises; `is_quiet`: whether nothing live is waiting or at work."""

    def __init__(self, worker: Callable[[], WorkerHandle], is_quiet: Callable[[], bool]) -> None:
        self._worker_made = worker
        self._is_quiet = is_quiet
        self._waiting: deque[_Second] = deque()
        self._changed = threading.Condition()
        self._at_work: WorkerHandle | None = None
        self._gave_way = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, task: CodeTask) -> Future[Verdict]:
        """From any thread. Its candles are taken now, as their window moves on."""
        second = _Second(
            program_of(task.strategy, task.series),
            ask_of(task.strategy.code, task.context),
            task.context,
            process_s(),
        )
        with self._changed:
            if self._closed or len(self._waiting) >= MAX_WAITING:
                second.answer.set_result(_LEFT_OUT)
                return second.answer
            self._waiting.append(second)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-shadow", daemon=True)
                self._thread.start()
            self._changed.notify()
        return second.answer

    @property
    def at_work(self) -> bool:
        return self._at_work is not None

    def give_way(self) -> None:
        """Something live has come."""
        with self._changed:
            if self._at_work is not None:
                self._gave_way = True
                self._at_work.end()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        self.give_way()
        for each in left:
            each.answer.set_result(_LEFT_OUT)

    def _run(self) -> None:
        while (second := self._next()) is not None:
            began_s = process_s()
            try:
                verdict = self._judge(second)
            except Exception as error:
                second.answer.set_exception(error)
            else:
                second.answer.set_result(verdict)
            self._rest((process_s() - began_s) * REST)

    def _next(self) -> _Second | None:
        """Once nothing live is at work; None once closed."""
        with self._changed:
            while not self._closed:
                while self._waiting and process_s() - self._waiting[0].since_s > MAX_AGE_S:
                    self._waiting.popleft().answer.set_result(_LEFT_OUT)
                if self._waiting and self._is_quiet():
                    return self._waiting.popleft()
                self._changed.wait(QUIET_S if self._waiting else None)
        return None

    def _rest(self, seconds: float) -> None:
        until_s = process_s() + seconds
        with self._changed:
            while not self._closed and (left_s := until_s - process_s()) > 0:
                self._changed.wait(left_s)

    def _judge(self, second: _Second) -> Verdict:
        try:
            with self._worker_made() as worker:
                try:
                    with self._changed:
                        self._at_work, self._gave_way = worker, not self._is_quiet()
                    if self._gave_way:
                        return _LEFT_OUT
                    replies = worker.ask(second.program, second.ask)
                finally:
                    with (
                        self._changed
                    ):  # behind this nobody ends it any more: its handle may become another's
                        self._at_work = None
        except (SandboxAway, Starved) as error:
            return no_verdict(error)
        return _LEFT_OUT if self._gave_way else verdict_of(replies[-1], second.context)
