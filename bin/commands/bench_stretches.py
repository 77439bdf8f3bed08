"""What stretches of measured ticks say: percentiles, and ratios with the noise they carry.

Ticks of one slot share their fate, so what is drawn again for the noise is whole stretches, never single ticks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec
import numpy as np

from core.candles import FloatArray

DRAWS: Final = 2_000
SEED: Final = 1
COVERED: Final = 0.95

Stretch = Sequence[float] | FloatArray


class Ratio(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A ratio of percentiles, between what 95 of 100 draws of the stretches come to."""

    ratio: float
    low: float
    high: float


def percentile(took: Stretch, share: float) -> float:
    """The smallest of `took` that this share of them does not exceed."""
    place = math.ceil(len(took) * share) - 1
    return float(np.partition(np.asarray(took), place)[place])


def compared(those: Sequence[Stretch], to: Sequence[Stretch], share: float = 0.99) -> Ratio:
    """The percentile of all ticks of `those` to that of all ticks of `to`; both are drawn again for the interval."""
    random = Random(SEED)  # noqa: S311 (the same figures give the same interval)
    those, to = _arrays(those), _arrays(to)
    drawn = [
        _ratio(random.choices(those, k=len(those)), random.choices(to, k=len(to)), share)
        for _ in range(DRAWS)
    ]
    return _told(_ratio(those, to, share), drawn)


def twice_the_same(stretches: Sequence[Stretch], share: float = 0.99) -> Ratio:
    """What the ratio of two halves of the same comes to, however they are halved: what a ratio says by chance."""
    random = Random(SEED)  # noqa: S311
    stretches = _arrays(stretches)
    drawn = []
    for _ in range(DRAWS):
        mixed = random.sample(stretches, k=len(stretches))
        half = len(mixed) // 2
        drawn.append(_ratio(mixed[:half], mixed[half:], share))
    return _told(1.0, drawn)


def _told(ratio: float, drawn: list[float]) -> Ratio:
    rest = (1 - COVERED) / 2
    low, high = percentile(drawn, rest), percentile(drawn, 1 - rest)
    return Ratio(ratio=round(ratio, 3), low=round(low, 3), high=round(high, 3))


def _ratio(those: Sequence[Stretch], to: Sequence[Stretch], share: float) -> float:
    return percentile(np.concatenate(those), share) / percentile(np.concatenate(to), share)


def _arrays(stretches: Sequence[Stretch]) -> list[FloatArray]:
    return [np.asarray(stretch, dtype=np.float64) for stretch in stretches]
