"""A forked child: gives up the rest, loads one program, and answers until its socket closes or it is killed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, Protocol

from actors.sandbox import layers
from actors.sandbox.failure import Failure, explained
from actors.sandbox.frames import (
    ASKED,
    ENCODER,
    LENGTH_BYTES,
    MAX_LOG,
    MAX_REPLY,
    Answered,
    Ask,
    Compile,
    Compiled,
    Failed,
    Fault,
    Loaded,
    Program,
    Reply,
    framed,
)
from actors.sandbox.javascript_code import JavaScriptCode, TypeScriptCode
from actors.sandbox.python_code import PythonCode, compiled
from actors.sandbox.rehearsal import rehearse

WORKER_FD: Final = 3
READ_AT_ONCE: Final = 64 << 10
_OUT_OF_MEMORY: Final = framed(
    ENCODER.encode(Failed(fault=Fault.MEMORY, sentence="It needs more memory than a strategy may have."))
)
"""Encoded while there is memory for it."""


class Language(Protocol):
    """A program that is loaded, whatever it is written in. What it raises is `Failure`."""

    @property
    def declared(self) -> Mapping[str, Any]: ...

    @property
    def compiled(self) -> str | None: ...

    def answer(self, ask: Ask) -> Answered: ...


LANGUAGES: Final[Mapping[str, Callable[[Program], Language]]] = {
    "python": PythonCode,
    "javascript": JavaScriptCode,
    "typescript": TypeScriptCode,
}


class Log(io.TextIOBase):
    """Keeps the first of what is printed during an evaluation and says how much more there was."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._left = MAX_LOG
        self._dropped = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        kept = text[: self._left]
        if kept:
            self._kept.append(kept)
            self._left -= len(kept.encode("utf-8", "replace"))
        self._dropped += len(text) - len(kept)
        return len(text)

    def take(self) -> str:
        text = "".join(self._kept).encode("utf-8", "replace").decode()
        if self._dropped:
            text += f"\n({self._dropped} more characters were printed)"
        self._kept, self._left, self._dropped = [], MAX_LOG, 0
        return text


class Worker:
    """What every child of the zygote will be; made before the first fork."""

    def __init__(self, *, memory: int, cpu_s: int, syscalls: layers.SyscallFilter) -> None:
        self._memory = memory
        self._cpu_s = cpu_s
        self._syscalls = syscalls

    def live(self, handle: int, *, stands_by: bool) -> NoReturn:
        """In the child, with its end of the socket. Who stands by has time to rehearse."""
        layers.die_with_parent()
        layers.undumpable()
        if handle != WORKER_FD:
            os.dup2(handle, WORKER_FD)
        os.closerange(0, WORKER_FD)
        os.closerange(WORKER_FD + 1, 1_024)
        layers.limit(memory=self._memory, cpu_s=self._cpu_s)
        self._syscalls.install()
        if stands_by:
            rehearse()
        self._answer_all()

    def _answer_all(self) -> NoReturn:
        log, reader = Log(), Reader()
        sys.stdout = sys.stderr = log
        language: Language | None = None
        while True:
            asked = ASKED.decode(reader.next())
            try:
                if isinstance(asked, Compile):
                    reply: Reply = Compiled(code=compiled(asked.text))
                elif isinstance(asked, Program):
                    language = LANGUAGES[asked.kind](asked)
                    reply = Loaded(declared=language.declared, compiled=language.compiled, log=log.take())
                else:
                    assert language is not None
                    answered = language.answer(asked)
                    reply = Answered(answer=answered.answer, line=answered.line, log=log.take())
                content = ENCODER.encode(reply)
                if len(content) > MAX_REPLY:
                    reply = Failed(fault=Fault.OVERSIZED, sentence="Its answer is too large.", log=log.take())
                    content = ENCODER.encode(reply)
            except MemoryError:
                language = None
                _write(_OUT_OF_MEMORY)
                os._exit(0)
            except BaseException as error:
                _write(framed(ENCODER.encode(_failed(error, log))))
                if language is None:
                    os._exit(0)
                continue
            _write(framed(content))


def _failed(error: BaseException, log: Log) -> Failed:
    failed = error.failed if isinstance(error, Failure) else explained(error)
    return Failed(
        fault=failed.fault,
        sentence=failed.sentence,
        line=failed.line,
        hint=failed.hint,
        trace=failed.trace,
        log=log.take(),
    )


class Reader:
    """What is asked, as it comes: of several questions sent at once, as many by one call of the kernel as fit."""

    def __init__(self) -> None:
        self._arrived = bytearray()

    def next(self) -> bytes:
        size = LENGTH_BYTES + int.from_bytes(self._first(LENGTH_BYTES), "little")
        content = self._first(size)[LENGTH_BYTES:]
        del self._arrived[:size]
        return content

    def _first(self, size: int) -> bytes:
        while len(self._arrived) < size:
            part = os.read(WORKER_FD, READ_AT_ONCE)
            if not part:
                os._exit(0)
            self._arrived += part
        return bytes(self._arrived[:size])


def _write(content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(WORKER_FD, left) :]
