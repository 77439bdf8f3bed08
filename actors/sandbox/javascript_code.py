"""JavaScript and TypeScript strategies inside a worker, on an interpreter without machine code of its own making.

What goes in and out of the interpreter is text, as JSON. The functions that read and write it are made before the
author's text is loaded, so that nothing in that text can change them. Types are stripped, not checked; lines stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import quickjs

from actors.sandbox.author_view import columns_of
from actors.sandbox.failure import Failure
from actors.sandbox.frames import Answered, Ask, Failed, Fault, Program
from actors.sandbox.python_code import DECLARED_NAMES, ENTRY_NAMES, MAX_DEPTH, MAX_ITEMS
from core.candles import COLUMNS

HEAP_BYTES: Final = 96 << 20
STACK_BYTES: Final = 512 << 10
FULL: Final = 0.95
MAX_LINES: Final = 100_000
"""Of an author's text, which is no longer than that; ours is behind it, so that no line of ours is told as theirs."""
MAX_SENTENCE: Final = 300
STRIPPER: Final = (Path(__file__).parent / "vendor" / "sucrase" / "sucrase.min.js").read_text()
"""Read where files can be: the zygote loads this module, a worker opens none."""
_CANDLE: Final = ", ".join(
    f"{name}: columns[{at}][i]"
    for at, name in enumerate(re.sub(r"_(.)", lambda part: part[1].upper(), each) for each in COLUMNS)
)
_HARNESS: Final = f"""
"use strict";
(() => {{
  const {{parse, stringify}} = JSON, text = String, finite = Number.isFinite, time = (ms) => new Date(ms);
  const {{keys}} = Object;
  const print = globalThis.__print;
  const shown = (each) => typeof each === "string" ? each : stringify(each) ?? text(each);
  const said = (...given) => print(given.map(shown).join(" "));
  globalThis.console = {{log: said, info: said, warn: said, error: said, debug: said}};
  globalThis.exports = {{}};
  globalThis.require = (name) => {{
    throw new Error(`there is no module "${{name}}" here, only the language itself`);
  }};
  // JSON has no NaN: as text it is refused by the name of its field instead of being taken for nothing.
  const plain = (_, value) => typeof value === "number" && !finite(value) ? text(value) : value;
  const candles = (columns) => columns[0].map((_, i) => ({{{_CANDLE}}}));
  globalThis.__run = (entry, given) => {{
    const {{columns, ...context}} = parse(given);
    context.candles = candles(columns);
    for (const name of keys(context.extra)) context.extra[name] = candles(context.extra[name]);
    context.slot = time(context.slot);
    return stringify(entry(context), plain) ?? "null";
  }};
  globalThis.__shown = (value) => stringify(value, plain) ?? "null";
}})()
"""
_HIDDEN: Final = "delete globalThis.__print; delete globalThis.__run; delete globalThis.__shown;"
_ENTRY: Final = " : ".join(f'typeof {name} === "function" ? {name}' for name in ENTRY_NAMES) + " : null"
_LINE: Final = re.compile(r"<input>:(\d+)")
_OUT_OF_MEMORY: Final = "InternalError: out of memory"
_MODULE: Final = re.compile(r"^\s*(?:import|export)\b", re.MULTILINE)
_ELSEWHERE: Final = re.compile(r"\b(?:fetch|process|setTimeout|window|document) is not defined")
_STRIPPED_AT: Final = re.compile(r" \((\d+):\d+\)$")


class JavaScriptCode:
    """Raises Failure."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.compiled: str | None = None
        self._context = context = _interpreter()
        context.add_callable("__print", print)
        context.eval("\n" * MAX_LINES + _HARNESS)
        self._run, self._shown = context.get("__run"), context.get("__shown")
        context.eval(_HIDDEN)
        try:
            context.eval(self._text())
            self._entry = context.eval(_ENTRY)
            declared = {name: self._declared(name) for name in DECLARED_NAMES}
        except quickjs.JSException as error:
            raise self._failure(error) from None
        if self._entry is None:
            names = ", ".join(f"{name}(context)" for name in ENTRY_NAMES)
            raise Failure(Failed(fault=Fault.NO_ENTRY, sentence=f"It defines none of {names}."))
        self.declared: Mapping[str, Any] = {
            name: value for name, value in declared.items() if value is not None
        }

    def answer(self, ask: Ask) -> Answered:
        try:
            answer = self._run(self._entry, _context_of(self._program, ask))
        except quickjs.JSException as error:
            raise self._failure(error) from None
        return Answered(answer=_read(answer, "The answer"), line=self._entry_line())

    def _text(self) -> str:
        """What is evaluated: types are stripped once, when the text is saved, and what is left is kept with it."""
        return self._program.text

    def _declared(self, name: str) -> object:
        told = self._context.eval(f'typeof {name} === "undefined" ? null : {name}')
        if isinstance(told, quickjs.Object):
            told = self._shown(told)
            return _read(told, f"The {name}")
        return told

    def _failure(self, error: Exception) -> Failure:
        sentence, stack = _sentence(error), str(error).partition("\n")[2]
        # Where not even an error can be made any more, null is thrown.
        if self._context.memory()["malloc_size"] > HEAP_BYTES * FULL or sentence == _OUT_OF_MEMORY:
            sentence = "It needs more memory than a strategy may have."
            return Failure(Failed(fault=Fault.MEMORY, sentence=sentence))
        lines = [line for line in map(int, _LINE.findall(stack)) if line <= MAX_LINES]
        fault = Fault.SYNTAX if sentence.startswith("SyntaxError") else Fault.EXCEPTION
        line = lines[0] if lines else None
        return Failure(Failed(fault=fault, sentence=sentence, line=line, hint=self._hint(sentence)))

    def _hint(self, sentence: str) -> str | None:
        if sentence.startswith("SyntaxError") and _MODULE.search(self._program.text):
            return "Write the function without import and export: it is found by its name."
        if _ELSEWHERE.search(sentence):
            return "A strategy computes: it has no files, no network, no timers and no other processes."
        return None

    def _entry_line(self) -> int | None:
        """Where the function that answers begins."""
        found = re.search(rf"\b(?:{'|'.join(ENTRY_NAMES)})\b\s*[=(:]", self._program.text)
        return None if found is None else self._program.text.count("\n", 0, found.start()) + 1


class TypeScriptCode(JavaScriptCode):
    """What has been stripped before (`Program.compiled`) is loaded as it is."""

    def _text(self) -> str:
        if self._program.compiled:
            return self._program.text
        stripper = _interpreter()
        try:
            stripper.eval(STRIPPER)
            text: str = msgspec.json.decode(stripper.get("stripTypes")(self._program.text), type=str)
        except quickjs.JSException as error:
            sentence = _sentence(error)
            at = _STRIPPED_AT.search(sentence)
            line = None if at is None else int(at[1])
            sentence = _STRIPPED_AT.sub("", sentence)
            raise Failure(Failed(fault=Fault.SYNTAX, sentence=sentence, line=line)) from None
        self.compiled = text
        return text


def _interpreter() -> quickjs.Context:
    context = quickjs.Context()
    context.set_memory_limit(HEAP_BYTES)
    context.set_max_stack_size(STACK_BYTES)
    return context


def _context_of(program: Program, ask: Ask) -> str:
    held, columns = ask.position, columns_of(ask.columns)
    price = float(columns[COLUMNS.index("close"), -1])
    position = held and {
        "side": held.side,
        "quantity": held.quantity,
        "entryPrice": held.entry_price,
        "unrealisedPnl": held.unrealised_pnl,
    }
    context = {
        "columns": columns.tolist(),
        "extra": {name: columns_of(each).tolist() for name, each in ask.extra.items()},
        "parameters": ask.parameters,
        "position": position,
        "price": price,
        "currentPrice": price,
        "slot": ask.slot_ms,
        "symbol": program.symbol,
        "timeframe": program.timeframe,
    }
    return msgspec.json.encode(context).decode()


def _read(told: object, what: str) -> object:
    """JSON of the author's, within the bounds of any answer. Raises Failure."""
    try:
        value: object = msgspec.json.decode(told) if isinstance(told, str) else None
    except (msgspec.DecodeError, RecursionError):
        raise Failure(Failed(fault=Fault.BAD_ANSWER, sentence=f"{what} is no data.")) from None
    _bounded(value, what, 0)
    return value


def _bounded(value: object, what: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        sentence = f"{what} is nested more than {MAX_DEPTH} deep."
        raise Failure(Failed(fault=Fault.BAD_ANSWER, sentence=sentence))
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if len(items) > MAX_ITEMS:
        sentence = f"{what} has {len(items)} items, more than {MAX_ITEMS}."
        raise Failure(Failed(fault=Fault.BAD_ANSWER, sentence=sentence))
    for each in items:
        _bounded(each, what, depth + 1)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).partition("\n")[0].split())[:MAX_SENTENCE]
