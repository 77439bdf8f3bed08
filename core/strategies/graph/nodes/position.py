"""position: what the run holds at the slot. A graph with one is evaluated once per distinct position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.position import Side
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import Params
from core.strategies.graph.ports import Frame, Given, Input, Unit, Units, Value


class PositionNode(PlainNode):
    """While nothing is held the prices and sizes are 0."""

    name: Final = "position"

    def inputs(self, params: Params) -> Sequence[Input]:
        return ()

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        return {
            "is_open": Unit.CONDITION,
            "is_long": Unit.CONDITION,
            "is_short": Unit.CONDITION,
            "entry_price": Unit.PRICE,
            "quantity": Unit.NUMBER,
            "unrealised_pnl": Unit.NUMBER,
        }

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        held, count = frame.position, len(frame.closes_ms)
        side = None if held is None else held.side
        return {
            "is_open": np.full(count, held is not None),
            "is_long": np.full(count, side is Side.LONG),
            "is_short": np.full(count, side is Side.SHORT),
            "entry_price": np.full(count, 0.0 if held is None else float(held.entry_price)),
            "quantity": np.full(count, 0.0 if held is None else float(held.quantity)),
            "unrealised_pnl": np.full(count, 0.0 if held is None else float(held.unrealised_pnl)),
        }
