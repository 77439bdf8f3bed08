"""A graph tried before it is kept: asked at sample slots of generated candles, and what is wrong told by its place."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from actors.sample_candles import SAMPLE_FROM, SAMPLE_SEED, SAMPLE_SLOTS, SAMPLE_STEP, SampleCandles
from core.market import Series
from core.parameters import ParameterError, Parameters, ParameterSpec
from core.position import Side
from core.signal import BadSignal, Signal
from core.strategies.further_window import FurtherWindow, further_windows
from core.strategies.graph.document import read_graph
from core.strategies.graph.problems import GraphError, Problem
from core.strategies.graph.program import NodeFailed
from core.strategies.graph.strategy import GraphStrategy
from core.strategy import Context, HeldPosition, WantedWindow, strategy_parameters

_HELD: Final = (None, Side.LONG, Side.SHORT)


class TriedGraph(msgspec.Struct, frozen=True, kw_only=True):
    """It may be kept where there are no problems; `signal` is that of the last sample slot."""

    problems: tuple[Problem, ...] = ()
    signal: Signal | None = None
    evaluations: int = 0
    specs: tuple[ParameterSpec, ...] = ()
    lookback: int = 0
    uses_position: bool = False
    windows: tuple[WantedWindow, ...] = ()
    further: tuple[FurtherWindow, ...] = ()
    """The same, as its author is told of them."""


def try_graph(graph: Mapping[str, object], *, own: Series, given: Mapping[str, object]) -> TriedGraph:
    """`own`: the series it would decide on; `given`: parameters in place of its own."""
    try:
        strategy = GraphStrategy(read_graph(graph))
        parameters = strategy_parameters(strategy, given)
        windows = strategy.windows(own, parameters)
    except GraphError as error:
        return TriedGraph(problems=error.problems)
    except ParameterError as error:
        return TriedGraph(problems=tuple(Problem(message=each) for each in error.problems))
    signals = []
    for context in _contexts(strategy, parameters, own, windows):
        try:
            signals.append(strategy.decide(context))
        except BadSignal as bad:
            node = bad.node if isinstance(bad, NodeFailed) else None
            return TriedGraph(problems=(Problem(message=str(bad), node=node),), evaluations=len(signals))
    return TriedGraph(
        signal=signals[-1],
        evaluations=len(signals),
        specs=strategy.specs,
        lookback=strategy.lookback(parameters),
        uses_position=strategy.uses_position,
        windows=windows,
        further=further_windows(strategy, own, parameters),
    )


def _contexts(
    strategy: GraphStrategy, parameters: Parameters, own: Series, windows: tuple[WantedWindow, ...]
) -> list[Context]:
    """For graphs that look at positions, flat, long and short in turn."""
    lookback = strategy.lookback(parameters)
    own_sample = SampleCandles(own, lookback, SAMPLE_SEED)
    further = [
        SampleCandles(each.series, each.lookback, SAMPLE_SEED + 1 + n) for n, each in enumerate(windows)
    ]
    contexts = []
    for number in range(SAMPLE_SLOTS):
        slot = SAMPLE_FROM + own.timeframe.delta * SAMPLE_STEP * number
        window = own_sample.window(number, slot)
        side = _HELD[number % len(_HELD)] if strategy.uses_position else None
        contexts.append(
            Context(
                candles=window,
                extra={sample.series: sample.window(number, slot) for sample in further},
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
