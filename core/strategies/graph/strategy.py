"""A node graph as a strategy. Every number among its nodes' parameters is a parameter of the strategy, `node.name`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Series
from core.parameters import Parameters
from core.signal import Action, BadSignal, Signal, SignalFault
from core.strategies.graph.build import build
from core.strategies.graph.document import Graph, graph_text, read_graph
from core.strategies.graph.nodes import ORCHESTRATOR
from core.strategies.graph.nodes.data_source import OWN, Source
from core.strategies.graph.nodes.indicator import MAX_WINDOW
from core.strategies.graph.nodes.orchestrator import BANKROLL
from core.strategies.graph.numbers import numbers_of
from core.strategies.graph.params import number
from core.strategies.graph.ports import Frame, Warmup
from core.strategies.graph.problems import GraphError, Problem
from core.strategies.graph.program import NodeFailed, Program
from core.strategy import Context, WantedWindow
from core.timeframe import Timeframe, to_ms

VERSION: Final = 1
"""Of what nodes mean: raised when a graph may answer differently than before."""
MAX_WORK: Final = 150_000
"""Candles all nodes together work through at a slot: a second at the very most, in a process that others share."""
MAX_PROGRAMS: Final = 16
"""Sets of parameters of one graph that are kept built."""
MAX_KEPT: Final = 256
"""Graphs kept as strategies: the runs on one share it."""

_NOTHING: Final = Warmup()
_UNCHANGED: Final = Signal(action=Action.HOLD, reason="No price change in the window")


class GraphStrategy:
    """Raises GraphError with every problem of the graph."""

    name: Final = "graph"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.text = graph_text(graph)
        program = build(graph)
        self.content = f"graph:{VERSION}:{sha256(self.text.encode()).hexdigest()}"
        self.specs = numbers_of(program)
        self.uses_position = program.uses_position
        own = program.decider.params
        # What its author would have a paper portfolio of it begin with.
        self.paper_bankroll_usd = number(own, BANKROLL) if BANKROLL in own else None
        self._latest: tuple[Parameters | None, Program] = (None, program)
        self._programs: dict[tuple[object, ...], Program] = {}
        problems = _too_long(program)
        if problems:
            raise GraphError(problems)

    def problems(self, parameters: Parameters) -> list[str]:
        try:
            program = build(with_parameters(self.graph, parameters))
        except GraphError as error:
            return [str(problem) for problem in error.problems]
        return [str(problem) for problem in _too_long(program)]

    def program(self, parameters: Parameters) -> Program:
        """The graph under these parameters; an evaluation's are one object from slot to slot."""
        held, program = self._latest
        if held is not parameters:
            program = self._program(parameters)
            self._latest = (parameters, program)
        return program

    def _program(self, parameters: Parameters) -> Program:
        key = tuple(sorted(parameters.items()))
        found = self._programs.get(key)
        if found is None:
            if len(self._programs) >= MAX_PROGRAMS:
                self._programs.clear()
            found = self._programs[key] = build(with_parameters(self.graph, parameters))
        return found

    def nodes(self, parameters: Parameters) -> int:
        """Nodes that an evaluation executes: those that lead to the decision, and the decision."""
        return len(self.program(parameters).steps)

    def lookback(self, parameters: Parameters) -> int:
        # Which timeframe is its own does not matter here: what a graph needs of its own candles is counted in them.
        return min(MAX_WINDOW, self.program(parameters).needs(Timeframe.M1).get(OWN, _NOTHING).full + 1)

    def min_candles(self, parameters: Parameters) -> int:
        return self.program(parameters).needs(Timeframe.M1).get(OWN, _NOTHING).least + 1

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        """Raises GraphError for windows too long, or too many, to be worked through at each slot."""
        program = self.program(parameters)
        problems = _too_long(program, series.timeframe)
        if problems:
            raise GraphError(problems)
        wanted: dict[Series, WantedWindow] = {}
        for source, need in program.needs(series.timeframe).items():
            further = source.of(series)
            if source == OWN:
                continue
            held = wanted.get(further)
            lookback, least = min(MAX_WINDOW, need.full + 1), need.least + 1
            wanted[further] = WantedWindow(
                series=further,
                lookback=max(lookback, held.lookback if held else 0),
                min_candles=max(least, held.min_candles if held else 0),
            )
        return tuple(wanted.values())

    def decide(self, context: Context) -> Signal:
        """Raises BadSignal: NodeFailed with the id of the node that could not do its part."""
        program, candles = self.program(context.parameters), context.candles
        if len(candles) < self.min_candles(context.parameters):
            raise BadSignal(SignalFault.TOO_FEW_CANDLES, f"The graph got {len(candles)} candles, too few.")
        close = candles.close
        if program.is_smoothed and close[0] == close[-1] and bool((close == close[0]).all()):
            return _UNCHANGED
        ran = program.run(self._frames(program, context))
        held = None if context.position is None else context.position.side
        try:
            return ORCHESTRATOR.signal(
                program.decider.params, ran.verdict, ran.indicators, context.price, held
            )
        except BadSignal as bad:
            raise NodeFailed(program.decider.node, str(bad), len(program.steps)) from bad

    def _frames(self, program: Program, context: Context) -> Mapping[Source, Frame]:
        own = context.candles
        slot_ms = to_ms(context.slot)
        frames = {OWN: _frame(own, slot_ms - own.open_time[-1], context)}
        for source in program.sources:
            if context.series is None:
                raise RunnerError("A graph that looks at further candles has to know its own series.")
            series = source.of(context.series)
            frames[source] = _frame(context.extra[series], series.timeframe.ms, context)
        return frames


@lru_cache(maxsize=MAX_KEPT)
def graph_strategy(source: str) -> GraphStrategy:
    """The strategy a graph in JSON makes. Raises GraphError."""
    return GraphStrategy(read_graph(source))


def with_parameters(graph: Graph, parameters: Mapping[str, object]) -> Graph:
    """The graph with these numbers in place of its own; names of other nodes or of no number are left alone."""
    given: dict[str, dict[str, object]] = {}
    for name, value in parameters.items():
        node, _, parameter = name.partition(".")
        given.setdefault(node, {})[parameter] = value
    nodes = tuple(
        replace(node, params={**node.params, **given[node.id]}) if node.id in given else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _frame(candles: CandleColumns, step_ms: float, context: Context) -> Frame:
    return Frame(candles=candles, closes_ms=candles.open_time + step_ms, position=context.position)


def _named(source: Source, own: Timeframe) -> str:
    said = f"{source.symbol or 'its symbol'} {source.timeframe or own}"
    return said if source.venue is None else f"{said} of {source.venue}"


def _too_long(program: Program, own: Timeframe = Timeframe.M1) -> list[Problem]:
    """What its windows would be too long for. Which timeframe is its own matters for finer ones only."""
    problems = []
    needs = program.needs(own)
    for source, need in needs.items():
        if need.least >= MAX_WINDOW:
            whose = "" if source == OWN else f" of {_named(source, own)}"
            said = (
                f"It would need {need.least + 1} candles{whose} at once; {MAX_WINDOW} is the most there is."
            )
            problems.append(Problem(message=said))
    work = sum(min(MAX_WINDOW, needs.get(step.axis, _NOTHING).full + 1) for step in program.steps)
    if work > MAX_WORK:
        said = f"Its nodes would work through {work} candles at each slot; {MAX_WORK} is the most there is."
        problems.append(Problem(message=said))
    return problems
