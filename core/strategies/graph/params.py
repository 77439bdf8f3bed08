"""Parameters of nodes: what a node type declares, and the reading of what a graph gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from core.strategies.graph.document import RawValue
from core.strategies.graph.problems import NodeProblem

Params = Mapping[str, RawValue]
"""Of one node, checked, defaults filled in; what has neither value nor default is absent."""

LABEL: Final = "label"


class NumberParam(msgspec.Struct, frozen=True, kw_only=True):
    """A number inside inclusive bounds; without a default it may be left out, unless `required`. `usual`: where within
    its bounds values make sense, where that is narrower.
    """

    name: str
    minimum: float
    maximum: float
    default: float | None = None
    whole: bool = False
    required: bool = False
    usual: tuple[float, float] | None = None

    def read(self, value: RawValue) -> RawValue:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NodeProblem("must be a number", field=self.name)
        if not self.minimum <= value <= self.maximum:
            raise NodeProblem(
                f"must lie in {self.minimum:g} to {self.maximum:g}, not {value:g}", field=self.name
            )
        if not self.whole:
            return float(value)
        if value != int(value):
            raise NodeProblem(f"must be a whole number, not {value:g}", field=self.name)
        return int(value)


class ChoiceParam(msgspec.Struct, frozen=True, kw_only=True):
    """One of a few words; `choices` leads from every spelling that is understood to the word."""

    name: str
    choices: Mapping[str, str]
    default: str | None = None
    required: bool = False

    def read(self, value: RawValue) -> RawValue:
        found = self.choices.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            known = ", ".join(dict.fromkeys(self.choices.values()))
            raise NodeProblem(f"must be one of {known}, not {value!r:.60}", field=self.name)
        return found


class TextParam(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    default: str | None = None
    required: bool = False

    def read(self, value: RawValue) -> RawValue:
        if not isinstance(value, str):
            raise NodeProblem("must be a text", field=self.name)
        if not value.isprintable():
            raise NodeProblem("must be a text of printable characters", field=self.name)
        return value


class WeightsParam(msgspec.Struct, frozen=True, kw_only=True):
    """Points by the name of the port they are for."""

    name: str
    most: float
    default: None = None
    required: bool = True

    def read(self, value: RawValue) -> RawValue:
        if not isinstance(value, Mapping):
            raise NodeProblem("must be an object: points by the name of a port", field=self.name)
        if not value:
            raise NodeProblem("must name one condition at least", field=self.name)
        if any(each < 0 for each in value.values()) or sum(value.values()) > self.most + 1e-9:
            raise NodeProblem(f"must be 0 or more each and {self.most:g} in sum at most", field=self.name)
        return value


AnyParam = NumberParam | ChoiceParam | TextParam | WeightsParam


def read_params(declared: Sequence[AnyParam], given: Params) -> tuple[Params, list[NodeProblem]]:
    """The checked parameters, and what is wrong with them. Every node may carry a `label`, the words for its reason."""
    all_declared = (*declared, TextParam(name=LABEL))
    known = {param.name for param in all_declared}
    problems = [
        NodeProblem(f"is no parameter of this node; it has {', '.join(sorted(known))}", field=name[:60])
        for name in given
        if name not in known
    ]
    checked: dict[str, RawValue] = {}
    for param in all_declared:
        value = given.get(param.name, param.default)
        if value is None:
            if param.required:
                problems.append(NodeProblem("is missing", field=param.name))
            continue
        try:
            checked[param.name] = param.read(value)
        except NodeProblem as problem:
            problems.append(problem)
    return checked, problems


def number(params: Params, name: str) -> float:
    value = params[name]
    assert isinstance(value, (int, float))
    return value


def whole(params: Params, name: str) -> int:
    return int(number(params, name))


def text(params: Params, name: str) -> str:
    value = params[name]
    assert isinstance(value, str)
    return value
