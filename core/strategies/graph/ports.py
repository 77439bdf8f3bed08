"""What flows along the edges of a graph, and where it may go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from core.candles import CandleColumns
from core.strategies.graph.problems import NodeProblem
from core.strategy import HeldPosition

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Value = FloatArray | Mask | CandleColumns | float
"""Of one output at all candles of its window, oldest first; a float is a constant."""

Given = Mapping[str, Sequence[Value]]
"""What a node's inputs hold: one value each, several where an input takes many."""


class Unit(StrEnum):
    """ANY is what a formula makes whose unit nobody can tell; it goes with every other number."""

    CANDLES = "candles"
    CONDITION = "condition"
    PRICE = "price"
    VOLUME = "volume"
    NUMBER = "number"
    ANY = "any"


Units = Mapping[str, Sequence[Unit]]

SERIES: Final = frozenset({Unit.PRICE, Unit.VOLUME, Unit.NUMBER, Unit.ANY})
PRICES: Final = frozenset({Unit.PRICE, Unit.ANY})
NUMBERS: Final = frozenset({Unit.NUMBER, Unit.ANY})
CONDITIONS: Final = frozenset({Unit.CONDITION})
CANDLES: Final = frozenset({Unit.CANDLES})


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """`constant`: a number among the node's parameters, by the port's name, does instead of an edge."""

    name: str
    accepts: frozenset[Unit]
    many: bool = False
    optional: bool = False
    constant: bool = False
    named_only: bool = False
    """An edge must name it: no edge without a port goes here."""


class Warmup(msgspec.Struct, frozen=True):
    """Candles before the last that a node needs: without `least` there is no value, from `full` on it is settled."""

    least: int = 0
    full: int = 0


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The window a node works on, and what else there is to know at the slot."""

    candles: CandleColumns
    closes_ms: FloatArray
    position: HeldPosition | None


def common_unit(units: Units, names: Sequence[str]) -> Unit:
    """The one unit of these inputs; those that are constants, or of ANY unit, go with all."""
    found = {unit: name for name in reversed(names) for unit in units.get(name, ()) if unit is not Unit.ANY}
    if len(found) > 1:
        said = " and ".join(
            f"a {unit} at {name}" for unit, name in sorted(found.items(), key=lambda each: each[1])
        )
        raise NodeProblem(f"Units do not match: there is {said}.", port=max(found.values()))
    return next(iter(found), Unit.ANY)
