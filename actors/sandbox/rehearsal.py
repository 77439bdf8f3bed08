"""An evaluation of no one's: what every evaluation touches first has then been touched."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.sandbox.frames import ASKED, ENCODER, Ask, Program
from actors.sandbox.python_code import PythonCode
from core.candles import COLUMNS

CANDLES: Final = 64
TEXT: Final = """
import math
import numpy as np
import talib

PARAMETERS = {"period": 14}
MIN_CANDLES = 20

def strategy(context):
    close = context.candles.close
    rsi = talib.RSI(close, int(context.parameters.period or 14))[-1]
    fast, slow = close[-5:].mean(), np.mean(close[-20:])
    last = context.candles[-1]["close"]
    if math.isnan(rsi) or last <= 0 or context.position is not None:
        return {"action": "hold"}
    return {"action": "buy" if fast > slow else "hold", "reason": f"{rsi:.1f}", "indicators": {"rsi": rsi}}
"""
_PROGRAM: Final = ENCODER.encode(Program(kind="python", text=TEXT, symbol="BTCUSDT", timeframe="5m"))
_ASK: Final = ENCODER.encode(
    Ask(
        columns=np.linspace(1.0, 2.0, len(COLUMNS) * CANDLES).tobytes(),
        parameters={"period": 14},
        slot_ms=1_700_000_000_000,
    )
)


def rehearse() -> None:
    program, ask = ASKED.decode(_PROGRAM), ASKED.decode(_ASK)
    assert isinstance(program, Program)
    assert isinstance(ask, Ask)
    ENCODER.encode(PythonCode(program).answer(ask))
