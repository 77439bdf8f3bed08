"""A strategy that is somebody's source text: what it declares. Who runs it is the sandbox; nothing here does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import isfinite
from typing import Final

import msgspec

from core.definition import StrategyKind
from core.errors import RunnerError
from core.market import Series
from core.parameters import Parameters, ParameterSpec
from core.strategies.code_window import CodeWindow, wanted_windows
from core.strategy import WantedWindow

CODE_KINDS: Final = frozenset({StrategyKind.PYTHON, StrategyKind.JAVASCRIPT, StrategyKind.TYPESCRIPT})
MAX_NUMBER: Final = 1e12
"""Bound of a parameter whose author gave none."""


class NoCode(RunnerError):
    """A strategy of a kind that is code, whose source is none."""


class ConvertedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy was before it was converted, and what was said of it then."""

    source: str
    language: str = ""
    explanation: str = ""


class StrategyCode(msgspec.Struct, frozen=True, kw_only=True):
    """What an author wrote, and what it declares, read once, in the sandbox, when it was saved.

    A definition carries it in `source`, as JSON. `specs` None: it declares no parameters and takes any number.
    `compiled`: the text that runs, where that is another than `text`.
    """

    text: str
    lookback: int = 250
    min_candles: int = 250
    specs: tuple[ParameterSpec, ...] | None = None
    uses_position: bool = False
    compiled: str | None = None
    converted_from: ConvertedSource | None = None
    windows: tuple[CodeWindow, ...] = ()

    @classmethod
    def read(cls, source: str) -> StrategyCode:
        """Raises NoCode."""
        try:
            return _READ.decode(source)
        except msgspec.MsgspecError as error:
            raise NoCode("The strategy has no code that can be read.") from error

    def source(self) -> str:
        return msgspec.json.encode(self).decode()


_READ: Final = msgspec.json.Decoder(StrategyCode)


class CodeStrategy:
    """As a built-in strategy declares itself; it has no `decide`, as its answer comes from another process."""

    uses_position: bool

    def __init__(self, kind: StrategyKind, code: StrategyCode, given: Mapping[str, object]) -> None:
        """`given`: the parameters of the definition, which say what there is where the code declares none."""
        self.kind = kind
        self.code = code
        self.name = kind.value
        self.uses_position = code.uses_position
        self.specs = undeclared(given) if code.specs is None else code.specs
        self.content = f"{kind}:{hashlib.sha256(code.text.encode()).hexdigest()}"
        if code.windows:  # the same text, kept before windows were read, answers without them
            self.content += f":{hashlib.sha256(msgspec.json.encode(code.windows)).hexdigest()}"

    def problems(self, parameters: Parameters) -> list[str]:
        """Empty: what its parameters mean together only the code knows."""
        return []

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        return wanted_windows(self.code.windows, series)

    def lookback(self, parameters: Parameters) -> int:
        return self.code.lookback

    def min_candles(self, parameters: Parameters) -> int:
        return self.code.min_candles


def undeclared(given: Mapping[str, object]) -> tuple[ParameterSpec, ...]:
    """Specs that take what is given as it is: a whole number stays one."""
    return tuple(
        ParameterSpec(
            name=name, default=0, minimum=-MAX_NUMBER, maximum=MAX_NUMBER, whole=_whole(value), meaning=""
        )
        for name, value in given.items()
    )


def _whole(value: object) -> bool:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False  # whoever checks the parameters says so
    return isfinite(number) and number == int(number)
