"""compare, cross and logic: conditions from numbers, and from other conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.arithmetic import MOST
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import AnyParam, ChoiceParam, NumberParam, Params, number, text, whole
from core.strategies.graph.ports import (
    CONDITIONS,
    SERIES,
    FloatArray,
    Frame,
    Given,
    Input,
    Mask,
    Unit,
    Units,
    Value,
    Warmup,
    common_unit,
)
from core.strategies.graph.problems import NodeProblem

_COMPARISONS: Final = {
    ">": ">",
    "gt": ">",
    "above": ">",
    "<": "<",
    "lt": "<",
    "below": "<",
    ">=": ">=",
    "≥": ">=",
    "gte": ">=",
    "<=": "<=",
    "≤": "<=",
    "lte": "<=",
    "between": "between",
}
_DIRECTIONS: Final = {"above": "above", "below": "below", "up": "above", "down": "below"}
_LOGIC: Final = {"and": "and", "all": "and", "or": "or", "any": "or", "not": "not", "k_of_n": "k_of_n"}
_OUT: Final = {"out": Unit.CONDITION}


def _constant(name: str) -> NumberParam:
    return NumberParam(name=name, minimum=-MOST, maximum=MOST)


def series(name: str, params: Params, given: Given) -> FloatArray:
    """What leads to this input, or the number that stands for it."""
    return np.asarray(given[name][0] if name in given else number(params, name), dtype=np.float64)


class Compare(PlainNode):
    """`a` against `b`; or between `low` and `high`, both included. What is no number compares as false."""

    name: Final = "compare"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        op = ChoiceParam(name="op", choices=_COMPARISONS, required=True)
        if given.get("op") == "between":
            return op, _constant("low"), _constant("high")
        return op, _constant("b")

    def inputs(self, params: Params) -> Sequence[Input]:
        against = ("low", "high") if text(params, "op") == "between" else ("b",)
        return (
            Input(name="a", accepts=SERIES),
            *(Input(name=name, accepts=SERIES, constant=True) for name in against),
        )

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        common_unit(units, ("a", "b", "low", "high"))
        if "low" in params and "high" in params and number(params, "low") > number(params, "high"):
            raise NodeProblem("is above high: nothing lies between", field="low")
        return _OUT

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        a = series("a", params, given)
        return {"out": self._holds(text(params, "op"), a, params, given)}

    def _holds(self, op: str, a: FloatArray, params: Params, given: Given) -> Mask:
        if op == "between":
            low, high = series("low", params, given), series("high", params, given)
            inside: Mask = (a >= low) & (a <= high)
            return inside
        b = series("b", params, given)
        compared: Mask = {">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal}[op](
            a, b
        )
        return compared


class Cross(PlainNode):
    """True at the candle at which `a` gets above (below) `b`, having been on it or beyond at the candle before."""

    name: Final = "cross"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return ChoiceParam(name="direction", choices=_DIRECTIONS, default="above"), _constant("b")

    def inputs(self, params: Params) -> Sequence[Input]:
        return Input(name="a", accepts=SERIES), Input(name="b", accepts=SERIES, constant=True)

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        common_unit(units, ("a", "b"))
        return _OUT

    def warmup(self, params: Params) -> Warmup:
        return Warmup(1, 1)

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        with np.errstate(invalid="ignore"):
            over = series("a", params, given) - series("b", params, given)
        if text(params, "direction") == "below":
            over = -over
        crossed = np.zeros(len(over), dtype=np.bool_)
        crossed[1:] = (over[:-1] <= 0) & (over[1:] > 0)
        return {"out": crossed}


class Logic(PlainNode):
    """and, or, not over conditions; `k_of_n`: at least `k` of them hold."""

    name: Final = "logic"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        op = ChoiceParam(name="op", choices=_LOGIC, required=True)
        if given.get("op") == "k_of_n":
            return op, NumberParam(name="k", minimum=1, maximum=100, whole=True, required=True)
        return (op,)

    def inputs(self, params: Params) -> Sequence[Input]:
        return (Input(name="in", accepts=CONDITIONS, many=text(params, "op") != "not"),)

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        count = len(units["in"])
        if "k" in params and whole(params, "k") > count:
            raise NodeProblem(f"is {whole(params, 'k')}, and {count} conditions come in", field="k")
        return _OUT

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        held = np.array(given["in"], dtype=np.bool_)
        answer: Mask
        match text(params, "op"):
            case "and":
                answer = np.logical_and.reduce(held)
            case "or":
                answer = np.logical_or.reduce(held)
            case "not":
                answer = ~held[0]
            case _:
                answer = held.sum(axis=0) >= whole(params, "k")
        return {"out": answer}
