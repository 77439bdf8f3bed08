"""The numbers of a graph as parameters of its strategy: their bounds, and where within them a search looks."""

from __future__ import annotations

from core.indicator_table import INDICATORS
from core.parameters import Number, ParameterSpec
from core.strategies.graph.nodes.score import MOST_POINTS
from core.strategies.graph.params import NumberParam, text
from core.strategies.graph.program import Program, Step


def numbers_of(program: Program) -> tuple[ParameterSpec, ...]:
    """One for each number that stands in the graph, as `node.name`."""
    specs = []
    for step in program.steps:
        for param in step.type.declared(step.params):
            if isinstance(param, NumberParam) and param.name in step.params:
                value = step.params[param.name]
                assert isinstance(value, (int, float))
                specs.append(
                    ParameterSpec(
                        name=f"{step.node}.{param.name}",
                        default=value,
                        minimum=param.minimum,
                        maximum=param.maximum,
                        whole=param.whole,
                        meaning=f"{param.name} of the {step.type.name} {step.node}",
                        usual=_usual(program, step, param, value),
                    )
                )
    return tuple(specs)


def _usual(program: Program, step: Step, param: NumberParam, value: Number) -> tuple[Number, Number] | None:
    """Never without the number that stands there, and whole where it has to be."""
    ends = param.usual
    if step.type.name == "logic":
        ends = 1, len(step.bindings)
    elif ends is None:
        compared = [program.steps[each.source] for each in step.bindings]
        ends = next((reach for each in compared if (reach := _reach(each)) is not None), None)
        if ends is None or step.type.name not in ("compare", "cross"):
            return None
    low, high = min(ends[0], value), max(ends[1], value)
    return (int(low), int(high)) if param.whole else (low, high)


def _reach(step: Step) -> tuple[float, float] | None:
    """Between which values what it answers lies, as far as that is known."""
    match step.type.name:
        case "indicator":
            return INDICATORS[text(step.params, "function").strip().upper()].reach
        case "score":
            return 0.0, MOST_POINTS
        case _:
            return None
