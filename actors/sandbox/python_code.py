"""Python strategies inside a worker: loaded once, called for each window, answering plain data."""

from __future__ import annotations

import builtins
import dataclasses
import marshal
import sys
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from types import CodeType, FrameType
from typing import Any, Final

import numpy as np

from actors.sandbox.allowed import is_allowed, shown
from actors.sandbox.author_view import context_of
from actors.sandbox.failure import SOURCE, Failure
from actors.sandbox.frames import Answered, Ask, Failed, Fault, Program
from actors.sandbox.hints import no_entry

ENTRY_NAMES: Final = ("strategy", "evaluate", "tradingStrategy")
DECLARED_NAMES: Final = ("LOOKBACK", "MIN_CANDLES", "PARAMETERS", "USES_POSITION", "WINDOWS")
MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 2_000
MAX_INTEGER: Final = 1 << 62
_PLAIN: Final = frozenset({type(None), bool, str, float})
"""Types, not what is derived from them, that most of an answer is made of."""


class PythonCode:
    """Raises Failure, or what the code itself raises while its module runs."""

    compiled = None

    def __init__(self, program: Program) -> None:
        self._program = program
        module: dict[str, Any] = {"__name__": "strategy", "__builtins__": _BUILTINS}
        code = _read(program.text) if program.code is None else marshal.loads(program.code)  # noqa: S302 - of the same text
        exec(code, module)  # noqa: S102 - what this process is for
        entries = [module[name] for name in ENTRY_NAMES if callable(module.get(name))]
        if not entries:
            names = ", ".join(f"{name}(context)" for name in ENTRY_NAMES)
            sentence = f"It defines none of {names}."
            raise Failure(Failed(fault=Fault.NO_ENTRY, sentence=sentence, hint=no_entry(module)))
        self._entry: Callable[..., object] = entries[0]
        self.declared: Mapping[str, Any] = {
            name: plain(module[name], f"{name}") for name in DECLARED_NAMES if name in module
        }

    def answer(self, ask: Ask) -> Answered:
        context = context_of(self._program, ask)
        if self._program.explains:
            answer, line = _traced(self._entry, context)
        else:
            answer, line = self._entry(context), self._first_line
        try:
            return Answered(answer=plain(answer, "answer"), line=line)
        except Failure as failure:
            failed = failure.failed
            raise Failure(Failed(fault=failed.fault, sentence=failed.sentence, line=line)) from None

    @property
    def _first_line(self) -> int | None:
        code = getattr(self._entry, "__code__", None)
        return None if code is None else int(code.co_firstlineno)


def compiled(text: str) -> bytes:
    """What loading `text` begins with, for this interpreter. Raises what reading it raises."""
    return marshal.dumps(_read(text))


def _read(text: str) -> CodeType:
    return compile(text, SOURCE, "exec", dont_inherit=True)


def plain(value: object, name: str, depth: int = 0) -> object:
    """`value` as data that needs no class: numbers of numpy as numbers, enums as values. Raises Failure by name."""
    if type(value) in _PLAIN:
        return value
    match value:
        case None | bool() | str():
            return value
        case np.generic():
            return plain(value.item(), name, depth + 1)
        case int():
            return (
                value if abs(value) <= MAX_INTEGER else _refused(name, "is an integer too large to be meant")
            )
        case float():
            return float(value)
        case Decimal():
            return float(value)
        case Enum():
            return plain(value.value, name, depth + 1)
        case date():
            return value.isoformat()
    if depth >= MAX_DEPTH:
        return _refused(name, f"is nested more than {MAX_DEPTH} deep")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    match value:
        case dict() | Mapping():  # the first is quickly told
            _sized(name, len(value))
            return {str(key): plain(each, f"{name}.{key}"[:80], depth + 1) for key, each in value.items()}
        case list() | tuple():
            _sized(name, len(value))
            return [plain(each, f"{name}[{at}]"[:80], depth + 1) for at, each in enumerate(value)]
        case np.ndarray():
            return _refused(name, "is an array; an answer holds single numbers, as array[-1]")
    return _refused(name, f"is a {type(value).__name__[:60]}, which is no data")


def _sized(name: str, items: int) -> None:
    if items > MAX_ITEMS:
        _refused(name, f"has {items} items, more than {MAX_ITEMS}")


def _refused(name: str, why: str) -> object:
    where = "The answer" if name == "answer" else f"The {name.replace('answer.', 'answer’s ', 1)}"
    raise Failure(Failed(fault=Fault.BAD_ANSWER, sentence=f"{where} {why}."))


def _traced(entry: Callable[..., object], context: object) -> tuple[object, int | None]:
    """The answer and the line of the `return` it came from."""
    code = getattr(entry, "__code__", None)
    line: list[int | None] = [None]

    def follow(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not code:
            return None
        if event == "return":
            line[0] = frame.f_lineno
        return follow

    sys.settrace(follow)
    try:
        answer = entry(context)
    finally:
        sys.settrace(None)
    return answer, line[0]


def _is_of_a_library(args: tuple[Any, ...]) -> bool:
    """strftime and the like, written in C, import what they need when they are used, by whatever the author's frame
    imports with: they give a list of names, a statement none or a tuple.
    """
    return len(args) > 2 and isinstance(args[2], list)


def _builtins() -> dict[str, Any]:
    """As everywhere, but an import that cannot succeed says which could. It explains; what holds is the kernel."""
    names = dict(vars(builtins))
    real = builtins.__import__

    def import_allowed(name: str, *args: Any, **kwargs: Any) -> Any:
        if not is_allowed(name) and not _is_of_a_library(args):
            raise ModuleNotFoundError(f"module {name} is not in the allowed list: {shown()}", name=name)
        return real(name, *args, **kwargs)

    names["__import__"] = import_allowed
    return names


_BUILTINS: Final = _builtins()
"""Made once in the zygote; what a worker's one program does to it stays in that worker."""
