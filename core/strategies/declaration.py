"""What code says of itself by the names it defines: read once, when it is saved.

LOOKBACK = 250              candles in its window
MIN_CANDLES = 20            fewer, and the slot is skipped; without it as many as LOOKBACK
PARAMETERS = {"period": 20, "share": {"default": 0.5, "min": 0, "max": 1, "meaning": "of the capital"}}
USES_POSITION = True        without it, whether the text speaks of a position at all
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Final

from core.errors import RunnerError
from core.parameters import Number, ParameterSpec
from core.strategies.code import MAX_NUMBER, StrategyCode

MAX_LOOKBACK: Final = 2_000
MAX_PARAMETERS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PART_NAMES: Final = frozenset({"default", "min", "max", "whole", "meaning"})


class BadDeclaration(RunnerError):
    """The sentence names what is declared."""


def declared_code(text: str, declared: Mapping[str, object], *, compiled: str | None = None) -> StrategyCode:
    """`declared`: plain data from the sandbox, a stranger's. Raises BadDeclaration."""
    usual = StrategyCode(text=text)
    lookback = _count("LOOKBACK", declared.get("LOOKBACK"), usual.lookback)
    given, uses_position = declared.get("PARAMETERS"), declared.get("USES_POSITION")
    if not isinstance(uses_position, bool | None):
        raise BadDeclaration("USES_POSITION must be True or False.")
    return StrategyCode(
        text=text,
        lookback=lookback,
        min_candles=min(lookback, _count("MIN_CANDLES", declared.get("MIN_CANDLES"), lookback)),
        specs=None if given is None else _specs(given),
        uses_position="position" in text if uses_position is None else uses_position,
        compiled=compiled,
    )


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
