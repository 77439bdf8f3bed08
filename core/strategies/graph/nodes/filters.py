"""filter: passes a condition only while a state of the market holds; without one, tells whether it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core.candles import CandleColumns
from core.indicators import ATR, EMA, SMA
from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.indicator import MIN_SETTLED, SETTLING, TIMES_DEFAULT
from core.strategies.graph.params import (
    AnyParam,
    ChoiceParam,
    NumberParam,
    Params,
    TextParam,
    number,
    text,
    whole,
)
from core.strategies.graph.ports import (
    CANDLES,
    CONDITIONS,
    Frame,
    Given,
    Input,
    Mask,
    Unit,
    Units,
    Value,
    Warmup,
)
from core.strategies.graph.problems import NodeProblem

_KINDS: Final = {
    "time_of_day": "time_of_day",
    "time": "time_of_day",
    "volatility": "volatility",
    "volume": "volume",
    "trend": "trend",
}
_DIRECTIONS: Final = {"up": "up", "down": "down"}
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DAY_MS: Final = 86_400_000
_KIND: Final = ChoiceParam(name="kind", choices=_KINDS, required=True)


def _period(default: int) -> NumberParam:
    usual = (2, TIMES_DEFAULT * default)
    return NumberParam(name="period", minimum=2, maximum=1_000, default=default, whole=True, usual=usual)


_PARAMS: Final[Mapping[str, tuple[AnyParam, ...]]] = {
    "time_of_day": (TextParam(name="from", required=True), TextParam(name="to", required=True)),
    "volatility": (
        _period(14),
        NumberParam(name="min_pct", minimum=0, maximum=1_000, default=0, usual=(0, 5)),
        NumberParam(name="max_pct", minimum=0, maximum=1_000, default=1_000, usual=(0, 20)),
    ),
    "volume": (_period(20), NumberParam(name="factor", minimum=0, maximum=1_000, default=1, usual=(0, 5))),
    "trend": (_period(50), ChoiceParam(name="direction", choices=_DIRECTIONS, default="up")),
}


class Filter:
    """time_of_day: the close lies in [from, to) UTC, over midnight too. volatility: ATR in percent of the close.
    volume: at least `factor` times its mean. trend: the close above (below) its exponential mean.
    """

    name: Final = "filter"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        kind = given.get("kind")
        known = _KINDS.get(kind.strip().lower()) if isinstance(kind, str) else None
        return (_KIND, *(_PARAMS[known] if known else ()))

    def inputs(self, params: Params) -> Sequence[Input]:
        timed = text(params, "kind") == "time_of_day"
        return (
            Input(name="candles", accepts=CANDLES, optional=timed),
            Input(name="in", accepts=CONDITIONS, optional=True),
        )

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        if text(params, "kind") == "time_of_day":
            _clock_ms(params, "from"), _clock_ms(params, "to")
        if "min_pct" in params and number(params, "min_pct") > number(params, "max_pct"):
            raise NodeProblem("is above max_pct: nothing passes", field="min_pct")
        return {"out": Unit.CONDITION}

    def warmup(self, params: Params) -> Warmup:
        match text(params, "kind"):
            case "time_of_day":
                return Warmup()
            case "volume":
                return Warmup(whole(params, "period") - 1, whole(params, "period") - 1)
            case kind:
                least = whole(params, "period") - (kind == "trend")
                return Warmup(least, min(10_000, max(MIN_SETTLED, SETTLING * least)) - 1)

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        candles = given["candles"][0] if "candles" in given else frame.candles
        assert isinstance(candles, CandleColumns)
        passes = self._passes(params, candles, frame)
        if "in" in given:
            passes = passes & np.asarray(given["in"][0], dtype=np.bool_)
        return {"out": passes}

    def _passes(self, params: Params, candles: CandleColumns, frame: Frame) -> Mask:
        close = candles.close
        match text(params, "kind"):
            case "time_of_day":
                first, last = _clock_ms(params, "from"), _clock_ms(params, "to")
                at = frame.closes_ms % _DAY_MS
                inside: Mask = (at >= first) & (at < last) if first < last else (at >= first) | (at < last)
                return inside
            case "volatility":
                moved = ATR(candles.high, candles.low, close, whole(params, "period")) / close * 100
                quiet: Mask = (moved >= number(params, "min_pct")) & (moved <= number(params, "max_pct"))
                return quiet
            case "volume":
                mean = SMA(candles.volume, whole(params, "period"))
                busy: Mask = candles.volume >= number(params, "factor") * mean
                return busy
            case _:
                mean = EMA(close, whole(params, "period"))
                led: Mask = close > mean if text(params, "direction") == "up" else close < mean
                return led


def _clock_ms(params: Params, name: str) -> int:
    found = _CLOCK.fullmatch(text(params, name).strip())
    if found is None:
        raise NodeProblem("must be a time of day such as 08:30, in UTC", field=name)
    return (int(found[1]) * 60 + int(found[2])) * 60_000
