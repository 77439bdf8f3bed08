"""Long while the price is above its average, out below it: the example that every kind of strategy reproduces.

"sell" ends the position in a run whose direction is long; in one that trades both sides it opens a short.
"""

import talib

LOOKBACK = 250
MIN_CANDLES = 20
PARAMETERS = {"period": {"default": 20, "min": 2, "max": 200, "meaning": "candles of the average"}}
USES_POSITION = True


def strategy(context):
    period = context.parameters.period or 20
    if len(context.candles) < period:
        return {"action": "hold", "reason": "Too few candles for the average"}
    sma = talib.SMA(context.candles.close, period)[-1]
    indicators = {"sma": sma}
    if context.price > sma and context.position is None:
        return {"action": "buy", "reason": "Price above SMA", "indicators": indicators}
    if context.price < sma and context.position is not None:
        return {"action": "sell", "reason": "Price below SMA", "indicators": indicators}
    return {"action": "hold", "indicators": indicators}
