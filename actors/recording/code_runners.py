"""Code on a recorded day: what was asked of the sandbox is noted, and a replay takes its verdict from the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.recording.replayed_edges import Calls
from actors.recording.tape import Call, Tape
from actors.runtime.behaviour import Context
from actors.sandbox.judge import AskCode, CodeTask, Verdict
from actors.sandbox.pool import ANSWER_TIMEOUT_S

JUDGE = "judge"
JUDGE_AGAIN = "judge_again"


def recorded_code(name: str, ask: AskCode, tape: Tape) -> AskCode:
    """`name`: of the call that notes what was asked."""

    def recorded(
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        turn = tape.turn
        if turn is not None:
            turn.calls.append(Call(name, _question(task)))
        ask(ctx, task, reply, failed)

    return recorded


def replayed_code(name: str, calls: Calls) -> AskCode:
    """No code runs in a replay: what it answers is held to nothing but the recording."""

    def replayed(
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        calls.made(name, _question(task))
        ctx.run(_recorded_elsewhere(), reply, failed, ANSWER_TIMEOUT_S)

    return replayed


def _question(task: CodeTask) -> list[Any]:
    """Its candles are those of the windows, which are compared as they come in."""
    context = task.context
    return [task.strategy.content, task.series, context.slot, context.parameters, context.position]


async def _recorded_elsewhere() -> Any:
    """Stands for an answer that comes from the recording."""
