"""A checked graph as steps in order, and their execution over the windows of one slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isfinite

import msgspec
import numpy as np

from core.candles import CandleColumns
from core.signal import MAX_INDICATORS, BadSignal, SignalFault
from core.strategies.graph.nodes import MIXING, SHOWN
from core.strategies.graph.nodes.base import NodeType
from core.strategies.graph.nodes.data_source import OWN, Source
from core.strategies.graph.nodes.orchestrator import Verdict
from core.strategies.graph.params import Params
from core.strategies.graph.ports import Frame, Given, Value, Warmup
from core.timeframe import Timeframe

Needs = Mapping[Source, Warmup]


class NodeFailed(BadSignal):
    """A node that could not do its part; `executed` nodes had done theirs."""

    def __init__(self, node: str, said: str, executed: int) -> None:
        super().__init__(SignalFault.NODE_FAILED, f"Node {node} {said}")
        self.node = node
        self.executed = executed


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """An edge, resolved: from which step's port to which input."""

    source: int
    source_port: str
    target_port: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `axis`: whose candles it works on; `counted`: its numeric outputs that are looked at."""

    node: str
    type: NodeType
    params: Params
    axis: Source
    bindings: tuple[Binding, ...]
    warmup: Warmup
    counted: tuple[str, ...] = ()


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What came to the orchestrator at the slot, and the values told with it."""

    verdict: Verdict
    indicators: Mapping[str, float]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in topological order, the orchestrator last. `words`: what an entry or exit is called in a reason."""

    steps: tuple[Step, ...]
    words: Mapping[str, str]
    uses_position: bool

    @property
    def sources(self) -> tuple[Source, ...]:
        """Further candles it works on, beside the strategy's own."""
        return tuple(dict.fromkeys(step.axis for step in self.steps if step.axis != OWN))

    @property
    def decider(self) -> Step:
        return self.steps[-1]

    @property
    def is_smoothed(self) -> bool:
        """Whether its own candles go into something that never quite forgets."""
        return any(step.axis == OWN and step.warmup.full > step.warmup.least for step in self.steps)

    def needs(self, own: Timeframe) -> Needs:
        """Candles before the last, of each source, where the strategy's own timeframe is `own`."""
        at: list[Mapping[Source, Warmup]] = []
        for step in self.steps:
            at.append(needs_at(step.axis, step.warmup, [at[each.source] for each in step.bindings], own))
        return at[-1]

    def run(self, frames: Mapping[Source, Frame]) -> Ran:
        """Raises NodeFailed with the id of the first node that raises, or gives no number at the slot."""
        values: list[Mapping[str, Value]] = []
        indicators: dict[str, float] = {}
        for executed, step in enumerate(self.steps):
            given = self._given(step, values, frames)
            try:
                out = step.type.run(step.params, given, frames[step.axis])
            except Exception as error:  # TA-Lib raises bare Exceptions; whatever it is, it is this node's
                raise NodeFailed(step.node, f"failed: {error}", executed) from error
            for port in step.counted:
                last = float(np.asarray(out[port])[-1])
                if not isfinite(last):
                    said = f"gives no finite number at {port} for this slot."
                    raise NodeFailed(step.node, said, executed)
                if step.type.name in SHOWN and len(indicators) < MAX_INDICATORS:
                    indicators[step.node if len(step.counted) == 1 else f"{step.node}.{port}"] = last
            values.append(out)
        given = self._given(self.decider, values, frames)
        lasts = {port: np.asarray(found[0])[-1] for port, found in given.items()}
        verdict = Verdict(
            conditions={port: bool(last) for port, last in lasts.items() if last.dtype == np.bool_},
            numbers={port: float(last) for port, last in lasts.items() if last.dtype != np.bool_},
            words=self.words,
        )
        return Ran(verdict=verdict, indicators=indicators)

    def _given(
        self, step: Step, values: Sequence[Mapping[str, Value]], frames: Mapping[Source, Frame]
    ) -> Given:
        given: dict[str, list[Value]] = {}
        for each in step.bindings:
            value, axis = values[each.source][each.source_port], self.steps[each.source].axis
            if axis != step.axis and step.type.name in MIXING:
                value = aligned(value, frames[axis], frames[step.axis])
            given.setdefault(each.target_port, []).append(value)
        return given


def needs_at(axis: Source, warmup: Warmup, before: Sequence[Needs], own: Timeframe) -> Needs:
    """What a node's inputs need, and on top of each its own warm-up, in candles of that source."""
    merged: dict[Source, Warmup] = {axis: Warmup()}
    for needs in before:
        for source, need in needs.items():
            held = merged.get(source, need)
            merged[source] = Warmup(max(held.least, need.least), max(held.full, need.full))
    step_s = (axis.timeframe or own).seconds
    total = {}
    for source, need in merged.items():
        ratio = step_s / (source.timeframe or own).seconds
        total[source] = Warmup(need.least + ceil(warmup.least * ratio), need.full + ceil(warmup.full * ratio))
    return total


def aligned(value: Value, given: Frame, wanted: Frame) -> Value:
    """At each close of `wanted` what was last known of `given` then: nothing is seen before its candle has closed."""
    if isinstance(value, (float, CandleColumns)):
        return value
    if np.array_equal(given.closes_ms, wanted.closes_ms):
        return value
    at = np.searchsorted(given.closes_ms, wanted.closes_ms, side="right") - 1
    blank = False if value.dtype == np.bool_ else np.nan
    found: Value = np.where(at >= 0, value[np.maximum(at, 0)], blank)
    return found
