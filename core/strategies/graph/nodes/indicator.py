"""indicator: any TA-Lib function by its name, its outputs as ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from core.candles import CandleColumns
from core.indicator_table import INDICATORS, Indicator, Scale
from core.strategies.graph.document import RawValue
from core.strategies.graph.params import AnyParam, ChoiceParam, NumberParam, Params, TextParam, number, text
from core.strategies.graph.ports import (
    CANDLES,
    PRICES,
    SERIES,
    FloatArray,
    Frame,
    Given,
    Input,
    Unit,
    Units,
    Value,
    Warmup,
    common_unit,
)
from core.strategies.graph.problems import NodeProblem

MIN_SETTLED: Final = 250
SETTLING: Final = 36
"""(1 - 1/n) ** (36 n) is below e^-36: what lies before the window no longer shows in 15 digits."""
MAX_WINDOW: Final = 10_000
"""Candles of the longest window a node asks for."""
MAX_PERIOD: Final = 1_000
"""As of the templates. Some functions look through a whole period for every candle."""
TIMES_DEFAULT: Final = 10
_USUAL: Final[Mapping[str, tuple[float, float]]] = {
    "nbdev": (0.5, 5.0),
    "multiplier": (0.5, 10.0),
    "accelerationmax": (0.05, 0.5),
    "acceleration": (0.005, 0.1),
    "maximum": (0.05, 0.5),
    "fastlimit": (0.1, 0.99),
    "slowlimit": (0.01, 0.5),
    "vfactor": (0.0, 1.0),
    "penetration": (0.0, 1.0),
    "percentile": (0.0, 100.0),
}
"""By how a fraction's name begins; of the others nobody can tell."""
_MOST: Final = 1_000_000.0
_MOST_MEAN: Final = 13
"""The last kind of moving average TA-Lib numbers: RMA."""
_COLUMNS: Final[Mapping[str, Unit]] = {
    "open": Unit.PRICE,
    "high": Unit.PRICE,
    "low": Unit.PRICE,
    "close": Unit.PRICE,
    "volume": Unit.VOLUME,
}
_ACCEPTED: Final = {Unit.PRICE: PRICES, Unit.VOLUME: frozenset({Unit.VOLUME, Unit.ANY})}
_SOURCE: Final = "source"


class IndicatorNode:
    """`candles` binds every column the function takes, and of other series the first, by the column `source`."""

    name: Final = "indicator"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        indicator = _named(given.get("function"))
        numbers = [
            NumberParam(
                name=name,
                minimum=_least(name, default),
                maximum=_most(name),
                default=default,
                whole=isinstance(default, int),
                usual=_usual(indicator, name, default),
            )
            for name, default in indicator.parameters.items()
        ]
        return (
            TextParam(name="function", required=True),
            ChoiceParam(name=_SOURCE, choices={column: column for column in _COLUMNS}, default="close"),
            *numbers,
        )

    def inputs(self, params: Params) -> Sequence[Input]:
        indicator = _of(params)
        ports = [Input(name="candles", accepts=CANDLES, optional=True)]
        for name in indicator.inputs:
            unit = _COLUMNS.get(name)
            accepts = SERIES if unit is None else _ACCEPTED[unit]
            ports.append(Input(name=name, accepts=accepts, optional=True))
        return ports

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        indicator = _of(params)
        self._check_bound(indicator, units)
        source = _COLUMNS[text(params, _SOURCE)]
        series = [name for name in indicator.series if name != "periods"]
        taken = {name: units.get(name) or [source] for name in series}
        if series and all(scale is Scale.INPUT for scale in indicator.scales):
            unit = common_unit(taken, series)
        elif series:
            unit = next(iter(taken[series[0]]))
        else:
            unit = Unit.PRICE
        by_scale = {
            Scale.INPUT: unit,
            Scale.VOLUME: Unit.VOLUME,
            Scale.NUMBER: Unit.NUMBER,
            Scale.UNTOLD: Unit.ANY,
        }
        return {
            name: by_scale[scale] for name, scale in zip(indicator.outputs, indicator.scales, strict=True)
        }

    def _check_bound(self, indicator: Indicator, units: Units) -> None:
        from_candles = {*_COLUMNS, *indicator.series[:1]} if "candles" in units else set()
        for name in indicator.inputs:
            if name not in units and name not in from_candles:
                raise NodeProblem(f"{indicator.name} needs this input; nothing leads to it.", port=name)

    def warmup(self, params: Params) -> Warmup:
        indicator, numbers = _of(params), _numbers(params)
        try:
            least = indicator.lookback(numbers)
        except ValueError as error:
            said = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
            raise NodeProblem(
                f"{indicator.name} does not take {said}.", field=next(iter(numbers), None)
            ) from error
        if not indicator.is_smoothed(numbers):
            return Warmup(least, least)
        return Warmup(least, min(MAX_WINDOW, max(MIN_SETTLED, SETTLING * least)) - 1)

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        indicator = _of(params)
        series = [self._series(name, indicator, params, given, frame) for name in indicator.inputs]
        return dict(zip(indicator.outputs, indicator(*series, **_numbers(params)), strict=True))

    def _series(
        self, name: str, indicator: Indicator, params: Params, given: Given, frame: Frame
    ) -> FloatArray:
        bound = given.get(name)
        if bound:
            return np.ascontiguousarray(bound[0], dtype=np.float64)
        candles = given["candles"][0]
        assert isinstance(candles, CandleColumns)
        column: FloatArray = getattr(candles, name if name in _COLUMNS else text(params, _SOURCE))
        return column


def _named(function: RawValue | None) -> Indicator:
    if function is None:
        raise NodeProblem("is missing: the name of a TA-Lib function", field="function")
    found = INDICATORS.get(function.strip().upper()) if isinstance(function, str) else None
    if found is None:
        raise NodeProblem(f"TA-Lib has no function {function!r:.60}.", field="function")
    return found


def _least(name: str, default: float) -> float:
    if name.endswith("matype"):
        return 0
    return 1 if isinstance(default, int) else -_MOST


def _most(name: str) -> float:
    if name.endswith("matype"):
        return _MOST_MEAN
    return MAX_PERIOD if "period" in name else _MOST


def _usual(indicator: Indicator, name: str, default: float) -> tuple[float, float] | None:
    """Of periods: from the least the function takes to TIMES_DEFAULT times TA-Lib's own."""
    if name.endswith("matype"):
        return None
    if isinstance(default, int):
        return _taken_from(indicator.name, name), min(_most(name), TIMES_DEFAULT * default)
    return next((ends for start, ends in _USUAL.items() if name.startswith(start)), None)


@lru_cache(maxsize=512)  # there are fewer parameters than that
def _taken_from(function: str, name: str) -> int:
    indicator = INDICATORS[function]
    for least in range(1, int(indicator.parameters[name])):
        try:
            indicator.lookback({**indicator.parameters, name: least})
        except ValueError:
            continue
        return least
    return int(indicator.parameters[name])


def _of(params: Params) -> Indicator:
    return _named(params["function"])


def _numbers(params: Params) -> dict[str, float]:
    return {name: number(params, name) for name in _of(params).parameters}
