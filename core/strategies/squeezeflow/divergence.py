"""Phase 2: spot and perpetual flow part while the price does not follow the perpetual.

A set-up stays for an hour: what phases 3 and 4 look for comes after it.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from core.candles import FloatArray
from core.strategies.squeezeflow.flow import Flow

WINDOWS_MIN: Final = (15, 30)
MEMORY_MIN: Final = 60
STEADY: Final = 0.25
"""Against the set-up the price may have gone so far, in its usual moves."""
LARGE: Final = 1.75
"""How far the two must part, in their usual distance: the swings of the last day."""


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """`side` 1 long, -1 short, 0 none; `size` of the newest divergence in usual ones, `age` in candles."""

    side: int
    size: float
    age: int
    sizes: tuple[float, ...]
    """How far spot is ahead of the perpetual now, window by window."""


def set_up(flow: Flow) -> SetUp:
    """The newest divergence of the last hour; where windows disagree, the larger one counts."""
    parts = [_diverging(flow, minutes) for minutes in WINDOWS_MIN]
    each = np.array(parts)
    newest = each[np.abs(each).argmax(axis=0), np.arange(each.shape[1])]
    sizes = tuple(float(flow.gaps(minutes)[-1]) for minutes in WINDOWS_MIN)
    found = np.flatnonzero(newest)
    if not len(found):
        return SetUp(side=0, size=0.0, age=0, sizes=sizes)
    last = int(found[-1])
    size = float(newest[last])
    return SetUp(side=1 if size > 0 else -1, size=abs(size), age=len(newest) - 1 - last, sizes=sizes)


def _diverging(flow: Flow, minutes: int) -> FloatArray:
    """By candle of the last hour: how far apart, above 0 for a long set-up, below for a short one; else 0."""
    spot, perp = flow.spot_moves(minutes, MEMORY_MIN), flow.perp_moves(minutes, MEMORY_MIN)
    gap, price = flow.gaps(minutes, MEMORY_MIN), flow.price_moves(minutes, MEMORY_MIN)
    long = (spot > 0) & (perp < 0) & (price >= -STEADY) & (gap >= LARGE)
    short = (spot < 0) & (perp > 0) & (price <= STEADY) & (gap <= -LARGE)
    return np.where(long | short, gap, 0.0)
