"""What code says of itself by the names it defines: read once, when it is saved.

LOOKBACK = 250              candles in its window
MIN_CANDLES = 20            fewer, and the slot is skipped; without it as many as LOOKBACK
PARAMETERS = {"period": 20, "share": {"default": 0.5, "min": 0, "max": 1, "meaning": "of the capital"}}
USES_POSITION = True        without it, whether the text speaks of a position at all
WINDOWS = {"trend": {"timeframe": "1h", "lookback": 100}, "bybit": {"venue": "bybit"}}   further candles, by name;
                            what is left out is the strategy's own
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from typing import Final, TypeVar

from core.connection import Venue
from core.errors import RunnerError
from core.market import Market
from core.parameters import Number, ParameterSpec
from core.strategies.code import MAX_NUMBER, StrategyCode
from core.strategies.code_window import CodeWindow
from core.symbols import parse_symbol
from core.timeframe import Timeframe

MAX_LOOKBACK: Final = 2_000
MAX_PARAMETERS: Final = 64
MAX_WINDOWS: Final = 8
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_WINDOW_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
"""What every object of Python or JavaScript has by itself begins with another character."""
_TAKEN_NAMES: Final = frozenset(dir(dict))
"""`context.extra.items` is no window: a mapping has it already."""
_SERIES_PARTS: Final = ("venue", "symbol", "market", "timeframe")
_WINDOW_PARTS: Final = frozenset({*_SERIES_PARTS, "lookback", "min_candles"})
_PART_NAMES: Final = frozenset({"default", "min", "max", "whole", "meaning"})

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class BadDeclaration(RunnerError):
    """The sentence begins with what is declared."""


def declared_code(text: str, declared: Mapping[str, object], *, compiled: str | None = None) -> StrategyCode:
    """`declared`: plain data from the sandbox, a stranger's. Raises BadDeclaration."""
    usual = StrategyCode(text=text)
    lookback = _count("LOOKBACK", declared.get("LOOKBACK"), usual.lookback)
    least = min(lookback, _count("MIN_CANDLES", declared.get("MIN_CANDLES"), lookback))
    given, uses_position = declared.get("PARAMETERS"), declared.get("USES_POSITION")
    if not isinstance(uses_position, bool | None):
        raise BadDeclaration("USES_POSITION must be True or False.")
    return StrategyCode(
        text=text,
        lookback=lookback,
        min_candles=least,
        specs=None if given is None else _specs(given),
        uses_position="position" in text if uses_position is None else uses_position,
        compiled=compiled,
        windows=_windows(declared.get("WINDOWS"), lookback, least),
    )


def line_of(text: str, problem: BadDeclaration) -> int | None:
    """Where `text`, in any language, declares what the problem is with."""
    name = str(problem).partition(" ")[0]
    found = re.search(rf"^[ \t]*(?:(?:const|let|var)[ \t]+)?{name}\b", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _count(name: str, value: object, usual: int) -> int:
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise BadDeclaration(f"{name} must be a whole number.")
    if not 1 <= value <= MAX_LOOKBACK:
        raise BadDeclaration(f"{name} must lie in 1 to {MAX_LOOKBACK}, not {value:g}.")
    return int(value)


def _specs(given: object) -> tuple[ParameterSpec, ...]:
    if not isinstance(given, Mapping) or len(given) > MAX_PARAMETERS:
        raise BadDeclaration(f"PARAMETERS must be a mapping of at most {MAX_PARAMETERS} names.")
    return tuple(_spec(name, part) for name, part in given.items())


def _spec(name: object, part: object) -> ParameterSpec:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadDeclaration(f"PARAMETERS has the name {name!r:.70}; a name has letters, digits and _.")
    parts: Mapping[object, object] = part if isinstance(part, Mapping) else {"default": part}
    unknown = sorted(str(each) for each in parts if each not in _PART_NAMES)
    if unknown:
        raise BadDeclaration(
            f"PARAMETERS {name} has {unknown[0]:.40}; it may have {', '.join(sorted(_PART_NAMES))}."
        )
    default = _number(name, "default", parts.get("default"))
    minimum = _number(name, "min", parts.get("min", -MAX_NUMBER))
    maximum = _number(name, "max", parts.get("max", MAX_NUMBER))
    if not minimum <= default <= maximum:
        raise BadDeclaration(
            f"PARAMETERS {name} has the default {default:g} outside {minimum:g} to {maximum:g}."
        )
    whole = parts.get("whole", isinstance(default, int))
    if not isinstance(whole, bool) or (whole and default != int(default)):
        raise BadDeclaration(f"PARAMETERS {name} has a default or a whole that cannot be.")
    return ParameterSpec(
        name=name,
        default=int(default) if whole else default,
        minimum=minimum,
        maximum=maximum,
        whole=whole,
        meaning=str(parts.get("meaning", ""))[:200],
    )


def _number(name: str, part: str, value: object) -> Number:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not isfinite(value)
        or abs(value) > MAX_NUMBER
    ):
        raise BadDeclaration(f"PARAMETERS {name} must have a number as its {part}.")
    return value


def _windows(given: object, lookback: int, least: int) -> tuple[CodeWindow, ...]:
    """`lookback` and `least`: the strategy's own, which count where a window says nothing of its length."""
    if given is None:
        return ()
    if not isinstance(given, Mapping) or len(given) > MAX_WINDOWS:
        raise BadDeclaration(f"WINDOWS must be a mapping of at most {MAX_WINDOWS} names.")
    return tuple(_window(name, parts, lookback, least) for name, parts in given.items())


def _window(name: object, parts: object, lookback: int, least: int) -> CodeWindow:
    if not isinstance(name, str) or not _WINDOW_NAME.fullmatch(name) or name in _TAKEN_NAMES:
        raise BadDeclaration(
            f"WINDOWS has the name {name!r:.70}; a name begins with a letter, has letters, digits and _, 32 at most, "
            "and is none that every mapping has."
        )
    what = f"WINDOWS {name}"
    if not isinstance(parts, Mapping):
        raise BadDeclaration(f'{what} must say what it is of, as {{"timeframe": "1h"}}.')
    unknown = sorted(str(each) for each in parts if each not in _WINDOW_PARTS)
    if unknown:
        raise BadDeclaration(f"{what} has {unknown[0]:.40}; it may have {', '.join(sorted(_WINDOW_PARTS))}.")
    if all(parts.get(each) is None for each in _SERIES_PARTS):
        raise BadDeclaration(
            f"{what} names no venue, symbol, market or timeframe; without one it is context.candles."
        )
    length = _count(f"{what} lookback", parts.get("lookback"), lookback)
    return CodeWindow(
        name=name,
        lookback=length,
        min_candles=min(length, _count(f"{what} min_candles", parts.get("min_candles"), least)),
        venue=_read(what, parts, "venue", lambda text: _one_of(Venue, text)),
        symbol=_read(what, parts, "symbol", parse_symbol),
        market=_read(what, parts, "market", lambda text: _one_of(Market, text)),
        timeframe=_read(what, parts, "timeframe", Timeframe.parse),
    )


def _one_of(names: type[E], text: str) -> E:
    if text not in list(names):
        raise ValueError(f"{text!r:.20} is none of {', '.join(names)}.")
    return names(text)


def _read(what: str, parts: Mapping[object, object], part: str, read: Callable[[str], T]) -> T | None:
    value = parts.get(part)
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError("it is no text.")
        return read(value)
    except (RunnerError, ValueError) as error:
        raise BadDeclaration(f"{what} has a {part} that cannot be: {error}") from error
