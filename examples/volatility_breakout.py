"""Enters where a candle closes beyond the last channel by a share of the usual range, with stop and target in it."""

import talib

LOOKBACK = 300
MIN_CANDLES = 120
PARAMETERS = {
    "channel": {"default": 48, "min": 10, "max": 100, "meaning": "candles of the channel"},
    "range": {"default": 14, "min": 5, "max": 50, "meaning": "candles of the average true range"},
    "beyond": {"default": 0.25, "min": 0.0, "max": 2.0, "meaning": "ranges beyond the channel for an entry"},
    "stop": {"default": 1.5, "min": 0.5, "max": 5.0, "meaning": "ranges from the entry to its stop"},
    "target": {"default": 3.0, "min": 0.5, "max": 10.0, "meaning": "ranges from the entry to its target"},
}


def strategy(context):
    candles, parameters = context.candles, context.parameters
    usual = talib.ATR(candles.high, candles.low, candles.close, parameters.range)[-1]
    # The channel ends before the candle that may leave it.
    top = candles.high[-parameters.channel - 1 : -1].max()
    bottom = candles.low[-parameters.channel - 1 : -1].min()
    indicators = {"atr": usual, "top": top, "bottom": bottom}
    price, margin = context.price, parameters.beyond * usual
    if price > top + margin:
        return {
            "action": "long",
            "reason": "Closed above the channel",
            "stop_loss": price - parameters.stop * usual,
            "take_profit": price + parameters.target * usual,
            "indicators": indicators,
        }
    if price < bottom - margin:
        return {
            "action": "short",
            "reason": "Closed below the channel",
            "stop_loss": price + parameters.stop * usual,
            "take_profit": price - parameters.target * usual,
            "indicators": indicators,
        }
    return {"action": "hold", "indicators": indicators}
