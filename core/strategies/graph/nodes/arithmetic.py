"""math: arithmetic on one or two series; a number may stand for the second."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import AnyParam, ChoiceParam, NumberParam, Params, number, text
from core.strategies.graph.ports import (
    SERIES,
    FloatArray,
    Frame,
    Given,
    Input,
    Unit,
    Units,
    Value,
    common_unit,
)

MOST: Final = 1e12
_ONE: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = {
    "abs": np.abs,
    "negate": np.negative,
    "sqrt": np.sqrt,
    "log": np.log,
}
_TWO: Final[Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
}
_SPELLINGS: Final = {
    **{name: name for name in (*_TWO, *_ONE)},
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "min": "minimum",
    "max": "maximum",
}


class Arithmetic(PlainNode):
    name: Final = "math"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return (
            ChoiceParam(name="op", choices=_SPELLINGS, required=True),
            NumberParam(name="b", minimum=-MOST, maximum=MOST),
        )

    def inputs(self, params: Params) -> Sequence[Input]:
        first = Input(name="a", accepts=SERIES)
        if text(params, "op") in _ONE:
            return (first,)
        return first, Input(name="b", accepts=SERIES, constant=True)

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        return {"value": self._unit(text(params, "op"), units)}

    def _unit(self, op: str, units: Units) -> Unit:
        a, b = units["a"][0], next(iter(units.get("b", ())), Unit.NUMBER)
        match op:
            case "sqrt" | "log":
                return Unit.ANY
            case "multiply":
                return a if b is Unit.NUMBER else b if a is Unit.NUMBER else Unit.ANY
            case "divide":
                return a if b is Unit.NUMBER else Unit.NUMBER if a is b else Unit.ANY
            case _:
                return common_unit(units, ("a", "b"))

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        op, a = text(params, "op"), np.asarray(given["a"][0], dtype=np.float64)
        with np.errstate(all="ignore"):  # what is no number is found at the last candle, under the node's id
            if op in _ONE:
                return {"value": _ONE[op](a)}
            b = np.asarray(given["b"][0] if "b" in given else number(params, "b"), dtype=np.float64)
            return {"value": _TWO[op](a, b)}
