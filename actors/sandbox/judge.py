"""From an evaluation to what a worker is asked, and from its replies to a verdict."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from actors.runtime.behaviour import Context as ActorContext
from actors.sandbox.frames import MAX_LOG, Answered, Ask, Failed, Fault, Held, Program, Reply
from actors.sandbox.host import SandboxAway
from actors.sandbox.worker_handle import Starved
from core.candles import CandleColumns
from core.errors import RunnerError
from core.ids import UserId
from core.market import Series
from core.position import Side
from core.signal import BadSignal, Signal, storable
from core.strategies.code import CodeStrategy, StrategyCode
from core.strategies.code_answer import read_code_answer
from core.strategies.code_window import named_columns
from core.strategy import Context
from core.timeframe import to_ms

MAX_SENTENCE: Final = 500
MAX_PRINTED: Final = MAX_LOG + 100
"""Characters; behind what is kept of a print stands how much more there was."""


class CodeTask(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of code. `owner`: whose strategy it is; owners wait in turns."""

    strategy: CodeStrategy
    series: Series
    context: Context
    owner: UserId


class NoVerdict(StrEnum):
    """Why nothing is known about the code; no fault of its."""

    STARVED = "starved"
    AWAY = "away"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A signal; or what the code did wrong; or why there is neither, with a sentence.

    `used_ms` of `limit_ms`: the time the slowest of its answers took of what each may, where that was measured.
    """

    signal: Signal | None = None
    failed: Failed | None = None
    nothing: NoVerdict | None = None
    sentence: str = ""
    log: str = ""
    used_ms: float | None = None
    limit_ms: float | None = None


AskCode = Callable[[ActorContext, CodeTask, Callable[[Verdict], object], Callable[[Exception], object]], None]
"""Has code evaluated: for an actor, a task, and what it is told of the verdict or of none that came."""


def program_of(strategy: CodeStrategy, series: Series, compiled: bytes | None = None) -> Program:
    """`compiled`: what reading its text has come to before."""
    code = strategy.code
    return Program(
        kind=strategy.kind.value,
        text=code.text if code.compiled is None else code.compiled,
        symbol=series.symbol,
        timeframe=series.timeframe.value,
        compiled=code.compiled is not None,
        code=compiled,
    )


def ask_of(code: StrategyCode, context: Context) -> Ask:
    held, extra = context.position, {}
    if code.windows:
        if context.series is None:
            raise RunnerError("Code that looks at further candles has to know its own series.")
        named = named_columns(code.windows, context.series, context.extra)
        extra = {name: _bytes(columns) for name, columns in named.items()}
    return Ask(
        columns=_bytes(context.candles),
        extra=extra,
        parameters=context.parameters,
        slot_ms=to_ms(context.slot),
        position=None
        if held is None
        else Held(
            side=held.side.value,
            quantity=float(held.quantity),
            entry_price=float(held.entry_price),
            unrealised_pnl=float(held.unrealised_pnl),
        ),
    )


def _bytes(columns: CandleColumns) -> bytes:
    return np.ascontiguousarray(columns.data).tobytes()


def verdict_of(reply: Reply, context: Context) -> Verdict:
    """Of the last reply to an Ask; nothing in it is longer than the worker lets it be, or cannot be stored."""
    if isinstance(reply, Failed):
        failed = replace(reply, sentence=_bounded(reply.sentence, MAX_SENTENCE))
        return Verdict(failed=failed, sentence=located(failed), log=_bounded(reply.log, MAX_PRINTED))
    if not isinstance(reply, Answered):
        failed = Failed(fault=Fault.FORGED, sentence="What it sent back is no answer.")
        return Verdict(failed=failed, sentence=failed.sentence)
    held = context.position
    try:
        signal = read_code_answer(reply.answer, held_short=held is not None and held.side is Side.SHORT)
    except BadSignal as bad:
        sentence, log = _bounded(str(bad), MAX_SENTENCE), _bounded(reply.log, MAX_PRINTED)
        failed = Failed(fault=Fault.BAD_ANSWER, sentence=sentence, line=reply.line, log=log)
        return Verdict(failed=failed, sentence=located(failed), log=log)
    return Verdict(signal=signal, log=_bounded(reply.log, MAX_PRINTED))


def no_verdict(error: SandboxAway | Starved) -> Verdict:
    nothing = NoVerdict.STARVED if isinstance(error, Starved) else NoVerdict.AWAY
    return Verdict(nothing=nothing, sentence=str(error))


def _bounded(text: str, most: int) -> str:
    return storable(text[:most])


def located(failed: Failed) -> str:
    return failed.sentence if failed.line is None else f"Line {failed.line}: {failed.sentence}"
