"""Parameters a strategy declares, and the check of those it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

from core.errors import RunnerError

Number = int | float
Parameters = Mapping[str, Number]


class ParameterError(RunnerError):
    """Parameters that cannot be used; `problems` holds one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


class ParameterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One number a strategy takes: whole or not, inside inclusive bounds. `usual`: where within them a search looks,
    None: everywhere.
    """

    name: str
    default: Number
    minimum: Number
    maximum: Number
    whole: bool = True
    meaning: str
    usual: tuple[Number, Number] | None = None


def check_parameters(specs: Sequence[ParameterSpec], given: Mapping[str, object]) -> Parameters:
    """All parameters, defaults filled in. Text is read as the number it spells, as a command line gives it.

    Raises ParameterError with every problem at once.
    """
    names = {spec.name for spec in specs}
    known = ", ".join(spec.name for spec in specs)
    problems = [f"There is no parameter {name!r}; there are {known}." for name in given if name not in names]
    checked: dict[str, Number] = {}
    for spec in specs:
        try:
            checked[spec.name] = _read(spec, given.get(spec.name, spec.default))
        except ValueError as error:
            problems.append(f"{spec.name} {error}.")
    if problems:
        raise ParameterError(problems)
    return checked


def _read(spec: ParameterSpec, value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a number, not {value!r:.40}") from None
    if not isfinite(number):
        raise ValueError("must be finite")
    if not spec.minimum <= number <= spec.maximum:
        raise ValueError(f"must lie in {spec.minimum} to {spec.maximum}, not {number:g}")
    if not spec.whole:
        return number
    if number != int(number):
        raise ValueError(f"must be a whole number, not {number:g}")
    return int(number)
