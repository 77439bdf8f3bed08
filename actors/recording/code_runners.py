"""Code on a recorded day: what was asked of the sandbox is noted, and a replay takes its verdict from the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.recording.replayed_edges import Calls
from actors.recording.tape import Call, Tape
from actors.runtime.behaviour import Context
from actors.sandbox.judge import CodeRunner, CodeTask, ShadowRunner, Verdict
from actors.sandbox.pool import ANSWER_TIMEOUT_S

JUDGE = "judge"
JUDGE_AGAIN = "judge_again"


class RecordedCode:
    def __init__(self, inner: CodeRunner, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call(JUDGE, _question(task)))
        self._inner.ask(ctx, task, reply, failed)


class RecordedShadows:
    """Of what is evaluated again."""

    def __init__(self, inner: ShadowRunner, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def shadow(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call(JUDGE_AGAIN, _question(task)))
        self._inner.shadow(ctx, task, reply, failed)


class ReplayedCode:
    """No code runs in a replay: what it answers is held to nothing but the recording."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self._calls.made(JUDGE, _question(task))
        ctx.run(_recorded_elsewhere(), reply, failed, ANSWER_TIMEOUT_S)

    def shadow(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self._calls.made(JUDGE_AGAIN, _question(task))
        ctx.run(_recorded_elsewhere(), reply, failed, ANSWER_TIMEOUT_S)


def _question(task: CodeTask) -> list[Any]:
    """Its candles are those of the windows, which are compared as they come in."""
    context = task.context
    return [task.strategy.content, task.series, context.slot, context.parameters, context.position]


async def _recorded_elsewhere() -> Any:
    """Stands for an answer that comes from the recording."""
