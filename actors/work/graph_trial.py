"""A graph tried before it is kept: asked at sample slots of generated candles, and what is wrong told by its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from core.candles import CandleColumns
from core.market import Series
from core.parameters import ParameterError, Parameters, ParameterSpec
from core.position import Side
from core.signal import BadSignal, Signal
from core.strategies.graph.document import read_graph
from core.strategies.graph.problems import GraphError, Problem
from core.strategies.graph.program import NodeFailed
from core.strategies.graph.strategy import GraphStrategy
from core.strategy import Context, HeldPosition, WantedWindow, strategy_parameters
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

SAMPLE_SEED: Final = 1
SAMPLE_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE_SLOTS: Final = 12
SAMPLE_STEP: Final = 37
"""Candles from one sample slot to the next: no whole number of hours or days."""
_HELD: Final = (None, Side.LONG, Side.SHORT)
_SYMBOL: Final = "BTCUSDT"


class TriedGraph(msgspec.Struct, frozen=True, kw_only=True):
    """It may be kept where there are no problems; `signal` is that of the last sample slot."""

    problems: tuple[Problem, ...] = ()
    signal: Signal | None = None
    evaluations: int = 0
    specs: tuple[ParameterSpec, ...] = ()
    lookback: int = 0
    uses_position: bool = False
    windows: tuple[WantedWindow, ...] = ()


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
    )


def _contexts(
    strategy: GraphStrategy, parameters: Parameters, own: Series, windows: tuple[WantedWindow, ...]
) -> list[Context]:
    """For graphs that look at positions, flat, long and short in turn."""
    lookback = strategy.lookback(parameters)
    own_sample = _Sample(own, lookback, SAMPLE_SEED)
    further = [_Sample(each.series, each.lookback, SAMPLE_SEED + 1 + n) for n, each in enumerate(windows)]
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


class _Sample:
    """Minutes of the generated market, told as candles of the series: however long they are, there are enough."""

    def __init__(self, series: Series, lookback: int, seed: int) -> None:
        self.series = series
        self._lookback = lookback
        end = SAMPLE_FROM + Timeframe.M1.delta * (lookback + SAMPLE_SLOTS * SAMPLE_STEP)
        self._minutes = GeneratedMarket(seed).candles(_SYMBOL, Timeframe.M1, SAMPLE_FROM, end)

    def window(self, number: int, slot: datetime) -> CandleColumns:
        """The candles up to the last that has closed at `slot`."""
        first = number * SAMPLE_STEP
        data = self._minutes.data[:, first : first + self._lookback].copy()
        step_ms = self.series.timeframe.ms
        last_ms = to_ms(self.series.timeframe.floor(slot)) - step_ms
        data[0] = last_ms - np.arange(self._lookback - 1, -1, -1) * float(step_ms)
        return CandleColumns(data)


def _held(side: Side, price: float) -> HeldPosition:
    return HeldPosition(
        side=side, quantity=Decimal("0.5"), entry_price=Decimal(repr(price)), unrealised_pnl=Decimal("1.25")
    )
