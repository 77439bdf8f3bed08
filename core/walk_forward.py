"""Walk-forward: parameters are searched on the past and tried on what follows; what that says about over-fitting.

Fold i searches parts 1…i of the history and tries what it found on part i + 1, which it has not seen. What the last
fold found is the answer, and its last part the out-of-sample proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean, median
from typing import Final

import msgspec

from core.errors import RunnerError
from core.parameters import Number, Parameters
from core.timeframe import Timeframe

LEAST_CANDLES: Final = 20
"""In each part; fewer say nothing."""
FEW_TRADES: Final = 30
KEPT_SHARE: Final = 0.5
"""Of the score in sample, below which the rest was fitted to the past."""
EDGE_SHARE: Final = 0.02
NEAR_SHARE: Final = 0.1
WANDERS_SHARE: Final = 0.5
LEAST_NEIGHBOURS: Final = 3


class TooShort(RunnerError):
    """The history is too short for so many folds."""


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """Searched from `start` to `split`, tried from there to `end`."""

    number: int
    start: datetime
    split: datetime
    end: datetime


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched of one parameter, both ends included."""

    low: Number
    high: Number
    whole: bool

    @property
    def width(self) -> float:
        return float(self.high - self.low)


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters and what came of them; `score` None: there is none, as without a trade."""

    parameters: Parameters
    score: float | None
    trades: int


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """A fold with what was found in it. `plain_after`: the declared defaults on the unseen part."""

    fold: Fold
    before: Scored
    after: Scored
    plain_after: Scored


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


def folds(start: datetime, end: datetime, count: int, timeframe: Timeframe) -> tuple[Fold, ...]:
    """`count` folds of equal parts on candle borders. Raises TooShort."""
    part = (end - start) // (count + 1)
    if part < timeframe.delta * LEAST_CANDLES:
        raise TooShort(
            f"{count} folds need {(count + 1) * LEAST_CANDLES:,} {timeframe} candles at least, "
            f"and there are {(end - start) // timeframe.delta:,}."
        )
    borders = [*(timeframe.floor(start + part * number) for number in range(1, count + 1)), end]
    return tuple(
        Fold(number=number, start=start, split=borders[number - 1], end=borders[number])
        for number in range(1, count + 1)
    )


def warnings(
    walked: Sequence[Walked], tried: Sequence[Scored], space: Mapping[str, Range]
) -> tuple[Warned, ...]:
    """What speaks against trusting the last fold's answer; the first always does. `tried`: in that fold."""
    best = walked[-1].before
    found = [
        Warned(
            code="many_tried",
            message=f"{len(tried):,} settings were tried on the same candles: the best of so many looks good "
            "partly by luck. Judge it by the columns out of sample.",
        ),
        *_lost(walked),
        *_no_gain(walked),
    ]
    if best.trades < FEW_TRADES:
        message = f"The best setting made {best.trades} trades in sample; below {FEW_TRADES} luck decides."
        found.append(Warned(code="few_trades", message=message))
    found += _edges(best, space)
    found += _wandering(walked, space)
    found += _peak(best, tried, space)
    return tuple(found)


def _lost(walked: Sequence[Walked]) -> list[Warned]:
    pairs = [(each.before.score, each.after.score) for each in walked]
    known = [(before, 0.0 if after is None else after) for before, after in pairs if before is not None]
    if not known:
        return []
    before, after = fmean(pair[0] for pair in known), fmean(pair[1] for pair in known)
    if before <= 0:
        message = f"Even the best settings score {before:.3g} in sample: there is nothing to gain here."
        return [Warned(code="loses_in_sample", message=message)]
    if after >= KEPT_SHARE * before:
        return []
    message = f"The mean score falls from {before:.3g} in sample to {after:.3g} out of sample: "
    return [Warned(code="falls_out_of_sample", message=message + "what was found fits the past.")]


def _no_gain(walked: Sequence[Walked]) -> list[Warned]:
    found = [each.after.score or 0.0 for each in walked]
    plain = [each.plain_after.score or 0.0 for each in walked]
    if fmean(found) > fmean(plain):
        return []
    message = (
        f"Out of sample the defaults do as well: {fmean(plain):.3g} on average, against {fmean(found):.3g}."
    )
    return [Warned(code="no_better_than_defaults", message=message)]


def _edges(best: Scored, space: Mapping[str, Range]) -> list[Warned]:
    at = [
        name
        for name, each in space.items()
        if each.width
        and min(best.parameters[name] - each.low, each.high - best.parameters[name])
        <= EDGE_SHARE * each.width
    ]
    if not at:
        return []
    message = f"The best setting lies at the edge of what was searched of {', '.join(at)}."
    return [Warned(code="at_the_edge", message=message)]


def _wandering(walked: Sequence[Walked], space: Mapping[str, Range]) -> list[Warned]:
    """Parameters whose best value differs from fold to fold."""
    names = []
    for name, each in space.items():
        values = [float(one.before.parameters[name]) for one in walked]
        if each.width and max(values) - min(values) > WANDERS_SHARE * each.width:
            names.append(name)
    if not names:
        return []
    message = f"From fold to fold another value is best of {', '.join(names)}: the search follows noise."
    return [Warned(code="wanders", message=message)]


def _peak(best: Scored, tried: Sequence[Scored], space: Mapping[str, Range]) -> list[Warned]:
    """A good setting has good neighbours."""
    if best.score is None or best.score <= 0:
        return []
    near = [
        each.score
        for each in tried
        if each.score is not None
        and each.parameters != best.parameters
        and all(
            abs(each.parameters[name] - best.parameters[name]) <= NEAR_SHARE * one.width
            for name, one in space.items()
        )
    ]
    if len(near) < LEAST_NEIGHBOURS or median(near) >= KEPT_SHARE * best.score:
        return []
    message = (
        f"The best setting stands alone: {len(near)} settings close to it score {median(near):.3g} "
        f"(median), it {best.score:.3g}."
    )
    return [Warned(code="lonely_peak", message=message)]
