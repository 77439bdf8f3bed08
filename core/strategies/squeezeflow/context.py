"""Phase 1: which squeeze the larger windows lean towards, and how much."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from core.strategies.squeezeflow.flow import Flow

WINDOWS_MIN: Final = (30, 60, 240)
_WEIGHTS: Final = (0.25, 0.35, 0.40)
LEANING: Final = 0.25
"""Below it the environment is neither."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """`side` 1: spot buys what the perpetual sells, shorts are squeezed upwards; -1 the mirror; 0 neither.

    `leans`: each window's, −1 to 1; `strength` 0 to 1: of all together.
    """

    side: int
    leans: tuple[float, ...]
    lean: float

    @property
    def strength(self) -> float:
        return abs(self.lean)


def environment(flow: Flow) -> Environment:
    leans = tuple(float(np.tanh(flow.gaps(minutes)[-1] / 2)) for minutes in WINDOWS_MIN)
    lean = sum(weight * each for weight, each in zip(_WEIGHTS, leans, strict=True))
    side = 0 if abs(lean) < LEANING else (1 if lean > 0 else -1)
    return Environment(side=side, leans=leans, lean=lean)
