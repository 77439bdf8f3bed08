"""JavaScript and TypeScript in the sandbox: the same signals as Python, the same limits, errors by line."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from actors.sandbox.frames import Answered, Failed, Fault, Program
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.judge import ask_of, verdict_of
from actors.sandbox.validation import Validated, sample_contexts, validate_code
from actors.sandbox.worker_handle import Starved
from core.definition import StrategyKind
from core.signal import Action, Signal
from core.strategies.code import StrategyCode
from core.timeframe import Timeframe
from tests.actors.sandbox.test_validation import EXAMPLE

JAVASCRIPT = """
const USES_POSITION = true, LOOKBACK = 60, MIN_CANDLES = 20;
const PARAMETERS = {period: {default: 20, min: 2, max: 60, meaning: "candles of the average"}};

function strategy(context) {
  const period = context.parameters.period || 20;
  const sma = context.candles.slice(-period).reduce((sum, candle) => sum + candle.close, 0) / period;
  console.log("sma", sma);
  if (context.currentPrice > sma && !context.position)
    return {signal: "buy", reason: "Price above SMA", indicators: {sma}};
  if (context.currentPrice < sma && context.position)
    return {signal: "sell", reason: "Price below SMA", indicators: {sma}};
  return {signal: "hold", indicators: {sma}};
}
"""
TYPESCRIPT = """
interface Candle { close: number }
interface Context {
  candles: Candle[];
  currentPrice: number;
  position: { side: "long" | "short" } | null;
  parameters: Record<string, number>;
}
type Answer = { signal: "buy" | "sell" | "hold"; reason?: string; indicators: Record<string, number> };
const USES_POSITION: boolean = true, LOOKBACK = 60 as const, MIN_CANDLES: number = 20;
const PARAMETERS = { period: { default: 20, min: 2, max: 60, meaning: "candles of the average" } };

export function evaluate({ candles, currentPrice, position, parameters }: Context): Answer {
  const period: number = parameters.period || 20;
  const sum = candles.slice(-period).reduce<number>((sum: number, candle: Candle) => sum + candle.close, 0);
  const sma = (sum / period) as number;
  console.log("sma", sma);
  if (currentPrice > sma && !position) return { signal: "buy", reason: "Price above SMA", indicators: { sma } };
  if (currentPrice < sma && position!) return { signal: "sell", reason: "Price below SMA", indicators: { sma } };
  return { signal: "hold", indicators: { sma } };
}
"""
KINDS = {
    StrategyKind.PYTHON: EXAMPLE,
    StrategyKind.JAVASCRIPT: JAVASCRIPT,
    StrategyKind.TYPESCRIPT: TYPESCRIPT,
}
WALL_S = 0.25
HEAD = "function strategy(context) {\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[Zygote]:
    started = Zygote(Limits(wall_s=WALL_S, memory=192 << 20))
    yield started
    started.close()


def validated(zygote: Zygote, text: str, kind: StrategyKind = StrategyKind.JAVASCRIPT) -> Validated:
    return validate_code(zygote, kind=kind, text=text)


def signals_of(zygote: Zygote, kind: StrategyKind, code: StrategyCode) -> list[Signal | None]:
    program = Program(kind=kind.value, text=code.compiled or code.text, compiled=code.compiled is not None)
    contexts = sample_contexts(code, {"period": 20}, "BTCUSDT", Timeframe.M5)
    with zygote.worker() as worker:
        replies = worker.ask(program, *(ask_of(code, context) for context in contexts))[1:]
    return [verdict_of(*each).signal for each in zip(replies, contexts, strict=True)]


def _rounded(signal: Signal | None) -> Signal | None:
    """Python's `sum` of floats is more exact from 3.12 on than a loop, in the last digits of an average."""
    if signal is None:
        return None
    return replace(signal, indicators={name: round(value, 9) for name, value in signal.indicators.items()})


def test_the_example_signals_alike_in_every_language(zygote: Zygote) -> None:
    codes = {kind: validated(zygote, text, kind) for kind, text in KINDS.items()}
    assert [found.errors for found in codes.values()] == [(), (), ()]
    told = {kind: signals_of(zygote, kind, found.code) for kind, found in codes.items() if found.code}
    python = told[StrategyKind.PYTHON]
    assert {signal.action for signal in python if signal} >= {Action.LONG, Action.HOLD}
    rounded = {kind: [_rounded(signal) for signal in signals] for kind, signals in told.items()}
    assert rounded == dict.fromkeys(KINDS, rounded[StrategyKind.PYTHON])


def test_it_declares_as_python_does_and_what_it_prints_is_kept(zygote: Zygote) -> None:
    for kind in (StrategyKind.JAVASCRIPT, StrategyKind.TYPESCRIPT):
        found = validated(zygote, KINDS[kind], kind)
        assert found.code is not None
        assert (found.code.lookback, found.code.min_candles, found.code.uses_position) == (60, 20, True)
        assert found.code.specs is not None
        assert [(spec.name, spec.default, spec.maximum) for spec in found.code.specs] == [("period", 20, 60)]
        assert found.log.startswith("sma ")


def test_types_are_stripped_once_and_lines_stay(zygote: Zygote) -> None:
    code = validated(zygote, TYPESCRIPT, StrategyKind.TYPESCRIPT).code
    assert code is not None
    assert code.text == TYPESCRIPT
    assert code.compiled is not None
    assert "interface" not in code.compiled
    assert code.compiled.count("\n") == TYPESCRIPT.count("\n")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("function strategy(context {\n}", 1, "SyntaxError"),
        ("let x = 1", None, "defines none of strategy(context)"),
        (HEAD + "  return missing;\n}", 2, "missing is not defined"),
        (HEAD + "  return fetch('http://a');\n}", 2, "fetch is not defined"),
        (HEAD + "\n  throw new Error('no');\n}", 3, "Error: no"),
        (HEAD + "  return {signal: 'buy', price: NaN};\n}", 1, "price is not a number"),
        (HEAD + "  return {signal: 'hold', indicators: {x: Infinity}};\n}", 1, "indicator x is not a number"),
        (HEAD + "  return {signal: 'fly'};\n}", 1, "fly"),
        (HEAD + "  return undefined;\n}", 1, "answered nothing"),
        (HEAD + "  return 10n;\n}", None, "BigInt"),
        (HEAD + "  const a = {}; a.a = a; return a;\n}", None, "circular"),
        (HEAD + "  return {signal: 'hold', indicators: {x: Math.random()}};\n}", None, "answers differently"),
        ("import {readFileSync} from 'fs';\n" + HEAD + "  return 'hold';\n}", 1, "SyntaxError"),
        ("const fs = require('fs');\n" + HEAD + "  return 'hold';\n}", 1, 'no module "fs"'),
    ],
)
def test_an_author_is_told_what_is_wrong_and_where(
    zygote: Zygote, text: str, line: int | None, said: str
) -> None:
    [error] = validated(zygote, text).errors
    assert said in error.message
    if line is not None:
        assert error.line == line


def test_an_error_of_types_names_its_line(zygote: Zygote) -> None:
    [error] = validated(zygote, "\nfunction strategy(c: any {\n}", StrategyKind.TYPESCRIPT).errors
    assert (error.line, error.message) == (2, 'SyntaxError: Unexpected token, expected ","')


HOSTILE = {
    "loop": "for (;;) {}",
    "loop that swallows": "for (;;) { try { for (;;) {} } catch {} }",
    "regex bomb": "return /(a+)+$/.test('a'.repeat(60) + 'b') ? 'hold' : 'hold';",
    "array without end": "const a = []; for (;;) a.push(new Array(1000).fill(1));",
    "string without end": "let s = 'x'; for (;;) s += s + s;",
    "one large buffer": "new ArrayBuffer(2 ** 31); return 'hold';",
    "many buffers": "const a = []; for (;;) a.push(new Uint8Array(1 << 20));",
    "recursion": "return (function f() { return f() + 1; })();",
    "recursion of the answer": "let a = 'hold'; for (let i = 0; i < 1e5; i++) a = [a]; return a;",
    "answer that is too large": "return {signal: 'hold', metadata: {a: 'x'.repeat(4e6)}};",
    "answer of many fields": (
        "const a = {}; for (let i = 0; i < 1e5; i++) a[i] = i; return {signal: 'hold', indicators: a};"
    ),
    "toJSON without end": "return {toJSON() { for (;;) {} }};",
    "getter without end": "return {get signal() { for (;;) {} }};",
    "proxy of proxies": "return new Proxy({}, {ownKeys() { for (;;) {} }});",
    "error whose text never ends": "throw {toString() { for (;;) {} }};",
    "error of great length": "throw new Error('x'.repeat(5e6));",
    "printed without end": "for (;;) console.log('x'.repeat(1000));",
    "the writer replaced": 'JSON.stringify = () => \'{"signal": "buy"}\'; return {signal: 7};',
    "the reader's parts replaced": "Array.prototype.map = () => { for (;;) {} }; return strategy(context);",
    "files of the interpreter": "return std.open('/etc/passwd', 'r').readAsString();",
    "system of the interpreter": "os.exec(['/bin/sh', '-c', 'id']); return 'hold';",
    "import at run time": "import('os').then((os) => os.exec(['id'])); return {signal: 7};",
    "global of everything": "return Function('return this')().process.env;",
    "wait that blocks": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1e9); return 7;",
    "machine code": "return new WebAssembly.Module(new Uint8Array(8));",
    "worker of its own": "new Worker('x'); return 'hold';",
    "promise as answer": "return Promise.resolve({signal: 'buy'});",
    "jobs without end": "const f = () => Promise.resolve().then(f); f(); return {signal: 7};",
    "what printed before": "return globalThis.__print('x');",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_gets_no_further_than_its_limits(strict: Zygote, body: str) -> None:
    """No answer that counts, within the limit and a second; and the next worker is as good as new."""
    code = StrategyCode(text=HEAD + body + "\n}")
    context = sample_contexts(code, {}, "BTCUSDT", Timeframe.M5)[0]
    began_s = time.monotonic()
    try:
        with strict.worker() as worker:
            reply = worker.ask(Program(kind="javascript", text=code.text), ask_of(code, context))[-1]
    except Starved:
        return  # ended as well, by a machine too busy to say whose fault it was
    took_s = time.monotonic() - began_s
    verdict = verdict_of(reply, context)
    assert verdict.signal is None, verdict
    assert verdict.failed is not None
    assert took_s < WALL_S + 1 or verdict.failed.fault is not Fault.TIMEOUT
    with strict.worker() as worker:
        good = worker.ask(Program(kind="javascript", text=HEAD + "return 'hold' }"), ask_of(code, context))[
            -1
        ]
    assert isinstance(good, Answered)
    assert not isinstance(reply, Failed) or len(reply.sentence) <= 300


def test_a_strategy_cannot_change_how_its_answer_is_written(zygote: Zygote) -> None:
    """What reads and writes JSON was taken before the author's text was loaded."""
    body = "JSON.stringify = () => '{\"signal\": \"buy\"}'; return {signal: 'hold'};"
    found = validated(zygote, HEAD + body + "\n}")
    assert found.signal is not None
    assert found.signal.action is Action.HOLD
