"""score: points of the conditions that hold, 0 to 10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import AnyParam, Params, WeightsParam
from core.strategies.graph.ports import CONDITIONS, Frame, Given, Input, Unit, Units, Value

MOST_POINTS: Final = 10.0


class Score(PlainNode):
    """`weights`: points by the name of the port a condition comes in at; an edge finds that of its source's name."""

    name: Final = "score"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return (WeightsParam(name="weights", most=MOST_POINTS),)

    def inputs(self, params: Params) -> Sequence[Input]:
        return [Input(name=name, accepts=CONDITIONS) for name in _weights(params)]

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        return {"score": Unit.NUMBER}

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        points = np.zeros(len(frame.closes_ms))
        for name, weight in _weights(params).items():
            points += weight * np.asarray(given[name][0], dtype=np.float64)
        # Weights that make ten may add up to a digit more.
        return {"score": np.minimum(points, MOST_POINTS)}


def _weights(params: Params) -> Mapping[str, float]:
    weights = params["weights"]
    assert isinstance(weights, Mapping)
    return weights
