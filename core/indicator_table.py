"""Every TA-Lib function as data: what goes in, what comes out, how far back it looks.

Taken from TA-Lib itself when this module is first imported; what TA-Lib does not tell stands in the sets below, and a
test holds them against its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import talib
from talib import abstract

FloatArray = npt.NDArray[np.float64]

_talib: Final[Any] = talib
_abstract: Final[Any] = abstract

_SMOOTHED_INSIDE: Final = frozenset(
    {
        "ADXR",
        "APO",
        "CVI",
        "DEMA",
        "EFI",
        "ERI",
        "KC",
        "KDJ",
        "MACD",
        "MACDEXT",
        "MACDFIX",
        "MASSI",
        "PPO",
        "PVO",
        "SMI",
        "STOCHRSI",
        "TEMA",
        "TRIX",
        "TSI",
        "ZLEMA",
    }
)
"""Built of exponential means, though TA-Lib flags neither an unstable period nor a path."""
_PLAIN_MEANS: Final = frozenset({0, 2, 5})
"""Kinds of moving average (SMA, WMA, TRIMA) that look no further back than their period."""

_AS_INPUT: Final = frozenset(
    {
        "AC",
        "ADD",
        "ADR",
        "AO",
        "APO",
        "ATR",
        "CEIL",
        "CUMSUM",
        "DPO",
        "ERI",
        "FLOOR",
        "FRACTAL",
        "LINEARREG",
        "LINEARREG_INTERCEPT",
        "LINEARREG_SLOPE",
        "MACD",
        "MACDEXT",
        "MACDFIX",
        "MAX",
        "MIN",
        "MINMAX",
        "MINUS_DM",
        "MOM",
        "PERCENTILE",
        "PLUS_DM",
        "QSTICK",
        "STDDEV",
        "SUB",
        "SUM",
        "TRANGE",
        "TSF",
        "VWAP",
        "WAD",
    }
)
_OF_VOLUME: Final = frozenset({"AD", "ADOSC", "OBV"})
_UNTOLD: Final = frozenset(
    {
        "ACOS",
        "ASIN",
        "ATAN",
        "COS",
        "COSH",
        "DIV",
        "EFI",
        "EXP",
        "HT_PHASOR",
        "LN",
        "LOG10",
        "MARKETFI",
        "MULT",
        "NVI",
        "PVI",
        "PVT",
        "SIN",
        "SINH",
        "SQRT",
        "TAN",
        "TANH",
        "VAR",
    }
)
_PERCENTAGES: Final = frozenset(
    {
        "ADX",
        "ADXR",
        "AROON",
        "DX",
        "IMI",
        "MFI",
        "MINUS_DI",
        "PERCENTRANK",
        "PLUS_DI",
        "RSI",
        "STOCH",
        "STOCHF",
        "STOCHRSI",
        "ULTOSC",
    }
)
_REACH: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(_PERCENTAGES, (0.0, 100.0)),
    **dict.fromkeys(("AROONOSC", "CMO", "SMI", "TSI"), (-100.0, 100.0)),
    "WILLR": (-100.0, 0.0),
    **dict.fromkeys(("BOP", "CMF", "CORREL", "HT_SINE"), (-1.0, 1.0)),
    "ER": (0.0, 1.0),
}
"""Between which values every output lies, of functions whose outputs have such."""
_AS_INPUT_GROUPS: Final = frozenset({"Overlap Studies", "Price Transform"})


class Scale(StrEnum):
    """In what an output is measured."""

    INPUT = "input"
    VOLUME = "volume"
    NUMBER = "number"
    UNTOLD = "untold"


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One TA-Lib function. `inputs` in the order of its arguments: columns of candles, or `real…` for any series."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, int | float]
    scales: tuple[Scale, ...]
    smoothed: bool
    reach: tuple[float, float] | None = None
    """Between which values its outputs lie, where they have bounds."""

    @property
    def series(self) -> tuple[str, ...]:
        """Inputs that may be any series."""
        return tuple(name for name in self.inputs if name not in _COLUMNS)

    def is_smoothed(self, parameters: Mapping[str, float]) -> bool:
        """Whether values depend on more candles than the look-back, ever less the older they are."""
        kinds = {value for name, value in parameters.items() if name.endswith("matype")}
        return self.smoothed or not kinds <= _PLAIN_MEANS

    def lookback(self, parameters: Mapping[str, float]) -> int:
        """Candles before the first value. Raises ValueError with TA-Lib's word for parameters it does not take."""
        function = _abstract.Function(self.name)
        try:
            function.parameters = dict(parameters)
            found = int(function.lookback)
        except Exception as error:  # TA-Lib raises bare Exceptions
            raise ValueError(str(error)) from error
        if found < 0:
            raise ValueError("these parameters do not go together")
        return found

    def __call__(self, *series: FloatArray, **parameters: float) -> tuple[FloatArray, ...]:
        """One array per output, as long as its input, NaN before the first value. Raises what TA-Lib raises."""
        function: Callable[..., Any] = getattr(_talib, self.name)
        answer = function(*series, **parameters)
        arrays = answer if isinstance(answer, tuple) else (answer,)
        return tuple(np.asarray(array, dtype=np.float64) for array in arrays)


_COLUMNS: Final = frozenset({"open", "high", "low", "close", "volume"})
_SERIES_NAMES: Final = {"price": "real", "price0": "real0", "price1": "real1", "periods": "periods"}


def _indicator(name: str, group: str) -> Indicator:
    info = _abstract.Function(name).info
    inputs: list[str] = []
    for kind, columns in info["input_names"].items():
        inputs += columns if isinstance(columns, list) else [_SERIES_NAMES[kind]]
    flags = info["function_flags"] or ()
    outputs = tuple(info["output_names"])
    scale = _scale(name, group, flags)
    scales = (scale, Scale.NUMBER) if name == "SUPERTREND" else (scale,) * len(outputs)
    return Indicator(
        name=name,
        inputs=tuple(inputs),
        outputs=outputs,
        parameters=MappingProxyType(dict(info["parameters"])),
        scales=scales,
        smoothed=name in _SMOOTHED_INSIDE or any("unstable" in flag or "path" in flag for flag in flags),
        reach=_REACH.get(name),
    )


def _scale(name: str, group: str, flags: tuple[str, ...]) -> Scale:
    if name in _OF_VOLUME:
        return Scale.VOLUME
    if name in _UNTOLD:
        return Scale.UNTOLD
    as_input = name in _AS_INPUT or group in _AS_INPUT_GROUPS or "Output scale same as input" in flags
    return Scale.INPUT if as_input else Scale.NUMBER


INDICATORS: Final[Mapping[str, Indicator]] = MappingProxyType(
    {name: _indicator(name, group) for group, names in _talib.get_function_groups().items() for name in names}
)
