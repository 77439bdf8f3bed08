"""What went wrong in an author's code, in words for the author: their line, and nothing of this machine."""

from __future__ import annotations

import re
from types import FrameType, TracebackType
from typing import Final

from actors.sandbox.allowed import shown
from actors.sandbox.frames import Failed, Fault
from actors.sandbox.hints import hint_for

SOURCE: Final = "<strategy>"
"""The file name author's code is compiled under."""
MAX_SENTENCE: Final = 300
MAX_TRACE: Final = 10
MOST_READ: Final = 2_000
"""Of what an error says, in characters: paths and spaces of these make room for more."""
_PATH: Final = re.compile(r"(?:/[\w.@+-]+){2,}/?")


class Failure(Exception):
    """The code failed in a way that is known already."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.sentence)
        self.failed = failed


def explained(error: BaseException) -> Failed:
    """Of whatever the code raised."""
    frames = _frames(error.__traceback__)
    trace = tuple((line, frame.f_code.co_name[:60]) for line, frame in frames)
    line = trace[-1][0] if trace else None
    hint = _hint(error, frames[-1][1] if frames else None)
    if isinstance(error, SyntaxError) and error.filename in (SOURCE, None):
        sentence = f"{type(error).__name__}: {_text(error.msg)}"
        return Failed(fault=Fault.SYNTAX, sentence=sentence, line=error.lineno, hint=hint, trace=trace)
    if isinstance(error, ImportError):
        return Failed(fault=Fault.IMPORT, sentence=_import(error), line=line, hint=hint, trace=trace)
    sentence = f"{type(error).__name__[:60]}: {_said(error)}".removesuffix(": ")
    return Failed(fault=Fault.EXCEPTION, sentence=sentence[:MAX_SENTENCE], line=line, hint=hint, trace=trace)


def _import(error: ImportError) -> str:
    name = error.name
    if isinstance(name, str) and error.args and str(error.args[0]).startswith("cannot import"):
        return _text(f"ImportError: {error.args[0]}")
    return f"Module {_text(name)} is not in the allowed list: {shown()}."


def _said(error: BaseException) -> str:
    try:
        return _text(str(error))
    except BaseException:  # whatever an author's own __str__ raises
        return ""


def _text(value: object) -> str:
    """One line, without paths of this machine. What is not looked at costs nothing, however long it is."""
    return " ".join(_PATH.sub("…", str(value)[:MOST_READ]).split())[:MAX_SENTENCE]


def _hint(error: BaseException, frame: FrameType | None) -> str | None:
    try:
        return hint_for(error, frame)
    except BaseException:  # whatever an author's own classes raise when they are looked at
        return None


def _frames(traceback: TracebackType | None) -> list[tuple[int, FrameType]]:
    """Of the author's text, with the line each was at."""
    frames: list[tuple[int, FrameType]] = []
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == SOURCE:
            frames.append((traceback.tb_lineno, traceback.tb_frame))
        traceback = traceback.tb_next
    return frames[-MAX_TRACE:]
