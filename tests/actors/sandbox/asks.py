"""An evaluation to ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from actors.sandbox.frames import Ask
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SLOT: Final = START + timedelta(minutes=1_000)
CANDLES: Final = GeneratedMarket(3).candles("BTCUSDT", Timeframe.M5, START, SLOT)
ASK: Final = Ask(
    columns=np.ascontiguousarray(CANDLES.data).tobytes(), parameters={"period": 14}, slot_ms=to_ms(SLOT)
)
