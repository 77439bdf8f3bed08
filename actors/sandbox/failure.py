"""What went wrong in an author's code, in words for the author: their line, and nothing of this machine."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Final

from actors.sandbox.allowed import shown
from actors.sandbox.frames import Failed, Fault

SOURCE: Final = "<strategy>"
"""The file name author's code is compiled under."""
MAX_SENTENCE: Final = 300
MAX_TRACE: Final = 10
_PATH: Final = re.compile(r"(?:/[\w.@+-]+){2,}/?")
_NOT_HERE: Final = "A strategy computes: it has no files, no network, no threads and no other processes."


class Failure(Exception):
    """The code failed in a way that is known already."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.sentence)
        self.failed = failed


def explained(error: BaseException) -> Failed:
    """Of whatever the code raised."""
    trace = _trace(error.__traceback__)
    line = trace[-1][0] if trace else None
    if isinstance(error, SyntaxError) and error.filename in (SOURCE, None):
        sentence = f"{type(error).__name__}: {_text(error.msg)}"
        return Failed(fault=Fault.SYNTAX, sentence=sentence, line=error.lineno, trace=trace)
    if isinstance(error, ImportError):
        return Failed(fault=Fault.IMPORT, sentence=_import(error), line=line, trace=trace)
    sentence = f"{type(error).__name__[:60]}: {_said(error)}".removesuffix(": ")
    return Failed(
        fault=Fault.EXCEPTION, sentence=sentence[:MAX_SENTENCE], line=line, hint=_hint(error), trace=trace
    )


def _import(error: ImportError) -> str:
    name = error.name
    if isinstance(name, str) and error.args and str(error.args[0]).startswith("cannot import"):
        return _text(f"ImportError: {error.args[0]}")
    return f"Module {_text(name)} is not in the allowed list: {shown()}."


def _hint(error: BaseException) -> str | None:
    match error:
        case PermissionError():
            return _NOT_HERE
        case OSError() | ModuleNotFoundError():
            return _NOT_HERE
        case NameError() if error.name in ("pd", "pandas"):
            return "pandas is not here; candles are numpy columns already: context.candles.close."
        case NameError() if error.name in ("np", "ta", "talib"):
            return f"Import it first; modules there are: {shown()}."
        case AttributeError() if type(error.obj).__module__.startswith("actors.sandbox"):
            return "A context has candles, parameters, position, price, slot, symbol and timeframe."
        case KeyError():
            return "Where a key may be missing, .get(key, default) answers the default."
        case IndexError():
            return "A window may be shorter than expected; MIN_CANDLES = n asks for n candles at least."
    return None


def _said(error: BaseException) -> str:
    try:
        return _text(str(error))
    except BaseException:  # whatever an author's own __str__ raises
        return ""


def _text(value: object) -> str:
    """One line, without paths of this machine."""
    return " ".join(_PATH.sub("…", str(value)).split())[:MAX_SENTENCE]


def _trace(traceback: TracebackType | None) -> tuple[tuple[int, str], ...]:
    lines: list[tuple[int, str]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == SOURCE:
            lines.append((traceback.tb_lineno, code.co_name[:60]))
        traceback = traceback.tb_next
    return tuple(lines[-MAX_TRACE:])
