"""What every type of node answers about itself; one class per type, one object of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.strategies.graph.document import RawValue
from core.strategies.graph.params import AnyParam, Params
from core.strategies.graph.ports import Frame, Given, Input, Unit, Units, Value, Warmup


class NodeType(Protocol):
    @property
    def name(self) -> str: ...

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        """Its parameters; they may depend on one another. Raises NodeProblem where nothing can be said."""
        ...

    def inputs(self, params: Params) -> Sequence[Input]: ...

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        """Its output ports, the usual one first, by the units that come in. Raises NodeProblem for misfits."""
        ...

    def warmup(self, params: Params) -> Warmup:
        """What it needs beyond what its inputs need. Raises NodeProblem for parameters that do not go together."""
        ...

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        """Its outputs over the whole window. Whatever it raises fails the evaluation under the node's id."""
        ...


class PlainNode:
    """A type without parameters of its own and without a look back."""

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return ()

    def warmup(self, params: Params) -> Warmup:
        return Warmup()
