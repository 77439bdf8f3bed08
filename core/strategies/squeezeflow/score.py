"""Phase 4: how good an entry is, 0 to 10, and what is put on it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from core.strategies.squeezeflow.context import Environment
from core.strategies.squeezeflow.flow import DAY_MIN, Flow
from core.strategies.squeezeflow.reset import Reset

DECELERATION: Final = 3.5
ABSORPTION: Final = 2.5
FAILED_BREAKDOWN: Final = 2.0
BIAS: Final = 2.0
"""What each component can give."""
LATELY_MIN: Final = 15
"""How far back a candle counts for the entry."""
SWING_MIN: Final = 60
"""Whose extreme a breakdown must have passed."""
HEAVY: Final = 1.5
"""Volume of an absorption candle, in the day's mean; twice as much gives all."""
STRONG_LEAN: Final = 0.5


class Band(msgspec.Struct, frozen=True, kw_only=True):
    least: float
    size_factor: Decimal
    leverage: int


BANDS: Final = (
    Band(least=8.0, size_factor=Decimal("1.5"), leverage=5),
    Band(least=6.0, size_factor=Decimal("1.0"), leverage=3),
    Band(least=4.0, size_factor=Decimal("0.5"), leverage=2),
)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    deceleration: float = 0.0
    absorption: float = 0.0
    failed_breakdown: float = 0.0
    bias: float = 0.0

    @property
    def total(self) -> float:
        return self.deceleration + self.absorption + self.failed_breakdown + self.bias

    @property
    def band(self) -> Band | None:
        """What it is worth; None: no entry. A score between two bands has the lower one."""
        return next((band for band in BANDS if self.total >= band.least), None)


def score(flow: Flow, side: int, environment: Environment, reset: Reset) -> Score:
    """Of a set-up on `side` that is being reset."""
    lean = side * environment.lean
    return Score(
        deceleration=DECELERATION * reset.deceleration,
        absorption=ABSORPTION * _absorption(flow, side),
        failed_breakdown=FAILED_BREAKDOWN if _has_failed(flow, side) else 0.0,
        bias=BIAS * min(1.0, max(0.0, lean / STRONG_LEAN)),
    )


def _absorption(flow: Flow, side: int) -> float:
    """0 to 1: a heavy candle whose takers went against the side, and whose price did not."""
    lately, day = flow.count(LATELY_MIN), flow.count(DAY_MIN)
    usual = float(flow.volume[-day:].mean())
    if usual <= 0:
        return 0.0
    heavy = flow.volume[-lately:] / usual
    against = (side * flow.perp[-lately:] < 0) & (side * (flow.close - flow.open)[-lately:] >= 0)
    share = np.clip((heavy - HEAVY) / HEAVY, 0.0, 1.0)
    # At exactly the least volume there is something already: half, rising to all.
    worth = np.where(against & (heavy >= HEAVY), 0.5 + 0.5 * share, 0.0)
    return float(worth.max())


def _has_failed(flow: Flow, side: int) -> bool:
    """The price has been beyond the swing before, against the side, and is back."""
    lately, swing = flow.count(LATELY_MIN), flow.count(SWING_MIN)
    extremes = flow.low if side > 0 else -flow.high
    before = float(extremes[-lately - swing : -lately].min())
    return bool(extremes[-lately:].min() < before < side * flow.close[-1])
