"""Follows takers: long while they buy clearly more than they sell and the trend agrees, short the other way round."""

import numpy as np
import talib

LOOKBACK = 400
MIN_CANDLES = 400
PARAMETERS = {
    "window": {"default": 24, "min": 4, "max": 96, "meaning": "candles over which takers are added up"},
    "trend": {
        "default": 100,
        "min": 20,
        "max": 200,
        "meaning": "candles of the average that tells the trend",
    },
    "pressure": {
        "default": 0.02,
        "min": 0.01,
        "max": 0.5,
        "meaning": "share of volume that must lean one way",
    },
}


def strategy(context):
    candles, parameters = context.candles, context.parameters
    volume = candles.volume[-parameters.window :].sum()
    if volume == 0:
        return {"action": "hold", "reason": "Nothing was traded"}
    bought = candles.taker_buy_volume[-parameters.window :].sum()
    lean = float(2 * bought / volume - 1)
    trend = talib.EMA(candles.close, parameters.trend)[-1]
    indicators = {"lean": lean, "trend": trend}
    score = float(np.clip(10 * abs(lean) / (2 * parameters.pressure), 0, 10))
    if lean > parameters.pressure and context.price > trend:
        return {
            "action": "long",
            "score": score,
            "reason": "Takers buy in an uptrend",
            "indicators": indicators,
        }
    if lean < -parameters.pressure and context.price < trend:
        return {
            "action": "short",
            "score": score,
            "reason": "Takers sell in a downtrend",
            "indicators": indicators,
        }
    return {"action": "hold", "score": score, "indicators": indicators}
