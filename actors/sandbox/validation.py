"""Code tried before it is kept: loaded, asked at sample slots, asked again, and what is wrong told to its author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from actors.runtime.process_time import process_s
from actors.sample_candles import SAMPLE_FROM, SAMPLE_SEED, SAMPLE_SLOTS, SAMPLE_STEP, SampleCandles
from actors.sandbox.frames import Ask, Failed, Fault, Loaded, Program, Reply
from actors.sandbox.host import Zygote
from actors.sandbox.judge import Verdict, ask_of, verdict_of
from actors.sandbox.rank import Rank
from core.candles import CandleColumns
from core.definition import StrategyKind
from core.market import Market, Series
from core.parameters import ParameterError, Parameters
from core.position import Side
from core.signal import Signal
from core.strategies.code import CodeStrategy, StrategyCode
from core.strategies.code_window import wanted_windows
from core.strategies.declaration import BadDeclaration, declared_code, line_of
from core.strategies.further_window import FurtherWindow, further_windows
from core.strategy import Context, HeldPosition, WantedWindow, strategy_parameters
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.generator import GeneratedMarket

MAX_VALIDATION_S: Final = 6.0
"""All sample slots together; one that takes longer than this on average would not do at a candle's close either."""
HELD: Final = (None, Side.LONG, Side.SHORT)


class CodeError(msgspec.Struct, frozen=True, kw_only=True):
    """`line` of the author's text, None where no line is to blame."""

    message: str
    line: int | None = None
    hint: str | None = None


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """`code` is there when it may be kept; `signal` is that of the last sample slot."""

    code: StrategyCode | None = None
    signal: Signal | None = None
    evaluations: int = 0
    errors: tuple[CodeError, ...] = ()
    log: str = ""
    windows: tuple[WantedWindow, ...] = ()
    further: tuple[FurtherWindow, ...] = ()
    """The same, one by one."""


_TOO_SLOW: Final = CodeError(
    message=f"{SAMPLE_SLOTS} evaluations took more than {MAX_VALIDATION_S:g} s.",
    hint="Work on columns (context.candles.close) instead of candle by candle.",
)


def validate_code(
    zygote: Zygote,
    *,
    kind: StrategyKind,
    text: str,
    symbol: str = "BTCUSDT",
    timeframe: Timeframe = Timeframe.M5,
    parameters: Mapping[str, object] | None = None,
    rank: Rank = Rank.EQUAL,
) -> Validated:
    """Raises SandboxAway and Starved: then nothing is known."""
    program = Program(kind=kind.value, text=text, symbol=symbol, timeframe=timeframe.value, explains=True)
    with zygote.worker(rank) as worker:
        loaded = worker.ask(program)[-1]
        if not isinstance(loaded, Loaded):
            return _wrong(loaded)
        try:
            code = declared_code(
                text,
                loaded.declared if isinstance(loaded.declared, Mapping) else {},
                compiled=loaded.compiled if kind is StrategyKind.TYPESCRIPT else None,
            )
            strategy = CodeStrategy(kind, code, parameters or {})
            given = strategy_parameters(strategy, parameters or {})
        except BadDeclaration as bad:
            line = line_of(text, bad)
            return Validated(errors=(CodeError(message=str(bad), line=line),), log=loaded.log)
        except ParameterError as bad:
            return Validated(errors=(CodeError(message=str(bad)),), log=loaded.log)
        contexts = sample_contexts(code, given, symbol, timeframe)
        asks = [ask_of(code, context) for context in contexts]
        replies: list[Reply] = []
        deadline_s = process_s() + MAX_VALIDATION_S
        for ask in asks:
            replies += worker.ask(ask)
            if worker.is_dead:
                break
            if process_s() > deadline_s:
                return Validated(errors=(_TOO_SLOW,), log=loaded.log)
    verdicts = [verdict_of(*each) for each in zip(replies, contexts, strict=False)]
    log = (loaded.log + "".join(verdict.log for verdict in verdicts))[:8_192]
    for verdict in verdicts:
        if verdict.failed is not None:
            return msgspec.structs.replace(_wrong(verdict.failed), log=log)
    differs = _differs(zygote, program, asks, contexts, verdicts, rank=rank)
    if differs is not None:
        return Validated(errors=(differs,), log=log)
    own = sample_series(symbol, timeframe)
    return Validated(
        code=code,
        signal=verdicts[-1].signal,
        evaluations=len(verdicts),
        log=log,
        windows=strategy.windows(own, given),
        further=further_windows(strategy, own, given),
    )


def sample_series(symbol: str, timeframe: Timeframe) -> Series:
    """What the code would decide on, as far as it is known before there is a strategy."""
    return Series(venue=GeneratedMarket.VENUE, market=Market.PERP, symbol=symbol, timeframe=timeframe)


def sample_contexts(
    code: StrategyCode, parameters: Parameters, symbol: str, timeframe: Timeframe
) -> list[Context]:
    """Windows over generated candles; for code that looks at positions, flat, long and short in turn."""
    count = code.lookback + SAMPLE_SLOTS * SAMPLE_STEP
    end = SAMPLE_FROM + timeframe.delta * count
    candles = GeneratedMarket(SAMPLE_SEED).candles(symbol, timeframe, SAMPLE_FROM, end)
    own = sample_series(symbol, timeframe)
    further = [
        SampleCandles(each.series, each.lookback, SAMPLE_SEED + 1 + n)
        for n, each in enumerate(wanted_windows(code.windows, own))
    ]
    contexts = []
    for number in range(1, SAMPLE_SLOTS + 1):
        last = code.lookback + number * SAMPLE_STEP
        window = CandleColumns(np.ascontiguousarray(candles.data[:, last - code.lookback : last]))
        side = HELD[number % len(HELD)] if code.uses_position else None
        slot = from_ms(int(window.open_time[-1]) + timeframe.ms)
        contexts.append(
            Context(
                candles=window,
                extra={sample.series: sample.window(number - 1, slot) for sample in further},
                series=own,
                parameters=parameters,
                slot=slot,
                position=None if side is None else _held(side, float(window.open[-1])),
            )
        )
    return contexts


def _held(side: Side, price: float) -> HeldPosition:
    return HeldPosition(
        side=side, quantity=Decimal("0.5"), entry_price=Decimal(repr(price)), unrealised_pnl=Decimal("1.25")
    )


def _differs(
    zygote: Zygote,
    program: Program,
    asks: Sequence[Ask],
    contexts: Sequence[Context],
    before: Sequence[Verdict],
    *,
    rank: Rank,
) -> CodeError | None:
    """Asked in another worker, in the other order: what it remembers or draws shows."""
    with zygote.worker(rank) as worker:
        replies = worker.ask(program, *reversed(asks))[1:]
    again = [verdict_of(*each) for each in zip(replies, reversed(contexts), strict=False)][::-1]
    for first, second in zip(before, again, strict=False):
        if first.signal != second.signal:
            return CodeError(
                message="It answers differently for the same candles.",
                hint="No randomness, no clock, and nothing remembered between evaluations: a window says all.",
            )
    if len(again) != len(before):
        return CodeError(message="It answers for these candles only sometimes.")
    return None


def _wrong(failed: Reply) -> Validated:
    if not isinstance(failed, Failed):
        failed = Failed(fault=Fault.FORGED, sentence="What it sent back is no answer.")
    error = CodeError(message=failed.sentence, line=failed.line, hint=failed.hint)
    return Validated(errors=(error,), log=failed.log)
