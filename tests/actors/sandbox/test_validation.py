"""Code is tried before it is kept, and its author is told what is wrong, where, and what to do about it."""

from __future__ import annotations

import pytest

from actors.sandbox.frames import ENCODER, Answered, Loaded, framed
from actors.sandbox.host import Zygote
from actors.sandbox.validation import Validated, validate_code
from core.definition import StrategyKind
from core.signal import Action

EXAMPLE = """
USES_POSITION = True
LOOKBACK = 60
MIN_CANDLES = 20
PARAMETERS = {"period": {"default": 20, "min": 2, "max": 60, "meaning": "candles of the average"}}

def strategy(context):
    period = context.parameters.period or 20
    sma = sum(candle["close"] for candle in context["candles"][-period:]) / period
    print("sma", sma)
    if context.price > sma and context.position is None:
        return {"signal": "buy", "reason": "Price above SMA", "indicators": {"sma": sma}}
    if context.price < sma and context.position:
        return {"signal": "sell", "reason": "Price below SMA", "indicators": {"sma": sma}}
    return {"signal": "hold", "indicators": {"sma": sma}}
"""
WHOLE = "def strategy(context):\n"


def validated(zygote: Zygote, text: str, **parameters: object) -> Validated:
    return validate_code(zygote, kind=StrategyKind.PYTHON, text=text, parameters=parameters)


def test_the_example_is_kept_with_what_it_declares(zygote: Zygote) -> None:
    found = validated(zygote, EXAMPLE, period=10)
    assert found.errors == ()
    assert found.code is not None
    assert (found.code.lookback, found.code.min_candles, found.code.uses_position) == (60, 20, True)
    assert found.code.specs is not None
    assert [(spec.name, spec.default, spec.maximum) for spec in found.code.specs] == [("period", 20, 60)]
    assert found.signal is not None
    assert "sma" in found.signal.indicators
    assert found.log.startswith("sma ")


def test_what_runs_of_python_is_what_its_author_gave_whatever_loading_it_sent_back(zygote: Zygote) -> None:
    """It takes the worker's place on the wire: another text would run than the one that is kept and shown."""
    loaded = framed(ENCODER.encode(Loaded(compiled="def strategy(context):\n    return 'hold'\n")))
    answered = framed(ENCODER.encode(Answered(answer="hold")))
    text = f"""
import statistics
sys = statistics.sys
frame = sys._getframe()
while "reader" not in frame.f_locals:
    frame = frame.f_back
write, reader = sys.modules["os"].write, frame.f_locals["reader"]
write(3, {loaded!r})
while reader.next():
    write(3, {answered!r})
"""
    found = validated(zygote, text)
    assert found.errors == ()
    assert found.code is not None
    assert (found.code.text, found.code.compiled) == (text, None)


@pytest.mark.parametrize("name", ["strategy", "evaluate", "tradingStrategy"])
def test_each_of_the_three_names_is_an_entry(zygote: Zygote, name: str) -> None:
    found = validated(zygote, f"def {name}(context):\n    return 'hold'\n")
    assert found.signal is not None
    assert found.signal.action is Action.HOLD


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("def strategy(context)\n    return 1\n", 1, "SyntaxError: expected ':'", None),
        ("function strategy(context) {\n  return 'hold';\n}\n", 1, "SyntaxError", "JavaScript or TypeScript"),
        ("x = 1\n", None, "defines none of strategy(context)", None),
        (
            "def decide(context):\n    return 'hold'\n",
            None,
            "defines none of strategy(context)",
            "calls decide",
        ),
        (
            "import pandas\n" + WHOLE + "    return 'hold'\n",
            1,
            "pandas is not in the allowed list",
            "numpy columns",
        ),
        (WHOLE + "    import os\n", 2, "os is not in the allowed list", "no files"),
        ("import ta\n" + WHOLE + "    return 'hold'\n", 1, "ta is not in the allowed list", "talib.RSI"),
        (WHOLE + "    period = 3\n    return perod\n", 3, "NameError", "Is period meant?"),
        ("import talib\n" + WHOLE + "    return talib.RSY\n", 3, "AttributeError", "Is RSI meant?"),
        (
            "import talib\n"
            + WHOLE
            + "    if talib.RSI(context.candles.close) < 30:\n        return 'buy'\n",
            3,
            "truth value",
            "[-1] is the newest",
        ),
        ("import talib\n" + WHOLE + "    return talib.RSI([1.0, 2.0])\n", 3, "TypeError", "whole columns"),
        (WHOLE + "    return context.candles.close[-900]\n", 2, "IndexError", "as LOOKBACK says"),
        (
            "class Odd(str):\n    def startswith(self, *_):\n        raise KeyError\nglobals()[Odd('x')] = 1\n"
            + WHOLE
            + "    return unknown\n",
            6,
            "NameError",
            None,
        ),
        (WHOLE + "    return pd.x\n", 2, "NameError", "context.candles.close"),
        (WHOLE + "    return context.close\n", 2, "AttributeError", "A context has candles"),
        (WHOLE + "    return context['foo']\n", 2, "KeyError", ".get(key, default)"),
        (WHOLE + "    return open('/etc/passwd').read()\n", 2, "PermissionError", "no files"),
        (WHOLE + "    return 1 / 0\n", 2, "ZeroDivisionError: division by zero", None),
        (WHOLE + "    raise SystemExit\n", 2, "SystemExit", None),
        (
            WHOLE + "    return helper()\ndef helper():\n    raise ValueError('no')\n",
            4,
            "ValueError: no",
            None,
        ),
        (WHOLE + "    pass\n", 2, "answered nothing", None),
        (WHOLE + "    return 7\n", 2, "answered a int instead", None),
        (
            WHOLE + "    x = 1\n    return {'action': 'jump'}\n",
            3,
            "unknown action 'jump'; there are long, short, hold",
            None,
        ),
        (WHOLE + "    return {'action': 'buy', 'wings': 2}\n", 2, "no field 'wings'", None),
        (WHOLE + "    return {'action': 'buy', 'signal': 'buy'}\n", 2, "given twice", None),
        (
            WHOLE + "    return {'action': 'buy', 'indicators': {'rsi': float('nan')}}\n",
            2,
            "indicator rsi is NaN",
            None,
        ),
        (WHOLE + "    return {'action': 'buy', 'price': float('inf')}\n", 2, "price is not finite", None),
        (
            WHOLE + "    return {'action': 'buy', 'stopLoss': -1}\n",
            2,
            "stop_loss of -1.0 is not above 0",
            None,
        ),
        (WHOLE + "    return {'action': 'buy', 'score': 11}\n", 2, "score of 11 is not in 0 to 10", None),
        (WHOLE + "    return {'action': 'buy', 'leverage': 1.5}\n", 2, "leverage of 1.5", None),
        (
            WHOLE + "    return {'action': 'buy', 'indicators': {'c': context.candles.close}}\n",
            2,
            "indicators.c is an array",
            None,
        ),
        (WHOLE + "    return {'action': object()}\n", 2, "action is a object, which is no data", None),
        (WHOLE + "    return {'action': 'buy', 'metadata': {'x': 'y' * 5000}}\n", 2, "4096 bytes", None),
        (
            WHOLE + "    x = []\n    for i in range(50): x = [x]\n    return x\n",
            4,
            "nested more than 16",
            None,
        ),
        (WHOLE + "    return list(range(3000))\n", 2, "3000 items", None),
        (WHOLE + "    return 2 ** 70\n", 2, "integer too large", None),
        (
            "LOOKBACK = 'many'\n" + WHOLE + "    return 'hold'\n",
            1,
            "LOOKBACK must be a whole number",
            None,
        ),
        ("LOOKBACK = 10**6\n" + WHOLE + "    return 'hold'\n", 1, "LOOKBACK must lie in 1 to 2000", None),
        ("PARAMETERS = [1]\n" + WHOLE + "    return 'hold'\n", 1, "PARAMETERS must be a mapping", None),
        ("USES_POSITION = 1\n" + WHOLE + "    return 'hold'\n", 1, "USES_POSITION must be", None),
        (
            "import random\n" + WHOLE + "    return {'action': 'buy', 'score': random.random()}\n",
            None,
            "answers differently for the same candles",
            "No randomness",
        ),
        (
            "calls = []\n"
            + WHOLE
            + "    calls.append(1)\n    return {'action': 'buy', 'score': len(calls) / 9}\n",
            None,
            "answers differently",
            "nothing remembered",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    zygote: Zygote, text: str, line: int | None, said: str, hint: str | None
) -> None:
    found = validated(zygote, text)
    assert found.code is None
    assert found.signal is None
    (error,) = found.errors
    assert said in error.message
    assert error.line == line
    if hint is not None:
        assert hint in (error.hint or "")


@pytest.mark.parametrize(
    "slot",
    [
        "context.slot.strftime('%H:%M')",
        "f'{context.slot:%H:%M}'",
        "datetime.strptime('12', '%d').isoformat()",
    ],
)
def test_times_are_written_and_read(zygote: Zygote, slot: str) -> None:
    text = f"from datetime import datetime\n{WHOLE}    return {{'action': 'hold', 'reason': {slot}}}\n"
    assert validated(zygote, text).errors == ()


def test_parameters_outside_what_is_declared_are_refused_by_name(zygote: Zygote) -> None:
    (error,) = validated(zygote, EXAMPLE, period=1000).errors
    assert "period must lie in 2 to 60" in error.message


def test_no_path_of_this_machine_is_told(zygote: Zygote) -> None:
    found = validated(zygote, WHOLE + "    raise ValueError('see /usr/lib/python3/secret.py now')\n")
    assert found.errors[0].message == "ValueError: see … now"


def test_what_is_printed_is_kept_up_to_its_limit(zygote: Zygote) -> None:
    found = validated(zygote, WHOLE + "    print('x' * 100_000)\n    return 'hold'\n")
    assert found.errors == ()
    assert len(found.log) <= 8_192
