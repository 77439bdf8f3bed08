"""Phase 3: the two flows come together again after an unbalanced move while the price stalls (A), then the price
breaks out with flow behind it (B).
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from core.candles import FloatArray
from core.strategies.squeezeflow.flow import Flow

WINDOWS_MIN: Final = (5, 15, 30)
MEMORY_MIN: Final = 60
"""How long an unbalanced move counts, before it has converged and after."""
UNBALANCED: Final = 1.75
"""Spot so far ahead of the perpetual, in their usual distance."""
CONVERGED: Final = 0.6
"""So much of the largest distance of the hour before is gone."""
STALLED: Final = 0.5
EXPLOSIVE: Final = 1.5
"""Price moves, in usual ones."""


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """`has_converged`: A, now or within the last half hour; `has_broken_out`: B, now, after A.

    `deceleration` 0 to 1: how much of the unbalanced move is gone.
    """

    has_converged: bool
    has_broken_out: bool
    deceleration: float


def reset(flow: Flow, side: int) -> Reset:
    """Of a set-up on `side`."""
    short, middle, long = WINDOWS_MIN
    rates = np.array([_convergence(flow, minutes, side) for minutes in (middle, long)])
    stalled = np.abs(flow.price_moves(middle, long)) <= STALLED
    converged = (rates.max(axis=0) >= CONVERGED) & stalled
    burst = side * float(flow.price_moves(short)[-1]) >= EXPLOSIVE
    supported = side * float(flow.spot_moves(short)[-1]) > 0 and side * float(flow.perp_moves(short)[-1]) > 0
    return Reset(
        has_converged=bool(converged.any()),
        has_broken_out=bool(converged[:-1].any()) and burst and supported,
        deceleration=float(rates.max()),
    )


def _convergence(flow: Flow, minutes: int, side: int) -> FloatArray:
    """By candle of the last half hour: which share of the largest gap of the hour before it is gone."""
    recent, memory = flow.count(WINDOWS_MIN[-1]), flow.count(MEMORY_MIN)
    gaps = side * flow.gaps(minutes, WINDOWS_MIN[-1] + MEMORY_MIN)
    shares = np.zeros(recent + 1)
    for place in range(recent + 1):
        now = len(gaps) - 1 - recent + place
        peak = float(gaps[max(0, now - memory) : now + 1].max())
        if peak >= UNBALANCED:
            shares[place] = min(1.0, max(0.0, 1 - abs(float(gaps[now])) / peak))
    return shares
